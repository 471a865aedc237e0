//! Several providers of one model: their shares, in which order a request asks them, and what became of each attempt. Pure:
//! the caller brings the randomness and sends.

use super::ids::ProviderId;
use super::moment::Moment;
use super::parse_error::ParseError;
use super::provider_failure::ProviderFailure;

/// A request is sent so many times at most.
pub const MAX_ATTEMPTS: usize = 3;
/// After this time no further attempt begins.
pub const ATTEMPTS_WITHIN_MS: i64 = 60_000;
/// The largest share.
pub const MAX_WEIGHT: i64 = 100;
/// So many providers of one model besides the first.
pub const MAX_FURTHER: usize = 9;

/// A provider of a model besides the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FurtherProvider {
    /// The provider's id.
    pub id: ProviderId,
    /// Its share of the requests; 0 is asked only when no other one answers.
    pub weight: i64,
    /// What it calls the model; empty is the same name.
    pub upstream_name: String,
}

impl FurtherProvider {
    /// In the audit: `Azure, weight 2, as gpt-5-eu`.
    pub fn words(&self, name: &str) -> String {
        match self.upstream_name.as_str() {
            "" => format!("{name}, weight {}", self.weight),
            upstream => format!("{name}, weight {}, as {upstream}", self.weight),
        }
    }
}

/// The share of a provider.
///
/// # Errors
/// When it is no whole number from 0 to 100.
pub fn parse_weight(text: &str) -> Result<i64, ParseError> {
    let weight = text.trim().parse::<i64>().ok().filter(|weight| (0..=MAX_WEIGHT).contains(weight));
    weight.ok_or_else(|| ParseError::new("Enter a whole number from 0 to 100."))
}

/// A provider among which a request chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its share.
    pub weight: i64,
    /// It failed a moment ago.
    pub is_passed_over: bool,
}

/// The places of the candidates in the order in which a request asks them: by their shares, then those without a share,
/// and last those that failed a moment ago. `draw` gives a random number.
pub fn order(candidates: &[Candidate], mut draw: impl FnMut() -> u64) -> Vec<usize> {
    let mut ordered = Vec::with_capacity(candidates.len());
    for is_passed_over in [false, true] {
        let group = |candidate: &Candidate| candidate.is_passed_over == is_passed_over;
        let places = candidates.iter().enumerate().filter(|(_, candidate)| group(candidate));
        let (mut shared, rest): (Vec<_>, Vec<_>) = places.partition(|(_, candidate)| candidate.weight > 0);
        while !shared.is_empty() {
            let weight = |candidate: &Candidate| u64::try_from(candidate.weight).unwrap_or(0);
            let sum: u64 = shared.iter().map(|(_, candidate)| weight(candidate)).sum();
            let mut drawn = draw() % sum.max(1);
            let place = shared.iter().position(|(_, candidate)| {
                let share = weight(candidate);
                let is_it = drawn < share;
                drawn = drawn.saturating_sub(share);
                is_it
            });
            ordered.push(shared.remove(place.unwrap_or(0)).0);
        }
        ordered.extend(rest.into_iter().map(|(place, _)| place));
    }
    ordered
}

/// One time that a request was sent, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where to.
    pub provider: ProviderId,
    /// Its name at the time.
    pub provider_name: String,
    /// When it began.
    pub began_at: Moment,
    /// Until the head of the answer, or the failure, in milliseconds.
    pub latency_ms: i64,
    /// HTTP status; 0 without an answer.
    pub status: i64,
    /// What went wrong; `None` is nothing.
    pub failure: Option<ProviderFailure>,
}

impl Attempt {
    /// What it cost, in words. Only the last attempt's use is charged: a request is sent again only after an attempt that
    /// reported none.
    pub const fn cost_words(&self, is_last: bool) -> &'static str {
        match self.failure {
            _ if is_last => "Charged as above",
            Some(ProviderFailure::NoCredential | ProviderFailure::Unreachable) => "Nothing was sent",
            Some(ProviderFailure::Failed | ProviderFailure::Overloaded) => {
                "May have cost: no use was reported, and none is charged"
            }
            _ => "Refused before any work",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(of: &[(i64, bool)]) -> Vec<Candidate> {
        of.iter().map(|&(weight, is_passed_over)| Candidate { weight, is_passed_over }).collect()
    }

    #[test]
    fn those_without_a_share_and_those_that_failed_come_last() {
        let all = candidates(&[(0, false), (1, true), (5, false), (0, true)]);
        for drawn in 0..20 {
            assert_eq!(order(&all, || drawn), [2, 0, 1, 3]);
        }
        assert_eq!(order(&[], || 0), [0; 0]);
    }

    #[test]
    fn the_first_is_drawn_by_the_shares() {
        let all = candidates(&[(1, false), (3, false)]);
        let mut first = [0, 0];
        for drawn in 0..400 {
            let places = order(&all, || drawn);
            assert_eq!(places.len(), 2);
            first[places[0]] += 1;
        }
        assert_eq!(first, [100, 300]);
    }

    #[test]
    fn a_share_is_a_small_whole_number() {
        assert_eq!(parse_weight(" 0 ").unwrap(), 0);
        assert_eq!(parse_weight("100").unwrap(), 100);
        for text in ["", "-1", "101", "1.5", "half"] {
            assert!(parse_weight(text).is_err(), "{text}");
        }
    }
}
