//! What a form says beside each budget: what is spent in its present window, and when the next ones begin.

use crate::domain::audit::{Change, ChangeValue};
use crate::domain::audit_words::RESTARTED;
use crate::domain::ids::OrgId;
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::window::{Period, WindowStarts};
use crate::store::{StoreError, Via, present_spend};

/// How many of the next windows are named.
const NEXT: usize = 5;

/// The present windows of the organisation's budgets, its teams' and its keys'.
pub struct PresentWindows {
    now: Moment,
    zone: Zone,
    /// `None` for what is not there yet.
    spent: Option<Vec<(Period, Money)>>,
}

impl PresentWindows {
    /// What a change of the time zone does: "… what was spent in them ($1.20 today, $8.00 this week, $31.20 this month) …".
    pub fn restart_words(&self) -> String {
        let spent = |period: Period| {
            let all = self.spent.iter().flatten();
            all.filter(|(of, _)| *of == period).map(|(_, spent)| *spent).sum::<Money>()
        };
        format!(
            "Budgets reset at midnight in this time zone. If midnight is at another time there, saving starts the current day, week and month again: what is spent in them ({} today, {} this week, {} this month) no longer counts against any budget. Charts keep it.",
            spent(Period::Day),
            spent(Period::Week),
            spent(Period::Month)
        )
    }

    /// The present day, week and month with what is spent in them, for the audit, where they are others in a new time zone.
    pub(in crate::ops) fn restarted(&self, zone: &Zone) -> Option<Change> {
        let (here, there) = (WindowStarts::at(self.now, &self.zone), WindowStarts::at(self.now, zone));
        let same = (here.day, here.week, here.month) == (there.day, there.week, there.month);
        let window = |period: Period| {
            let spent = self.spent.iter().flatten().find(|(of, _)| *of == period);
            format!("{} with {} spent", period.as_str(), spent.map_or(Money::ZERO, |(_, spent)| *spent))
        };
        let windows = [Period::Day, Period::Week, Period::Month].map(window).to_vec();
        (!same).then(|| Change::added(RESTARTED, ChangeValue::List(windows)))
    }

    /// "$31.20 is spent this month. Resets at 00:00 on 1 Dec, 1 Jan, 1 Feb, 1 Mar, 1 Apr (Europe/Zurich)."
    pub fn words(&self, period: Period) -> String {
        let spent = self.spent.as_ref().map(|all| {
            let spent = all.iter().find(|(of, _)| *of == period).map_or(Money::ZERO, |(_, spent)| *spent);
            let when = match period {
                Period::Month => "this month",
                Period::Week => "this week",
                Period::Day => "today",
                Period::Total => "in total",
            };
            format!("{spent} is spent {when}.")
        });
        let days = period.next_resets(self.now, &self.zone, NEXT);
        let days: Vec<String> = days.into_iter().map(|at| Day::of(at, &self.zone).short()).collect();
        let resets = (!days.is_empty())
            .then(|| format!("Resets at 00:00 on {} ({}).", days.join(", "), self.zone.name()));
        [spent, resets].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Those of a holder; of none for one that is yet to be made.
pub(in crate::ops) async fn windows_of(
    via: &mut impl Via,
    (org, zone): (&OrgId, &Zone),
    holder: Option<(HolderKind, &str)>,
    now: Moment,
) -> Result<PresentWindows, StoreError> {
    let spent = match holder {
        Some(holder) => Some(present_spend::in_windows(via, org, holder, WindowStarts::at(now, zone)).await?),
        None => None,
    };
    Ok(PresentWindows { now, zone: zone.clone(), spent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_says_what_is_spent_and_the_next_five_resets() {
        let windows = |spent| PresentWindows {
            now: Moment::parse_utc("2026-11-20T12:00:00Z").unwrap(),
            zone: Zone::parse("Europe/Zurich").unwrap(),
            spent,
        };
        let spent = windows(Some(vec![(Period::Month, Money::from_nanos(31_200_000_000))]));
        assert_eq!(
            spent.words(Period::Month),
            "$31.20 is spent this month. Resets at 00:00 on 1 Dec, 1 Jan, 1 Feb, 1 Mar, 1 Apr (Europe/Zurich)."
        );
        assert_eq!(spent.words(Period::Total), "$0.00 is spent in total.");
        assert_eq!(
            windows(None).words(Period::Week),
            "Resets at 00:00 on 23 Nov, 30 Nov, 7 Dec, 14 Dec, 21 Dec (Europe/Zurich)."
        );
        assert_eq!(windows(None).words(Period::Total), "");
    }

    #[test]
    fn a_change_of_zone_says_what_it_restarts() {
        let dollars = |amount: i64| Money::from_nanos(amount * 1_000_000_000);
        let windows = PresentWindows {
            now: Moment::parse_utc("2026-11-20T12:00:00Z").unwrap(),
            zone: Zone::parse("Europe/Zurich").unwrap(),
            spent: Some(vec![
                (Period::Month, dollars(31)),
                (Period::Day, dollars(1)),
                (Period::Total, dollars(90)),
            ]),
        };
        let words = windows.restart_words();
        assert!(words.contains("($1.00 today, $0.00 this week, $31.00 this month)"), "{words}");
        let restarted = |zone: &str| windows.restarted(&Zone::parse(zone).unwrap());
        let list =
            ["day with $1.00 spent", "week with $0.00 spent", "month with $31.00 spent"].map(str::to_owned);
        let change = Change::added("restarted", ChangeValue::List(list.to_vec()));
        assert_eq!(restarted("Asia/Tokyo"), Some(change));
        assert_eq!(restarted("Europe/Oslo"), None, "midnight is at the same time");
    }
}
