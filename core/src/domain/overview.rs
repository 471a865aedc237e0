//! What an organisation's first page tells of its spend: this month beside the last, a forecast, and who grew; and the same of
//! several organisations together. Pure sums over days of each organisation's calendar; the store reads them and the page
//! words them.

use super::ids::KeyId;
use super::moment::{Day, Moment, Zone};
use super::money::Money;
use super::window::WindowStarts;

/// How many days the chart shows, today included.
pub const CHART_DAYS: u32 = 30;
/// Full days whose mean the forecast continues.
const MEAN_DAYS: u32 = 7;
/// Yesterday's spend below which nothing is said to have grown.
pub const MIN_GROWN: Money = Money::from_nanos(1_000_000_000);
/// Weekdays that yesterday is compared with.
pub const USUAL_DAYS: u32 = 4;

/// What the chart's bars are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Teams at the time.
    #[default]
    Team,
    /// Models.
    Model,
    /// Keys.
    Key,
}

impl By {
    /// Each, in the order of the page.
    pub const ALL: [By; 3] = [By::Team, By::Model, By::Key];

    /// The word in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            By::Team => "team",
            By::Model => "model",
            By::Key => "key",
        }
    }

    /// The word of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

/// What was used in one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayUse {
    /// In the organisation's time zone.
    pub day: Day,
    /// What its requests cost.
    pub spent: Money,
    /// Settled requests.
    pub requests: i64,
}

/// The first day that the page needs to know of: of the chart, or of the last month.
pub fn first_day(today: Day) -> Day {
    today.back(CHART_DAYS - 1).min(today.first_of_month().back(1).first_of_month())
}

/// The first day of this day's month.
pub fn first_of_month(today: Day) -> Day {
    today.first_of_month()
}

/// This month and the one before, as roll-ups name them: `2026-11`.
pub fn month_names(today: Day) -> [String; 2] {
    [today, today.first_of_month().back(1)].map(|day| day.to_string().chars().take(7).collect())
}

fn days_from(first: Day) -> impl Iterator<Item = Day> {
    std::iter::successors(Some(first), |day| Some(day.next()))
}

/// The days of the chart, oldest first.
pub fn chart_days(today: Day) -> Vec<Day> {
    days_from(today.back(CHART_DAYS - 1)).take(CHART_DAYS as usize).collect()
}

/// This month beside the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthSoFar {
    /// Spent this month until now.
    pub spent: Money,
    /// Requests this month until now.
    pub requests: i64,
    /// Spent last month, to the end of the same day; to its last day where it was shorter.
    pub before: Money,
    /// Spent this month, and for each day that is left the mean of the last seven full days.
    pub forecast: Money,
}

impl MonthSoFar {
    /// `days` are those with any use since `first_day`.
    pub fn of(days: &[DayUse], today: Day) -> Self {
        let first = today.first_of_month();
        let so_far = days_from(first).take_while(|day| *day <= today).count();
        let last_first = first.back(1).first_of_month();
        let last_day = days_from(last_first).take_while(|day| *day < first).take(so_far).last();
        let sum = |from: Day, to: Day| -> Money {
            days.iter().filter(|one| one.day >= from && one.day <= to).map(|one| one.spent).sum()
        };
        let spent = sum(first, today);
        let requests = days.iter().filter(|one| one.day >= first && one.day <= today).map(|one| one.requests);
        let left = days_from(today.next()).take_while(|day| *day < today.first_of_next_month()).count();
        let recent = i128::from(sum(today.back(MEAN_DAYS), today.back(1)).nanos());
        let to_come = recent * i128::try_from(left).unwrap_or_default() / i128::from(MEAN_DAYS);
        let to_come = Money::from_nanos(i64::try_from(to_come).unwrap_or(i64::MAX));
        Self {
            spent,
            requests: requests.sum(),
            before: last_day.map_or(Money::ZERO, |last| sum(last_first, last)),
            forecast: spent.saturating_add(to_come),
        }
    }

    /// Both together, each in the months of its own calendar.
    pub fn plus(self, other: Self) -> Self {
        Self {
            spent: self.spent.saturating_add(other.spent),
            requests: self.requests.saturating_add(other.requests),
            before: self.before.saturating_add(other.before),
            forecast: self.forecast.saturating_add(other.forecast),
        }
    }
}

/// What time it is in a time zone, for sums over organisations in several of them.
#[derive(Clone, Debug)]
pub struct ZoneTime {
    /// The zone's name.
    pub zone: String,
    /// Today in it.
    pub today: Day,
    /// This month and the one before, such as `2026-11`.
    pub months: [String; 2],
    /// The windows of now.
    pub starts: WindowStarts,
    /// The starts of yesterday and of the `USUAL_DAYS` that it is compared with.
    pub yesterday: [Moment; 5],
}

impl ZoneTime {
    /// In the zone of this name, at `now`.
    pub fn at(now: Moment, name: String) -> Self {
        let zone = Zone::parse(&name).unwrap_or_else(Zone::utc);
        let today = Day::of(now, &zone);
        Self {
            zone: name,
            today,
            months: month_names(today),
            starts: WindowStarts::at(now, &zone),
            yesterday: yesterday_starts(today, &zone),
        }
    }
}

/// The starts of yesterday and of the `USUAL_DAYS` that it is compared with.
pub fn yesterday_starts(today: Day, zone: &Zone) -> [Moment; 5] {
    [0, 7, 14, 21, 28].map(|back| today.back(1 + back).start(zone))
}

