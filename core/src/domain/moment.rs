//! Moments, calendar days and time zones, and how each is shown to people.
//!
//! Every layer may use it; only the server's clock makes a "now", and hands it in.
//! It refuses to look at a clock or at the machine's zone files: the zones are compiled in.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde::{Deserialize, Serialize};

use super::parse_error::ParseError;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A point in time, in milliseconds since 1970 UTC.
/// What lies outside the years -9999 to 9999 is shown and counted as the last moment inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// The moment `ms` milliseconds after 1970 UTC.
    pub const fn from_ms(ms: i64) -> Moment {
        Moment(ms)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// This moment moved by `ms` milliseconds, held at the ends instead of wrapping.
    pub const fn plus_ms(self, ms: i64) -> Moment {
        Moment(self.0.saturating_add(ms))
    }

    /// This moment moved by `days` times 24 hours; for calendar days use [`Day`].
    pub const fn plus_days(self, days: i64) -> Moment {
        self.plus_ms(days.saturating_mul(86_400_000))
    }

    /// UTC in whole seconds for machines and `<time datetime>`: `2026-11-20T13:03:22Z`.
    pub fn rfc3339(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Reads a date with or without a time, in UTC unless it has an offset; `None` for anything else.
    pub fn parse_utc(text: &str) -> Option<Moment> {
        let with_offset = text.parse::<Timestamp>().ok();
        let plain = || {
            let has_offset = text.get(10..).is_some_and(|time| time.contains(['+', '-', '[']));
            let time: DateTime = text.parse().ok().filter(|_| !has_offset)?;
            TimeZone::UTC.to_timestamp(time).ok()
        };
        with_offset.or_else(plain).map(|at| Moment(at.as_millisecond()))
    }

    /// `20 Nov 2026`
    pub fn date(self, zone: &Zone) -> String {
        self.zoned(zone).strftime("%-d %b %Y").to_string()
    }

    /// The day that ends at this moment, `Fri 27 Nov 2026`; with the time where it is not the end of a day.
    pub fn last_day(self, zone: &Zone) -> String {
        let day = Day::of(self.plus_ms(-1), zone);
        if day.end(zone) == self {
            return self.plus_ms(-1).zoned(zone).strftime("%a %-d %b %Y").to_string();
        }
        self.zoned(zone).strftime("%a %-d %b %Y %H:%M").to_string()
    }

    /// `20 Nov 2026 14:03`
    pub fn date_time(self, zone: &Zone) -> String {
        self.zoned(zone).strftime("%-d %b %Y %H:%M").to_string()
    }

    /// `14:03`, clear only under its day.
    pub fn time(self, zone: &Zone) -> String {
        self.zoned(zone).strftime("%H:%M").to_string()
    }

    /// `14:03:22`, clear only beside its day.
    pub fn clock(self, zone: &Zone) -> String {
        self.zoned(zone).strftime("%H:%M:%S").to_string()
    }

    /// The hour that it counts for in `zone`, `2026-11-20T14`: the hour of its day, so that the first ten characters are the
    /// day and the first seven the month. The hour that clocks repeat is one hour.
    pub fn booked_hour(self, zone: &Zone) -> String {
        let (day, here) = (Day::of(self, zone), self.zoned(zone));
        let hour = if here.date() == day.0 { here.hour() } else { 0 };
        format!("{day}T{hour:02}")
    }

    /// To the second and with its zone, for tooltips: `20 Nov 2026 14:03:22 CET`.
    pub fn exact(self, zone: &Zone) -> String {
        let text = self.zoned(zone).strftime("%-d %b %Y %H:%M:%S %Z").to_string();
        // Zones without letters of their own are abbreviated as a bare number, which no one can read.
        match text.rsplit_once(' ') {
            Some((time, offset)) if offset.starts_with(['+', '-']) => format!("{time} UTC{offset}"),
            Some(_) | None => text,
        }
    }

    /// `Mon 00:00`, clear only within a week.
    pub fn weekday_time(self, zone: &Zone) -> String {
        self.zoned(zone).strftime("%a %H:%M").to_string()
    }

    /// `1 Dec 00:00`, clear only within a year.
    pub(super) fn day_time(self, zone: &Zone) -> String {
        self.zoned(zone).strftime("%-d %b %H:%M").to_string()
    }

    /// Seen from `now`: `just now`, `3 min ago`, `3 h ago`, `in 3 days`; the date beyond 7 days.
    /// Whole units that have passed, so that nothing looks older or further off than it is.
    pub fn relative(self, now: Moment, zone: &Zone) -> String {
        self.within_a_week(now).unwrap_or_else(|| self.date(zone))
    }

    /// As [`Moment::relative`], for columns: beyond 7 days the date is as short as is clear.
    pub fn brief(self, now: Moment, zone: &Zone) -> String {
        self.within_a_week(now).unwrap_or_else(|| self.short_date(now, zone))
    }

    /// `20 Nov`, or `Nov 2027` where the year would not be clear from `now`.
    pub fn short_date(self, now: Moment, zone: &Zone) -> String {
        let near = now.0.abs_diff(self.0) < 300 * DAY;
        self.zoned(zone).strftime(if near { "%-d %b" } else { "%b %Y" }).to_string()
    }

    fn within_a_week(self, now: Moment) -> Option<String> {
        let apart = now.0.abs_diff(self.0);
        let span = match apart {
            0..MINUTE => return Some("just now".to_owned()),
            MINUTE..HOUR => format!("{} min", apart / MINUTE),
            HOUR..DAY => format!("{} h", apart / HOUR),
            _ if apart < 2 * DAY => "1 day".to_owned(),
            _ if apart <= 7 * DAY => format!("{} days", apart / DAY),
            _ => return None,
        };
        Some(if self < now { format!("{span} ago") } else { format!("in {span}") })
    }

    fn timestamp(self) -> Timestamp {
        let end = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_millisecond(self.0).unwrap_or(end)
    }

    fn zoned(self, zone: &Zone) -> ZonedDateTime {
        self.timestamp().to_zoned_datetime(zone.0.clone())
    }
}

/// A time zone of the IANA database that is compiled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of an IANA name such as `Europe/Zurich`, in any case; None for an unknown name.
    pub fn parse(name: &str) -> Option<Zone> {
        // Not TimeZone::get: another crate's features could make that read the machine's files.
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        (!zone.is_unknown()).then_some(Zone(zone))
    }

    /// Universal time.
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// The IANA name, as [`Zone::parse`] reads it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// A day of the calendar, in no zone until one is named. Serialised as ISO text, `2026-11-20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

impl Day {
    /// Reads `2026-11-20`, exactly as a date field sends it; None for every other form and days that do not exist.
    pub fn parse(text: &str) -> Option<Day> {
        let shape = |(place, byte): (usize, u8)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        let fits = text.len() == 10 && text.bytes().enumerate().all(shape);
        if fits { text.parse().ok().map(Day) } else { None }
    }

    /// The day that `moment` counts for in `zone`: the one whose start and end lie around it.
    pub fn of(moment: Moment, zone: &Zone) -> Day {
        let day = Day(zone.0.to_datetime(moment.timestamp()).date());
        // Clocks set back across midnight show the old date again. A day begins only once,
        // or its budget would come back for an hour, so that hour belongs to the new day.
        if moment >= day.end(zone) { day.next() } else { day }
    }

    /// The day `days` before, held at the first day of the calendar.
    pub fn back(self, days: u32) -> Day {
        Day(self.0.saturating_sub(whole_days(days)))
    }

    /// The day after, held at the last day of the calendar.
    pub fn next(self) -> Day {
        self.forward(1)
    }

    /// `20 Nov`
    pub fn short(self) -> String {
        self.0.strftime("%-d %b").to_string()
    }

    /// `Tuesday`
    pub fn weekday(self) -> String {
        self.0.strftime("%A").to_string()
    }

    /// The first moment of the day in `zone`, which is not always 00:00.
    pub fn start(self, zone: &Zone) -> Moment {
        self.hour_start(0, zone)
    }

    /// The first moment of an hour of the day in `zone`; after hour 23 it is the day's end.
    pub(super) fn hour_start(self, hour: u8, zone: &Zone) -> Moment {
        let time = i8::try_from(hour).ok().and_then(|hour| Time::new(hour, 0, 0, 0).ok());
        let Some(time) = time else { return self.end(zone) };
        let wanted = self.0.to_datetime(time);
        let ambiguous = zone.0.to_ambiguous_timestamp(wanted);
        let first = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wanted),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wanted),
            // It was skipped: the hour begins where the clocks were set forward.
            AmbiguousOffset::Gap { after, .. } => after
                .to_timestamp(wanted)
                .map(|earlier| zone.0.following(earlier).next().map_or(earlier, |change| change.timestamp())),
        };
        let end = if self.0.year() < 1970 { Timestamp::MIN } else { Timestamp::MAX };
        Moment(first.unwrap_or(end).as_millisecond())
    }

    /// The first moment of the next day in `zone`; the day ends just before it.
    pub fn end(self, zone: &Zone) -> Moment {
        self.next().start(zone)
    }

    /// `hour:minute` of this day in `zone`: the first of the two where clocks go back, the later time where they skip it.
    /// None for what is no time.
    pub fn at(self, hour: i8, minute: i8, zone: &Zone) -> Option<Moment> {
        let time = Time::new(hour, minute, 0, 0).ok()?;
        let zoned = zone.0.to_ambiguous_zoned_datetime(self.0.to_datetime(time)).compatible().ok()?;
        Some(Moment(zoned.timestamp().as_millisecond()))
    }

    /// `20 Nov 2026`
    pub fn long(self) -> String {
        self.0.strftime("%-d %b %Y").to_string()
    }

    /// `Nov 2026`
    pub(super) fn month_words(self) -> String {
        self.0.strftime("%b %Y").to_string()
    }

    /// `2026-11`, as roll-ups name a month.
    pub(super) fn month_name(self) -> String {
        self.0.strftime("%Y-%m").to_string()
    }

    pub(super) fn day_of_month(self) -> i8 {
        self.0.day()
    }

    pub(super) fn first_of_year(self) -> Day {
        Day(self.0.first_of_year())
    }

    /// The day of this day's month with the number that `other` has in its own, or the month's last where there is none.
    pub(super) fn same_day_of_month(self, other: Day) -> Day {
        let (first, last) = (self.first_of_month(), Day(self.0.last_of_month()));
        first.forward(u32::from(other.0.day().unsigned_abs()) - 1).min(last)
    }

    /// The same day of the year before; 28 February for the 29th.
    pub(super) fn year_before(self) -> Day {
        let first = Day(Date::new(self.0.year() - 1, self.0.month(), 1).unwrap_or(self.0));
        first.same_day_of_month(self)
    }

    pub(super) fn forward(self, days: u32) -> Day {
        Day(self.0.saturating_add(whole_days(days)))
    }

    /// The Monday of this day's week.
    pub(super) fn monday(self) -> Day {
        self.back(u32::from(self.0.weekday().to_monday_zero_offset().unsigned_abs()))
    }

    /// Its month as roll-ups name it, such as `2026-11`.
    pub fn month(self) -> String {
        self.to_string().chars().take(7).collect()
    }

    pub(super) fn first_of_month(self) -> Day {
        Day(self.0.first_of_month())
    }

    pub(super) fn first_of_next_month(self) -> Day {
        Day(self.0.last_of_month()).next()
    }
}

