//! The days that a report is about, the days it compares them with, and what it cuts them into.
//!
//! Days are the organisation's: a request belongs to the day on which it was booked, whatever the clocks did.

use crate::domain::day_or_hour::DayOrHour;
use crate::domain::moment::Day;

/// The longest report, in days: ten years.
const MAX_DAYS: u32 = 3_653;
/// Up to so many days a report can be by hour.
const MAX_HOURLY_DAYS: usize = 14;
/// Up to so many days a report can be by day; beyond it the bars would be thinner than a pixel.
const MAX_DAILY_DAYS: usize = 400;

/// A choice of days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The present day.
    Today,
    /// The day before.
    Yesterday,
    /// The present day and the six before it.
    SevenDays,
    /// The present day and the 29 before it.
    ThirtyDays,
    /// From the first of the month to the present day.
    #[default]
    ThisMonth,
    /// The whole month before.
    LastMonth,
    /// From 1 January to the present day.
    ThisYear,
    /// From one day to another.
    Custom,
}

impl Preset {
    /// Those that need no days, the shortest first.
    pub const NAMED: [Preset; 7] = [
        Preset::Today,
        Preset::Yesterday,
        Preset::SevenDays,
        Preset::ThirtyDays,
        Preset::ThisMonth,
        Preset::LastMonth,
        Preset::ThisYear,
    ];

    /// The word in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Preset::Today => "today",
            Preset::Yesterday => "yesterday",
            Preset::SevenDays => "7-days",
            Preset::ThirtyDays => "30-days",
            Preset::ThisMonth => "month",
            Preset::LastMonth => "last-month",
            Preset::ThisYear => "year",
            Preset::Custom => "custom",
        }
    }

    /// What pages call it.
    pub const fn label(self) -> &'static str {
        match self {
            Preset::Today => "Today",
            Preset::Yesterday => "Yesterday",
            Preset::SevenDays => "7 days",
            Preset::ThirtyDays => "30 days",
            Preset::ThisMonth => "This month",
            Preset::LastMonth => "Last month",
            Preset::ThisYear => "This year",
            Preset::Custom => "Custom",
        }
    }

    /// Reads the word that [`Preset::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Preset::NAMED.into_iter().chain([Preset::Custom]).find(|preset| preset.as_str() == text)
    }

    /// The days around `today`. `from` and `to` are for [`Preset::Custom`] alone: they may come in any order, a missing one
    /// is the first of the month or the present day, and no more than ten years are counted.
    pub fn span(self, today: Day, from: Option<Day>, to: Option<Day>) -> Span {
        let first_of_last_month = today.first_of_month().back(1).first_of_month();
        let (first, last) = match self {
            Preset::Today => (today, today),
            Preset::Yesterday => (today.back(1), today.back(1)),
            Preset::SevenDays => (today.back(6), today),
            Preset::ThirtyDays => (today.back(29), today),
            Preset::ThisMonth => (today.first_of_month(), today),
            Preset::LastMonth => (first_of_last_month, today.first_of_month().back(1)),
            Preset::ThisYear => (today.first_of_year(), today),
            Preset::Custom => {
                let to = to.unwrap_or_else(|| today.max(from.unwrap_or(today)));
                let from = from.unwrap_or_else(|| to.first_of_month());
                (from.min(to), from.max(to))
            }
        };
        Span { first: first.max(last.back(MAX_DAYS - 1)), last }
    }

    /// What `span`, which this made, is compared with: the same days of the month or year before, else as many days just
    /// before it.
    pub fn before(self, span: Span) -> Span {
        match self {
            Preset::ThisMonth => {
                let first = span.first.back(1).first_of_month();
                Span { first, last: first.same_day_of_month(span.last) }
            }
            Preset::LastMonth => {
                let last = span.first.back(1);
                Span { first: last.first_of_month(), last }
            }
            Preset::ThisYear => {
                let first = span.first.back(1).first_of_year();
                Span { first, last: span.last.year_before() }
            }
            Preset::Today | Preset::Yesterday | Preset::SevenDays | Preset::ThirtyDays | Preset::Custom => {
                let last = span.first.back(1);
                let days = u32::try_from(span.days().count()).unwrap_or(MAX_DAYS);
                Span { first: last.back(days.saturating_sub(1)), last }
            }
        }
    }
}

