//! What stops requests next: of all limits, the expiry and the rotation of a key, a team or an organisation, what comes first
//! in time. Money is taken to be spent at the present rate, so its moment is an estimate, and is said as one.
//!
//! Admission gives the limits, the store the days; pages and programs show the result. It looks nothing up and counts nothing.

use super::limit_use::{HolderKind, LimitUse, Limited};
use super::moment::{Moment, Zone};
use super::money::Money;
use super::numbers::grouped;
use super::window::Period;

const DAY_MS: i64 = 86_400_000;
/// How many days, with today, the present rate is taken from.
pub const PACE_DAYS: i64 = 7;
/// What would take longer than this is not foreseen.
const MAX_AHEAD_MS: i64 = 366 * DAY_MS;

/// How fast each of those spends whose limits apply, in nano-dollars per day; zero is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paces {
    /// The key's own requests.
    pub key: i64,
    /// Those of all keys of the team.
    pub team: i64,
    /// Those of all keys of the organisation.
    pub org: i64,
}

impl Paces {
    /// That of one of them.
    pub fn of(&self, holder: HolderKind) -> i64 {
        match holder {
            HolderKind::Key => self.key,
            HolderKind::Team => self.team,
            HolderKind::Org => self.org,
        }
    }
}

/// Nano-dollars per day: what was spent on average since the first of these days with any spend, or today's if that is more.
/// `days` are starts of days with what was spent in them; `today` is the start of the last one.
pub fn pace(days: &[(Moment, i64)], today: Moment) -> i64 {
    let spent = || days.iter().filter(|(_, spent)| *spent > 0);
    let Some(first) = spent().map(|(start, _)| *start).min() else { return 0 };
    // A day may have 23 or 25 hours.
    let count = (today.ms().saturating_sub(first.ms()) + DAY_MS / 2) / DAY_MS + 1;
    let sum = spent().fold(0_i64, |sum, (_, spent)| sum.saturating_add(*spent));
    let of_today = spent().find(|(start, _)| *start == today).map_or(0, |(_, spent)| *spent);
    (sum / count.max(1)).max(of_today)
}

/// Moments at which a key changes by itself, whatever it spends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// When it expires.
    pub expires_at: Option<Moment>,
    /// When its secret is due for rotation. That stops no request, and what is due already is said elsewhere.
    pub rotation_due: Option<Moment>,
    /// When the secret that is asked with ends, because a rotation replaced it.
    pub secret_ends: Option<Moment>,
}

/// A part of a budget that was granted for a time, and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantEnd {
    /// Whose budget it is.
    pub holder: HolderKind,
    /// Which of its budgets.
    pub period: Period,
    /// Nano-dollars.
    pub amount: i64,
    /// From then on the budget has so much less.
    pub at: Moment,
}

/// What it is that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A limit is reached.
    Limit(LimitUse),
    /// The key expires.
    Expiry,
    /// The key's secret is due for rotation; requests go on.
    Rotation,
    /// The secret that a rotation replaced ends.
    SecretEnd,
}

/// One thing that comes, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStop {
    /// What it is.
    pub cause: Cause,
    /// When it comes; the present moment where it is reached. `None`: not within a year at the present rate.
    pub at: Option<Moment>,
    /// Whether `at` follows from the present rate.
    pub is_estimate: bool,
}

