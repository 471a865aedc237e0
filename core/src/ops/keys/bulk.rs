//! One act on several keys: what it would come to for each, and doing it. Each key goes through the same operation as
//! alone, in a transaction of its own with its own permit and event, so that what fails for one changes nothing for the
//! others. The preview and the act take the same decision about a key, which only reads.

use std::collections::HashSet;

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::create::{expiry_rules, taken};
use super::edit::{check_granted, names, write};
use super::find_seen;
use super::place::{check_same_owner, may_go_without_team, teams_to_choose};
use super::status::{Switch, end, switch};
use crate::Desk;
use crate::domain::audit::Event;
use crate::domain::bulk::{BulkAct, BulkChange, Outcome, OutcomeRow, Selected, Verdict};
use crate::domain::expiry::{Expiry, KeyDraft};
use crate::domain::field_error::FieldError;
use crate::domain::ids::{KeyId, TeamId};
use crate::domain::key::{Key, KeySpec, State, Status};
use crate::domain::moment::{Moment, Zone};
use crate::domain::person::fold;
use crate::domain::policy::{Action, KeyFacts, On, Permit};
use crate::domain::team::Team;
use crate::store::{StoreError, Tx, Via, keys, secrets, teams};

/// What an act comes to for one key.
pub struct BulkRow {
    /// The key's id.
    pub id: KeyId,
    /// The key as it was before; `None` where the caller may not see it.
    pub key: Option<Key>,
    /// Whether it changes.
    pub verdict: Verdict,
    /// How, or why not. Empty while nothing is chosen yet.
    pub words: String,
}

/// What the page before an act is drawn from.
pub struct BulkView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// A row for each selected key, in the order of the selection.
    pub rows: Vec<BulkRow>,
    /// Where the caller may move keys to.
    pub teams: Vec<Team>,
    /// Whether keys can be moved out of every team.
    pub may_go_without_team: bool,
    /// What is wrong with what was chosen for all keys; the rows are then as if nothing were chosen yet.
    pub errors: Vec<FieldError>,
    /// When it was read.
    pub now: Moment,
}

impl BulkView {
    /// The keys that change.
    pub fn changing(&self) -> impl Iterator<Item = &Key> {
        self.rows.iter().filter(|row| row.verdict == Verdict::Change).filter_map(|row| row.key.as_ref())
    }

    /// How many of the keys that change were used in the last day.
    pub fn in_use(&self) -> usize {
        self.changing().filter(|key| key.in_use(self.now)).count()
    }
}

/// A key that the caller owns, in a team that they administer where there is one: what they may do to no such key, they
/// may do to none.
fn nearest(context: &OrgContext) -> KeyFacts<'_> {
    let principal = &context.principal;
    KeyFacts { id: None, team: principal.admin_of().first(), owner: principal.person() }
}

/// The acts that the caller may do to some key: none for support.
pub fn offered(context: &OrgContext) -> Vec<BulkAct> {
    let may = |act: &BulkAct| context.may(act.action(), On::Key(nearest(context)));
    BulkAct::ALL.into_iter().filter(may).collect()
}

/// What the act would come to. Without a `change`, its team or expiry is not chosen yet.
///
/// # Errors
/// `Forbidden` for who may do this to no key at all; `Conflict` in a suspended organisation, unless it takes keys out of
/// use.
pub async fn preview(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    selected: &[Selected],
    (act, mut change): (BulkAct, Option<&BulkChange>),
) -> Result<BulkView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(act.action(), On::Key(nearest(&context)))?;
    let teams = teams_to_choose(&mut read, &context).await?;
    let may_go_without_team = may_go_without_team(&context);
    let mut errors = Vec::new();
    if let Some(BulkChange::Expire(expiry)) = change
        && let Err(error) = spec_with(KeySpec::default(), *expiry, &context, None, now)
    {
        errors.push(error);
        change = None;
    }
    let (mut rows, mut moved) = (Vec::new(), HashSet::new());
    for one in selected {
        let (key, decision) = decide(&mut read, caller, &context, one, (act, change), now).await?;
        let (verdict, words) = match decision {
            // Of two keys with one name, only the first can go to the team.
            Decision::Change { write: Write::Edit(spec), .. }
                if act == BulkAct::Move && !moved.insert(fold(&spec.name)) =>
            {
                (Verdict::Not, reason(taken(&spec))?)
            }
            decision => decision.preview(),
        };
        rows.push(BulkRow { id: one.id.clone(), key, verdict, words });
    }
    Ok(BulkView { context, rows, teams, may_go_without_team, errors, now })
}

