//! Re-rating: charging past requests of a model at another price, from the meters that their rows keep.

use super::ids::{KeyId, PersonId, PriceId, RequestId, TeamId};
use super::meter::{Counts, Metered};
use super::moment::{Day, Moment, Zone};
use super::money::Money;
use super::parse_error::ParseError;
use super::price::Price;
use super::window::Period;

/// A settled request, as far as money goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargedRequest {
    /// Its id.
    pub id: RequestId,
    /// The key's id.
    pub key: KeyId,
    /// The team's id; `None` for a key without a team.
    pub team: Option<TeamId>,
    /// The key's owner at that time.
    pub owner: PersonId,
    /// When it was reserved.
    pub started_at: Moment,
    /// The hour that it is counted in, `2026-11-28T13`; empty when that is not filled in yet.
    pub booked: String,
    /// The name of the model's provider at that time.
    pub provider: String,
    /// What it named itself.
    pub tags: Vec<String>,
    /// What it used; where its row has no meters, its totals.
    pub metered: Metered,
    /// Whether its row has meters.
    pub has_meters: bool,
    /// What it is charged.
    pub cost: Money,
    /// The price that it is paid at, where it names one.
    pub price: Option<PriceId>,
    /// Whether everything that was used had a price.
    pub is_priced: bool,
}

/// What a re-rating changes about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// As it was before.
    pub request: ChargedRequest,
    /// What it is charged from now on.
    pub cost: Money,
    /// Whether everything that was used has a price there.
    pub is_priced: bool,
}

impl ChargedRequest {
    /// Whether its charge follows from what it used: it names a price, was free because there was none, or is from before
    /// meters were kept. The cost of any other was calculated elsewhere, or is what was reserved for it, and stays.
    fn is_by_meters(&self) -> bool {
        let had_no_price = !self.is_priced && self.cost == Money::ZERO;
        self.price.is_some() || had_no_price || !self.has_meters
    }

    /// What changes when it is paid at this price; `None` when nothing does.
    pub fn corrected(self, price: &Price) -> Option<Correction> {
        if self.metered.counts == Counts::NONE || !self.is_by_meters() {
            return None;
        }
        let cost = price.tariff.cost(&self.metered);
        let same = (self.cost, self.is_priced, self.price.as_ref())
            == (cost.amount, cost.is_priced, Some(&price.id));
        (!same).then_some(Correction { request: self, cost: cost.amount, is_priced: cost.is_priced })
    }
}

/// Which requests are re-rated, and at which price.
#[derive(Clone, Debug)]
pub struct Rerating {
    /// The model's id in the catalogue.
    pub model: String,
    /// Those that started from this moment on.
    pub from: Moment,
    /// Those that started before this moment.
    pub to: Moment,
    /// What they are to cost.
    pub price: Price,
}

/// What a re-rating comes to in one organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests whose cost, price or mark changes.
    pub requests: i64,
    /// What they are charged before it.
    pub before: Money,
    /// What they are charged after it.
    pub after: Money,
    /// Those among them that have only their totals of input, cached and output tokens.
    pub without_meters: i64,
    /// Those among them that used something for which the price has no figure.
    pub not_priced: i64,
}

impl Totals {
    /// Counts one correction.
    pub fn add(&mut self, correction: &Correction) {
        self.requests += 1;
        self.before = self.before.saturating_add(correction.request.cost);
        self.after = self.after.saturating_add(correction.cost);
        self.without_meters += i64::from(!correction.request.has_meters);
        self.not_priced += i64::from(!correction.is_priced);
    }
}

impl Totals {
    /// By how much, in words: `$3.5 less`.
    pub fn difference(&self) -> String {
        match self.after.saturating_sub(self.before) {
            Money::ZERO => "the same".to_owned(),
            by if by < Money::ZERO => format!("{} less", Money::ZERO.saturating_sub(by).exact()),
            by => format!("{} more", by.exact()),
        }
    }
}

/// A budget, or a balance, that a re-rating moves over its limit or back under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetTurn {
    /// Whose: `key ci-prod`, `team Data`, or the organisation's name.
    pub whose: String,
    /// Which budget; `None` is the balance.
    pub period: Option<Period>,
    /// The limit; for a balance what the ledger comes to.
    pub limit: Money,
    /// Spent of it before the re-rating.
    pub before: Money,
    /// Spent of it afterwards.
    pub after: Money,
}

impl BudgetTurn {
    /// Whether requests stop at it afterwards; otherwise they did before.
    pub fn is_exceeded(&self) -> bool {
        self.after >= self.limit
    }

    /// `key ci-prod, budget of $10 per day: $9 becomes $11, used up, so requests are rejected`
    pub fn words(&self) -> String {
        let Self { whose, period, limit, before, after } = self;
        let what = match period {
            Some(period) => format!("{whose}, budget of {} {}", limit.exact(), period.label()),
            None => format!("{whose}, balance of {} before spend", limit.exact()),
        };
        let then = match self.is_exceeded() {
            true => "used up, so requests are rejected",
            false => "no longer used up, so requests are allowed again",
        };
        format!("{what}: {} becomes {}, {then}", before.exact(), after.exact())
    }

