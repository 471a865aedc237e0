//! What a request may use, before it is sent: what is likely, from what its key used lately, and the most.
//!
//! A budget has to have the likely cost left; the most is what it may be passed by, or not (`Overshoot`).

use super::meter::{Counts, MAX_COUNT, Meter, Metered, ServedAs};
use super::model::{DEMO_ECHO, Model};
use super::money::Money;

/// Output tokens that are likely of a request with a maximum, as long as nothing is known of its key with that model.
const FIRST_OUTPUT: i64 = 4_096;
/// Output tokens that are likely at least, however little the key had lately.
const LEAST_OUTPUT: i64 = 256;
/// The most output of a model that is not told to give less: more than nearly all can give.
const UNKNOWN_OUTPUT: i64 = 128_000;
/// The context of a model that is not told to have less.
const UNKNOWN_CONTEXT: i64 = 1_000_000;
/// The most that a request is believed to cost, so that the sum of all in flight does not overflow.
const MAX_WORST: Money = Money::from_nanos(1_000_000 * 1_000_000_000);

/// What a model takes and gives at most, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Its context: a longer input is refused by its provider.
    pub context: i64,
    /// The output of one answer.
    pub output: i64,
}

impl Capacity {
    /// Of a model of the catalogue.
    pub fn of(model: &Model) -> Self {
        let is_demo = model.id == DEMO_ECHO;
        let unknown = if is_demo { model.default_output_tokens } else { UNKNOWN_OUTPUT };
        Self {
            context: model.context_tokens.unwrap_or(UNKNOWN_CONTEXT),
            output: model.max_output_tokens.unwrap_or(unknown),
        }
    }
}

/// The input tokens of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputTokens {
    /// Expected.
    pub likely: i64,
    /// At most; `MAX_COUNT` is the model's whole context.
    pub max: i64,
}

impl InputTokens {
    /// Of a request whose tokens were counted elsewhere.
    pub fn exactly(count: i64) -> Self {
        let count = count.clamp(0, MAX_COUNT);
        Self { likely: count, max: count }
    }

    /// With `likely` and `max` more tokens.
    #[must_use]
    pub fn and(self, likely: i64, max: i64) -> Self {
        let sum = |a: i64, b: i64| a.saturating_add(b).clamp(0, MAX_COUNT);
        Self { likely: sum(self.likely, likely), max: sum(self.max, max) }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedUse {
    /// Its input.
    pub input: InputTokens,
    /// The most output of each answer; `None` when it sets none.
    pub output: Option<i64>,
    /// How many answers.
    pub answers: i64,
    /// How many inputs, each of which has to fit into the model's context: texts of a batch, passes over a conversation.
    pub inputs: i64,
    /// How it asks to be served.
    pub served_as: ServedAs,
}

impl AskedUse {
    /// One answer, served as listed.
    pub fn of(input: InputTokens, output: Option<i64>) -> Self {
        Self { input, output, answers: 1, inputs: 1, served_as: ServedAs::default() }
    }
}

/// What a key used lately with a model, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedLately {
    /// The largest output, of all answers to a request together.
    pub output: i64,
    /// All input.
    pub input: i64,
    /// What of it came from the provider's cache.
    pub cached: i64,
    /// The most that a request left in the provider's cache: its input and output.
    pub largest: i64,
}

/// What a request may use of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedUse {
    /// What it is likely to use.
    pub likely: Counts,
    /// The most input tokens.
    pub max_input: i64,
    /// The most output tokens of all answers together.
    pub max_output: i64,
    /// How it asks to be served.
    pub served_as: ServedAs,
}

