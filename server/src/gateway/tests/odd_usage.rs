//! Usage that cannot be true, or is told at the wrong time: it is neither free nor enormous, and marked.

use bytes::Bytes;
use keydesk_core::domain::meter::{Counts, Meter as Kind};
use keydesk_core::domain::tariff::Tariff;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::gateway::usage::{Bounds, MeasuredTokens, Shape, StreamMeter, measure_whole};

const SHAPES: [Shape; 4] = [Shape::OpenAi, Shape::Responses, Shape::Anthropic, Shape::Gemini];
/// Ten tokens.
const TEXT: &str = "an answer of thirty characters";
const INPUT: i64 = 1_000;

fn names(shape: Shape) -> (&'static str, &'static str) {
    match shape {
        Shape::OpenAi | Shape::Images => ("prompt_tokens", "completion_tokens"),
        Shape::Responses | Shape::Anthropic => ("input_tokens", "output_tokens"),
        Shape::Gemini => ("promptTokenCount", "candidatesTokenCount"),
    }
}

fn whole(shape: Shape, usage: &Value) -> Value {
    match shape {
        Shape::OpenAi | Shape::Images => {
            json!({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}], "usage": usage})
        }
        Shape::Responses => json!({"output": [{"content": [{"text": TEXT}]}], "usage": usage}),
        Shape::Anthropic => json!({"content": [{"type": "text", "text": TEXT}], "usage": usage}),
        Shape::Gemini => json!({
            "candidates": [{"content": {"parts": [{"text": TEXT}]}, "finishReason": "STOP"}],
            "usageMetadata": usage,
        }),
    }
}

/// An event with text.
fn text(shape: Shape) -> Value {
    match shape {
        Shape::OpenAi | Shape::Images => json!({"choices": [{"delta": {"content": TEXT}}]}),
        Shape::Responses => json!({"type": "response.output_text.delta", "delta": TEXT}),
        Shape::Anthropic => {
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": TEXT}})
        }
        Shape::Gemini => json!({"candidates": [{"content": {"parts": [{"text": TEXT}]}}]}),
    }
}

/// An event with usage, at the beginning.
fn first(shape: Shape, usage: &Value) -> Value {
    match shape {
        Shape::OpenAi | Shape::Images => json!({"choices": [{"delta": {"content": ""}}], "usage": usage}),
        Shape::Responses => json!({"type": "response.in_progress", "response": {"usage": usage}}),
        Shape::Anthropic => json!({"type": "message_start", "message": {"usage": usage}}),
        Shape::Gemini => json!({"usageMetadata": usage}),
    }
}

/// An event with usage, at the end.
fn last(shape: Shape, usage: &Value) -> Value {
    match shape {
        Shape::OpenAi | Shape::Images => json!({"choices": [], "usage": usage}),
        Shape::Responses => json!({"type": "response.completed", "response": {"usage": usage}}),
        Shape::Anthropic => json!({"type": "message_delta", "usage": usage}),
        Shape::Gemini => json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}),
    }
}

fn bounds() -> Bounds {
    Bounds::new(INPUT, None, 1, 0)
}

fn measured_whole(shape: Shape, usage: &Value) -> MeasuredTokens {
    measure_whole(shape, whole(shape, usage).to_string().as_bytes(), false, INPUT, bounds())
}

fn streamed(shape: Shape, events: &[Value]) -> MeasuredTokens {
    let mut meter = StreamMeter::new(shape, true, false, bounds(), None);
    for event in events {
        meter.feed(Bytes::from(format!("data: {event}\n\n")));
    }
    meter.finish();
    meter.measured(INPUT, true)
}

fn totals(measured: &MeasuredTokens) -> (i64, i64, bool) {
    let counts = measured.metered.counts;
    (counts.input(), counts.output(), measured.estimated)
}

fn odd() -> Vec<Value> {
    let million_millions = json!(1_000_000_000_000_i64);
    vec![
        json!(-5),
        json!(1.5),
        json!(1e300),
        json!("12"),
        json!(true),
        json!([1]),
        json!({"n": 1}),
        json!(u64::MAX),
        json!(i64::MIN),
        million_millions,
        json!(1_000_000_000),
        json!(3_000_000),
        json!(0),
        Value::Null,
    ]
}

#[test]
fn a_number_that_cannot_be_true_is_estimated_and_marked() {
    for shape in SHAPES {
        let (input, output) = names(shape);
        for odd in odd() {
            let wrong_input = json!({input: odd, output: 7});
            let wrong_output = json!({input: 5, output: odd});
            let both = json!({input: odd, output: odd});
            for (usage, expected) in
                [(wrong_input, (INPUT, 7, true)), (wrong_output, (5, 10, true)), (both, (INPUT, 10, true))]
            {
                assert_eq!(totals(&measured_whole(shape, &usage)), expected, "{shape:?} {usage}");
                let stream = [text(shape), last(shape, &usage)];
                assert_eq!(totals(&streamed(shape, &stream)), expected, "{shape:?} {usage} streamed");
            }
        }
    }
}

