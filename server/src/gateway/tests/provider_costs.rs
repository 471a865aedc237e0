//! What providers report and what they charge for it, to the nano-dollar: whole, as a stream, and as a stream that ends at
//! every one of its events.

use bytes::Bytes;
use keydesk_core::domain::meter::{Meter as Kind, ServedAs};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::tariff::Tariff;
use serde_json::{Value, json};

use crate::gateway::estimate::of_text;
use crate::gateway::usage::{Bounds, MeasuredTokens, Shape, StreamMeter, measure_whole};

/// The prices of a provider's page.
fn tariff(model: &str) -> Tariff {
    let prices = match model {
        "gpt-5" => json!({"input": "1.25", "cached_input": "0.125", "output": "10"}),
        "text-embedding-3-small" => json!({"input": "0.02"}),
        "gpt-6-sol" => json!({
            "input": "2", "cached_input": "0.2", "cache_write_short": "2.5", "cache_write_long": "5", "output": "10",
            "searches": "10", "tool_uses": "2.5",
            "lines": [{"above": 272_000, "input": "4", "cached_input": "0.4", "cache_write_short": "5",
                "cache_write_long": "10", "output": "15"}],
            "factors": {"tier": {"flex": "0.5", "priority": "2"}},
        }),
        "gpt-audio-1.5" => {
            json!({"input": "2.5", "output": "10", "audio_input": "32", "audio_output": "64"})
        }
        "deepseek-chat" => json!({"input": "0.28", "cached_input": "0.028", "output": "0.42"}),
        "kimi" => json!({"input": "0.6", "cached_input": "0.15", "output": "2.5"}),
        "claude-opus" => json!({
            "input": "4", "cached_input": "0.2", "cache_write_short": "5", "cache_write_long": "8", "output": "20",
            "searches": "10", "factors": {"region": {"us": "1.1"}, "speed": {"fast": "2"}},
        }),
        "claude-sonnet-4-5" => json!({
            "input": "3", "cached_input": "0.3", "cache_write_short": "3.75", "cache_write_long": "6", "output": "15",
        }),
        "gemini-3.1-pro" => json!({
            "input": "2", "cached_input": "0.2", "output": "12", "searches": "14",
            "lines": [{"above": 200_000, "input": "4", "cached_input": "0.4", "output": "18"}],
            "factors": {"tier": {"flex": "0.5", "priority": "1.8"}},
        }),
        "gemini-2.5-flash" => json!({
            "input": "0.3", "cached_input": "0.03", "audio_input": "1", "cached_audio": "0.1", "output": "2.5",
            "searches": "35",
        }),
        "gemini-2.5-flash-image" => json!({"input": "0.3", "output": "2.5", "image_output": "30"}),
        other => panic!("{other} has no prices"),
    };
    serde_json::from_value(prices).unwrap()
}

pub struct Case {
    pub what: &'static str,
    pub model: &'static str,
    pub shape: Shape,
    /// The tier that the request asks for.
    pub asked: &'static str,
    usage: Value,
    /// What else is in the answer.
    beside: Value,
    pub dollars: &'static str,
}

fn case(what: &'static str, model: &'static str, shape: Shape, usage: Value, dollars: &'static str) -> Case {
    Case { what, model, shape, asked: "", usage, beside: json!({}), dollars }
}

impl Case {
    fn asking(self, tier: &'static str) -> Self {
        Self { asked: tier, ..self }
    }

    fn with(self, beside: Value) -> Self {
        Self { beside, ..self }
    }
}