/// Does it, key by key, and answers what happened to each. Where the database failed, that is the second answer, and the
/// rows say which keys were not tried.
///
/// # Errors
/// Nothing was done then: those of `preview`; `Invalid` for a wrong field, or when a key in use is revoked without the
/// number of keys; `ReauthRequired` for more than one key when the caller signed in too long ago.
pub async fn apply(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    selected: &[Selected],
    change: &BulkChange,
) -> Result<(Outcome, Option<StoreError>), OpError> {
    let act = change.act();
    if act == BulkAct::Rotate {
        return Err(OpError::say(
            "act",
            "Keys are rotated one after the other, because each secret is shown once.",
        ));
    }
    let view = preview(desk, caller, slug, selected, (act, Some(change))).await?;
    if !view.errors.is_empty() {
        return Err(OpError::Invalid(view.errors));
    }
    let (count, used) = (view.changing().count(), view.in_use());
    if let BulkChange::Revoke { confirmed } = change
        && used > 0
        && *confirmed != Some(count)
    {
        let were = if used == 1 { "1 of these keys was" } else { &format!("{used} of these keys were") };
        let sentence =
            format!("{were} used in the last 24 hours. Type how many keys you revoke, {count}, to confirm.");
        return Err(OpError::say("count", sentence));
    }
    if count > 1 {
        caller.require_recent_auth(desk.now())?;
    }
    // A hundred keys would be waited for a hundred times.
    let together = Desk { db: desk.db.waiting_once(), ..desk.clone() };
    let (mut rows, mut failed) = (Vec::new(), None);
    for (one, before) in selected.iter().zip(&view.rows) {
        let (verdict, words) = if failed.is_some() {
            (Verdict::Not, "not tried, because the database did not answer".to_owned())
        } else {
            match act_on(&together, caller, slug, one, change).await {
                Ok(done) => done,
                Err(OpError::Store(error)) => {
                    failed = Some(error);
                    let words = "the database did not answer. Look at this key before you try again.";
                    (Verdict::Not, words.to_owned())
                }
                Err(_) => (Verdict::Not, NO_ACCESS.to_owned()),
            }
        };
        let name = |of: fn(&Key) -> String| before.key.as_ref().map(of).unwrap_or_default();
        rows.push(OutcomeRow {
            id: one.id.to_string(),
            name: name(|key| key.name.clone()),
            team: name(|key| key.team.as_ref().map(|team| team.name.clone()).unwrap_or_default()),
            owner: name(|key| key.owner.name.clone()),
            verdict,
            words,
        });
    }
    desk.db.wait_until_seen().await;
    Ok((Outcome { act, rows }, failed))
}

const NO_ACCESS: &str = "it doesn’t exist, or you don’t have access";

/// What is decided about a key.
enum Decision {
    Change {
        write: Write,
        /// For the preview.
        will: String,
        /// For the outcome.
        done: String,
    },
    /// It would change, but it is not chosen yet to what, or it is done on another page.
    Open(String),
    /// It is so already.
    Already(String),
    /// It stays as it is, for this reason.
    Not(String),
}

enum Write {
    Switch(Switch),
    Revoke,
    Edit(Box<KeySpec>),
}

impl Decision {
    fn change(write: Write, will: &str, done: &str) -> Self {
        Decision::Change { write, will: will.into(), done: done.into() }
    }

    fn preview(self) -> (Verdict, String) {
        match self {
            Decision::Change { will: words, .. } | Decision::Open(words) => (Verdict::Change, words),
            Decision::Already(words) => (Verdict::Already, words),
            Decision::Not(words) => (Verdict::Not, words),
        }
    }
}

