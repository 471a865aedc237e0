//! Changing what people decide about a key. Only what a person changed is written, and only if no one changed it first.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::edit::{Outcome, conflict, last_editor, lost_race};
use super::super::windows::windows_of;
use super::create::{FormView, expiry_rules, name_taken};
use super::place::{self, may_go_without_team, owners_to_choose, teams_to_choose};
use super::{find_seen, must_live};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::bounds::budget_of;
use crate::domain::edit::Editable;
use crate::domain::expiry::{EditKey, Expiry};
use crate::domain::ids::KeyId;
use crate::domain::key::{Key, KeySpec, Names};
use crate::domain::limit_use::HolderKind;
use crate::domain::limits::Budget;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, On, Permit};
use crate::domain::window::WindowStarts;
use crate::store::{Tx, Via, budget_marks, grants, keys, members, models, teams};

/// What the edit form is drawn from.
///
/// # Errors
/// `Conflict` when the key is revoked or expired: it cannot be edited any more.
pub async fn edit_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<FormView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::EditKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    let models = models::offered(&mut read, desk.now()).await?;
    let teams = teams_to_choose(&mut read, &context).await?;
    let owners = owners_to_choose(&mut read, &context).await?;
    let may_go_without_team = may_go_without_team(&context) || key.team.is_none();
    let holder = Some((HolderKind::Key, key.id.as_str()));
    let windows = windows_of(&mut read, (&context.org.id, &context.org.zone), holder, now).await?;
    let key = Some(key);
    Ok(FormView { context, team: None, models, teams, may_go_without_team, owners, now, windows, key })
}

/// Writes the fields that the person changed, and only those, if the key is still as they saw it. Another team or owner
/// moves the key with its id, secrets and history; what it spent stays where it was spent.
///
/// # Errors
/// `Invalid` with every mistake, also when the caller may not create a key where it would go; `Conflict` when the key is
/// revoked or expired.
pub async fn edit(desk: &Desk, caller: &Caller, edit: &EditKey) -> Result<Outcome<KeyId, KeySpec>, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &edit.org).await?;
    let key = find_seen(&mut tx, &context, &edit.id, now).await?;
    let permit = context.permit(Action::EditKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    let (org, current) = (&context.org, key.spec());
    let rules = expiry_rules(org, Some(&current), now);
    let mine = edit.mine.resolve(&rules)?;
    // What was drawn from an older state is held against today's rules all the same: it was valid then.
    let base =
        edit.base.as_ref().and_then(|base| base.resolve(&rules).ok()).unwrap_or_else(|| current.clone());
    let mut spec = current.merged(&base, &mine);
    if spec.owner.is_none() {
        spec.owner.clone_from(&current.owner);
    }

    let (names, zone) = (names(&mut tx, &context, &key, &spec).await?, &org.zone);
    if edit.version != key.version {
        let start = last_editor(&mut tx, caller, (&org.id, key.id.as_str()), "this key").await?;
        let mut conflict = conflict(&start, (&base, &mine, &current), &names, zone);
        // "Keep" names no moment, so that the expiry may have changed since: both values are all there is.
        let kept = edit.base.as_ref().is_some_and(|base| base.expiry == Expiry::Keep);
        if kept && mine.expires_at != current.expires_at {
            conflict.errors.push(current.conflict(&KeySpec::EXPIRY, &mine, &names, zone));
        }
        conflict.merged.owner.clone_from(&spec.owner);
        return Ok(Outcome::Conflict(Box::new(conflict)));
    }
    if spec == current {
        return Ok(Outcome::Unchanged(key.id));
    }
    let event = write(&mut tx, &context, &permit, (&key, &current), &spec, &names, now).await?;
    tx.save(&permit, event, now).await?;
    Ok(Outcome::Saved(key.id))
}