pub fn cases() -> Vec<Case> {
    use Shape::{Anthropic, Gemini, OpenAi, Responses};
    let written = |details: Value| {
        json!({"prompt_tokens": 18_014, "completion_tokens": 5, "total_tokens": 18_019, "prompt_tokens_details":
            {"cached_tokens": 0, "cache_write_tokens": 18_011, "cache_write_tokens_details": details}})
    };
    let responses_written = |details: Value| {
        json!({"input_tokens": 18_014, "output_tokens": 5, "input_tokens_details":
            {"cached_tokens": 0, "cache_write_tokens": 18_011, "cache_write_tokens_details": details}})
    };
    let plain = json!({"prompt_tokens": 10_000, "completion_tokens": 1_000, "total_tokens": 11_000});
    let claude = |input: i64, read: i64, short: i64, long: i64, output: i64| {
        json!({"input_tokens": input, "cache_read_input_tokens": read, "cache_creation_input_tokens": short + long,
            "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            "output_tokens": output, "service_tier": "standard", "inference_geo": "not_available"})
    };
    let mut with_compaction = claude(5_000, 0, 0, 0, 200);
    with_compaction["iterations"] = json!([
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0, "cache_creation": null},
        {"type": "message", "input_tokens": 5_000, "output_tokens": 200},
    ]);
    let mut cached_compaction = with_compaction.clone();
    cached_compaction["iterations"][0]["cache_read_input_tokens"] = json!(100_000);
    cached_compaction["iterations"][0]["cache_creation"] = json!({"ephemeral_1h_input_tokens": 1_000});
    let mut in_us = claude(100_000, 0, 0, 0, 2_000);
    in_us["inference_geo"] = json!("us");
    let mut fast = claude(100_000, 0, 0, 0, 2_000);
    fast["speed"] = json!("fast");
    let mut searched = claude(9_000, 0, 0, 0, 500);
    searched["server_tool_use"] = json!({"web_search_requests": 3, "web_fetch_requests": 1});
    let gemini = |prompt: i64, output: i64| json!({"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output});
    let modality = |name: &str, count: i64| json!({"modality": name, "tokenCount": count});
    let mut long = gemini(250_000, 2_000);
    long["cachedContentTokenCount"] = json!(50_000);
    let mut heard = gemini(10_000, 50);
    heard["promptTokensDetails"] = json!([modality("TEXT", 100), modality("AUDIO", 9_900)]);
    let mut heard_before = heard.clone();
    heard_before["cachedContentTokenCount"] = json!(5_000);
    heard_before["cacheTokensDetails"] = json!([modality("AUDIO", 5_000)]);
    let mut drawn = gemini(20, 1_310);
    drawn["candidatesTokensDetails"] = json!([modality("IMAGE", 1_290), modality("TEXT", 20)]);
    let mut priority = gemini(100_000, 1_000);
    priority["serviceTier"] = json!("PRIORITY");
    let pro = "gemini-3.1-pro";
    vec![
        case("plain", "gpt-5", OpenAi, json!({"prompt_tokens": 1_000, "completion_tokens": 200}), "0.00325"),
        case(
            "cached",
            "gpt-5",
            OpenAi,
            json!({"prompt_tokens": 10_000, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 9_216}}),
            "0.004132",
        ),
        case(
            "reasoning",
            "gpt-5",
            OpenAi,
            json!({"prompt_tokens": 1_000, "completion_tokens": 5_000, "completion_tokens_details": {"reasoning_tokens": 4_800}}),
            "0.05125",
        ),
        case(
            "reasoning of a response",
            "gpt-5",
            Responses,
            json!({"input_tokens": 1_000, "output_tokens": 5_000, "output_tokens_details": {"reasoning_tokens": 4_800}}),
            "0.05125",
        ),
        case(
            "embeddings",
            "text-embedding-3-small",
            OpenAi,
            json!({"prompt_tokens": 50_000, "total_tokens": 50_000}),
            "0.001",
        ),
        case("written for 30 minutes", "gpt-6-sol", OpenAi, written(json!({"ttl_30m": 18_011})), "0.0450835"),
        case("written, no lifetime", "gpt-6-sol", OpenAi, written(Value::Null), "0.0450835"),
        case("written for 12 hours", "gpt-6-sol", OpenAi, written(json!({"ttl_12h": 18_011})), "0.090111"),
        case(
            "a response, written for 30 minutes",
            "gpt-6-sol",
            Responses,
            responses_written(json!({"ttl_30m": 18_011, "ttl_12h": 0})),
            "0.0450835",
        ),
        case(
            "a response, written for 12 hours",
            "gpt-6-sol",
            Responses,
            responses_written(json!({"ttl_12h": 18_011})),
            "0.090111",
        ),
        case(
            "above 272k",
            "gpt-6-sol",
            OpenAi,
            json!({"prompt_tokens": 300_000, "completion_tokens": 2_000, "prompt_tokens_details": {"cached_tokens": 100_000}}),
            "0.87",
        ),
        case("flex asked and told", "gpt-6-sol", OpenAi, plain.clone(), "0.015")
            .asking("flex")
            .with(json!({"service_tier": "flex"})),
        case("flex asked, nothing told", "gpt-6-sol", OpenAi, plain.clone(), "0.015").asking("flex"),
        case("flex asked, standard told", "gpt-6-sol", OpenAi, plain.clone(), "0.03")
            .asking("flex")
            .with(json!({"service_tier": "default"})),
        case("auto, priority told", "gpt-6-sol", OpenAi, plain.clone(), "0.06")
            .with(json!({"service_tier": "priority"})),
        case(
            "a response, auto, priority told",
            "gpt-6-sol",
            Responses,
            json!({"input_tokens": 10_000, "output_tokens": 1_000}),
            "0.06",
        )
        .with(json!({"service_tier": "priority"})),
        case(
            "one web search",
            "gpt-6-sol",
            Responses,
            json!({"input_tokens": 9_000, "output_tokens": 300}),
            "0.031",
        )
        .with(json!({"output": [
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
            {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "x"}},
        ]})),
        case(
            "two file searches",
            "gpt-6-sol",
            Responses,
            json!({"input_tokens": 9_000, "output_tokens": 300}),
            "0.026",
        )
        .with(json!({"output": [{"type": "file_search_call"}, {"type": "file_search_call"}]})),
        case(
            "audio",
            "gpt-audio-1.5",
            OpenAi,
            json!({"prompt_tokens": 1_000, "completion_tokens": 600, "prompt_tokens_details": {"audio_tokens": 900},
                "completion_tokens_details": {"audio_tokens": 500}}),
            "0.06205",
        ),
        case(
            "DeepSeek's names",
            "deepseek-chat",
            OpenAi,
            json!({"prompt_tokens": 10_000, "completion_tokens": 100, "total_tokens": 10_100,
                "prompt_cache_hit_tokens": 9_000, "prompt_cache_miss_tokens": 1_000}),
            "0.000574",
        ),
        case(
            "Moonshot's name",
            "kimi",
            OpenAi,
            json!({"prompt_tokens": 10_000, "completion_tokens": 100, "cached_tokens": 9_000}),
            "0.0022",
        ),
        case(
            "Claude, plain",
            "claude-opus",
            Anthropic,
            json!({"input_tokens": 1_000, "output_tokens": 6_000}),
            "0.124",
        ),
        case(
            "Claude, thoughts apart",
            "claude-opus",
            Anthropic,
            json!({"input_tokens": 1_000, "output_tokens": 6_000, "output_tokens_details": {"thinking_tokens": 5_500}}),
            "0.124",
        ),
        case("cache read", "claude-opus", Anthropic, claude(10, 100_000, 0, 0, 200), "0.02404"),
        case("cache write, 5 minutes", "claude-opus", Anthropic, claude(10, 0, 100_000, 0, 10), "0.50024"),
        case(
            "cache write, no lifetime",
            "claude-opus",
            Anthropic,
            json!({"input_tokens": 10, "cache_creation_input_tokens": 100_000, "output_tokens": 10}),
            "0.50024",
        ),
        case("cache write, 1 hour", "claude-opus", Anthropic, claude(10, 0, 0, 100_000, 10), "0.80024"),
        case("an agent's turn", "claude-opus", Anthropic, claude(12, 150_000, 0, 2_000, 600), "0.058048"),
        case("Claude Code, first turn", "claude-opus", Anthropic, claude(12, 0, 25_000, 0, 60), "0.126248"),
        case(
            "Claude Code, tool turn",
            "claude-opus",
            Anthropic,
            claude(12, 25_000, 1_000, 0, 90),
            "0.011848",
        ),
        case("a long context", "claude-sonnet-4-5", Anthropic, claude(200_000, 50_000, 0, 0, 2_000), "0.645"),
        case("compaction", "claude-opus", Anthropic, with_compaction, "0.814"),
        case("compaction from the cache", "claude-opus", Anthropic, cached_compaction, "0.842"),
        case("in the US", "claude-opus", Anthropic, in_us, "0.484"),
        case("fast", "claude-opus", Anthropic, fast, "0.88"),
        case("three searches", "claude-opus", Anthropic, searched, "0.076"),
        case(
            "cached and thought",
            pro,
            Gemini,
            json!({"promptTokenCount": 10_000, "cachedContentTokenCount": 8_000, "candidatesTokenCount": 200,
                "thoughtsTokenCount": 700, "totalTokenCount": 10_900}),
            "0.0164",
        ),
        case(
            "a tool's prompt",
            pro,
            Gemini,
            json!({"promptTokenCount": 1_000, "toolUsePromptTokenCount": 500, "candidatesTokenCount": 100}),
            "0.0042",
        ),
        case("above 200k", pro, Gemini, long, "0.856"),
        case("audio heard", "gemini-2.5-flash", Gemini, heard, "0.010055"),
        case("audio heard before", "gemini-2.5-flash", Gemini, heard_before, "0.005555"),
        case("an image drawn", "gemini-2.5-flash-image", Gemini, drawn, "0.038756"),
        case("Gemini's priority told", pro, Gemini, priority, "0.3816"),
        case("Gemini's priority asked", pro, Gemini, gemini(100_000, 1_000), "0.3816").asking("priority"),
        case("Gemini's flex asked", pro, Gemini, gemini(100_000, 1_000), "0.106").asking("flex"),
        case("Gemini's searches", pro, Gemini, gemini(100_000, 1_000), "0.24").with(json!({"candidates": [
            {"content": {"parts": [{"text": "Hel"}]}, "finishReason": "STOP",
                "groundingMetadata": {"webSearchQueries": ["one", "two"]}}
        ]})),
        case("a prompt that Gemini 2.5 grounds", "gemini-2.5-flash", Gemini, gemini(1_000, 100), "0.03555")
            .with(json!({"modelVersion": "gemini-2.5-flash", "candidates": [
                {"content": {"parts": [{"text": "Hel"}]}, "finishReason": "STOP",
                    "groundingMetadata": {"webSearchQueries": ["one", "two", "three"]}}
            ]})),
    ]
}

fn merged(mut value: Value, more: &Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

const TEXTS: [&str; 2] = ["Hel", "lo!"];

pub fn whole(case: &Case) -> Value {
    let text = TEXTS.concat();
    let has_output = case.what != "embeddings";
    let value = match case.shape {
        Shape::OpenAi if has_output => {
            json!({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": case.usage})
        }
        Shape::OpenAi | Shape::Images => json!({"data": [{"embedding": [0.1, 0.2]}], "usage": case.usage}),
        Shape::Responses => {
            json!({"output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}], "usage": case.usage})
        }
        Shape::Anthropic => {
            json!({"type": "message", "content": [{"type": "text", "text": text}], "usage": case.usage})
        }
        Shape::Gemini => json!({
            "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": case.usage,
        }),
    };
    merged(value, &case.beside)
}

/// The data of its events.
pub fn events(case: &Case) -> Vec<Value> {
    let usage = &case.usage;
    match case.shape {
        Shape::OpenAi | Shape::Images => {
            let chunk = |delta: Value, finish: Value| {
                merged(
                    json!({"choices": [{"delta": delta, "finish_reason": finish}], "usage": null}),
                    &case.beside,
                )
            };
            vec![
                chunk(json!({"role": "assistant", "content": ""}), Value::Null),
                chunk(json!({"content": TEXTS[0]}), Value::Null),
                chunk(json!({"content": TEXTS[1]}), Value::Null),
                chunk(json!({}), json!("stop")),
                merged(json!({"choices": [], "usage": usage}), &case.beside),
            ]
        }
        Shape::Responses => {
            let text = |text: &str| json!({"type": "response.output_text.delta", "delta": text});
            let items = case.beside.get("output").and_then(Value::as_array).cloned().unwrap_or_default();
            let item = |item: &Value| json!({"type": "response.output_item.done", "item": item});
            let mut events = vec![
                json!({"type": "response.created", "response": {"usage": null, "service_tier": "auto"}}),
                text(TEXTS[0]),
                text(TEXTS[1]),
            ];
            events.extend(items.iter().map(item));
            let response = merged(json!({"usage": usage}), &case.beside);
            events.push(json!({"type": "response.completed", "response": response}));
            events
        }
        Shape::Anthropic => {
            let mut start = usage.clone();
            start["output_tokens"] = json!(1);
            start.as_object_mut().unwrap().remove("iterations");
            start.as_object_mut().unwrap().remove("server_tool_use");
            let mut end = usage.clone();
            for name in ["service_tier", "inference_geo", "speed", "cache_creation"] {
                end.as_object_mut().unwrap().remove(name);
            }
            let text = |text: &str| json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}});
            vec![
                json!({"type": "message_start", "message": {"content": [], "usage": start}}),
                text(TEXTS[0]),
                text(TEXTS[1]),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end}),
                json!({"type": "message_stop"}),
            ]
        }
        Shape::Gemini => {
            let early = json!({"promptTokenCount": usage["promptTokenCount"], "candidatesTokenCount": 1});
            let part = |text: &str| json!({"content": {"parts": [{"text": text}]}});
            let mut last = part(TEXTS[1]);
            last["finishReason"] = json!("STOP");
            vec![
                json!({"candidates": [part(TEXTS[0])], "usageMetadata": early}),
                merged(json!({"candidates": [last], "usageMetadata": usage}), &case.beside),
            ]
        }
    }
}

/// What it costs, as the relay calculates it.
fn cost(case: &Case, measured: &MeasuredTokens) -> (Money, bool) {
    let asked = ServedAs { tier: case.asked.into(), ..ServedAs::default() };
    let mut metered = measured.metered.clone();
    metered.served_as = metered.served_as.or(&asked);
    let cost = tariff(case.model).cost(&metered);
    (cost.amount, cost.is_priced)
}

fn bounds(case: &Case) -> Bounds {
    Bounds::new(1_000, (case.what == "embeddings").then_some(0), 1, 0)
}

fn assert_right(case: &Case, measured: &MeasuredTokens, how: &str) {
    let expected = (Money::parse(case.dollars).unwrap(), true);
    assert_eq!(cost(case, measured), expected, "{}, {how}: {measured:?}", case.what);
    assert!(!measured.estimated, "{}, {how}: {measured:?}", case.what);
}

#[test]
fn a_whole_answer_costs_what_its_provider_charges() {
    for case in cases() {
        let body = whole(&case).to_string();
        let measured = measure_whole(case.shape, body.as_bytes(), false, 1_000, bounds(&case));
        assert_right(&case, &measured, "whole");
    }
}

#[test]
fn a_stream_costs_the_same_and_is_an_estimate_until_its_last_numbers() {
    for case in cases().iter().filter(|case| case.what != "embeddings") {
        let events = events(case);
        let has_last = if case.shape == Shape::Anthropic { events.len() - 2 } else { events.len() - 1 };
        let sse = |event: &Value| format!("data: {event}\r\n\r\n");
        let mut meter = StreamMeter::new(case.shape, true, false, bounds(case), None);
        for (position, event) in events.iter().enumerate() {
            meter.feed(Bytes::from(sse(event)));
            let measured = meter.measured(1_000, false);
            if position >= has_last {
                assert_right(case, &measured, "streamed");
            } else {
                assert!(measured.estimated, "{} left after event {position}", case.what);
                let text = of_text(&TEXTS[..position.min(2)].concat());
                let least = if case.shape == Shape::Anthropic { 1 + text } else { 0 };
                assert!(measured.metered.counts.output() >= least, "{} left at {position}", case.what);
                let input = measured.metered.counts.input();
                assert!(input > 0 && cost(case, &measured).0 > Money::ZERO, "{}", case.what);
            }
        }
        meter.finish();
        assert_right(case, &meter.measured(1_000, true), "to the end");
        if case.shape == Shape::Gemini {
            let list: Vec<String> = events.iter().map(Value::to_string).collect();
            let mut meter = StreamMeter::new(case.shape, false, false, bounds(case), None);
            meter.feed(Bytes::from(format!("[{}]", list.join(",\r\n"))));
            assert_right(case, &meter.measured(1_000, true), "as a list");
        }
    }
}

#[test]
fn a_zero_at_the_end_of_a_stream_takes_nothing_back() {
    let usage = json!({"input_tokens": 5_000, "output_tokens": 20});
    let case = case("a zero at the end", "claude-opus", Shape::Anthropic, usage, "0.0204");
    let mut events = events(&case);
    events[3]["usage"]["input_tokens"] = json!(0);
    let mut meter = StreamMeter::new(case.shape, true, false, bounds(&case), None);
    for event in events {
        meter.feed(Bytes::from(format!("data: {event}\n\n")));
    }
    assert_right(&case, &meter.measured(1_000, true), "streamed");
}

#[test]
fn searches_are_known_of_a_stream_that_is_left() {
    let search = json!({"type": "response.output_item.done", "item": {"type": "web_search_call"}});
    let block = json!({"type": "content_block_start", "content_block": {"type": "server_tool_use", "name": "web_search"}});
    for (shape, event) in [(Shape::Responses, search), (Shape::Anthropic, block)] {
        let mut meter = StreamMeter::new(shape, true, false, Bounds::new(9, None, 1, 0), None);
        for _ in 0..2 {
            meter.feed(Bytes::from(format!("data: {event}\n\n")));
        }
        let measured = meter.measured(9, false);
        assert_eq!((measured.metered.counts.get(Kind::Searches), measured.estimated), (2, true), "{shape:?}");
    }
}

#[test]
fn a_chat_that_cites_pages_searched_once_for_each_answer() {
    let answer = json!({"message": {"content": "x", "annotations": [{"type": "url_citation"}, {"type": "url_citation"}]}});
    let body = json!({"choices": [answer, answer], "usage": {"prompt_tokens": 9, "completion_tokens": 9}});
    let measured =
        measure_whole(Shape::OpenAi, body.to_string().as_bytes(), false, 9, Bounds::new(9, None, 2, 0));
    assert_eq!(measured.metered.counts.get(Kind::Searches), 2);
}

#[test]
fn an_answer_from_maps_is_one_use_of_a_tool() {
    let maps = json!([{"maps": {"placeId": "x"}}, {"maps": {"placeId": "y"}}]);
    let body = json!({"candidates": [{"groundingMetadata": {"groundingChunks": maps}}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9}});
    let measured =
        measure_whole(Shape::Gemini, body.to_string().as_bytes(), false, 9, Bounds::new(9, None, 1, 0));
    let counts = measured.metered.counts;
    assert_eq!((counts.get(Kind::ToolUses), counts.get(Kind::Searches)), (1, 0));
}

#[test]
fn what_a_response_ran_without_a_meter_is_marked() {
    let usage = json!({"input_tokens": 9, "output_tokens": 9});
    for (call, uncounted) in
        [("code_interpreter_call", true), ("function_call", false), ("x_search_call", true)]
    {
        let whole = json!({"output": [{"type": call}], "usage": usage});
        let body = whole.to_string();
        let measured = measure_whole(Shape::Responses, body.as_bytes(), false, 9, Bounds::new(9, None, 1, 0));
        assert_eq!((measured.metered.uncounted, measured.estimated), (uncounted, false), "{call}");
        let mut meter = StreamMeter::new(Shape::Responses, true, false, Bounds::new(9, None, 1, 0), None);
        let item = json!({"type": "response.output_item.done", "item": {"type": call}});
        meter.feed(Bytes::from(format!("data: {item}\n\n")));
        assert_eq!(meter.measured(9, false).metered.uncounted, uncounted, "{call}");
    }
}

#[test]
fn an_advisers_pass_is_counted_and_marked() {
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "iterations": [
        {"type": "message", "input_tokens": 10, "output_tokens": 5},
        {"type": "advisor_message", "model": "another", "input_tokens": 100, "output_tokens": 50,
            "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30},
    ]});
    let body = json!({"content": [], "usage": usage}).to_string();
    let measured = measure_whole(Shape::Anthropic, body.as_bytes(), false, 9, Bounds::new(9, None, 1, 0));
    let counts = measured.metered.counts;
    assert_eq!((counts.input(), counts.cached(), counts.output()), (160, 20, 55));
    assert_eq!((counts.get(Kind::CacheWriteShort), measured.estimated), (30, true));
}
