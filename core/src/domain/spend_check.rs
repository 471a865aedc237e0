//! What a check of an organisation's spend compares, and what it found: whether counters and roll-ups are the sums of the
//! requests.

use super::moment::{Day, Moment, Zone};
use super::money::Money;
use super::window::Period;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendCheck {
    /// When it began.
    pub at: Moment,
    /// A person's id, or `system`.
    pub actor_id: String,
    /// The person's name, or `nightly check`.
    pub actor_name: String,
    /// How many requests were read.
    pub requests: i64,
    /// What they cost.
    pub spent: Money,
    /// By how much what is added up differs from them.
    pub difference: Money,
    /// How many things differ.
    pub differing: i64,
    /// Some of these, in words.
    pub details: Vec<String>,
}

impl SpendCheck {
    /// Whether nothing differs.
    pub fn adds_up(&self) -> bool {
        self.differing == 0
    }
}

/// A window whose counters are compared, and the days whose requests were counted in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedWindow {
    /// How long it is.
    pub period: Period,
    /// Where its counters say that it starts.
    pub start: Moment,
    /// The first day in it and the first after it; `None` is every day.
    pub days: Option<(Day, Day)>,
}

/// The windows of counters at one moment. Those of all time are always compared, and of days, weeks and months the open ones,
/// on which budgets are decided, where they began in the present time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedWindows {
    /// The windows that are compared.
    pub compared: Vec<CountedWindow>,
    /// The periods whose open window is not compared, and where the first window begins that is compared again.
    pub left_out: Vec<(Period, Moment)>,
}

/// After a change of the time zone, a day of the old one can reach this far into those of the new one: the zones of the earth
/// are 26 hours apart, and a request that was under way is counted in the old one when it ends.
const ZONES_MS: i64 = 48 * 3_600_000;

impl ComparedWindows {
    /// At `now`, in an organisation that has its time zone since a moment, or always.
    pub fn at(now: Moment, zone: &Zone, zone_since: Option<Moment>) -> Self {
        let since = zone_since.map(|since| since.plus_ms(ZONES_MS));
        let is_whole = |start: Moment| since.is_none_or(|since| start >= since);
        let mut windows = Self { compared: Vec::new(), left_out: Vec::new() };
        for period in Period::LONGEST_FIRST {
            let window = period.window(now, zone);
            let days = window.end.map(|end| (Day::of(window.start, zone), Day::of(end, zone)));
            if days.is_none() || is_whole(window.start) {
                windows.compared.push(CountedWindow { period, start: window.start, days });
            } else {
                // Three days on, also a day is in the new zone alone.
                let again = period.next_resets(now, zone, 4).into_iter().find(|start| is_whole(*start));
                windows.left_out.extend(again.map(|again| (period, again)));
            }
        }
        windows
    }

    /// What is not compared, and until when; `None` when nothing is left out.
    pub fn words(&self, zone: &Zone, zone_since: Option<Moment>) -> Option<String> {
        let of = |(period, again): &(Period, Moment)| {
            format!("of {}s until {}", period.as_str(), again.date(zone))
        };
        let left_out: Vec<String> = self.left_out.iter().map(of).collect();
        let since = zone_since.filter(|_| !left_out.is_empty())?;
        Some(format!(
            "The time zone changed on {}. Counters of windows that began before that, or within two days after it, are not \
            compared: {}.",
            since.date(zone),
            left_out.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        Moment::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn compared(now: &str, since: Option<&str>) -> (String, String) {
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let windows = ComparedWindows::at(at(now), &zone, since.map(at));
        let days = |window: &CountedWindow| {
            window.days.map_or("always".to_owned(), |(first, after)| format!("{first} to {after}"))
        };
        let compared: Vec<String> = windows.compared.iter().map(days).collect();
        let left_out = windows.left_out.iter();
        let left_out: Vec<String> = left_out
            .map(|(period, again)| format!("{} until {}", period.as_str(), again.rfc3339()))
            .collect();
        (compared.join(", "), left_out.join(", "))
    }

    #[test]
    fn what_is_left_out_is_said_with_its_end() {
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let words = |since: Option<Moment>| {
            ComparedWindows::at(at("2026-10-22T12:00:00Z"), &zone, since).words(&zone, since)
        };
        assert_eq!(words(None), None);
        assert_eq!(words(Some(at("2026-09-01T12:00:00Z"))), None);
        assert_eq!(
            words(Some(at("2026-10-17T12:00:00Z"))).unwrap(),
            "The time zone changed on 17 Oct 2026. Counters of windows that began before that, or within two days after it, \
            are not compared: of months until 1 Nov 2026, of weeks until 26 Oct 2026."
        );
    }

    #[test]
    fn the_open_windows_are_compared_by_their_days() {
        let all = "always, 2026-10-01 to 2026-11-01, 2026-10-19 to 2026-10-26, 2026-10-25 to 2026-10-26";
        // The last hour of the long Sunday on which clocks go back.
        assert_eq!(compared("2026-10-25T22:59:59Z", None), (all.to_owned(), String::new()));
        assert_eq!(compared("2026-10-25T22:59:59Z", Some("2026-09-28T22:00:00Z")).0, all);
    }

    #[test]
    fn a_window_in_which_the_time_zone_changed_is_left_out_until_the_next_whole_one() {
        let (compared_now, left_out) = compared("2026-10-25T22:59:59Z", Some("2026-09-28T22:00:01Z"));
        assert!(compared_now.starts_with("always, 2026-10-19"), "{compared_now}");
        assert_eq!(left_out, "month until 2026-10-31T23:00:00Z");
        // On a Thursday, changed the day before.
        let (compared_now, left_out) = compared("2026-10-22T12:00:00Z", Some("2026-10-21T12:00:00Z"));
        assert_eq!(compared_now, "always");
        assert_eq!(
            left_out,
            "month until 2026-10-31T23:00:00Z, week until 2026-10-25T23:00:00Z, day until 2026-10-23T22:00:00Z"
        );
    }
}
