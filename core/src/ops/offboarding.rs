//! What becomes of the keys of somebody who left: each is given to somebody else, runs until a day, or is revoked. Until
//! somebody has decided, a key works as it did and is listed; no key is deleted, and none is without an owner.

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::ids::PersonId;
use crate::domain::key::Key;
use crate::domain::moment::{Day, Moment};
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, MemberFacts, On, OrgRole, Permit};
use crate::domain::window::WindowStarts;
use crate::forms::reauth::Reauth;
use crate::store::members::{self, Member};
use crate::store::{Tx, keys, people, spend};

/// People to choose from.
const MAX_PEOPLE: i64 = 500;

/// What the off-boarding page is drawn from.
pub struct OffboardingView {
    pub context: OrgContext,
    pub member: Member,
    /// Live and undecided, newest first, at most `keys::MAX_OF_OWNER`.
    pub keys: Vec<Key>,
    /// How many go on by a decision.
    pub decided: usize,
    /// To whom keys may be given.
    pub people: Vec<PersonName>,
    pub now: Moment,
}

/// # Errors
/// `Forbidden` for those who do not run the organisation; `Conflict` while the person is still in it.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<OffboardingView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let (member, teams) = super::members::find(&mut read, &context, id).await?;
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &teams };
    context.permit(Action::SeeMember, On::Member(facts))?;
    context.permit(Action::RevokeKey, On::Org)?;
    must_be_out(&context, &member)?;
    let mut found = keys::list_of_owner(&mut read, &context.org.id, &member.id, true).await?;
    spend::fill(&mut read, &context.org.id, &mut found, WindowStarts::at(now, &context.org.zone)).await?;
    let decided = keys::decided(&mut read, &context.org.id, &member.id).await?.len();
    let people = people::active(&mut read, &context.org.id, MAX_PEOPLE).await?;
    Ok(OffboardingView { context, member, keys: found, decided, people, now })
}

fn must_be_out(context: &OrgContext, member: &Member) -> Result<(), OpError> {
    if member.active() {
        return Err(OpError::Conflict(format!(
            "{} is active in {}. Their keys are decided about when they are disabled or removed.",
            member.name, context.org.name
        )));
    }
    Ok(())
}

/// As a browser sends it: one act for the keys that are selected, one or many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecideForm {
    pub org: String,
    /// Who left.
    pub id: String,
    pub keys: Vec<String>,
    /// `reassign`, `keep` or `revoke`.
    pub act: String,
    /// Whom to give them to.
    pub to: String,
    /// The last day of those that run on.
    pub until: String,
    /// How many keys are selected, typed; asked for only when keys in use are revoked.
    pub count: String,
    pub reauth: Reauth,
}

/// What was decided, checked.
enum Act {
    Reassign(PersonName),
    Keep(Moment),
    Revoke,
}

/// What was done, for the line on the next page.
pub struct Decided {
    pub sentence: String,
    /// Others of theirs wait for a decision.
    pub more: bool,
}

/// Decides about the selected keys, all of them or none.
///
/// # Errors
/// `Invalid` with what is missing; `Conflict` when one of them was decided about meanwhile; `ReauthRequired` for more than one
/// key when the caller is not fresh.
pub async fn decide(desk: &Desk, caller: &Caller, form: &DecideForm) -> Result<Decided, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    // Held, so that of two who decide at once the second sees what the first did.
    let leaver = PersonId::parse(&form.id).ok_or(OpError::NotFound)?;
    people::lock_member(&mut tx, &context.org.id, &leaver).await?;
    let (member, teams) = super::members::find(&mut tx, &context, &form.id).await?;
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &teams };
    context.permit(Action::SeeMember, On::Member(facts))?;
    context.permit(Action::RevokeKey, On::Org)?;
    must_be_out(&context, &member)?;
    let open = keys::list_of_owner(&mut tx, &context.org.id, &member.id, true).await?;
    if form.keys.is_empty() {
        return Err(OpError::say("keys", "Select at least one key."));
    }
    let mut selected = Vec::new();
    for id in &form.keys {
        let key = open.iter().find(|key| key.id.as_str() == id).ok_or_else(|| {
            OpError::Conflict(
                "One of these keys was decided about meanwhile. Nothing was changed; open the page again."
                    .into(),
            )
        })?;
        if !selected.iter().any(|known: &&Key| known.id == key.id) {
            selected.push(key);
        }
    }
    let act = parse(&mut tx, &context, &member, form, &selected, now).await?;
    if selected.len() > 1 {
        caller.require_recent_auth(now)?;
    }
    let mut events = Vec::new();
    for key in &selected {
        events.push(apply(&mut tx, &context, &member.id, key, &act, now).await?);
    }
    tx.save_all(events, now).await?;
    let what = match selected.as_slice() {
        [key] => format!("Key {}", key.name),
        many => format!("{} keys", many.len()),
    };
    let sentence = match &act {
        Act::Reassign(to) => format!("{what} given to {}.", to.name),
        Act::Keep(until) => {
            format!(
                "{what} let run on, until {} or an earlier end of its own.",
                until.date(&context.org.zone)
            )
        }
        Act::Revoke => format!("{what} revoked. Requests with it are refused from now on."),
    };
    let sentence = match selected.len() {
        1 => sentence,
        _ => sentence.replace("its own", "their own").replace("with it", "with them"),
    };
    Ok(Decided { sentence, more: open.len() > selected.len() })
}

