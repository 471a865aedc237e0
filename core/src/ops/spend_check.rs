//! Whether what is added up from an organisation's requests is still their sum: checked every night and when asked, and
//! repaired with an event in the audit. What each check found is kept. Counters of single days, weeks and months are not
//! compared (decision 0059).

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use super::orgs::every;
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind, SYSTEM};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Day, Moment};
use crate::domain::org::Org;
use crate::domain::policy::{Action, Authorized, On, Permit};
use crate::domain::spend_check::SpendCheck;
use crate::domain::window::WindowStarts;
use crate::store::verify::{self, Sums};
use crate::store::{StoreError, Unaudited, budget_marks, orgs, repair, spend_checks};

/// How the program is named in the audit and beside its checks.
pub const NIGHTLY: &str = "nightly check";
/// Of each comparison so many differences are counted.
const MAX_DIFFERENCES: i64 = 1_000;
/// Of all so many are named.
const MAX_DETAILS: usize = 20;
const MAX_SHOWN: i64 = 30;
/// A check reads every request, so another one waits.
const APART_MS: i64 = 60_000;
/// So long what a check found is kept.
const KEPT_MS: i64 = 400 * 86_400_000;
/// The nightly check begins after this hour of the organisation's day.
const NIGHT_HOUR_MS: i64 = 2 * 3_600_000;

/// What the page of an organisation's checks is drawn from.
pub struct SpendCheckView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The last checks, newest first.
    pub checks: Vec<SpendCheck>,
    /// When it was read.
    pub now: Moment,
}

/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn view(desk: &Desk, caller: &Caller, slug: &str) -> Result<SpendCheckView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::CheckSpend, On::Org)?;
    let checks = spend_checks::last(&mut read, &context.org.id, MAX_SHOWN).await?;
    Ok(SpendCheckView { context, checks, now: desk.now() })
}

/// Checks an organisation now. The check of the last minute is answered again.
///
/// # Errors
/// `Forbidden` for who does not run the organisation; otherwise when the database cannot be read or written.
pub async fn check(desk: &Desk, caller: &Caller, slug: &str) -> Result<SpendCheck, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::CheckSpend, On::Org)?;
    let last = spend_checks::last(&mut read, &context.org.id, 1).await?.pop();
    drop(read);
    if let Some(last) = last.filter(|last| desk.now() < last.at.plus_ms(APART_MS) && last.adds_up()) {
        return Ok(last);
    }
    let by = (caller.person.id.to_string(), caller.person.name.clone());
    Ok(run(desk, &context.org, by).await?)
}

/// What a repair did.
pub struct Repaired {
    /// The organisation's name.
    pub name: String,
    /// What its own counter said before.
    pub before: Sums,
    /// What it says now.
    pub after: Sums,
    /// What a check finds afterwards.
    pub check: SpendCheck,
}

/// Makes what is added up again.
///
/// # Errors
/// `Forbidden` for who does not run the organisation; otherwise when the database cannot be read or written.
pub async fn repair(desk: &Desk, caller: &Caller, slug: &str) -> Result<Repaired, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::RepairSpend, On::Org)?;
    drop(read);
    rebuild(desk, &context.org, permit).await
}

/// The same for who may run the program.
///
/// # Errors
/// `NotFound` when no organisation is at this address.
pub async fn repair_from_command_line(desk: &Desk, slug: &str) -> Result<Repaired, OpError> {
    let org = orgs::find(&mut desk.db.read().await?, slug).await?.ok_or(OpError::NotFound)?;
    let permit = Permit::program(&org.id, Action::RepairSpend, org.id.as_str(), "command line");
    rebuild(desk, &org, permit).await
}

/// Checks each organisation whose night has come and that no other node has checked, and repairs what differs.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn nightly(desk: &Desk) -> Result<(), OpError> {
    for listed in every(desk).await? {
        let Some(org) = orgs::find(&mut desk.db.read().await?, &listed.slug).await? else { continue };
        let today = Day::of(desk.now().plus_ms(-NIGHT_HOUR_MS), &org.zone);
        if !claim(desk, &org.id, today).await? {
            continue;
        }
        let found = run(desk, &org, (SYSTEM.to_owned(), NIGHTLY.to_owned())).await?;
        if !found.adds_up() {
            tracing::error!(
                org = org.slug,
                difference = found.difference.exact(),
                differing = found.differing,
                "spend did not add up and is repaired: {}",
                found.details.join("; ")
            );
            let permit = Permit::program(&org.id, Action::RepairSpend, org.id.as_str(), NIGHTLY);
            rebuild(desk, &org, permit).await?;
        }
        renew_marks(desk, &org).await?;
    }
    Ok(())
}

async fn claim(desk: &Desk, org: &OrgId, today: Day) -> Result<bool, StoreError> {
    let mut tx = desk.db.write().await?;
    let ours = spend_checks::claim(&mut tx, org, today).await?;
    tx.save_unaudited(Unaudited::SpendCheck).await?;
    Ok(ours)
}

async fn renew_marks(desk: &Desk, org: &Org) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    budget_marks::renew_all(&mut tx, &org.id, WindowStarts::at(desk.now(), &org.zone)).await?;
    tx.save_unaudited(Unaudited::Usage).await
}

/// Compares everything, and keeps what was found.
async fn run(
    desk: &Desk,
    org: &Org,
    (actor_id, actor_name): (String, String),
) -> Result<SpendCheck, StoreError> {
    let at = desk.now();
    let mut read = desk.db.read().await?;
    let (requests, spent) = verify::requests(&mut read, &org.id).await?;
    let found = verify::differences(&mut read, &org.id, MAX_DIFFERENCES).await?;
    drop(read);
    let details = found.differences.iter().take(MAX_DETAILS).map(|difference| difference.of.clone());
    let check = SpendCheck {
        at,
        actor_id,
        actor_name,
        requests,
        spent,
        difference: found.apart,
        differing: i64::try_from(found.differences.len()).unwrap_or(i64::MAX),
        details: details.collect(),
    };
    let mut tx = desk.db.write().await?;
    spend_checks::insert(&mut tx, &org.id, &check).await?;
    spend_checks::forget(&mut tx, &org.id, at.plus_ms(-KEPT_MS)).await?;
    tx.save_unaudited(Unaudited::SpendCheck).await?;
    Ok(check)
}

async fn rebuild(desk: &Desk, org: &Org, permit: Permit) -> Result<Repaired, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let before = repair::rebuild(&mut tx, &permit, &org.zone, now).await?;
    let after = repair::total(&mut tx, &org.id).await?;
    let event = Event::new(EventKind::SpendRepaired, org.id.as_str(), &org.name).with([
        Change::replaced("spent", before.spent, after.spent),
        Change::replaced("requests", ChangeValue::Count(before.requests), ChangeValue::Count(after.requests)),
        Change::replaced("tokens", ChangeValue::Count(before.tokens), ChangeValue::Count(after.tokens)),
    ]);
    let actor = permit.authority().actor().clone();
    tx.save(&permit, event, now).await?;
    let check = run(desk, org, (actor.id().to_owned(), actor.name().to_owned())).await?;
    Ok(Repaired { name: org.name.clone(), before, after, check })
}