/// A key, or something else that is told apart by `Id`, that spent more yesterday than it usually does on that day of the
/// week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown<Id = KeyId> {
    /// Which it is.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Spent yesterday.
    pub spent: Money,
    /// Spent in the `USUAL_DAYS` same days of the weeks before, together.
    pub usual: Money,
}

impl<Id> Grown<Id> {
    /// How many tenths of the usual it is; `None` where nothing was usual.
    fn tenths(&self) -> Option<i128> {
        let usual = i128::from(self.usual.nanos());
        (usual > 0).then(|| i128::from(self.spent.nanos()) * i128::from(USUAL_DAYS) * 10 / usual)
    }

    /// "4 × its usual Tuesday".
    pub fn words(&self, weekday: &str) -> String {
        match self.tenths() {
            None => format!("nothing on the four {weekday}s before"),
            Some(tenths) if tenths >= 100 || tenths % 10 == 0 => {
                format!("{} × its usual {weekday}", tenths / 10)
            }
            Some(tenths) => format!("{}.{} × its usual {weekday}", tenths / 10, tenths % 10),
        }
    }

    /// Those that at least doubled, with the fastest first and those that are new to the day before all; at most `limit`.
    pub fn fastest(mut all: Vec<Self>, limit: usize) -> Vec<Self> {
        all.retain(|one| one.spent >= MIN_GROWN && one.tenths().is_none_or(|tenths| tenths >= 20));
        all.sort_by_key(|one| std::cmp::Reverse((one.tenths().unwrap_or(i128::MAX), one.spent)));
        all.truncate(limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    fn dollars(dollars: i64) -> Money {
        Money::from_nanos(dollars * 1_000_000_000)
    }

    /// A dollar and two requests on each day.
    fn every_day(from: &str, to: &str) -> Vec<DayUse> {
        let used = |day| DayUse { day, spent: dollars(1), requests: 2 };
        days_from(day(from)).take_while(|one| *one <= day(to)).map(used).collect()
    }

    #[test]
    fn the_forecast_continues_the_last_seven_full_days() {
        let month = MonthSoFar::of(&every_day("2026-10-01", "2026-11-28"), day("2026-11-28"));
        assert_eq!(
            month,
            MonthSoFar { spent: dollars(28), requests: 56, before: dollars(28), forecast: dollars(30) }
        );
        // The first of a month has no full day of its own, and the last none that is left.
        let first = MonthSoFar::of(&every_day("2026-10-01", "2026-11-01"), day("2026-11-01"));
        assert_eq!((first.spent, first.before, first.forecast), (dollars(1), dollars(1), dollars(30)));
        let last = MonthSoFar::of(&every_day("2026-10-01", "2026-11-30"), day("2026-11-30"));
        assert_eq!(last.forecast, last.spent);
    }

    #[test]
    fn months_of_several_calendars_are_added_up() {
        let here = MonthSoFar::of(&every_day("2026-10-01", "2026-11-30"), day("2026-11-30"));
        // Where it is a day later, a month has begun.
        let there = MonthSoFar::of(&every_day("2026-10-01", "2026-12-01"), day("2026-12-01"));
        let both = here.plus(there);
        assert_eq!((both.spent, both.before, both.forecast), (dollars(31), dollars(31), dollars(61)));
        assert_eq!(both.requests, 62);
    }

    #[test]
    fn a_shorter_month_before_is_counted_to_its_last_day() {
        let of = |from: &str, today: &str| MonthSoFar::of(&every_day(from, today), day(today)).before;
        assert_eq!(of("2026-02-01", "2026-03-31"), dollars(28));
        assert_eq!(of("2028-02-01", "2028-03-31"), dollars(29));
        assert_eq!(of("2026-12-01", "2027-01-05"), dollars(5));
    }

    #[test]
    fn the_page_knows_the_days_of_the_chart_and_of_the_month_before() {
        assert_eq!(first_day(day("2026-11-28")), day("2026-10-01"));
        assert_eq!(first_day(day("2026-03-01")), day("2026-01-31"));
        assert_eq!(month_names(day("2027-01-31")), ["2027-01", "2026-12"]);
        let days = chart_days(day("2026-03-01"));
        assert_eq!((days.len(), days[0], days[29]), (30, day("2026-01-31"), day("2026-03-01")));
    }

    #[test]
    fn growth_is_told_in_multiples_of_the_usual_day() {
        let grown = |spent, usual| {
            let id = KeyId::new(super::super::moment::Moment::from_ms(1), [1; 10]);
            Grown { id, name: "ci".into(), spent, usual }
        };
        let words = |spent, usual| grown(spent, usual).words("Tuesday");
        assert_eq!(words(dollars(4), dollars(4)), "4 × its usual Tuesday");
        assert_eq!(words(dollars(10), dollars(16)), "2.5 × its usual Tuesday");
        assert_eq!(words(dollars(40), dollars(9)), "17 × its usual Tuesday");
        assert_eq!(words(dollars(4), Money::ZERO), "nothing on the four Tuesdays before");
        // Less than a dollar, less than twice as much, and more than are asked for.
        let cents = Money::from_nanos(990_000_000);
        let all = vec![
            grown(dollars(3), dollars(8)),
            grown(cents, Money::ZERO),
            grown(dollars(2), dollars(4)),
            grown(dollars(2), Money::ZERO),
            grown(dollars(9), dollars(4)),
        ];
        let spent: Vec<Money> = Grown::fastest(all, 2).into_iter().map(|one| one.spent).collect();
        assert_eq!(spent, [dollars(2), dollars(9)]);
    }
}