/// Days in a row, both ends among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first day.
    pub first: Day,
    /// The last day.
    pub last: Day,
}

impl Span {
    /// Each day, the oldest first.
    pub fn days(self) -> impl Iterator<Item = Day> {
        let next = move |day: &Day| (*day < self.last).then(|| day.next());
        std::iter::successors(Some(self.first), next)
    }

    /// "1–28 Nov 2026", "25 Oct – 3 Nov 2026", "20 Dec 2025 – 3 Jan 2026".
    pub fn words(self) -> String {
        let (first, last) = (self.first, self.last);
        if first == last {
            return first.long();
        }
        if first.first_of_month() == last.first_of_month() {
            return format!("{}–{}", first.day_of_month(), last.long());
        }
        if first.first_of_year() == last.first_of_year() {
            return format!("{} – {}", first.short(), last.long());
        }
        format!("{} – {}", first.long(), last.long())
    }

    /// The whole calendar months in it, and the days before and after them; `None` of what there is not.
    pub fn by_months(self) -> [Option<(Grain, Span)>; 3] {
        let stretch = |grain, first: Day, after: Day| {
            (first < after).then(|| (grain, Span { first, last: after.back(1) }))
        };
        let after = self.last.next();
        let is_first = self.first == self.first.first_of_month();
        let months = if is_first { self.first } else { self.first.first_of_next_month() };
        let rest = after.first_of_month();
        if months >= rest {
            return [stretch(Grain::Day, self.first, after), None, None];
        }
        [
            stretch(Grain::Day, self.first, months),
            stretch(Grain::Month, months, rest),
            stretch(Grain::Day, rest, after),
        ]
    }
}

/// What the days of a report are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Local hours.
    Hour,
    /// Days.
    Day,
    /// Calendar months.
    Month,
}

impl Grain {
    /// The finest first.
    pub const ALL: [Grain; 3] = [Grain::Hour, Grain::Day, Grain::Month];