/// Everything that can stop requests, what comes first in time first. What does not come at the present rate is last, the
/// budget that is used most before the others. Requests and tokens per minute and concurrent requests are among them only
/// while they are used up. `grants` are those of these limits that end after `now`, the first one first.
pub fn stops(
    limits: &[LimitUse],
    paces: Paces,
    ends: Ends,
    grants: &[GrantEnd],
    now: Moment,
    zone: &Zone,
) -> Vec<NextStop> {
    let of_limits = limits.iter().filter_map(|limit| {
        let is_its =
            |grant: &&GrantEnd| grant.holder == limit.holder && limit.what == Limited::Budget(grant.period);
        let grants: Vec<GrantEnd> = grants.iter().filter(is_its).copied().collect();
        of_limit(limit, paces.of(limit.holder), &grants, now, zone)
    });
    let moment = |cause, at: Option<Moment>| {
        let at = at.filter(|at| *at > now)?;
        Some(NextStop { cause, at: Some(at), is_estimate: false })
    };
    let moments = [
        moment(Cause::SecretEnd, ends.secret_ends),
        moment(Cause::Expiry, ends.expires_at),
        moment(Cause::Rotation, ends.rotation_due),
    ];
    let mut all: Vec<NextStop> = of_limits.chain(moments.into_iter().flatten()).collect();
    all.sort_by_key(|stop| (stop.at.map_or(i64::MAX, Moment::ms), -stop.used_percent(), stop.left()));
    all
}

fn of_limit(limit: &LimitUse, pace: i64, grants: &[GrantEnd], now: Moment, zone: &Zone) -> Option<NextStop> {
    let left = limit.remaining();
    let reached = NextStop { cause: Cause::Limit(limit.clone()), at: Some(now), is_estimate: false };
    if left == 0 {
        return Some(reached);
    }
    let period = match limit.what {
        Limited::Budget(period) => Some(period),
        Limited::Balance => None,
        Limited::Requests | Limited::Tokens | Limited::Concurrent => return None,
    };
    let in_next_window = || {
        let (reset, period) = (limit.resets_at?, period?);
        let ended = grants.partition_point(|grant| grant.at <= reset);
        let gone = grants[..ended].iter().fold(0_i64, |sum, grant| sum.saturating_add(grant.amount));
        let whole = limit.max.saturating_sub(gone);
        used_up(whole, pace, &grants[ended..], reset, period.window(reset, zone).end)
    };
    let at = used_up(left, pace, grants, now, limit.resets_at).or_else(in_next_window);
    Some(NextStop { at, is_estimate: at.is_some(), ..reached })
}

/// When nothing is left, between `from` and `until`: because it is spent, or because what remains of it was granted for a time.
fn used_up(left: i64, pace: i64, grants: &[GrantEnd], from: Moment, until: Option<Moment>) -> Option<Moment> {
    let is_within = |at: &Moment| until.is_none_or(|until| *at < until);
    let mut less = 0_i64;
    for grant in grants.iter().filter(|grant| is_within(&grant.at)) {
        if let Some(at) = reached_at(left.saturating_sub(less), pace, from).filter(|at| *at < grant.at) {
            return Some(at);
        }
        less = less.saturating_add(grant.amount);
        let ms = i128::from(grant.at.ms().saturating_sub(from.ms()));
        let spent = i128::from(pace.max(0)) * ms / i128::from(DAY_MS);
        if spent >= i128::from(left.saturating_sub(less)) {
            return Some(grant.at);
        }
    }
    reached_at(left.saturating_sub(less), pace, from).filter(is_within)
}

/// When so many nano-dollars are spent, beginning at `from`.
fn reached_at(left: i64, pace: i64, from: Moment) -> Option<Moment> {
    if pace <= 0 {
        return None;
    }
    let ms = i128::from(left) * i128::from(DAY_MS) / i128::from(pace);
    let ms = i64::try_from(ms).ok().filter(|ms| *ms <= MAX_AHEAD_MS)?;
    Some(from.plus_ms(ms))
}

impl NextStop {
    /// The limit, where it is one.
    pub fn limit(&self) -> Option<&LimitUse> {
        match &self.cause {
            Cause::Limit(limit) => Some(limit),
            Cause::Expiry | Cause::Rotation | Cause::SecretEnd => None,
        }
    }

    /// Whether requests are rejected when it comes.
    pub fn stops_requests(&self) -> bool {
        self.cause != Cause::Rotation
    }

    fn left(&self) -> i64 {
        self.limit().map_or(0, LimitUse::remaining)
    }