    /// Whether requests stop at it either before or after, and not both.
    pub fn turns(&self) -> bool {
        (self.before >= self.limit) != self.is_exceeded()
    }
}

/// The first moment of a period: a day, or a moment, in UTC.
///
/// # Errors
/// When it is neither.
pub fn parse_from(text: &str) -> Result<Moment, ParseError> {
    let day = Day::parse(text).map(|day| day.start(&Zone::utc()));
    day.or_else(|| Moment::parse_utc(text)).ok_or_else(no_moment)
}

/// The end of a period: a day, which is included, or a moment, which is not; in UTC.
///
/// # Errors
/// When it is neither.
pub fn parse_to(text: &str) -> Result<Moment, ParseError> {
    let day = Day::parse(text).map(|day| day.end(&Zone::utc()));
    day.or_else(|| Moment::parse_utc(text)).ok_or_else(no_moment)
}

fn no_moment() -> ParseError {
    ParseError::new("Enter a day such as 2026-11-20, or a moment such as 2026-11-20T13:00:00Z.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::meter::Meter;
    use crate::domain::tariff::Tariff;

    fn price(tariff: &str) -> Price {
        let tariff: Tariff = serde_json::from_str(tariff).unwrap();
        Price { id: PriceId::new(Moment::from_ms(1), [7; 10]), ..Price::unrecorded(tariff) }
    }

    fn request(price: Option<PriceId>, is_priced: bool, has_meters: bool) -> ChargedRequest {
        let at = Moment::from_ms(1);
        ChargedRequest {
            id: RequestId::new(at, [1; 10]),
            key: KeyId::new(at, [1; 10]),
            team: None,
            owner: PersonId::new(at, [1; 10]),
            started_at: at,
            booked: "1970-01-01T00".into(),
            provider: String::new(),
            tags: Vec::new(),
            metered: Counts::of_totals(1_000, 0, 10).into(),
            has_meters,
            cost: Money::from_nanos(5),
            price,
            is_priced,
        }
    }

    #[test]
    fn what_is_charged_by_its_meters_is_corrected_once() {
        let right = price(r#"{"input":"2","output":"10"}"#);
        let wrong = Some(PriceId::new(Moment::from_ms(1), [1; 10]));
        let free = ChargedRequest { cost: Money::ZERO, ..request(None, false, true) };
        for request in [request(wrong, true, true), free, request(None, true, false)] {
            let correction = request.clone().corrected(&right).unwrap();
            assert_eq!((correction.cost.nanos(), correction.is_priced), (2_100_000, true));
            let price = Some(right.id.clone());
            let again = ChargedRequest { cost: correction.cost, is_priced: true, price, ..request };
            assert_eq!(again.corrected(&right), None);
        }
    }

    #[test]
    fn what_was_calculated_elsewhere_or_used_nothing_stays() {
        let right = price(r#"{"input":"2","output":"10"}"#);
        assert_eq!(request(None, true, true).corrected(&right), None);
        // Charged what was reserved, with something in it that had no price.
        assert_eq!(request(None, false, true).corrected(&right), None);
        let nothing = ChargedRequest { metered: Metered::default(), ..request(None, false, true) };
        assert_eq!(nothing.corrected(&right), None);
    }

    #[test]
    fn what_the_right_price_does_not_have_stays_marked() {
        let wrong = Some(PriceId::new(Moment::from_ms(1), [1; 10]));
        let mut request = request(wrong, false, true);
        request.metered.counts.set(Meter::Searches, 2);
        let correction = request.corrected(&price(r#"{"input":"2","output":"10"}"#)).unwrap();
        let mut totals = Totals::default();
        totals.add(&correction);
        assert_eq!((totals.requests, totals.not_priced, totals.without_meters), (1, 1, 0));
        assert_eq!((totals.before.nanos(), totals.after.nanos()), (5, 2_100_000));
    }

    #[test]
    fn a_day_is_whole_and_a_moment_is_a_moment() {
        let noon = Moment::parse_utc("2026-11-20T12:00:00Z").unwrap();
        assert_eq!(parse_from("2026-11-20").unwrap(), noon.plus_ms(-43_200_000));
        assert_eq!(parse_to("2026-11-20").unwrap(), noon.plus_ms(43_200_000));
        assert_eq!(parse_to("2026-11-20T13:00:00+01:00").unwrap(), noon);
        assert!(parse_from("yesterday").is_err() && parse_to("2026-11-32").is_err());
    }

    #[test]
    fn a_budget_turns_when_requests_begin_or_cease_to_stop_at_it() {
        let turn = |before, after| BudgetTurn {
            whose: "key ci-prod".into(),
            period: Some(Period::Month),
            limit: Money::from_nanos(10),
            before: Money::from_nanos(before),
            after: Money::from_nanos(after),
        };
        assert!(turn(9, 10).turns() && turn(9, 10).is_exceeded());
        assert!(turn(10, 9).turns() && !turn(10, 9).is_exceeded());
        assert!(!turn(10, 11).turns() && !turn(1, 9).turns());
    }
}