impl ExpectedUse {
    /// Of a request, from what its key used lately with the model.
    pub fn new(model: &Model, asked: &AskedUse, lately: Option<UsedLately>) -> Self {
        let capacity = Capacity::of(model);
        let all_answers = |one: i64| one.max(0).saturating_mul(asked.answers.max(1)).min(MAX_COUNT);
        let contexts = capacity.context.saturating_mul(asked.inputs.max(1));
        let max_input = asked.input.max.clamp(0, contexts.clamp(0, MAX_COUNT));
        let max_output = all_answers(asked.output.unwrap_or(capacity.output).min(capacity.output));
        let input = asked.input.likely.clamp(0, max_input);
        let typical = match (lately, asked.output) {
            (Some(lately), _) => lately.output,
            (None, Some(_)) => all_answers(FIRST_OUTPUT),
            (None, None) => all_answers(model.default_output_tokens),
        };
        let output = typical.max(LEAST_OUTPUT).min(max_output);
        let cached = lately.map_or(0, |lately| {
            let share = i128::from(input) * i128::from(lately.cached) / i128::from(lately.input.max(1));
            i64::try_from(share).unwrap_or(input).clamp(0, input).min(lately.largest)
        });
        // What is not in the cache may be written to it.
        let written = model.rate(Meter::CacheWriteShort) > model.rate(Meter::Input);
        let fresh = if written { Meter::CacheWriteShort } else { Meter::Input };
        let likely = Counts::NONE
            .with(fresh, input - cached)
            .with(Meter::CachedInput, cached)
            .with(Meter::Output, output);
        Self { likely, max_input, max_output, served_as: asked.served_as.clone() }
    }

    /// The most that it costs: every token at the dearest meter of its side, above the highest line that it can reach.
    pub fn worst_cost(&self, model: &Model) -> Money {
        let Some(price) = &model.price else { return Money::ZERO };
        price.tariff.worst(self.max_input, self.max_output, &self.served_as).clamp(Money::ZERO, MAX_WORST)
    }

    /// What it is likely to cost.
    pub fn likely_cost(&self, model: &Model) -> Money {
        let metered = Metered { served_as: self.served_as.clone(), ..self.likely.into() };
        model.cost(&metered).amount.min(self.worst_cost(model))
    }

    /// The same with no more output than is likely of any request.
    #[must_use]
    pub fn with_least_output(&self) -> Self {
        let output = self.likely.get(Meter::Output).min(LEAST_OUTPUT);
        Self { likely: self.likely.with(Meter::Output, output), ..self.clone() }
    }

    /// The tokens that it is likely to use, input and output together.
    pub fn tokens(&self) -> i64 {
        self.likely.all_tokens()
    }
}

