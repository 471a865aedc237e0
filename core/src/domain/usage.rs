//! Tokens that a request used, and their cost.

use super::model::Model;
use super::money::Money;

/// Whole tokens. `cached` are those of the input that the provider had in its cache: they are counted in `input` too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input tokens, cached ones included.
    pub input: i64,
    /// Output tokens.
    pub output: i64,
    /// Input tokens that the provider had in its cache.
    pub cached: i64,
}

impl Tokens {
    /// What a rate limit counts.
    pub fn all(self) -> i64 {
        self.input.saturating_add(self.output)
    }

    /// At the model's prices, rounded up once to a whole nano-dollar. Whatever a provider claims, the cached tokens are no
    /// more than the input and nothing is below zero.
    pub fn cost(self, model: &Model) -> Money {
        let input = self.input.max(0);
        let cached = self.cached.clamp(0, input);
        let part = |tokens: i64, price: Money| i128::from(tokens) * i128::from(price.nanos().max(0));
        let millionths = part(input - cached, model.input_price)
            + part(cached, model.cached_price)
            + part(self.output.max(0), model.output_price);
        Money::from_nanos(i64::try_from((millionths + 999_999) / 1_000_000).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model() -> Model {
        let price = |dollars: i64| Money::from_nanos(dollars * 1_000_000_000);
        Model {
            input_price: price(2),
            output_price: price(10),
            cached_price: Money::from_nanos(500_000_000),
            ..Model::unrouted("gpt-5", "OpenAI")
        }
    }

    #[test]
    fn cached_tokens_are_paid_once_at_their_own_price() {
        let tokens = Tokens { input: 1_000_000, output: 1_000_000, cached: 400_000 };
        assert_eq!(tokens.cost(&model()), Money::from_nanos(1_200_000_000 + 200_000_000 + 10_000_000_000));
    }

    #[test]
    fn the_smallest_use_costs_something_and_none_costs_nothing() {
        let dear = Model { input_price: Money::from_nanos(1), ..model() };
        assert_eq!(Tokens { input: 1, ..Tokens::default() }.cost(&dear), Money::from_nanos(1));
        assert_eq!(Tokens::default().cost(&dear), Money::ZERO);
    }

    proptest! {
        #[test]
        fn no_numbers_of_a_provider_cost_less_than_nothing(input: i64, output: i64, cached: i64) {
            let tokens = Tokens { input, output, cached };
            prop_assert!(tokens.cost(&model()) >= Money::ZERO);
        }
    }
}
