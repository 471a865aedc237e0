//! Limits that only report: the gates evaluate them, count what they would have rejected and let it pass.
//!
//! Forms parse them, the store keeps them and pages say what they report. Nothing is enforced here.

use super::limit_use::{HolderKind, Limited};
use super::limits::{Budget, Limits, Rate};
use super::moment::{Moment, Zone};
use super::money::Money;
use super::numbers::grouped;
use super::window::Period;

/// What can be limited so: a budget of each period, and each rate. In the order of forms.
pub const CHOICES: [Limited; 7] = [
    Limited::Budget(Period::Month),
    Limited::Budget(Period::Week),
    Limited::Budget(Period::Day),
    Limited::Budget(Period::Total),
    Limited::Requests,
    Limited::Tokens,
    Limited::Concurrent,
];

/// Reads the word of one of [`CHOICES`]; `None` for any other, also for a balance.
pub fn parse_choice(word: &str) -> Option<Limited> {
    Limited::parse(word).filter(|what| *what != Limited::Balance)
}

/// The name of a choice, for forms.
pub fn choice_words(what: Limited) -> &'static str {
    match what {
        Limited::Budget(Period::Month) => "Monthly budget",
        Limited::Budget(Period::Week) => "Weekly budget",
        Limited::Budget(Period::Day) => "Daily budget",
        Limited::Budget(Period::Total) => "Total budget",
        Limited::Balance => "Balance",
        Limited::Requests => "Requests per minute",
        Limited::Tokens => "Tokens per minute",
        Limited::Concurrent => "Concurrent requests",
    }
}

/// A limit that only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowLimit {
    /// What is limited; never the balance.
    pub what: Limited,
    /// Nano-dollars of a budget, otherwise a count; above zero.
    pub amount: i64,
}

impl ShadowLimit {
    /// The budget, where it is one.
    pub fn budget(&self) -> Option<Budget> {
        match self.what {
            Limited::Budget(period) => Some(Budget { period, amount: Money::from_nanos(self.amount) }),
            _ => None,
        }
    }

    /// The rate, where it is one.
    pub fn rate(&self) -> Option<Rate> {
        match self.what {
            Limited::Requests => Some(Rate::Rpm),
            Limited::Tokens => Some(Rate::Tpm),
            Limited::Concurrent => Some(Rate::Concurrent),
            Limited::Budget(_) | Limited::Balance => None,
        }
    }

    /// `$50.00 per month`, `60 requests per minute`.
    pub fn summary(&self) -> String {
        match (self.budget(), self.rate()) {
            (Some(budget), _) => budget.summary(),
            (None, Some(rate)) => rate.words(self.amount),
            (None, None) => Money::from_nanos(self.amount).to_string(),
        }
    }

    /// Puts it among the limits that are enforced, in the place of one on the same thing.
    pub fn enforce_in(&self, budgets: &mut Vec<Budget>, limits: &mut Limits) {
        if let Some(budget) = self.budget() {
            budgets.retain(|other| other.period != budget.period);
            budgets.push(budget);
            budgets.sort_by_key(|budget| budget.period.rank());
        }
        match self.rate() {
            Some(Rate::Rpm) => limits.rpm = Some(self.amount),
            Some(Rate::Tpm) => limits.tpm = Some(self.amount),
            Some(Rate::Concurrent) => limits.concurrent = Some(self.amount),
            None => {}
        }
    }
}

/// The two budgets, the longer period first, of which the shorter one would never apply because it is the higher one;
/// `None` when all of them can.
pub fn pointless(budgets: &[Budget]) -> Option<(Budget, Budget)> {
    let pair = budgets.windows(2).find(|pair| pair[0].amount < pair[1].amount)?;
    Some((pair[0], pair[1]))
}

/// What a limit would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowReport {
    /// The limit.
    pub limit: ShadowLimit,
    /// Since when it reports.
    pub since: Moment,
    /// Who set it.
    pub created_by: String,
    /// The holder's requests since then.
    pub requests: i64,
    /// How many of them it would have rejected.
    pub rejected: i64,
    /// When the first of these came.
    pub first: Option<Moment>,
    /// When the last of these came.
    pub last: Option<Moment>,
}