/// The tokens that a model's provider adds at most from what it stored: the model's context.
pub fn whole_context(model: &Model) -> i64 {
    Capacity::of(model).context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::price::Price;
    use proptest::prelude::*;

    fn priced(json: &str) -> Model {
        let tariff = serde_json::from_str(json).unwrap();
        Model { price: Some(Price::unrecorded(tariff)), ..Model::unrouted("some-model", "Vendor") }
    }

    fn opus() -> Model {
        priced(
            r#"{"input":"4","cached_input":"0.4","cache_write_short":"5","cache_write_long":"8","output":"20"}"#,
        )
    }

    fn sonnet() -> Model {
        priced(
            r#"{"input":"3","cached_input":"0.3","cache_write_short":"3.75","cache_write_long":"6","output":"15"}"#,
        )
    }

    const HALF: Money = Money::from_nanos(500_000_000);

    fn likely(model: &Model, input: i64, most: i64, output: Option<i64>) -> Money {
        let asked = AskedUse::of(InputTokens { likely: input, max: most }, output);
        ExpectedUse::new(model, &asked, None).likely_cost(model)
    }

    #[test]
    fn the_first_request_of_each_agent_is_likely_to_fit_into_half_a_dollar() {
        // Claude Code with its 90 kB of instructions, and what it lets the model answer.
        for output in [32_000, 64_000, 128_000] {
            assert!(likely(&opus(), 30_000, 90_000, Some(output)) < HALF);
        }
        // aider and llm, and the AI SDK, which sends the model's maximum.
        assert!(likely(&sonnet(), 4_000, 12_000, Some(64_000)) < HALF);
        assert!(likely(&sonnet(), 10, 60, Some(64_000)) < HALF);
        assert!(likely(&opus(), 10, 60, Some(128_000)) < HALF);
        assert!(likely(&opus(), 10, 60, None) < HALF);
    }

    #[test]
    fn what_a_key_used_lately_is_expected_again_within_the_requests_bounds() {
        let asked = AskedUse::of(InputTokens { likely: 26_000, max: 90_000 }, Some(32_000));
        let lately = UsedLately { output: 900, input: 100_000, cached: 90_000, largest: 26_000 };
        let expected = ExpectedUse::new(&opus(), &asked, Some(lately));
        assert_eq!(expected.likely.get(Meter::CachedInput), 23_400);
        assert_eq!(expected.likely.get(Meter::CacheWriteShort), 2_600);
        assert_eq!(expected.likely.get(Meter::Output), 900);
        assert_eq!((expected.max_input, expected.max_output), (90_000, 32_000));
        // No cache has more than was sent before.
        let small = UsedLately { largest: 1_000, ..lately };
        assert_eq!(ExpectedUse::new(&opus(), &asked, Some(small)).likely.get(Meter::CachedInput), 1_000);
        // That of all answers together.
        let three = AskedUse { answers: 3, ..asked.clone() };
        assert_eq!(ExpectedUse::new(&opus(), &three, Some(lately)).likely.get(Meter::Output), 900);
        assert_eq!(ExpectedUse::new(&opus(), &three, None).likely.get(Meter::Output), 3 * FIRST_OUTPUT);
        let little = UsedLately { output: 1, ..lately };
        assert_eq!(ExpectedUse::new(&opus(), &asked, Some(little)).likely.get(Meter::Output), LEAST_OUTPUT);
    }

    #[test]
    fn the_most_is_bounded_by_what_the_model_can_take_and_give() {
        let asked = AskedUse {
            answers: 2,
            ..AskedUse::of(InputTokens { likely: 5, max: MAX_COUNT }, Some(MAX_COUNT))
        };
        let expected = ExpectedUse::new(&opus(), &asked, None);
        assert_eq!((expected.max_input, expected.max_output), (UNKNOWN_CONTEXT, 2 * UNKNOWN_OUTPUT));
        // Each text of a batch has a context of its own.
        let batch = AskedUse { inputs: 3, ..asked };
        assert_eq!(ExpectedUse::new(&opus(), &batch, None).max_input, 3 * UNKNOWN_CONTEXT);
        let few = AskedUse { input: InputTokens { likely: 5, max: 90 }, ..batch };
        assert_eq!(ExpectedUse::new(&opus(), &few, None).max_input, 90);
        let no_maximum = AskedUse::of(InputTokens::exactly(5), None);
        assert_eq!(ExpectedUse::new(&opus(), &no_maximum, None).max_output, UNKNOWN_OUTPUT);
    }

    #[test]
    fn the_worst_cost_is_above_every_line_that_can_be_reached() {
        let model =
            priced(r#"{"input":"2","output":"10","lines":[{"above":200000,"input":"4","output":"15"}]}"#);
        let worst = |most| {
            let asked = AskedUse::of(InputTokens { likely: 10, max: most }, Some(1_000));
            ExpectedUse::new(&model, &asked, None).worst_cost(&model).nanos()
        };
        assert_eq!(worst(200_000), 400_000_000 + 10_000_000);
        assert_eq!(worst(200_001), 800_004_000 + 15_000_000);
    }

    proptest! {
        #[test]
        fn the_likely_cost_is_never_above_the_worst(
            likely in -5..2_000_000_i64, max in -5..2_000_000_i64, output in proptest::option::of(-5..200_000_i64),
            answers in 0..9_i64, used in any::<[u32; 4]>(), fresh: bool,
        ) {
            let asked = AskedUse { answers, ..AskedUse::of(InputTokens { likely, max }, output) };
            let [output, input, cached, largest] = used.map(i64::from);
            let lately = (!fresh).then_some(UsedLately { output, input, cached, largest });
            for model in [opus(), sonnet()] {
                let expected = ExpectedUse::new(&model, &asked, lately);
                prop_assert!(expected.likely_cost(&model) <= expected.worst_cost(&model));
                prop_assert!(expected.likely.input() <= expected.max_input);
                prop_assert!(expected.likely.output() <= expected.max_output);
            }
        }
    }
}