#[test]
fn a_part_that_cannot_be_true_is_left_out_and_marked() {
    for odd in odd().into_iter().filter(|odd| *odd != json!(0) && !odd.is_null()) {
        for (shape, usage) in [
            (
                Shape::OpenAi,
                json!({"prompt_tokens": 50, "completion_tokens": 70,
                    "prompt_tokens_details": {"cached_tokens": odd}}),
            ),
            (
                Shape::Responses,
                json!({"input_tokens": 50, "output_tokens": 70, "input_tokens_details": {"cache_write_tokens": odd}}),
            ),
            (
                Shape::Gemini,
                json!({"promptTokenCount": 50, "candidatesTokenCount": 70, "cachedContentTokenCount": odd}),
            ),
            (
                Shape::Anthropic,
                json!({"input_tokens": 50, "output_tokens": 70, "server_tool_use": {"web_search_requests": odd}}),
            ),
        ] {
            let measured = measured_whole(shape, &usage);
            let expected = Counts::of_totals(50, 0, 70);
            assert_eq!((measured.metered.counts, measured.estimated), (expected, true), "{shape:?} {usage}");
        }
    }
    // More was cached than there was: no more than what the request can have had.
    let usage =
        json!({"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 900}});
    let measured = measured_whole(Shape::OpenAi, &usage);
    assert_eq!((totals(&measured), measured.metered.counts.cached()), ((INPUT, 7, true), 900));
}

#[test]
fn numbers_never_shrink() {
    for shape in SHAPES {
        let (input, output) = names(shape);
        for late in [json!({input: 0, output: 20}), json!({output: 20}), json!({input: 5, output: 20})] {
            let start = json!({input: 5_000, output: 1});
            let stream = [first(shape, &start), text(shape), last(shape, &late)];
            assert_eq!(totals(&streamed(shape, &stream)), (5_000, 20, false), "{shape:?} {late}");
        }
        // The same number again and again is one number.
        let same = json!({input: 5_000, output: 20});
        let stream =
            [first(shape, &json!({input: 5_000})), text(shape), last(shape, &same), last(shape, &same)];
        assert_eq!(totals(&streamed(shape, &stream)), (5_000, 20, false), "{shape:?}");
    }
    let start = json!({"input_tokens": 10, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 90, "output_tokens": 1});
    let end = json!({"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 20});
    let measured = streamed(
        Shape::Anthropic,
        &[first(Shape::Anthropic, &start), text(Shape::Anthropic), last(Shape::Anthropic, &end)],
    );
    let expected = Counts::of_totals(910, 900, 20).with(Kind::CacheWriteShort, 90);
    assert_eq!((measured.metered.counts, measured.estimated), (expected, false));
}

#[test]
fn a_usage_told_early_does_not_end_the_metering() {
    for shape in SHAPES {
        let (input, output) = names(shape);
        let early = json!({input: 50, output: 3});
        for end in [None, Some(json!({input: 50, output: 3})), Some(json!({output: 0}))] {
            let mut stream = vec![first(shape, &early), text(shape), text(shape), text(shape)];
            stream.extend(end.as_ref().map(|usage| last(shape, usage)));
            assert_eq!(totals(&streamed(shape, &stream)), (50, 3 + 30, true), "{shape:?} {end:?}");
        }
        // In the middle, and no more after it.
        let middle = json!({input: 50, output: 12});
        let stream = [first(shape, &early), text(shape), first(shape, &middle), text(shape)];
        assert_eq!(totals(&streamed(shape, &stream)), (50, 12 + 10, true), "{shape:?}");
    }
}

#[test]
fn names_that_are_not_known_break_nothing() {
    for shape in SHAPES {
        let (input, output) = names(shape);
        let usage = json!({
            input: 50, output: 7, "new_tokens": 5, "prompt_tokens_details": {"new": {"deep": [1]}},
            "completion_tokens_details": "none", "input_tokens_details": [], "iterations": [{"type": "new"}, 5, null],
            "cache_creation": 7, "server_tool_use": [], "promptTokensDetails": [{"modality": "SMELL", "tokenCount": 50}],
            "candidatesTokensDetails": {"AUDIO": 5}, "service_tier": "new tier",
        });
        let measured = measured_whole(shape, &usage);
        assert_eq!(totals(&measured), (50, 7, false), "{shape:?}");
    }
}

fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        (0..2_000_000_i64).prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "[0-9]{0,4}".prop_map(|text| json!(text)),
        Just(Value::Null),
    ]
}

/// A usage with any numbers under every name.
fn any_usage() -> impl Strategy<Value = Value> {
    proptest::collection::vec(any_number(), 12).prop_map(|numbers| {
        let n = |place: usize| numbers[place].clone();
        let details = json!({"cached_tokens": n(0), "audio_tokens": n(1), "image_tokens": n(2), "cache_write_tokens": n(3),
            "cache_write_tokens_details": {"ttl_30m": n(4), "ttl_12h": n(5)}, "reasoning_tokens": n(6)});
        let parts = json!([{"modality": "AUDIO", "tokenCount": n(1)}, {"modality": "IMAGE", "tokenCount": n(2)}]);
        json!({
            "prompt_tokens": n(7), "completion_tokens": n(8), "total_tokens": n(9), "input_tokens": n(7),
            "output_tokens": n(8), "prompt_tokens_details": details, "completion_tokens_details": details,
            "input_tokens_details": details, "output_tokens_details": details, "cached_tokens": n(10),
            "cache_read_input_tokens": n(0), "cache_creation_input_tokens": n(3),
            "cache_creation": {"ephemeral_5m_input_tokens": n(4), "ephemeral_1h_input_tokens": n(5)},
            "server_tool_use": {"web_search_requests": n(11)}, "promptTokenCount": n(7), "candidatesTokenCount": n(8),
            "thoughtsTokenCount": n(6), "cachedContentTokenCount": n(0), "promptTokensDetails": parts,
            "candidatesTokensDetails": parts, "cacheTokensDetails": parts,
            "iterations": [{"type": "compaction", "input_tokens": n(9), "output_tokens": n(10)}],
        })
    })
}

proptest! {
    #[test]
    fn no_numbers_are_free_or_more_than_a_request_can_use(usage in any_usage(), shape in 0..4_usize) {
        let shape = SHAPES[shape];
        let tariff: Tariff = serde_json::from_value(json!({"input": "2", "output": "10"})).unwrap();
        for measured in [measured_whole(shape, &usage), streamed(shape, &[text(shape), last(shape, &usage)])] {
            let counts = measured.metered.counts;
            // Twice, because another pass can be told beside the answer.
            prop_assert!((1..=4_000_000).contains(&counts.input()), "{:?}", measured);
            prop_assert!((1..=1_000_000).contains(&counts.output()), "{:?}", measured);
            prop_assert!(counts.get(Kind::Searches) <= 1_000);
            prop_assert!(tariff.cost(&measured.metered).amount.nanos() <= 18_000_000_000);
        }
    }

    #[test]
    fn every_token_counts_once(
        input in 100_000..1_000_000_i64, cached in 0..50_000_i64, short in 0..20_000_i64, long in 0..20_000_i64,
        audio in 0..10_000_i64, output in 10_000..100_000_i64, reasoning in 0..5_000_i64, spoken in 0..5_000_i64,
    ) {
        let details = json!({"cached_tokens": cached, "audio_tokens": audio, "cache_write_tokens": short + long,
            "cache_write_tokens_details": {"ttl_30m": short, "ttl_12h": long}});
        let of_output = json!({"reasoning_tokens": reasoning, "audio_tokens": spoken});
        let measured = measured_whole(Shape::OpenAi, &json!({"prompt_tokens": input, "completion_tokens": output,
            "total_tokens": input + output, "prompt_tokens_details": details, "completion_tokens_details": of_output}));
        let expected = Counts::NONE
            .with(Kind::Input, input - cached - short - long - audio).with(Kind::CachedInput, cached)
            .with(Kind::CacheWriteShort, short).with(Kind::CacheWriteLong, long).with(Kind::AudioInput, audio)
            .with(Kind::Output, output - reasoning - spoken).with(Kind::Reasoning, reasoning)
            .with(Kind::AudioOutput, spoken);
        prop_assert_eq!((measured.metered.counts, measured.estimated), (expected, false));
    }

    #[test]
    fn the_largest_of_several_reports_counts(
        reports in proptest::collection::vec((1..1_000_000_i64, 100..100_000_i64), 1..6), shape in 0..4_usize,
    ) {
        let shape = SHAPES[shape];
        let (input, output) = names(shape);
        let mut stream = vec![text(shape)];
        stream.extend(reports.iter().map(|(i, o)| last(shape, &json!({input: i, output: o}))));
        let most = (reports.iter().map(|r| r.0).max().unwrap(), reports.iter().map(|r| r.1).max().unwrap());
        prop_assert_eq!(totals(&streamed(shape, &stream)), (most.0, most.1, false));
    }
}
