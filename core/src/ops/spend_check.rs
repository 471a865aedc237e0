//! Whether what is added up from an organisation's requests is still their sum: checked every night and when asked, and
//! repaired with an event in the audit. What each check found is kept. Decisions 0059 and 0071 say what is compared, and why a
//! repair stops no settlement.

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use super::orgs::every;
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind, SYSTEM};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Day, Moment};
use crate::domain::org::Org;
use crate::domain::policy::{Action, Authorized, On, Permit};
use crate::domain::spend_check::{ComparedWindows, SpendCheck};
use crate::domain::window::WindowStarts;
use crate::store::repair::Written;
use crate::store::sums::{Part, basis};
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
/// So often a part is compared again when something else than a settlement came in between.
const MAX_ATTEMPTS: usize = 20;

/// What the page of an organisation's checks is drawn from.
pub struct SpendCheckView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The last checks, newest first.
    pub checks: Vec<SpendCheck>,
    /// Which counters a check compares now.
    pub windows: ComparedWindows,
    /// When the time zone last changed.
    pub zone_since: Option<Moment>,
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
    let (basis, _) = basis(&mut read, &context.org.id).await?;
    let now = desk.now();
    let windows = ComparedWindows::at(now, &basis.zone, basis.zone_since);
    Ok(SpendCheckView { context, checks, windows, zone_since: basis.zone_since, now })
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
    /// How many totals were put right.
    pub totals: usize,
    /// What its own counter said before.
    pub before: Sums,
    /// What the repair made of it.
    pub after: Sums,
    /// What a check finds afterwards.
    pub check: SpendCheck,
}

/// Puts right what does not add up.
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
    let found = verify::differences(&mut read, &org.id, at, MAX_DIFFERENCES).await?;
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

/// Part by part, as each is compared with those before it. Each transaction has an event of its own, so that what was put
/// right is recorded whatever comes after it; nearly always there is one.
async fn rebuild(desk: &Desk, org: &Org, permit: Permit) -> Result<Repaired, OpError> {
    let mut done: Vec<Written> = Vec::new();
    for part in Part::ALL {
        rebuild_part(desk, org, &permit, part, &mut done).await?;
    }
    if !done.is_empty() {
        renew_marks(desk, org).await?;
    }
    let actor = permit.authority().actor().clone();
    let check = run(desk, org, (actor.id().to_owned(), actor.name().to_owned())).await?;
    let unchanged = repair::total(&mut desk.db.read().await?, &org.id).await?;
    Ok(Repaired {
        name: org.name.clone(),
        totals: done.iter().map(|written| written.rows).sum(),
        before: done.first().map_or(unchanged, |written| written.before),
        after: done.last().map_or(unchanged, |written| written.after),
        check,
    })
}

async fn rebuild_part(
    desk: &Desk,
    org: &Org,
    permit: &Permit,
    part: Part,
    done: &mut Vec<Written>,
) -> Result<(), OpError> {
    let mut attempts = 0;
    loop {
        let mut found = repair::find(&mut desk.db.read().await?, &org.id, part, desk.now()).await?;
        let is_cut = found.is_cut();
        while !found.is_empty() {
            let mut tx = desk.db.write().await?;
            let Some(written) = repair::write_some(&mut tx, permit, &mut found).await? else { break };
            tx.save(permit, event(org, part, &written), desk.now()).await?;
            done.push(written);
        }
        if found.is_empty() && !is_cut {
            return Ok(());
        }
        attempts += usize::from(!found.is_empty());
        if attempts >= MAX_ATTEMPTS {
            return Err(OpError::Conflict(
                "Requests are being re-rated or deleted, so the repair is not finished. Repair again when that is done."
                    .into(),
            ));
        }
    }
}

fn event(org: &Org, part: Part, Written { rows, before, after }: &Written) -> Event {
    let rows = i64::try_from(*rows).unwrap_or(i64::MAX);
    Event::new(EventKind::SpendRepaired, org.id.as_str(), &org.name).with([
        Change::added("sums", part.as_str()),
        Change::added("totals", ChangeValue::Count(rows)),
        Change::replaced("spent", before.spent, after.spent),
        Change::replaced("requests", ChangeValue::Count(before.requests), ChangeValue::Count(after.requests)),
        Change::replaced("tokens", ChangeValue::Count(before.tokens), ChangeValue::Count(after.tokens)),
    ])
}