impl ShadowReport {
    /// "Would have rejected 41 of 1,204 requests since 20 Nov 2026; first 21 Nov 2026 14:03."
    pub fn sentence(&self, zone: &Zone) -> String {
        let since = self.since.date(zone);
        let requests = match self.requests {
            1 => "1 request".to_owned(),
            many => format!("{} requests", grouped(many)),
        };
        match (self.requests, self.rejected) {
            (0, _) => format!("No requests since {since}."),
            (_, 0) => format!("Would have rejected none of {requests} since {since}."),
            (_, rejected) => {
                let first =
                    self.first.map(|at| format!("; first {}", at.date_time(zone))).unwrap_or_default();
                format!("Would have rejected {} of {requests} since {since}{first}.", grouped(rejected))
            }
        }
    }
}

/// Why enforcing it stops requests at once: all of a budget is spent in this window. `None` when it does not.
pub fn stops_now(limit: &ShadowLimit, spent: &[(Period, Money)]) -> Option<(Money, Budget)> {
    let budget = limit.budget()?;
    let (_, spent) = spent.iter().find(|(period, _)| *period == budget.period)?;
    (*spent >= budget.amount).then_some((*spent, budget))
}

/// Whose limits: a key's or a team's.
pub fn parse_holder(word: &str) -> Option<HolderKind> {
    HolderKind::parse(word).filter(|kind| *kind != HolderKind::Org)
}

/// A limit to be set that only reports.
#[derive(Clone, Debug)]
pub struct SetShadow {
    /// The organisation's slug.
    pub org: String,
    /// A key or a team.
    pub kind: HolderKind,
    /// Its id.
    pub id: String,
    /// The limit.
    pub limit: ShadowLimit,
}

/// One limit that only reports.
#[derive(Clone, Debug)]
pub struct ShadowRef {
    /// The organisation's slug.
    pub org: String,
    /// A key or a team.
    pub kind: HolderKind,
    /// Its id.
    pub id: String,
    /// What is limited.
    pub what: Limited,
    /// Whether it may stop requests at once.
    pub confirmed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(requests: i64, rejected: i64) -> String {
        let at = |text| Moment::parse_utc(text).unwrap();
        let report = ShadowReport {
            limit: ShadowLimit { what: Limited::Requests, amount: 60 },
            since: at("2026-11-20T09:00:00Z"),
            created_by: "Ana".into(),
            requests,
            rejected,
            first: (rejected > 0).then(|| at("2026-11-21T14:03:00Z")),
            last: None,
        };
        report.sentence(&Zone::utc())
    }

    #[test]
    fn a_report_says_how_many_of_how_many_and_since_when() {
        assert_eq!(
            report(1_204, 41),
            "Would have rejected 41 of 1,204 requests since 20 Nov 2026; first 21 Nov 2026 14:03."
        );
        assert_eq!(report(1, 0), "Would have rejected none of 1 request since 20 Nov 2026.");
        assert_eq!(report(0, 0), "No requests since 20 Nov 2026.");
    }

    #[test]
    fn enforcing_takes_the_place_of_a_limit_on_the_same_thing() {
        let month = |amount| Budget { period: Period::Month, amount: Money::from_nanos(amount) };
        let day = Budget { period: Period::Day, amount: Money::from_nanos(20) };
        let (mut budgets, mut limits) = (vec![month(100), day], Limits::default());
        ShadowLimit { what: Limited::Budget(Period::Month), amount: 10 }
            .enforce_in(&mut budgets, &mut limits);
        ShadowLimit { what: Limited::Requests, amount: 60 }.enforce_in(&mut budgets, &mut limits);
        assert_eq!(budgets, [month(10), day]);
        assert_eq!(limits, Limits { rpm: Some(60), ..Limits::default() });
        assert_eq!(pointless(&budgets), Some((month(10), day)));
        assert_eq!(pointless(&[month(100), day]), None);
    }

    #[test]
    fn only_what_a_holder_has_can_be_limited() {
        for what in CHOICES {
            assert_eq!(parse_choice(what.as_str()), Some(what));
        }
        assert_eq!(parse_choice("balance"), None);
        assert_eq!(parse_holder("org"), None);
    }
}