/// Does it to one key, if that is still the decision.
async fn act_on(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    one: &Selected,
    change: &BulkChange,
) -> Result<(Verdict, String), OpError> {
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    // Of two at once the second one waits here, and then sees what the first one did.
    keys::lock(&mut tx, &context.org.id, &one.id).await?;
    let now = desk.now();
    let asked = (change.act(), Some(change));
    let (key, decision) = decide(&mut tx, caller, &context, one, asked, now).await?;
    let (Some(key), Decision::Change { write, done, .. }) = (key, &decision) else {
        return Ok(decision.preview());
    };
    let written = match write {
        Write::Switch(to) => switch(&mut tx, &context, &key, *to, now).await,
        Write::Revoke => {
            // The number of keys stands for the names of all.
            let confirmed = matches!(change, BulkChange::Revoke { confirmed: Some(_) });
            let name = if confirmed { key.name.as_str() } else { "" };
            end(&mut tx, &context, &key, name, now).await
        }
        Write::Edit(spec) => edit_one(&mut tx, &context, &key, spec, now).await,
    };
    match written {
        Ok((permit, event)) => {
            tx.save(&permit, event, now).await?;
            Ok((Verdict::Change, done.clone()))
        }
        Err(error) => Ok((Verdict::Not, reason(error)?)),
    }
}

async fn edit_one(
    tx: &mut Tx,
    context: &OrgContext,
    key: &Key,
    spec: &KeySpec,
    now: Moment,
) -> Result<(Permit, Event), OpError> {
    let permit = context.permit(Action::EditKey, On::Key(key.facts()))?;
    let names = names(tx, context, key, spec).await?;
    let event = write(tx, context, &permit, (key, &key.spec()), spec, &names, now).await?;
    Ok((permit, event))
}

/// The key, where the caller may see it, and what the act comes to for it.
async fn decide(
    via: &mut impl Via,
    caller: &Caller,
    context: &OrgContext,
    one: &Selected,
    asked: (BulkAct, Option<&BulkChange>),
    now: Moment,
) -> Result<(Option<Key>, Decision), OpError> {
    let key = match find_seen(via, context, one.id.as_str(), now).await {
        Err(OpError::NotFound) => return Ok((None, Decision::Not(NO_ACCESS.into()))),
        key => key?,
    };
    let decision = match decide_about(via, caller, context, (&key, one.version), asked, now).await {
        Err(OpError::Forbidden) => {
            Decision::Not(format!("you may not do this; ask {}", whom(via, caller, &key).await?))
        }
        Err(error) => Decision::Not(reason(error)?),
        Ok(decision) => decision,
    };
    Ok((Some(key), decision))
}

/// Why one key stays as it is.
fn reason(error: OpError) -> Result<String, OpError> {
    match error {
        OpError::Conflict(sentence) => Ok(sentence),
        OpError::Invalid(errors) => {
            let problems: Vec<String> = errors.iter().map(|error| error.problem.to_string()).collect();
            Ok(problems.join(" "))
        }
        error => Err(error),
    }
}

async fn decide_about(
    via: &mut impl Via,
    caller: &Caller,
    context: &OrgContext,
    (key, version): (&Key, Option<i64>),
    (act, change): (BulkAct, Option<&BulkChange>),
    now: Moment,
) -> Result<Decision, OpError> {
    let zone = &context.org.zone;
    context.permit(act.action(), On::Key(key.facts()))?;
    match key.state(now) {
        State::Revoked if act == BulkAct::Revoke => {
            return Ok(Decision::Already(format!("Already revoked {}", since(key, zone))));
        }
        State::Revoked => return Ok(Decision::Not("already revoked".into())),
        State::Expired { .. } if act != BulkAct::Revoke => {
            let words = match key.extendable_until(now) {
                Some(until) => format!("expired; it can be extended until {}", until.date(zone)),
                None => "expired".to_owned(),
            };
            return Ok(Decision::Not(words));
        }
        _ => {}
    }
    match (act, change) {
        (BulkAct::Disable, _) if key.status == Status::Disabled => {
            Ok(Decision::Already(format!("Already disabled {}", since(key, zone))))
        }
        (BulkAct::Disable, _) => {
            let enables = context.may(BulkAct::Enable.action(), On::Key(key.facts())) || key.org_suspended;
            let will = if enables {
                "Will be disabled".to_owned()
            } else {
                format!("Will be disabled; only {} can enable it again", whom(via, caller, key).await?)
            };
            Ok(Decision::change(Write::Switch(Switch::Off), &will, "Disabled"))
        }
        (BulkAct::Enable, _) if key.status == Status::Active => {
            Ok(Decision::Already("Already enabled".into()))
        }
        (BulkAct::Enable, _) => Ok(Decision::change(Write::Switch(Switch::On), "Will be enabled", "Enabled")),
        (BulkAct::Revoke, _) => Ok(Decision::change(Write::Revoke, "Will be revoked", "Revoked")),
        (BulkAct::Rotate, _) => {
            let secrets = secrets::of_key(via, &context.org.id, &key.id, now).await?;
            Ok(match secrets.previous {
                Some(previous) => Decision::Not(format!(
                    "its last rotation is still under way; end the previous secret {} first",
                    previous.hint()
                )),
                None => Decision::Open("Gets a new secret".into()),
            })
        }
        (_, Some(BulkChange::Move(team))) => to_team(via, context, (key, version), team.as_ref(), now).await,
        (_, Some(BulkChange::Expire(expiry))) => to_expiry(via, context, (key, version), *expiry, now).await,
        _ => Ok(Decision::Open(String::new())),
    }
}