    fn used_percent(&self) -> i64 {
        self.limit().map_or(0, |limit| {
            let used = limit.used.saturating_add(limit.reserved);
            Money::from_nanos(used).percent_of(Money::from_nanos(limit.max))
        })
    }

    /// In one line, as the page of a `seen_by` says it: its own limits need no name there.
    pub fn sentence(&self, seen_by: HolderKind, now: Moment, zone: &Zone) -> String {
        let at = self.at.unwrap_or(now);
        match &self.cause {
            Cause::Expiry => match at.relative(now, zone) {
                span if span.starts_with("in ") => {
                    format!("Stops {span} (expires {}).", close(at, now, zone))
                }
                _ => format!("Expires {}.", at.date_time(zone)),
            },
            Cause::SecretEnd => format!("This secret stops {}.", close(at, now, zone)),
            Cause::Rotation => format!("Due for rotation {}.", at.relative(now, zone)),
            Cause::Limit(limit) => {
                let whose = whose(limit, seen_by);
                let resets = resets(limit, now, zone);
                match (limit_words(limit, &whose), self.at) {
                    ((_, reached), Some(at)) if at <= now => format!("{reached}{resets}"),
                    ((left, _), Some(at)) => {
                        let span = match at.relative(now, zone) {
                            span if span.starts_with("in ") => format!(" {span}"),
                            _ => String::new(),
                        };
                        format!(
                            "Used up{span} at the present rate, about {}: {left}{resets}",
                            close(at, now, zone)
                        )
                    }
                    ((left, _), None) => format!("{left}{resets}"),
                }
            }
        }
    }
}

/// "the organisation’s ", or nothing for one's own.
fn whose(limit: &LimitUse, seen_by: HolderKind) -> String {
    match limit.holder {
        holder if holder == seen_by => String::new(),
        HolderKind::Key => "the key’s ".into(),
        HolderKind::Team => format!("{}’s ", limit.holder_name),
        HolderKind::Org => "the organisation’s ".into(),
    }
}

/// What is left of it, and that all of it is used.
fn limit_words(limit: &LimitUse, whose: &str) -> (String, String) {
    let dollars = |nanos| Money::from_nanos(nanos).to_string();
    let (left, max) = (dollars(limit.remaining()), dollars(limit.max));
    let used_up = |when: &str| format!("All of {whose}{max}{when} is used.");
    match limit.what {
        Limited::Budget(period) => {
            let when = match period {
                Period::Month => " this month",
                Period::Week => " this week",
                Period::Day => " today",
                Period::Total => " in total",
            };
            (format!("{left} of {whose}{max} left{when}."), used_up(when))
        }
        Limited::Balance => {
            (format!("{left} of the balance left."), "Nothing is left of the organisation’s balance.".into())
        }
        Limited::Requests | Limited::Tokens | Limited::Concurrent => {
            let unit = match limit.what {
                Limited::Requests => "requests per minute",
                Limited::Tokens => "tokens per minute",
                _ => "concurrent requests",
            };
            let words = format!("{}{} {unit}", whose, grouped(limit.max));
            (format!("{words}."), format!("All of {words} are in use."))
        }
    }
}

