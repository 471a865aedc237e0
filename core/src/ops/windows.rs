//! What a form says beside each budget: what is spent in its present window, and when the next ones begin.

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
}
