//! The operators' first page: what organisations spent, how many of their keys need a look, and which grew. Reads sums and
//! counts that stop, in a number of statements that does not depend on the number of organisations.

use super::OpError;
use super::access::Caller;
use crate::Desk;
use crate::domain::member::Membership;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::org::OrgName;
use crate::domain::overview::{self, Grown, MonthSoFar, ZoneTime};
use crate::domain::policy::{OrgRole, PlatformRole};
use crate::domain::window::Period;
pub use crate::store::installation::{AllOrgs, OrgInZone, OrgMonth};
use crate::store::installation::{DaysOfOrgs, Marks, TopOrg};
pub use crate::store::installation_keys::Looks;
use crate::store::{installation as store, installation_keys, people};

/// How many organisations are shown.
pub const MAX_ORGS: usize = 50;
/// How many organisations that grew are shown.
const MAX_GROWN: usize = 3;

/// What an operator sees of an organisation.
pub struct ListedMonth {
    /// The organisation and what it spent.
    pub org: OrgMonth,
    /// Budgets of its own, of its teams and of its active keys that are used up now.
    pub used_up: i64,
    /// Of the same, those of which 80 % or more is used.
    pub near: i64,
    /// How many of its keys need a look.
    pub looks: Looks,
}

/// One of the organisations that spent most in the days of the chart.
pub struct OrgPart {
    /// Its name.
    pub name: String,
    /// What it spent on each of them.
    pub days: Vec<Money>,
}

/// An organisation that grew.
pub struct GrownOrg {
    /// By how much.
    pub grown: Grown<OrgInZone>,
    /// Yesterday in its time zone.
    pub yesterday: Day,
}

/// What the overview of the installation is drawn from.
pub struct InstallationView {
    /// The organisations that spent most this month, at most `MAX_ORGS`.
    pub orgs: Vec<ListedMonth>,
    /// All of them together.
    pub all: AllOrgs,
    /// This month of all beside the last one.
    pub month: MonthSoFar,
    /// How many keys of all need a look.
    pub looks: Looks,
    /// The days of the chart, oldest first.
    pub days: Vec<Day>,
    /// What was spent on each of them, in the days of each organisation's time zone.
    pub totals: Vec<Money>,
    /// The organisations that spent most in them, the largest first.
    pub parts: Vec<OrgPart>,
    /// Organisations that grew fastest, the fastest first.
    pub grown: Vec<GrownOrg>,
    /// The caller's memberships.
    pub memberships: Vec<Membership>,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
}

impl InstallationView {
    /// Whether the caller belongs to the organisation, so that its pages open.
    pub fn opens(&self, slug: &str) -> bool {
        self.memberships.iter().any(|one| one.slug == slug)
    }

    /// Whether the caller sees every key of the organisation, so that its list has as many as are counted here.
    pub fn opens_every_key(&self, slug: &str) -> bool {
        let runs = |one: &Membership| matches!(one.role, OrgRole::Owner | OrgRole::Admin);
        self.memberships.iter().any(|one| one.slug == slug && runs(one))
    }
}

/// What the organisations of the installation spent, each in days and months of its own time zone, and what needs a look.
///
/// # Errors
/// `NotFound` for who is no operator.
pub async fn overview(desk: &Desk, caller: &Caller) -> Result<InstallationView, OpError> {
    if caller.person.platform != PlatformRole::Operator {
        return Err(OpError::NotFound);
    }
    let now = desk.now();
    // The figures are read one after the other.
    let mut read = desk.db.read_one_moment().await?;
    let zones = store::zones_of_orgs(&mut read).await?;
    let times: Vec<ZoneTime> = zones.into_iter().map(|zone| ZoneTime::at(now, zone)).collect();
    let limit = i64::try_from(MAX_ORGS).unwrap_or(i64::MAX);
    let (orgs, all) = store::of_orgs(&mut read, &times, limit).await?;
    let marks = store::marks(&mut read, &orgs).await?;
    let ids: Vec<_> = orgs.iter().map(|org| &org.id).collect();
    let (looks, mut looks_of) = installation_keys::looks(&mut read, &times, &ids, now).await?;
    // The chart ends with the last day that has begun anywhere.
    let today = times.iter().map(|time| time.today).max().unwrap_or_else(|| Day::of(now, &Zone::utc()));
    let days = overview::chart_days(today);
    let of_chart = days.first().copied().unwrap_or(today);
    let first = times.iter().map(|time| overview::first_day(time.today)).min().unwrap_or(of_chart);
    let used = store::days(&mut read, first.min(of_chart), of_chart).await?;
    let grown = Grown::fastest(store::grown(&mut read, &times).await?, MAX_GROWN);
    let memberships = people::memberships_of(&mut read, &caller.person.id).await?;
    drop(read);
    let own = memberships.iter().map(|one| OrgName { slug: one.slug.clone(), name: one.name.clone() });
    let own = own.collect();
    let listed = |org: OrgMonth| {
        let (used_up, near) = marks_of(&marks, &org, now);
        let looks = looks_of.remove(&org.id).unwrap_or_default();
        ListedMonth { org, used_up, near, looks }
    };
    let yesterday = |zone: &str| {
        let today = times.iter().find(|time| time.zone == zone).map_or(today, |time| time.today);
        today.back(1)
    };
    let grown = grown.into_iter().map(|grown| GrownOrg { yesterday: yesterday(&grown.id.zone), grown });
    Ok(InstallationView {
        orgs: orgs.into_iter().map(listed).collect(),
        all,
        month: month_of_all(&used, &times),
        looks,
        totals: days.iter().map(|day| total(&used, *day)).collect(),
        parts: parts(used, &days),
        days,
        grown: grown.collect(),
        memberships,
        own,
    })
}

/// How many of an organisation's marks are of used-up budgets, and of nearly used-up ones, in the windows of now.
fn marks_of(marks: &[Marks], org: &OrgMonth, now: Moment) -> (i64, i64) {
    let zone = Zone::parse(&org.zone).unwrap_or_else(Zone::utc);
    let is_now = |one: &&Marks| {
        let start = Period::parse(&one.period).map(|period| period.window(now, &zone).start.ms());
        start == Some(one.window_start)
    };
    let count = |level: &str| {
        let of_level = marks.iter().filter(|one| one.org_id == org.id.as_str() && one.level == level);
        of_level.filter(is_now).map(|one| one.count).sum::<i64>()
    };
    (count("reached"), count("near"))
}

/// The months of each time zone, added up.
fn month_of_all(used: &DaysOfOrgs, times: &[ZoneTime]) -> MonthSoFar {
    let of_zone = |time: &ZoneTime| {
        let days = used.of_zones.get(&time.zone).map(Vec::as_slice).unwrap_or_default();
        MonthSoFar::of(days, time.today)
    };
    times.iter().map(of_zone).fold(MonthSoFar::default(), MonthSoFar::plus)
}

fn total(used: &DaysOfOrgs, day: Day) -> Money {
    used.of_zones.values().flatten().filter(|one| one.day == day).map(|one| one.spent).sum()
}

fn parts(used: DaysOfOrgs, days: &[Day]) -> Vec<OrgPart> {
    let part = |one: TopOrg| OrgPart {
        days: days.iter().map(|day| one.days.get(day).copied().unwrap_or_default()).collect(),
        name: one.org.name,
    };
    used.top.into_iter().map(part).collect()
}
