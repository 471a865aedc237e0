//! The keys of a member who left: each is reassigned, kept until a day, or revoked. Until an admin decides, a key works
//! as before and is listed; no key is deleted, and none is without an owner.

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::PersonId;
use crate::domain::key::Key;
use crate::domain::member::Member;
use crate::domain::moment::Moment;
use crate::domain::offboarding::{Offboard, Offboarding};
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, MemberFacts, On, OrgRole, Permit};
use crate::domain::window::WindowStarts;
use crate::store::{Tx, keys, members, people, spend};

/// How many people there are to choose from at most.
const MAX_PEOPLE: i64 = 500;

/// What the off-boarding page is drawn from.
pub struct OffboardingView {
    /// The organisation that the member left.
    pub context: OrgContext,
    /// Who left, or is disabled.
    pub member: Member,
    /// Live and undecided, newest first, at most `keys::MAX_OF_OWNER`.
    pub keys: Vec<Key>,
    /// How many more are kept by a decision.
    pub decided: usize,
    /// Who can become their owner.
    pub people: Vec<PersonName>,
    /// When it was read.
    pub now: Moment,
}

/// The off-boarding page of the person with this id.
///
/// # Errors
/// `Forbidden` for all but owners and admins; `Conflict` while the member is active.
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
            "{} is active in {}. Disable or remove them first.",
            member.name, context.org.name
        )));
    }
    Ok(())
}

/// The checked action: who gets the keys, or when they expire.
enum Decision {
    Reassign(PersonName),
    Keep(Moment),
    Revoke,
}

/// What was done, for the line on the next page.
pub struct Decided {
    /// Says it.
    pub sentence: String,
    /// The member has more keys to decide about.
    pub more: bool,
}

/// Decides about the selected keys, all of them or none. `id` is the person's who left.
///
/// # Errors
/// `Invalid` with the field that is wrong; `Conflict` when one of them was decided about meanwhile; `ReauthRequired` for
/// more than one key when the caller signed in too long ago.
pub async fn decide(
    desk: &Desk,
    caller: &Caller,
    org: &str,
    id: &str,
    wish: &Offboarding,
) -> Result<Decided, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    // Locked, so that of two decisions at once the second sees what the first did.
    let leaver = PersonId::parse(id).ok_or(OpError::NotFound)?;
    people::lock_member(&mut tx, &context.org.id, &leaver).await?;
    let (member, teams) = super::members::find(&mut tx, &context, id).await?;
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &teams };
    context.permit(Action::SeeMember, On::Member(facts))?;
    context.permit(Action::RevokeKey, On::Org)?;
    must_be_out(&context, &member)?;
    let open = keys::list_of_owner(&mut tx, &context.org.id, &member.id, true).await?;
    let selected: Vec<&Key> = open.iter().filter(|key| wish.keys.contains(&key.id)).collect();
    if selected.len() < wish.keys.len() {
        return Err(OpError::Conflict(
            "One of these keys was decided about in the meantime. Nothing was changed. Reload and try again."
                .into(),
        ));
    }
    let decision = check(&mut tx, &context, &member, &wish.act, &selected, now).await?;
    if selected.len() > 1 {
        caller.require_recent_auth(now)?;
    }
    let mut events = Vec::new();
    for key in &selected {
        events.push(apply(&mut tx, &context, &member.id, key, &decision, now).await?);
    }
    tx.save_all(events, now).await?;
    let sentence = sentence(&selected, &decision, &context);
    Ok(Decided { sentence, more: open.len() > selected.len() })
}

fn sentence(selected: &[&Key], decision: &Decision, context: &OrgContext) -> String {
    let (what, them, expire) = match selected {
        [key] => (format!("Key {}", key.name), "it", "it expires"),
        many => (format!("{} keys", many.len()), "them", "they expire"),
    };
    match decision {
        Decision::Reassign(to) => format!("{what} reassigned to {}.", to.name),
        Decision::Keep(until) => {
            format!("{what} kept until {}, or until {expire}, if sooner.", until.date(&context.org.zone))
        }
        Decision::Revoke => format!("{what} revoked. Requests with {them} fail from now on."),
    }
}