fn resets(limit: &LimitUse, now: Moment, zone: &Zone) -> String {
    match (limit.what, limit.resets_at) {
        (Limited::Budget(period), Some(_)) => {
            period.window(now, zone).resets(zone).map(|at| format!(" Resets {at}.")).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// `Tue 14:00` within a week, and otherwise the date.
fn close(at: Moment, now: Moment, zone: &Zone) -> String {
    if at.ms() - now.ms() < 6 * DAY_MS { at.weekday_time(zone) } else { at.date(zone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOLLAR: i64 = 1_000_000_000;

    fn at(text: &str) -> Moment {
        Moment::parse_utc(text).unwrap()
    }

    fn now() -> Moment {
        // A Friday; Monday is in three days, December in eleven.
        at("2026-11-20T12:00:00Z")
    }

    fn limit(holder: HolderKind, what: Limited, max: i64, used: i64) -> LimitUse {
        let resets_at = match what {
            Limited::Budget(period) => period.window(now(), &Zone::utc()).end,
            _ => None,
        };
        let holder_name = "Research".into();
        LimitUse {
            holder,
            holder_name,
            what,
            max,
            used,
            reserved: 0,
            requested: 0,
            worst_remaining: None,
            resets_at,
        }
    }

    fn budget(holder: HolderKind, period: Period, max: i64, used: i64) -> LimitUse {
        limit(holder, Limited::Budget(period), max * DOLLAR, used * DOLLAR)
    }

    fn first(limits: &[LimitUse], paces: Paces, ends: Ends) -> String {
        let stops = stops(limits, paces, ends, &[], now(), &Zone::utc());
        stops[0].sentence(HolderKind::Key, now(), &Zone::utc())
    }

    #[test]
    fn what_comes_first_in_time_is_the_next_stop() {
        use HolderKind as H;
        let paces = Paces { key: 4 * DOLLAR, team: 10 * DOLLAR, org: 40 * DOLLAR };
        let month = budget(H::Key, Period::Month, 50, 30);
        let expires = |text| Ends { expires_at: Some(at(text)), ..Ends::default() };
        let day_of = |max, used| budget(H::Key, Period::Day, max, used);
        let cases: Vec<(Vec<LimitUse>, Ends, &str)> = vec![
            (
                vec![month.clone()],
                Ends::default(),
                "Used up in 5 days at the present rate, about Wed 12:00: $20.00 of $50.00 left this month. Resets 1 Dec 00:00.",
            ),
            (vec![month.clone()], expires("2026-11-20T16:30:00Z"), "Stops in 4 h (expires Fri 16:30)."),
            (
                vec![month.clone()],
                expires("2027-02-04T10:00:00Z"),
                "Used up in 5 days at the present rate, about Wed 12:00: $20.00 of $50.00 left this month. Resets 1 Dec 00:00.",
            ),
            (
                vec![month.clone(), budget(H::Team, Period::Total, 60, 50)],
                Ends::default(),
                "Used up in 1 day at the present rate, about Sat 12:00: $10.00 of Research’s $60.00 left in total.",
            ),
            (
                vec![month.clone(), limit(H::Org, Limited::Balance, 100 * DOLLAR, 80 * DOLLAR)],
                Ends::default(),
                "Used up in 12 h at the present rate, about Sat 00:00: $20.00 of the balance left.",
            ),
            // It resets before it is reached, and so does the next one.
            (vec![day_of(10, 1)], Ends::default(), "$9.00 of $10.00 left today. Resets Sat 00:00."),
            // Not any more today, and tomorrow it is.
            (
                vec![day_of(3, 0)],
                Ends::default(),
                "Used up in 1 day at the present rate, about Sat 18:00: $3.00 of $3.00 left today. Resets Sat 00:00.",
            ),
            (
                vec![month.clone(), limit(H::Key, Limited::Requests, 60, 60)],
                expires("2026-11-20T16:30:00Z"),
                "All of 60 requests per minute are in use.",
            ),
            (
                vec![month.clone(), limit(H::Key, Limited::Requests, 60, 59)],
                expires("2026-11-20T16:30:00Z"),
                "Stops in 4 h (expires Fri 16:30).",
            ),
            (
                vec![budget(H::Org, Period::Month, 50, 50)],
                Ends::default(),
                "All of the organisation’s $50.00 this month is used. Resets 1 Dec 00:00.",
            ),
            (
                vec![month.clone()],
                Ends { rotation_due: Some(at("2026-11-22T12:00:00Z")), ..Ends::default() },
                "Due for rotation in 2 days.",
            ),
            // What is past says nothing about what comes.
            (
                vec![],
                Ends { rotation_due: Some(at("2026-11-01T12:00:00Z")), ..expires("2027-02-04T10:00:00Z") },
                "Expires 4 Feb 2027 10:00.",
            ),
        ];
        for (limits, ends, words) in cases {
            assert_eq!(first(&limits, paces, ends), words);
        }
    }

    #[test]
    fn what_was_granted_for_a_time_is_gone_when_that_ends() {
        // $20 are left, of which $15 until Sunday noon; then all is spent but for the grant's.
        let month = budget(HolderKind::Key, Period::Month, 65, 45);
        let granted = |amount: i64, until: &str| GrantEnd {
            holder: HolderKind::Key,
            period: Period::Month,
            amount: amount * DOLLAR,
            at: at(until),
        };
        let reached = |pace: i64, grants: &[GrantEnd]| {
            let paces = Paces { key: pace * DOLLAR, ..Paces::default() };
            stops(std::slice::from_ref(&month), paces, Ends::default(), grants, now(), &Zone::utc())[0].at
        };
        let sunday = granted(15, "2026-11-22T12:00:00Z");
        assert_eq!(reached(1, &[]), None, "it resets before");
        assert_eq!(reached(4, &[]), Some(at("2026-11-25T12:00:00Z")));
        assert_eq!(reached(4, &[sunday]), Some(at("2026-11-22T12:00:00Z")), "$12 are left then, and $15 go");
        assert_eq!(reached(40, &[sunday]), Some(at("2026-11-21T00:00:00Z")), "spent before it ends");
        assert_eq!(reached(1, &[sunday]), Some(at("2026-11-25T12:00:00Z")), "$5 without it");
        assert_eq!(reached(0, &[granted(30, "2026-11-22T12:00:00Z")]), Some(at("2026-11-22T12:00:00Z")));
        let other = GrantEnd { holder: HolderKind::Team, ..sunday };
        assert_eq!(reached(4, &[other]), Some(at("2026-11-25T12:00:00Z")));
        // The next window has what is granted longer, and not what ended before it.
        let december = granted(60, "2026-12-05T00:00:00Z");
        assert_eq!(
            reached(1, &[december]),
            Some(at("2026-12-06T00:00:00Z")),
            "$5 are left of the budget itself"
        );
    }

    #[test]
    fn without_spend_the_fullest_budget_is_told_and_no_moment() {
        let limits =
            [budget(HolderKind::Key, Period::Month, 50, 30), budget(HolderKind::Org, Period::Total, 100, 90)];
        let stops = stops(&limits, Paces::default(), Ends::default(), &[], now(), &Zone::utc());
        assert_eq!(stops.iter().map(|stop| stop.at).collect::<Vec<_>>(), [None, None]);
        let words = stops[0].sentence(HolderKind::Team, now(), &Zone::utc());
        assert_eq!(words, "$10.00 of the organisation’s $100.00 left in total.");
        assert_eq!(super::stops(&[], Paces::default(), Ends::default(), &[], now(), &Zone::utc()), []);
    }

    #[test]
    fn the_pace_is_the_average_since_the_first_day_or_todays_if_that_is_more() {
        let today = at("2026-11-20T00:00:00Z");
        let day = |back: i64, spent: i64| (today.plus_days(-back), spent);
        for (days, per_day) in [
            (vec![], 0),
            (vec![day(6, 0), day(0, 0)], 0),
            (vec![day(6, 70), day(0, 0)], 10),
            (vec![day(1, 20), day(0, 10)], 15),
            (vec![day(6, 70), day(0, 30)], 30),
            (vec![day(0, 5)], 5),
        ] {
            assert_eq!(pace(&days, today), per_day, "{days:?}");
        }
    }

    #[test]
    fn what_takes_longer_than_a_year_is_not_foreseen_and_nothing_overflows() {
        assert_eq!(reached_at(i64::MAX, 1, now()), None);
        assert_eq!(reached_at(367 * DOLLAR, DOLLAR, now()), None);
        assert_eq!(reached_at(DOLLAR, i64::MAX, now()), Some(now()));
        assert_eq!(reached_at(DOLLAR, 0, now()), None);
    }
}
