//! The periods of a budget and the calendar windows they cut time into.
//!
//! The store keys its counters by a window's start, and pages say when it resets.
//! It refuses sliding windows and resets: a new window is a new counter.

use serde::{Deserialize, Serialize};

use super::moment::{Day, Moment, Zone};

/// How long each window of a budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// All time, in one window.
    Total,
    /// A calendar day.
    Day,
    /// A week from Monday.
    Week,
    /// A calendar month.
    Month,
}

impl Period {
    /// Every period, from the longest-lived choice to the calendar ones.
    pub const ALL: [Period; 4] = [Period::Total, Period::Day, Period::Week, Period::Month];

    /// In the order of forms and summaries.
    pub const LONGEST_FIRST: [Period; 4] = [Period::Total, Period::Month, Period::Week, Period::Day];

    /// The word in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Period::Total => "total",
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
        }
    }

    /// Reads the word that [`Period::as_str`] writes; None for any other.
    pub fn parse(text: &str) -> Option<Period> {
        Period::ALL.into_iter().find(|period| period.as_str() == text)
    }

    /// As forms and summaries have them: the longest first.
    pub const fn rank(self) -> u8 {
        match self {
            Period::Total => 0,
            Period::Month => 1,
            Period::Week => 2,
            Period::Day => 3,
        }
    }

    /// The words after an amount: `per month`.
    pub const fn label(self) -> &'static str {
        match self {
            Period::Total => "total",
            Period::Day => "per day",
            Period::Week => "per week",
            Period::Month => "per month",
        }
    }

    /// The window around `now`, cut by the calendar of `zone`, whatever its clocks do.
    pub fn window(self, now: Moment, zone: &Zone) -> Window {
        let today = Day::of(now, zone);
        let (first, after) = match self {
            Period::Total => return Window { start: Moment::from_ms(0), end: None },
            Period::Day => (today, today.next()),
            Period::Week => (today.monday(), today.monday().forward(7)),
            Period::Month => (today.first_of_month(), today.first_of_next_month()),
        };
        Window { start: first.start(zone), end: Some(after.start(zone)) }
    }
}

impl Period {
    /// The next moments at which a window of this period begins; none for all time.
    pub fn next_resets(self, now: Moment, zone: &Zone, count: usize) -> Vec<Moment> {
        std::iter::successors(self.window(now, zone).end, |start| self.window(*start, zone).end)
            .take(count)
            .collect()
    }
}

/// A stretch of time: from `start` to just before `end`, or without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first moment inside.
    pub start: Moment,
    /// The first moment after; None when it never ends.
    pub end: Option<Moment>,
}

impl Window {
    /// When the next window begins: `Mon 00:00` for a day or a week, `1 Dec 00:00` for a month; None for never.
    pub fn resets(&self, zone: &Zone) -> Option<String> {
        let end = self.end?;
        // A day more than a week, for the hours that clock changes add; no month is that short.
        let within_a_week = end < self.start.plus_days(8);
        Some(if within_a_week { end.weekday_time(zone) } else { end.day_time(zone) })
    }
}

/// The starts of the calendar windows around one moment. The window of all time starts at 0.
#[derive(Clone, Copy, Debug)]
pub struct WindowStarts {
    /// The moment that they are around.
    pub at: Moment,
    /// The first midnight of the month.
    pub month: Moment,
    /// Monday's midnight.
    pub week: Moment,
    /// The day's midnight.
    pub day: Moment,
}

