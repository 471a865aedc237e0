//! One end of a stretch of time that people choose: a day, or an hour of it, in an organisation's calendar. It is named as
//! roll-ups name their buckets, so that a figure by hour leads to exactly the requests that it counts.

use std::fmt;

use super::moment::{Day, Moment, Zone};

/// A day, or one hour of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOrHour {
    /// The day.
    pub day: Day,
    /// Its hour, 0 to 23; `None` is the whole day.
    pub hour: Option<u8>,
}

impl DayOrHour {
    /// Reads `2026-11-28` and `2026-11-28T13`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('T') {
            None => Day::parse(text).map(Self::from),
            Some((day, hour)) => Some(Self { day: Day::parse(day)?, hour: Some(hour_of(hour)?) }),
        }
    }

    /// The hour of this day that a form names beside it, `13`; the whole day where it names none.
    pub fn at(self, hour: &str) -> Self {
        Self { hour: self.hour.or(hour_of(hour)), ..self }
    }

    /// Its first moment in `zone`.
    pub fn start(self, zone: &Zone) -> Moment {
        self.day.hour_start(self.hour.unwrap_or_default(), zone)
    }

    /// The first moment after it. An hour that clocks repeat is one hour, and one that they skip is empty.
    pub fn end(self, zone: &Zone) -> Moment {
        self.hour.map_or_else(|| self.day.end(zone), |hour| self.day.hour_start(hour.saturating_add(1), zone))
    }

    /// The day, where it is a whole one.
    pub fn whole_day(self) -> Option<Day> {
        Some(self.day).filter(|_| self.hour.is_none())
    }
}

/// Two digits, `00` to `23`.
fn hour_of(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|hour| digits && *hour < 24)
}

impl From<Day> for DayOrHour {
    fn from(day: Day) -> Self {
        Self { day, hour: None }
    }
}

impl fmt::Display for DayOrHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hour {
            None => self.day.fmt(f),
            Some(hour) => write!(f, "{}T{hour:02}", self.day),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, zone: &str) -> (String, String) {
        let (at, zone) = (DayOrHour::parse(text).unwrap(), Zone::parse(zone).unwrap());
        (at.start(&zone).rfc3339(), at.end(&zone).rfc3339())
    }

    #[test]
    fn it_is_read_as_roll_ups_write_it_and_from_nothing_else() {
        for text in ["2026-11-28", "2026-11-28T00", "2026-11-28T23"] {
            assert_eq!(DayOrHour::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "2026-11-28T24", "2026-11-28T7", "2026-11-28T+7", "2026-11-28T07:00", "T07", "2026-02-30T01"]
        {
            assert_eq!(DayOrHour::parse(text), None, "{text}");
        }
        let day = DayOrHour::parse("2026-11-28").unwrap();
        assert_eq!(
            (day.at("07").to_string(), day.at("").to_string()),
            ("2026-11-28T07".into(), "2026-11-28".into())
        );
    }

    #[test]
    fn an_hour_is_as_long_as_the_clocks_make_it() {
        let span = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let zurich = "Europe/Zurich";
        assert_eq!(of("2026-11-28T13", zurich), span("2026-11-28T12:00:00Z", "2026-11-28T13:00:00Z"));
        assert_eq!(of("2026-11-28T23", zurich), span("2026-11-28T22:00:00Z", "2026-11-28T23:00:00Z"));
        assert_eq!(of("2026-11-28", zurich), span("2026-11-27T23:00:00Z", "2026-11-28T23:00:00Z"));
        // 03:00 becomes 02:00: one hour of two.
        assert_eq!(of("2026-10-25T01", zurich), span("2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z"));
        assert_eq!(of("2026-10-25T02", zurich), span("2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"));
        assert_eq!(of("2026-10-25T03", zurich), span("2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"));
        // 02:00 becomes 03:00: there is no such hour.
        assert_eq!(of("2026-03-29T02", zurich), span("2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"));
        // Clocks that go by half an hour.
        assert_eq!(
            of("2026-04-05T01", "Australia/Lord_Howe"),
            span("2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z")
        );
        // A day without a midnight.
        assert_eq!(of("2026-03-29T00", "Asia/Beirut"), span("2026-03-28T22:00:00Z", "2026-03-28T22:00:00Z"));
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_the_hour_that_it_counts_for(
            ms in 0..6_000_000_000_000_i64,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Zurich", "America/St_Johns", "America/Havana", "Asia/Beirut", "Asia/Kathmandu",
                "Australia/Lord_Howe", "America/Nuuk", "Africa/Casablanca", "Pacific/Apia", "Pacific/Kwajalein",
            ]),
        ) {
            let (zone, moment) = (Zone::parse(zone).unwrap(), Moment::from_ms(ms));
            let hour = DayOrHour::parse(&moment.booked_hour(&zone)).unwrap();
            prop_assert!(hour.start(&zone) <= moment && moment < hour.end(&zone), "{hour}");
        }
    }
}