    /// The word in an address and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Grain::Hour => "hour",
            Grain::Day => "day",
            Grain::Month => "month",
        }
    }

    /// What pages call it.
    pub const fn label(self) -> &'static str {
        match self {
            Grain::Hour => "Hour",
            Grain::Day => "Day",
            Grain::Month => "Month",
        }
    }

    /// Reads the word that [`Grain::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Grain::ALL.into_iter().find(|grain| grain.as_str() == text)
    }

    /// Whether a report of these days can be by it.
    pub fn fits(self, span: Span) -> bool {
        let days = span.days().take(MAX_DAILY_DAYS + 1).count();
        match self {
            Grain::Hour => days <= MAX_HOURLY_DAYS,
            Grain::Day => days <= MAX_DAILY_DAYS,
            Grain::Month => true,
        }
    }

    /// What suits these days when nothing was chosen: `hours` says whether there are any.
    pub fn usual(span: Span, hours: bool) -> Grain {
        match span.days().take(93).count() {
            ..=2 if hours => Grain::Hour,
            ..=92 => Grain::Day,
            _ => Grain::Month,
        }
    }

    /// The names of its buckets in these days, the oldest first: `2026-11-28T13`, `2026-11-28` or `2026-11`.
    pub fn buckets(self, span: Span) -> Vec<String> {
        match self {
            Grain::Hour => {
                span.days().flat_map(|day| (0..24).map(move |hour| format!("{day}T{hour:02}"))).collect()
            }
            Grain::Day => span.days().map(|day| day.to_string()).collect(),
            Grain::Month => {
                let next = |day: &Day| Some(day.first_of_next_month()).filter(|day| *day <= span.last);
                let firsts = std::iter::successors(Some(span.first.first_of_month()), next);
                firsts.map(|first| first.month_name()).collect()
            }
        }
    }

    /// The first and the last day or hour of a bucket, as far as they are among these days.
    pub fn ends(self, bucket: &str, span: Span) -> Option<(DayOrHour, DayOrHour)> {
        match self {
            Grain::Hour | Grain::Day => DayOrHour::parse(bucket).map(|at| (at, at)),
            Grain::Month => {
                let first = Day::parse(&format!("{bucket}-01"))?;
                let last = first.first_of_next_month().back(1);
                Some((first.max(span.first).into(), last.min(span.last).into()))
            }
        }
    }

    /// A bucket's name in words: for an axis, and whole.
    pub fn words(self, bucket: &str) -> (String, String) {
        let day = |text: &str| Day::parse(text.get(..10).unwrap_or_default());
        match self {
            Grain::Hour => {
                let hour = format!("{}:00", bucket.get(11..).unwrap_or_default());
                match day(bucket) {
                    Some(day) => (format!("{} {hour}", day.short()), format!("{} {hour}", day.long())),
                    None => (bucket.to_owned(), bucket.to_owned()),
                }
            }
            Grain::Day => day(bucket)
                .map_or_else(|| (bucket.to_owned(), bucket.to_owned()), |day| (day.short(), day.long())),
            Grain::Month => match Day::parse(&format!("{bucket}-01")) {
                Some(first) => (first.month_words(), first.month_words()),
                None => (bucket.to_owned(), bucket.to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    fn span(first: &str, last: &str) -> Span {
        Span { first: day(first), last: day(last) }
    }

    #[test]
    fn a_preset_is_days_around_today_and_is_compared_with_as_many_before() {
        for (preset, today, of, before) in [
            (Preset::Today, "2026-03-01", ("2026-03-01", "2026-03-01"), ("2026-02-28", "2026-02-28")),
            (Preset::Yesterday, "2026-01-01", ("2025-12-31", "2025-12-31"), ("2025-12-30", "2025-12-30")),
            (Preset::SevenDays, "2028-03-02", ("2028-02-25", "2028-03-02"), ("2028-02-18", "2028-02-24")),
            (Preset::ThirtyDays, "2026-11-28", ("2026-10-30", "2026-11-28"), ("2026-09-30", "2026-10-29")),
            (Preset::ThisMonth, "2026-11-28", ("2026-11-01", "2026-11-28"), ("2026-10-01", "2026-10-28")),
            // The month before is shorter.
            (Preset::ThisMonth, "2026-03-31", ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
            (Preset::ThisMonth, "2026-01-15", ("2026-01-01", "2026-01-15"), ("2025-12-01", "2025-12-15")),
            (Preset::LastMonth, "2028-03-31", ("2028-02-01", "2028-02-29"), ("2028-01-01", "2028-01-31")),
            (Preset::ThisYear, "2028-02-29", ("2028-01-01", "2028-02-29"), ("2027-01-01", "2027-02-28")),
        ] {
            let got = preset.span(day(today), None, None);
            assert_eq!(got, span(of.0, of.1), "{preset:?} on {today}");
            assert_eq!(preset.before(got), span(before.0, before.1), "before {preset:?} on {today}");
            assert_eq!(Preset::parse(preset.as_str()), Some(preset));
        }
    }

    #[test]
    fn ones_own_days_may_come_in_any_order_and_one_may_be_missing() {
        let today = day("2026-11-28");
        let own =
            |from: Option<&str>, to: Option<&str>| Preset::Custom.span(today, from.map(day), to.map(day));
        assert_eq!(own(Some("2026-11-05"), Some("2026-11-02")), span("2026-11-02", "2026-11-05"));
        assert_eq!(own(None, Some("2026-10-09")), span("2026-10-01", "2026-10-09"));
        assert_eq!(own(Some("2026-10-09"), None), span("2026-10-09", "2026-11-28"));
        assert_eq!(own(Some("2027-01-05"), None), span("2027-01-05", "2027-01-05"));
        assert_eq!(own(Some("0001-01-01"), None).days().count(), 3_653);
    }

    #[test]
    fn days_are_said_as_briefly_as_is_clear() {
        assert_eq!(span("2026-11-28", "2026-11-28").words(), "28 Nov 2026");
        assert_eq!(span("2026-11-01", "2026-11-28").words(), "1–28 Nov 2026");
        assert_eq!(span("2026-10-25", "2026-11-03").words(), "25 Oct – 3 Nov 2026");
        assert_eq!(span("2025-12-20", "2026-01-03").words(), "20 Dec 2025 – 3 Jan 2026");
    }

    #[test]
    fn a_grain_has_a_bucket_for_each_hour_day_or_month() {
        let days = span("2026-10-25", "2026-11-01");
        assert_eq!(Grain::Hour.buckets(days).len(), 8 * 24);
        assert_eq!(Grain::Hour.buckets(days)[25], "2026-10-26T01");
        assert_eq!(Grain::Day.buckets(days)[7], "2026-11-01");
        assert_eq!(Grain::Month.buckets(days), ["2026-10", "2026-11"]);
        assert_eq!(Grain::Hour.words("2026-10-26T01"), ("26 Oct 01:00".into(), "26 Oct 2026 01:00".into()));
        assert_eq!(Grain::Day.words("2026-10-26"), ("26 Oct".into(), "26 Oct 2026".into()));
        assert_eq!(Grain::Month.words("2026-10"), ("Oct 2026".into(), "Oct 2026".into()));
        assert!(
            Grain::Hour.fits(span("2026-11-01", "2026-11-14"))
                && !Grain::Hour.fits(span("2026-11-01", "2026-11-15"))
        );
        assert!(!Grain::Day.fits(span("2024-11-01", "2026-11-15")));
        let ends =
            |grain: Grain, bucket| grain.ends(bucket, days).map(|(first, last)| format!("{first} {last}"));
        assert_eq!(ends(Grain::Hour, "2026-10-26T01").unwrap(), "2026-10-26T01 2026-10-26T01");
        assert_eq!(ends(Grain::Day, "2026-10-26").unwrap(), "2026-10-26 2026-10-26");
        assert_eq!(ends(Grain::Month, "2026-10").unwrap(), "2026-10-25 2026-10-31");
        assert_eq!(Grain::usual(span("2026-11-01", "2026-11-02"), true), Grain::Hour);
        assert_eq!(Grain::usual(span("2026-11-01", "2026-11-02"), false), Grain::Day);
        assert_eq!(Grain::usual(span("2026-01-01", "2026-11-02"), true), Grain::Month);
    }

    proptest! {
        #[test]
        fn what_came_before_ends_before_it_begins(n in 0..40_000_u32, preset in prop::sample::select(&Preset::NAMED[..])) {
            let today = day("1980-01-01").forward(n);
            let span = preset.span(today, None, None);
            let before = preset.before(span);
            prop_assert!(before.first <= before.last && before.last < span.first && span.last <= today);
            let parts: Vec<_> = span.by_months().into_iter().flatten().collect();
            prop_assert_eq!(
                parts.iter().flat_map(|(_, part)| part.days()).collect::<Vec<_>>(),
                span.days().collect::<Vec<_>>()
            );
            let whole = Grain::Month.buckets(span).into_iter().filter(|month| {
                let first = day(&format!("{month}-01"));
                span.first <= first && first.first_of_next_month().back(1) <= span.last
            });
            let months = parts.iter().filter(|(grain, _)| *grain == Grain::Month);
            prop_assert_eq!(
                months.flat_map(|(grain, part)| grain.buckets(*part)).collect::<Vec<_>>(),
                whole.collect::<Vec<_>>()
            );
        }
    }
}