/// Not a `Span`, which panics on more days than the calendar has.
fn whole_days(days: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(days) * 86_400)
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl TryFrom<String> for Day {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Day, ParseError> {
        Day::parse(&text).ok_or_else(|| {
            ParseError::new("This is not a day of the calendar. Enter one such as 2026-11-20.")
        })
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone(name: &str) -> Zone {
        Zone::parse(name).unwrap()
    }

    fn at(text: &str) -> Moment {
        Moment(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn a_moment_is_shown_in_the_zone_that_is_asked_for() {
        let moment = at("2026-11-20T13:03:22.999Z");
        let zurich = zone("Europe/Zurich");
        assert_eq!(moment.rfc3339(), "2026-11-20T13:03:22Z");
        assert_eq!(moment.date(&zurich), "20 Nov 2026");
        assert_eq!(moment.date_time(&zurich), "20 Nov 2026 14:03");
        assert_eq!(moment.exact(&zurich), "20 Nov 2026 14:03:22 CET");
        assert_eq!(moment.exact(&Zone::utc()), "20 Nov 2026 13:03:22 UTC");
        assert_eq!(moment.exact(&zone("America/Sao_Paulo")), "20 Nov 2026 10:03:22 UTC-03");
        assert_eq!(moment.weekday_time(&zurich), "Fri 14:03");
        assert_eq!(moment.date(&zone("Pacific/Auckland")), "21 Nov 2026");
        assert_eq!(at("2026-07-01T00:00:00Z").exact(&zurich), "1 Jul 2026 02:00:00 CEST");
        assert_eq!(Moment(-1).rfc3339(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_relative_time_counts_whole_units_and_gives_way_to_the_date_after_a_week() {
        let now = at("2026-11-20T12:00:00Z");
        let utc = Zone::utc();
        let day = 86_400_000;
        for (ms, shown) in [
            (0, "just now"),
            (-59_999, "just now"),
            (59_999, "just now"),
            (-60_000, "1 min ago"),
            (-3_599_999, "59 min ago"),
            (-3 * 3_600_000, "3 h ago"),
            (-day, "1 day ago"),
            (-2 * day, "2 days ago"),
            (-7 * day, "7 days ago"),
            (-7 * day - 1, "13 Nov 2026"),
            (60_000, "in 1 min"),
            (day, "in 1 day"),
            (3 * day + 5, "in 3 days"),
            (8 * day, "28 Nov 2026"),
        ] {
            assert_eq!(now.plus_ms(ms).relative(now, &utc), shown, "{ms}");
        }
    }

    #[test]
    fn a_column_has_dates_as_short_as_is_clear() {
        let (now, utc) = (at("2026-11-20T12:00:00Z"), Zone::utc());
        for (text, shown) in [
            ("2026-11-20T09:00:00Z", "3 h ago"),
            ("2026-11-03T09:00:00Z", "3 Nov"),
            ("2027-02-24T09:00:00Z", "24 Feb"),
            ("2025-11-24T09:00:00Z", "Nov 2025"),
            ("2027-11-16T09:00:00Z", "Nov 2027"),
        ] {
            assert_eq!(at(text).brief(now, &utc), shown, "{text}");
        }
        assert_eq!(now.short_date(now, &utc), "20 Nov");
    }

    #[test]
    fn a_zone_is_found_by_its_name_only() {
        assert_eq!(zone("europe/zurich").name(), "Europe/Zurich");
        assert_eq!(zone("UTC").name(), Zone::utc().name());
        for name in ["", "Mars/Base", "CET-1", "+02:00", "../etc/passwd", "Etc/Unknown", "local"] {
            assert_eq!(Zone::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_day_is_read_from_a_date_field_and_from_nothing_else() {
        assert_eq!(day("2026-11-20").to_string(), "2026-11-20");
        assert_eq!(day("2026-11-20").short(), "20 Nov");
        assert_eq!(day("2028-02-29").next(), day("2028-03-01"));
        assert_eq!(day("2026-03-01").back(1), day("2026-02-28"));
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "20.11.2026",
            "2026-1-20",
            "2026-11-20 ",
            "20261120",
            "+026-11-20",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_is_written_as_iso_text() {
        assert_eq!(String::from(day("2026-11-20")), "2026-11-20");
        assert_eq!(Day::try_from("2026-11-20".to_owned()), Ok(day("2026-11-20")));
        assert!(Day::try_from("soon".to_owned()).is_err());
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change() {
        let zurich = zone("Europe/Zurich");
        let hours = |text| (day(text).end(&zurich).0 - day(text).start(&zurich).0) / 3_600_000;
        assert_eq!(hours("2026-03-29"), 23);
        assert_eq!(hours("2026-10-25"), 25);
        assert_eq!(hours("2026-10-26"), 24);
    }

    #[test]
    fn a_day_without_a_midnight_starts_where_the_clocks_were_set_forward() {
        assert_eq!(day("2026-03-29").start(&zone("Asia/Beirut")), at("2026-03-28T22:00:00Z"));
        // In 1919 Toronto's clocks went from 23:30 to 00:30.
        assert_eq!(day("1919-03-31").start(&zone("America/Toronto")), at("1919-03-31T04:30:00Z"));
        // Samoa had no 30 December 2011.
        let apia = zone("Pacific/Apia");
        assert_eq!(day("2011-12-30").start(&apia), day("2011-12-31").start(&apia));
    }

    #[test]
    fn a_day_begins_only_once_when_the_clocks_go_back_across_midnight() {
        // St. John's clocks went back from 00:01 on 7 November 2010 to 23:01 on the 6th.
        let zone = zone("America/St_Johns");
        let begun = day("2010-11-07").start(&zone);
        assert_eq!(begun, at("2010-11-07T02:30:00Z"));
        let again = begun.plus_ms(30 * 60_000);
        assert_eq!(again.date(&zone), "6 Nov 2010");
        assert_eq!(Day::of(again, &zone), day("2010-11-07"));
    }

    #[test]
    fn the_ends_of_time_are_held_and_do_not_panic() {
        let zurich = zone("Europe/Zurich");
        for moment in [Moment(i64::MIN), Moment(i64::MAX)] {
            assert_eq!(moment.plus_days(if moment.0 < 0 { -1 } else { 1 }), moment);
            assert!(!moment.rfc3339().is_empty());
            assert!(!moment.exact(&zurich).is_empty());
            assert!(!moment.relative(Moment(0), &zurich).is_empty());
            let day = Day::of(moment, &zurich);
            assert!(day.start(&zurich) <= day.end(&zurich));
            assert!(day.back(u32::MAX) <= day.forward(u32::MAX));
        }
    }

    fn zones() -> impl Strategy<Value = Zone> {
        prop::sample::select(vec![
            "UTC",
            "Europe/Zurich",
            "America/St_Johns",
            "America/Toronto",
            "America/Havana",
            "Asia/Beirut",
            "Asia/Kathmandu",
            "Atlantic/Azores",
            "Australia/Lord_Howe",
            "America/Nuuk",
            "Africa/Casablanca",
            "Pacific/Apia",
            "Pacific/Kwajalein",
        ])
        .prop_map(zone)
    }

    proptest! {
        #[test]
        fn a_day_reads_back(n in 0..80_000_u32) {
            let day = day("1950-01-01").forward(n);
            prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
            prop_assert_eq!(day.next().back(1), day);
        }

        #[test]
        fn every_moment_lies_in_the_day_it_counts_for(ms in -3_000_000_000_000..6_000_000_000_000_i64, zone in zones()) {
            let moment = Moment(ms);
            let day = Day::of(moment, &zone);
            prop_assert!(day.start(&zone) <= moment && moment < day.end(&zone));
            prop_assert_eq!(Day::of(day.start(&zone), &zone), day);
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = Day::parse(&text);
            let _ = Zone::parse(&text);
        }
    }
}