impl WindowStarts {
    /// The windows around `at` in this time zone.
    pub fn at(at: Moment, zone: &Zone) -> Self {
        let start = |period: Period| period.window(at, zone).start;
        Self { at, month: start(Period::Month), week: start(Period::Week), day: start(Period::Day) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zurich() -> Zone {
        Zone::parse("Europe/Zurich").unwrap()
    }

    fn at(text: &str) -> Moment {
        Moment::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn window(period: Period, now: &str) -> (String, String) {
        let window = period.window(at(now), &zurich());
        (window.start.rfc3339(), window.end.unwrap().rfc3339())
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn a_period_is_known_by_its_word() {
        for period in Period::ALL {
            assert_eq!(Period::parse(period.as_str()), Some(period));
        }
        assert_eq!(Period::parse("year"), None);
        assert_eq!(Period::Week.label(), "per week");
    }

    #[test]
    fn a_day_follows_the_clocks_of_the_zone() {
        assert_eq!(
            window(Period::Day, "2026-03-29T12:00:00Z"),
            pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
        );
        assert_eq!(
            window(Period::Day, "2026-10-25T12:00:00Z"),
            pair("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
        );
        assert_eq!(
            window(Period::Day, "2026-11-20T23:00:00Z"),
            pair("2026-11-20T23:00:00Z", "2026-11-21T23:00:00Z")
        );
    }

    #[test]
    fn a_week_starts_on_monday_also_when_the_clocks_change() {
        let week = pair("2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z");
        assert_eq!(window(Period::Week, "2026-10-18T22:00:00Z"), week);
        assert_eq!(window(Period::Week, "2026-10-25T22:59:59Z"), week);
        assert_ne!(window(Period::Week, "2026-10-25T23:00:00Z"), week);
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        assert_eq!(
            window(Period::Month, "2028-02-29T22:59:59Z"),
            pair("2028-01-31T23:00:00Z", "2028-02-29T23:00:00Z")
        );
        assert_eq!(
            window(Period::Month, "2026-12-31T23:00:00Z"),
            pair("2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z")
        );
        assert_eq!(
            window(Period::Month, "2026-03-31T21:59:59Z"),
            pair("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")
        );
    }

    #[test]
    fn a_total_never_ends() {
        let window = Period::Total.window(at("2026-11-20T12:00:00Z"), &zurich());
        assert_eq!(window, Window { start: Moment::from_ms(0), end: None });
        assert_eq!(window.resets(&zurich()), None);
    }

    #[test]
    fn the_next_resets_follow_the_calendar_and_the_clocks() {
        let resets = |period: Period, now| {
            let list = period.next_resets(at(now), &zurich(), 5);
            list.into_iter().map(|at| at.date_time(&zurich())).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            resets(Period::Month, "2027-12-20T12:00:00Z"),
            "1 Jan 2028 00:00, 1 Feb 2028 00:00, 1 Mar 2028 00:00, 1 Apr 2028 00:00, 1 May 2028 00:00"
        );
        assert_eq!(
            resets(Period::Day, "2028-02-27T12:00:00Z"),
            "28 Feb 2028 00:00, 29 Feb 2028 00:00, 1 Mar 2028 00:00, 2 Mar 2028 00:00, 3 Mar 2028 00:00"
        );
        assert!(resets(Period::Week, "2026-10-23T12:00:00Z").starts_with("26 Oct 2026 00:00, 2 Nov"));
        assert_eq!(resets(Period::Total, "2026-10-23T12:00:00Z"), "");
    }

    #[test]
    fn a_reset_is_told_by_weekday_within_a_week_and_else_by_date() {
        let resets = |period: Period, now| period.window(at(now), &zurich()).resets(&zurich());
        assert_eq!(resets(Period::Day, "2026-11-20T12:00:00Z").as_deref(), Some("Sat 00:00"));
        assert_eq!(resets(Period::Week, "2026-10-20T12:00:00Z").as_deref(), Some("Mon 00:00"));
        assert_eq!(resets(Period::Month, "2026-11-20T12:00:00Z").as_deref(), Some("1 Dec 00:00"));
        assert_eq!(resets(Period::Month, "2026-02-20T12:00:00Z").as_deref(), Some("1 Mar 00:00"));
    }

    proptest! {
        #[test]
        fn a_window_contains_its_now_and_windows_tile_without_a_gap(
            ms in 0..6_000_000_000_000_i64,
            period in prop::sample::select(&Period::ALL[1..]),
            name in prop::sample::select(vec![
                "UTC", "Europe/Zurich", "America/St_Johns", "Asia/Beirut", "America/Havana", "Pacific/Apia",
            ]),
        ) {
            let zone = Zone::parse(name).unwrap();
            let now = Moment::from_ms(ms);
            let window = period.window(now, &zone);
            let end = window.end.unwrap();
            prop_assert!(window.start <= now && now < end);
            prop_assert_eq!(period.window(window.start, &zone), window);
            prop_assert_eq!(period.window(end.plus_ms(-1), &zone), window);
            prop_assert_eq!(period.window(end, &zone).start, end);
        }
    }
}