async fn check(
    tx: &mut Tx,
    context: &OrgContext,
    member: &Member,
    act: &Offboard,
    selected: &[&Key],
    now: Moment,
) -> Result<Decision, OpError> {
    match act {
        Offboard::Reassign { to } => {
            people::lock_member(tx, &context.org.id, to).await?;
            let to = members::find(tx, &context.org.id, to).await?.filter(Member::active);
            let to = to.filter(|to| to.id != member.id);
            let to = to.ok_or_else(|| OpError::say("to", "Choose the new owner."))?;
            if let (OrgRole::Member, Some(max)) = (to.role, context.org.rules.max_keys_per_member) {
                let own = keys::live_of_owner(tx, &context.org.id, &to.id, now).await?;
                if own + selected.len() as i64 > max {
                    let sentence = format!(
                        "A member can own {max} live keys here, and {} has {own}. Choose another owner or fewer keys.",
                        to.name
                    );
                    return Err(OpError::say("to", sentence));
                }
            }
            Ok(Decision::Reassign(PersonName { id: to.id, name: to.name }))
        }
        Offboard::KeepUntil { day } => {
            let until = day.end(&context.org.zone).plus_ms(-1);
            if until <= now {
                return Err(OpError::say("until", "That day is over. Choose today or a later day."));
            }
            let max = context.org.rules.max_key_days.unwrap_or(366);
            if until > now.plus_days(max + 1) {
                let sentence = format!("Choose a day at most {max} days ahead, or reassign the keys.");
                return Err(OpError::say("until", sentence));
            }
            Ok(Decision::Keep(until))
        }
        Offboard::Revoke { confirmed } => {
            let used = selected.iter().filter(|key| key.in_use(now)).count();
            if used > 0 && *confirmed != Some(selected.len()) {
                let sentence = format!(
                    "{used} of the selected keys were used in the last day. Type how many keys you selected, {}, to revoke them.",
                    selected.len()
                );
                return Err(OpError::say("count", sentence));
            }
            Ok(Decision::Revoke)
        }
    }
}

async fn apply(
    tx: &mut Tx,
    context: &OrgContext,
    owner: &PersonId,
    key: &Key,
    decision: &Decision,
    now: Moment,
) -> Result<(Permit, Event), OpError> {
    let on = On::Key(key.facts());
    let (permit, done, kind, changes) = match decision {
        Decision::Reassign(to) => {
            let permit = context.permit(Action::EditKey, on)?;
            let done = keys::reassign(tx, &permit, &key.id, owner, &to.id).await?;
            let changes = vec![Change::replaced("owner", key.owner.name.as_str(), to.name.as_str())];
            (permit, done, EventKind::KeyEdited, changes)
        }
        Decision::Keep(until) => {
            let permit = context.permit(Action::EditKey, on)?;
            // An earlier expiration of its own stays.
            let until = key.expires_at.map_or(*until, |own| own.min(*until));
            let done = keys::keep(tx, &permit, &key.id, owner, until, now).await?;
            let expiry = ChangeValue::Expiry;
            let changes = match key.expires_at == Some(until) {
                true => vec![],
                false => vec![Change::replaced("expiry", expiry(key.expires_at), expiry(Some(until)))],
            };
            (permit, done, EventKind::KeyKept, changes)
        }
        Decision::Revoke => {
            let permit = context.permit(Action::RevokeKey, on)?;
            let done = keys::revoke(tx, &permit, &key.id, now).await?;
            (permit, done, EventKind::KeyRevoked, vec![])
        }
    };
    if !done {
        return Err(OpError::Conflict(format!(
            "The key {} was just changed. Nothing was saved. Reload and try again.",
            key.name
        )));
    }
    Ok((permit, Event::new(kind, key.id.as_str(), &key.name).with(changes)))
}