/// The names of the teams and people that the key and `spec` have.
pub(super) async fn names(
    tx: &mut Tx,
    context: &OrgContext,
    key: &Key,
    spec: &KeySpec,
) -> Result<Names, OpError> {
    let org = &context.org.id;
    let mut teams = teams::in_use(tx, org).await?;
    // Its own team is named also when it is archived.
    teams.extend(key.team.clone().filter(|_| key.team_archived));
    let mut people = vec![key.owner.clone()];
    if let Some(owner) = spec.owner.clone().filter(|owner| *owner != key.owner.id)
        && let Some(member) = members::find(tx, org, &owner).await?
    {
        people.push(PersonName { id: owner, name: member.name });
    }
    Ok(Names { teams, people })
}

/// Gives a live key other limits, held against the rules of an edit, and answers what changed.
pub(in crate::ops) async fn write_limits(
    tx: &mut Tx,
    context: &OrgContext,
    permit: &Permit,
    (key, current): (&Key, &KeySpec),
    spec: &KeySpec,
    now: Moment,
) -> Result<Vec<Change>, OpError> {
    let names = names(tx, context, key, spec).await?;
    Ok(write(tx, context, permit, (key, current), spec, &names, now).await?.changes)
}

/// Makes a live key, as it stands, what `spec` says, and answers the event to save.
pub(super) async fn write(
    tx: &mut Tx,
    context: &OrgContext,
    permit: &Permit,
    (key, current): (&Key, &KeySpec),
    spec: &KeySpec,
    names: &Names,
    now: Moment,
) -> Result<Event, OpError> {
    place::check(tx, context, spec, Some(current), now).await?;
    if rising(current, spec).next().is_some() {
        // So that no one grants more meanwhile.
        keys::lock(tx, &context.org.id, &key.id).await?;
    }
    check_granted(tx, context, (key, current), spec, now).await?;
    let saved = keys::update(tx, permit, &key.id, key.version, spec)
        .await
        .map_err(|error| name_taken(error, spec))?;
    if !saved {
        return Err(lost_race("this key"));
    }
    let starts = WindowStarts::at(now, &context.org.zone);
    budget_marks::renew(tx, &context.org.id, HolderKind::Key, &[key.id.as_str()], starts).await?;
    let changes = spec.changes_since(current, names);
    Ok(Event::new(EventKind::KeyEdited, key.id.as_str(), &spec.name).with(changes))
}

/// The budgets that are raised, or come into another team.
fn rising<'a>(current: &'a KeySpec, spec: &'a KeySpec) -> impl Iterator<Item = &'a Budget> {
    let moved = current.team != spec.team;
    spec.budgets.iter().filter(move |budget| {
        let before = budget_of(&current.budgets, budget.period);
        spec.team.is_some() && (moved || before.is_none_or(|before| budget.amount > before))
    })
}

/// A budget that rises while more of it is granted: both together stay within what the team allows, as when it is granted.
///
/// # Errors
/// `Invalid` with the budget's field.
pub(super) async fn check_granted(
    via: &mut impl Via,
    context: &OrgContext,
    (key, current): (&Key, &KeySpec),
    spec: &KeySpec,
    now: Moment,
) -> Result<(), OpError> {
    let Some(team) = &spec.team else { return Ok(()) };
    if rising(current, spec).next().is_none() {
        return Ok(());
    }
    let org = &context.org;
    let granted = grants::running(via, &org.id, (HolderKind::Key, key.id.as_str()), now).await?;
    if granted.is_empty() {
        return Ok(());
    }
    let starts = WindowStarts::at(now, &org.zone);
    let team = teams::find(via, &org.id, team, starts).await?.ok_or(OpError::NotFound)?;
    for (period, granted) in granted {
        let budget = rising(current, spec).find(|budget| budget.period == period);
        let (Some(budget), Some(max)) = (budget, team.spec.bounds.budget(period)) else { continue };
        if budget.amount.saturating_add(granted.amount) <= max {
            continue;
        }
        let room = max.saturating_sub(granted.amount);
        let advice = if room > Money::ZERO {
            format!("Enter {room} or less.")
        } else {
            "Change the budget after that.".to_owned()
        };
        let sentence = format!(
            "{} allows at most {max} {}, and {} more is granted to this key until {}. {advice}",
            team.spec.name,
            period.label(),
            granted.amount,
            granted.until.last_day(&org.zone)
        );
        return Err(OpError::say(period.as_str(), sentence));
    }
    Ok(())
}