async fn parse(
    tx: &mut Tx,
    context: &OrgContext,
    member: &Member,
    form: &DecideForm,
    selected: &[&Key],
    now: Moment,
) -> Result<Act, OpError> {
    match form.act.as_str() {
        "reassign" => {
            let to = match PersonId::parse(&form.to) {
                Some(id) => {
                    people::lock_member(tx, &context.org.id, &id).await?;
                    members::find(tx, &context.org.id, &id).await?.filter(Member::active)
                }
                None => None,
            };
            let to = to.filter(|to| to.id != member.id);
            let to = to.ok_or_else(|| OpError::say("to", "Choose who is to own them from now on."))?;
            if let (OrgRole::Member, Some(max)) = (to.role, context.org.rules.max_keys_per_member) {
                let own = keys::live_of_owner(tx, &context.org.id, &to.id, now).await?;
                if own + selected.len() as i64 > max {
                    let sentence = format!(
                        "A member may own {max} live keys here, and {} has {own}. Choose somebody else, or fewer keys.",
                        to.name
                    );
                    return Err(OpError::say("to", sentence));
                }
            }
            Ok(Act::Reassign(PersonName { id: to.id, name: to.name }))
        }
        "keep" => {
            let day = Day::parse(form.until.trim())
                .ok_or_else(|| OpError::say("until", "Choose a day, such as 2027-01-31."))?;
            let until = day.end(&context.org.zone).plus_ms(-1);
            if until <= now {
                return Err(OpError::say("until", "That day is over. Choose today or a later day."));
            }
            let max = context.org.rules.max_key_days.unwrap_or(366);
            if until > now.plus_days(max + 1) {
                let sentence = format!("Choose a day at most {max} days ahead, or give the key to somebody.");
                return Err(OpError::say("until", sentence));
            }
            Ok(Act::Keep(until))
        }
        "revoke" => {
            let used = selected.iter().filter(|key| key.in_use(now)).count();
            if used > 0 && form.count.trim() != selected.len().to_string() {
                let sentence = format!(
                    "{} of the selected keys were used in the last day. Type how many you selected, {}, to revoke them.",
                    used,
                    selected.len()
                );
                return Err(OpError::say("count", sentence));
            }
            Ok(Act::Revoke)
        }
        _ => Err(OpError::say("act", "Choose what becomes of the selected keys.")),
    }
}

async fn apply(
    tx: &mut Tx,
    context: &OrgContext,
    owner: &PersonId,
    key: &Key,
    act: &Act,
    now: Moment,
) -> Result<(Permit, Event), OpError> {
    let on = On::Key(key.facts());
    let change = |field: &str, before: Option<String>, after: String| Change {
        field: field.into(),
        before,
        after: Some(after),
    };
    let (permit, done, kind, changes) = match act {
        Act::Reassign(to) => {
            let permit = context.permit(Action::EditKey, on)?;
            let done = keys::reassign(tx, &permit, &key.id, owner, &to.id).await?;
            let changes = vec![change("owner", Some(key.owner.name.clone()), to.name.clone())];
            (permit, done, EventKind::KeyEdited, changes)
        }
        Act::Keep(until) => {
            let permit = context.permit(Action::EditKey, on)?;
            // Its own end is never put off.
            let until = key.expires_at.map_or(*until, |own| own.min(*until));
            let done = keys::keep(tx, &permit, &key.id, owner, until, now).await?;
            let zone = &context.org.zone;
            let before = key.expires_at.map_or("never".to_owned(), |at| at.exact(zone));
            let changes = match key.expires_at == Some(until) {
                true => vec![],
                false => vec![change("expiry", Some(before), until.exact(zone))],
            };
            (permit, done, EventKind::KeyKept, changes)
        }
        Act::Revoke => {
            let permit = context.permit(Action::RevokeKey, on)?;
            let done = keys::revoke(tx, &permit, &key.id, now).await?;
            (permit, done, EventKind::KeyRevoked, vec![])
        }
    };
    if !done {
        return Err(OpError::Conflict(format!(
            "The key {} was changed at this very moment. Nothing was changed; open the page again.",
            key.name
        )));
    }
    Ok((permit, Event::new(kind, key.id.as_str(), &key.name).with(changes)))
}
