//! One act on several keys: what it would come to for each, and doing it. Each key goes through the same operation as
//! alone, in a transaction of its own with its own permit and event, so that what fails for one changes nothing for the
//! others. The preview takes the very same steps and drops the transaction.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::create::expiry_rules;
use super::edit::{names, write};
use super::find_seen;
use super::place::{may_go_without_team, teams_to_choose};
use super::status::{Switch, end, switch};
use crate::Desk;
use crate::domain::audit::Event;
use crate::domain::bulk::{BulkAct, BulkChange, Outcome, OutcomeRow, Selected, Verdict};
use crate::domain::expiry::{Expiry, KeyDraft};
use crate::domain::field_error::FieldError;
use crate::domain::ids::{KeyId, TeamId};
use crate::domain::key::{Key, KeySpec, State, Status};
use crate::domain::moment::{Moment, Zone};
use crate::domain::policy::{KeyFacts, On, Permit};
use crate::domain::team::Team;
use crate::store::{StoreError, Tx, keys, secrets};

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
    drop(read);
    let mut errors = Vec::new();
    if let Some(BulkChange::Expire(expiry)) = change
        && let Err(error) = spec_with(KeySpec::default(), *expiry, &context, None, now)
    {
        errors.push(error);
        change = None;
    }
    let mut rows = Vec::new();
    for one in selected {
        rows.push(turn(desk, caller, slug, one, (act, change), false).await?);
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
    let (mut rows, mut failed) = (Vec::new(), None);
    for (one, before) in selected.iter().zip(&view.rows) {
        let (verdict, words) = if failed.is_some() {
            (Verdict::Not, "not tried, because the database did not answer".to_owned())
        } else {
            match turn(desk, caller, slug, one, (act, Some(change)), true).await {
                Ok(row) => (row.verdict, row.words),
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
    Ok((Outcome { act, rows }, failed))
}

const NO_ACCESS: &str = "it doesn’t exist, or you don’t have access";

/// One key's turn, which is saved or only tried.
async fn turn(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    one: &Selected,
    asked: (BulkAct, Option<&BulkChange>),
    saves: bool,
) -> Result<BulkRow, OpError> {
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    // Of two at once the second one waits here, and then sees what the first one did.
    keys::lock(&mut tx, &context.org.id, &one.id).await?;
    let now = desk.now();
    let id = one.id.clone();
    let key = match find_seen(&mut tx, &context, id.as_str(), now).await {
        Ok(key) => key,
        Err(OpError::NotFound) => {
            return Ok(BulkRow { id, key: None, verdict: Verdict::Not, words: NO_ACCESS.into() });
        }
        Err(error) => return Err(error),
    };
    let step = step(&mut tx, caller, &context, (&key, one.version), asked, (saves, now)).await;
    let (verdict, words) = match step {
        Ok(Step::Write(write, words)) => {
            if saves {
                let (permit, event) = *write;
                tx.save(&permit, event, now).await?;
            }
            (Verdict::Change, words)
        }
        Ok(Step::Open(words)) => (Verdict::Change, words),
        Ok(Step::Already(words)) => (Verdict::Already, words),
        Err(OpError::Forbidden) => {
            let whom = whom(&mut tx, caller, &key).await?;
            (Verdict::Not, format!("you may not do this; ask {whom}"))
        }
        Err(OpError::Conflict(sentence)) => (Verdict::Not, sentence),
        Err(OpError::Invalid(errors)) => {
            let problems: Vec<String> = errors.iter().map(|error| error.problem.to_string()).collect();
            (Verdict::Not, problems.join(" "))
        }
        Err(error) => return Err(error),
    };
    Ok(BulkRow { id, key: Some(key), verdict, words })
}

/// What a key's turn comes to.
enum Step {
    /// It is written, and the event is to be saved.
    Write(Box<(Permit, Event)>, String),
    /// It is not chosen yet what, or it is done on another page.
    Open(String),
    /// It is so already.
    Already(String),
}

async fn step(
    tx: &mut Tx,
    caller: &Caller,
    context: &OrgContext,
    (key, version): (&Key, Option<i64>),
    (act, change): (BulkAct, Option<&BulkChange>),
    (saves, now): (bool, Moment),
) -> Result<Step, OpError> {
    let zone = &context.org.zone;
    let permit = context.permit(act.action(), On::Key(key.facts()))?;
    match key.state(now) {
        State::Revoked if act == BulkAct::Revoke => {
            return Ok(Step::Already(format!("Already revoked {}", since(key, zone))));
        }
        State::Revoked => return Err(OpError::Conflict("already revoked".into())),
        State::Expired { .. } if act != BulkAct::Revoke => {
            let words = match key.extendable_until(now) {
                Some(until) => format!("expired; it can be extended until {}", until.date(zone)),
                None => "expired".to_owned(),
            };
            return Err(OpError::Conflict(words));
        }
        _ => {}
    }
    match (act, change) {
        (BulkAct::Disable, _) if key.status == Status::Disabled => {
            Ok(Step::Already(format!("Already disabled {}", since(key, zone))))
        }
        (BulkAct::Disable, _) => {
            let (permit, event) = switch(tx, context, key, Switch::Off, now).await?;
            let words = if saves {
                "Disabled".to_owned()
            } else if context.may(BulkAct::Enable.action(), On::Key(key.facts())) || key.org_suspended {
                "Will be disabled".to_owned()
            } else {
                format!("Will be disabled; only {} can enable it again", whom(tx, caller, key).await?)
            };
            Ok(Step::Write(Box::new((permit, event)), words))
        }
        (BulkAct::Enable, _) if key.status == Status::Active => Ok(Step::Already("Already enabled".into())),
        (BulkAct::Enable, _) => {
            let (permit, event) = switch(tx, context, key, Switch::On, now).await?;
            Ok(Step::Write(
                Box::new((permit, event)),
                if saves { "Enabled" } else { "Will be enabled" }.into(),
            ))
        }
        (BulkAct::Revoke, change) => {
            // The number of keys stands for the names of all.
            let confirmed = !saves || matches!(change, Some(BulkChange::Revoke { confirmed: Some(_) }));
            let name = if confirmed { key.name.as_str() } else { "" };
            let (permit, event) = end(tx, context, key, name, now).await?;
            Ok(Step::Write(
                Box::new((permit, event)),
                if saves { "Revoked" } else { "Will be revoked" }.into(),
            ))
        }
        (BulkAct::Rotate, _) => {
            let secrets = secrets::of_key(tx, &context.org.id, &key.id, now).await?;
            match secrets.previous {
                Some(previous) => Err(OpError::Conflict(format!(
                    "its last rotation is still under way; end the previous secret {} first",
                    previous.hint()
                ))),
                None => Ok(Step::Open("Gets a new secret".into())),
            }
        }
        (_, Some(BulkChange::Move(team))) => {
            to_team(tx, context, &permit, (key, version), team.as_ref(), (saves, now)).await
        }
        (_, Some(BulkChange::Expire(expiry))) => {
            to_expiry(tx, context, &permit, (key, version), *expiry, now).await
        }
        _ => Ok(Step::Open(String::new())),
    }
}

async fn to_team(
    tx: &mut Tx,
    context: &OrgContext,
    permit: &Permit,
    (key, version): (&Key, Option<i64>),
    team: Option<&TeamId>,
    (saves, now): (bool, Moment),
) -> Result<Step, OpError> {
    let current = key.spec();
    if current.team.as_ref() == team {
        let team = key.team.as_ref();
        let words = team.map_or("Already without a team".into(), |team| format!("Already in {}", team.name));
        return Ok(Step::Already(words));
    }
    must_be_at(key, version)?;
    let spec = KeySpec { team: team.cloned(), ..current.clone() };
    let names = names(tx, context, key, &spec).await?;
    let event = write(tx, context, permit, (key, &current), &spec, &names, now).await?;
    let name = |team: Option<&TeamId>| {
        let team = team.and_then(|id| names.teams.iter().find(|team| team.id == *id));
        team.map_or("no team".to_owned(), |team| team.name.clone())
    };
    let (from, to) = (name(current.team.as_ref()), name(team));
    let moves = if saves { "Moved" } else { "Moves" };
    Ok(Step::Write(Box::new((permit.clone(), event)), format!("{moves} from {from} to {to}")))
}

async fn to_expiry(
    tx: &mut Tx,
    context: &OrgContext,
    permit: &Permit,
    (key, version): (&Key, Option<i64>),
    expiry: Expiry,
    now: Moment,
) -> Result<Step, OpError> {
    let current = key.spec();
    let spec = spec_with(current.clone(), expiry, context, Some(&current), now)?;
    let zone = &context.org.zone;
    let date = |at: Option<Moment>| at.map_or("never".to_owned(), |at| at.date(zone));
    let (from, to) = (date(current.expires_at), date(spec.expires_at));
    if spec.expires_at == current.expires_at {
        return Ok(Step::Already(format!("Already expires {to}")));
    }
    must_be_at(key, version)?;
    let names = names(tx, context, key, &spec).await?;
    let event = write(tx, context, permit, (key, &current), &spec, &names, now).await?;
    let words = match current.expires_at {
        Some(at) if from == to => format!("Expires at the end of {to} instead of {}", at.exact(zone)),
        _ => format!("Expires {to} instead of {from}"),
    };
    Ok(Step::Write(Box::new((permit.clone(), event)), words))
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
async fn whom(tx: &mut Tx, caller: &Caller, key: &Key) -> Result<String, OpError> {
    let contacts = keys::contacts(tx, &key.id, &caller.person.email).await?;
    let names: Vec<String> = contacts.into_iter().take(3).map(|contact| contact.name).collect();
    Ok(if names.is_empty() { "your administrator".into() } else { names.join(" or ") })
}
