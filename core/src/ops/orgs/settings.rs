//! The settings of an organisation, seen and changed by its owners and admins. Only what a person changed is written, and
//! only if no one changed anything first.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::edit::{Outcome, conflict, last_editor, lost_race};
use super::super::windows::{PresentWindows, windows_of};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::edit::Editable;
use crate::domain::ledger::Balance;
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::Moment;
use crate::domain::org::Org;
use crate::domain::policy::{Action, On};
use crate::domain::settings::{EditSettings, Settings};
use crate::domain::window::WindowStarts;
use crate::store::ledger::{self, OrgLeft};
use crate::store::{ConstraintViolation, StoreError, Via, budget_marks, orgs};

/// What the settings page is drawn from.
pub struct SettingsView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The settings as they stand.
    pub settings: Settings,
    /// The organisation's budgets with what was spent of them.
    pub left: OrgLeft,
    /// What is left, and the sums that it is made of.
    pub balance: Balance,
    /// What is spent in the windows of the organisation's budgets, and when the next ones begin.
    pub windows: PresentWindows,
    /// When it was read.
    pub now: Moment,
}

/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn settings(desk: &Desk, caller: &Caller, slug: &str) -> Result<SettingsView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::SeeSettings, On::Org)?;
    let now = desk.now();
    let (left, settings) = principal(&mut read, &context.org, now).await?;
    let balance = ledger::balance(&mut read, &context.org.id).await?;
    let holder = Some((HolderKind::Org, context.org.id.as_str()));
    let windows = windows_of(&mut read, (&context.org.id, &context.org.zone), holder, now).await?;
    Ok(SettingsView { context, settings, left, balance, windows, now })
}

/// The settings as they stand; the budgets among them lie in a table of their own.
async fn principal(via: &mut impl Via, org: &Org, now: Moment) -> Result<(OrgLeft, Settings), OpError> {
    let left = ledger::left(via, &org.id, WindowStarts::at(now, &org.zone)).await?;
    let budgets = left.budgets.iter().map(|used| used.budget).collect();
    Ok((left, Settings::of(org, budgets)))
}

/// Writes the settings if they are still as the person saw them. Saves the organisation's slug from now on.
///
/// # Errors
/// `Invalid` with every mistake; `ReauthRequired` when the requirement of a second factor changes and the caller has not
/// authenticated lately.
pub async fn save(
    desk: &Desk,
    caller: &Caller,
    edit: &EditSettings,
) -> Result<Outcome<String, Settings>, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &edit.org).await?;
    let permit = context.permit(Action::EditSettings, On::Org)?;
    let (_, current) = principal(&mut tx, &context.org, now).await?;
    let mine = &edit.mine;
    if edit.version != context.org.version {
        let base = edit.base.as_ref().unwrap_or(&current);
        let id = &context.org.id;
        let start = last_editor(&mut tx, caller, (id, id.as_str()), "the settings").await?;
        return Ok(Outcome::Conflict(Box::new(conflict(&start, (base, mine, &current), &(), &current.zone))));
    }
    if *mine == current {
        return Ok(Outcome::Unchanged(current.slug));
    }
    if mine.rules.second_factor != current.rules.second_factor {
        if mine.rules.second_factor && !caller.person.second_factor {
            return Err(OpError::say(
                "second_factor",
                "You have not turned on 2FA yourself, so this would lock you out. Turn it on in your account first.",
            ));
        }
        caller.require_recent_auth(now)?;
    }
    let saved = orgs::update(&mut tx, &permit, edit.version, mine, now)
        .await
        .map_err(|error| slug_taken(error, &mine.slug))?;
    if !saved {
        return Err(lost_race("the settings"));
    }
    let mut changes = mine.changes_since(&current, &());
    let starts = WindowStarts::at(now, &mine.zone);
    if mine.zone == current.zone {
        budget_marks::renew(&mut tx, &context.org.id, HolderKind::Org, &[context.org.id.as_str()], starts)
            .await?;
    } else {
        let org = &context.org;
        let holder = Some((HolderKind::Org, org.id.as_str()));
        changes.extend(windows_of(&mut tx, (&org.id, &org.zone), holder, now).await?.restarted(&mine.zone));
        budget_marks::renew_all(&mut tx, &org.id, starts).await?;
    }
    let event = Event::new(EventKind::OrgEdited, context.org.id.as_str(), &mine.name);
    tx.save(&permit, event.with(changes), now).await?;
    Ok(Outcome::Saved(mine.slug.clone()))
}

pub(super) fn slug_taken(error: StoreError, slug: &str) -> OpError {
    if !matches!(error, StoreError::ConstraintViolation(ConstraintViolation::Slug)) {
        return error.into();
    }
    OpError::say("slug", format!("Another organisation uses the address {slug}. Choose another."))
}