async fn to_team(
    via: &mut impl Via,
    context: &OrgContext,
    (key, version): (&Key, Option<i64>),
    team: Option<&TeamId>,
    now: Moment,
) -> Result<Decision, OpError> {
    let current = key.spec();
    if current.team.as_ref() == team {
        let team = key.team.as_ref();
        let words = team.map_or("Already without a team".into(), |team| format!("Already in {}", team.name));
        return Ok(Decision::Already(words));
    }
    must_be_at(key, version)?;
    let spec = KeySpec { team: team.cloned(), ..current.clone() };
    check_same_owner(via, context, &spec, (&key.owner.id, &current), now).await?;
    check_granted(via, context, (key, &current), &spec, now).await?;
    if keys::name_is_taken(via, &context.org.id, &key.id, &spec).await? {
        return Err(taken(&spec));
    }
    let teams = teams::in_use(via, &context.org.id).await?;
    let to = team.and_then(|id| teams.iter().find(|team| team.id == *id));
    let name = |team: Option<&Team>| team.map_or("no team".to_owned(), |team| team.name.clone());
    let way = format!("from {} to {}", name(key.team.as_ref()), name(to));
    let write = Write::Edit(Box::new(spec));
    Ok(Decision::change(write, &format!("Moves {way}"), &format!("Moved {way}")))
}

async fn to_expiry(
    via: &mut impl Via,
    context: &OrgContext,
    (key, version): (&Key, Option<i64>),
    expiry: Expiry,
    now: Moment,
) -> Result<Decision, OpError> {
    let current = key.spec();
    let spec = spec_with(current.clone(), expiry, context, Some(&current), now)?;
    let zone = &context.org.zone;
    let date = |at: Option<Moment>| at.map_or("never".to_owned(), |at| at.date(zone));
    let (from, to) = (date(current.expires_at), date(spec.expires_at));
    if spec.expires_at == current.expires_at {
        return Ok(Decision::Already(format!("Already expires {to}")));
    }
    must_be_at(key, version)?;
    check_same_owner(via, context, &spec, (&key.owner.id, &current), now).await?;
    let words = match current.expires_at {
        Some(at) if from == to => format!("Expires at the end of {to} instead of {}", at.exact(zone)),
        _ => format!("Expires {to} instead of {from}"),
    };
    Ok(Decision::change(Write::Edit(Box::new(spec)), &words, &words))
}

fn spec_with(
    spec: KeySpec,
    expiry: Expiry,
    context: &OrgContext,
    current: Option<&KeySpec>,
    now: Moment,
) -> Result<KeySpec, FieldError> {
    KeyDraft { spec, expiry }.resolve(&expiry_rules(&context.org, current, now))
}

/// An edit names the version it started from, also one of many.
fn must_be_at(key: &Key, version: Option<i64>) -> Result<(), OpError> {
    match version {
        Some(version) if version != key.version => {
            Err(OpError::Conflict("it was changed in the meantime. Look at it and try again.".into()))
        }
        _ => Ok(()),
    }
}

/// "26 Nov 2026 18:54 by Ana Ruiz"
fn since(key: &Key, zone: &Zone) -> String {
    let by = key.status_by.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    format!("{}{by}", key.status_at.exact(zone))
}

/// Whom the caller can ask about the key.
async fn whom(via: &mut impl Via, caller: &Caller, key: &Key) -> Result<String, OpError> {
    let contacts = keys::contacts(via, &key.id, &caller.person.email).await?;
    let names: Vec<String> = contacts.into_iter().take(3).map(|contact| contact.name).collect();
    Ok(if names.is_empty() { "your administrator".into() } else { names.join(" or ") })
}
