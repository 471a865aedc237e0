//! Usage read from answers of every shape.

use bytes::Bytes;
use keydesk_core::domain::meter::{Counts, Meter};
use serde_json::json;

use crate::gateway::usage::{
    AccountError, Bounds, MeasuredTokens, Shape, StreamMeter, measure_failure, measure_whole,
};

fn tokens(input: i64, output: i64, cached: i64) -> Counts {
    Counts::of_totals(input, cached, output)
}

fn reported(counts: Counts) -> MeasuredTokens {
    MeasuredTokens { metered: counts.into(), estimated: false }
}

fn bounds() -> Bounds {
    Bounds::new(1_000, None, 1, 0)
}

const CHAT: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\r\n\r\n",
    ": keep-alive\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \u{1F600}\"}}],\r\ndata: \"usage\":null}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\r\n\r\n",
);
const CHAT_USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\r\n\r\n";
const DONE: &str = "data: [DONE]\r\n\r\n";

const MESSAGES: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":50,"output_tokens":1}}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello!"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","response":{"id":"resp_1","status":"in_progress","usage":null}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","delta":"Hi there"}

event: response.output_text.done
data: {"type":"response.output_text.done","text":"Hi there"}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_1","usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":3},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

const GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"}}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":1,"totalTokenCount":11}}"#;
const GEMINI_LAST: &str = r#"{"candidates":[{"content":{"parts":[{"text":"lo"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"toolUsePromptTokenCount":2,"candidatesTokenCount":5,"thoughtsTokenCount":7,"cachedContentTokenCount":4,"totalTokenCount":24}}"#;

/// What is shown of a stream that arrives in two pieces, and what was measured.
fn streamed(
    shape: Shape,
    is_events: bool,
    hides: bool,
    stream: &str,
    cut: usize,
) -> (Vec<u8>, MeasuredTokens) {
    let instead: AccountError = Box::new(|error| json!({"error": {"message": error.sentence("Far")}}));
    let mut meter = StreamMeter::new(shape, is_events, hides, bounds(), Some(instead));
    let (one, two) = stream.as_bytes().split_at(cut);
    let mut shown = meter.feed(Bytes::copy_from_slice(one)).to_vec();
    shown.extend(meter.feed(Bytes::copy_from_slice(two)));
    shown.extend(meter.finish());
    (shown, meter.measured(1_000, true))
}

/// What the message above used.
fn written(output: i64) -> Counts {
    tokens(75, output, 50).with(Meter::CacheWriteShort, 100)
}

#[test]
fn the_usage_of_a_stream_is_read_wherever_its_bytes_are_cut() {
    let chat = [CHAT, CHAT_USAGE, DONE].concat();
    let sse = format!("data: {GEMINI}\r\n\r\ndata: {GEMINI_LAST}\r\n\r\n");
    let list = format!("[{GEMINI}\n,\r\n{GEMINI_LAST}]\n");
    let thought = tokens(12, 5, 4).with(Meter::Reasoning, 7);
    for (shape, is_events, stream, expected) in [
        (Shape::OpenAi, true, chat.as_str(), tokens(9, 12, 4)),
        (Shape::Anthropic, true, MESSAGES, written(15)),
        (Shape::Responses, true, RESPONSES, tokens(37, 11, 3)),
        (Shape::Gemini, true, sse.as_str(), thought),
        (Shape::Gemini, false, list.as_str(), thought),
    ] {
        for cut in 0..=stream.len() {
            let (shown, measured) = streamed(shape, is_events, false, stream, cut);
            assert_eq!(measured, reported(expected), "{shape:?} cut at {cut}");
            assert_eq!(shown, stream.as_bytes(), "{shape:?} cut at {cut}");
        }
    }
}

#[test]
fn the_chunk_that_nobody_asked_for_is_hidden_and_nothing_else() {
    let whole = [CHAT, CHAT_USAGE, DONE].concat();
    let without = [CHAT, DONE].concat();
    for cut in 0..=whole.len() {
        let (shown, measured) = streamed(Shape::OpenAi, true, true, &whole, cut);
        assert_eq!(String::from_utf8(shown).unwrap(), without, "cut at {cut}");
        assert_eq!(measured, reported(tokens(9, 12, 4)));
    }
    let unfinished = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"cho";
    assert_eq!(streamed(Shape::OpenAi, true, true, unfinished, 5).0, unfinished.as_bytes());
}

#[test]
fn an_error_about_the_account_is_replaced_and_no_other() {
    let sentence = "The provider Far limits how much this installation may send, and that limit is reached. Your key's limits are not. Retry in a moment.";
    let ours = json!({"error": {"message": sentence}}).to_string();
    let limited = "Rate limit reached for gpt-5 in organization org-abc123";
    let chat = json!({"error": {"message": limited, "code": "rate_limit_exceeded"}});
    let message = json!({"type": "error", "error": {"type": "rate_limit_error", "message": limited}});
    let instead = json!({"type": "error", "error": {"message": sentence}});
    let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "error": {"code": "rate_limit_exceeded", "message": limited}}});
    let failed_instead = json!({"type": "response.failed", "response": {"id": "resp_1", "error": {"code": "server_error", "message": sentence}}});
    let event =
        json!({"type": "error", "code": "rate_limit_exceeded", "message": limited, "sequence_number": 4});
    let event_instead = json!({"type": "error", "code": "server_error", "message": sentence, "param": null, "sequence_number": 4});
    let google = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded for project 123"}});
    let sse = |event: &str, data: &str| format!("data: {{}}\n\n{event}data: {data}\n\n");
    let list = |element: &str| format!("[{GEMINI}\n,\r\n{element}]\n");
    for (shape, is_events, stream, expected) in [
        (Shape::OpenAi, true, sse("", &chat.to_string()), sse("", &ours)),
        (
            Shape::Anthropic,
            true,
            sse("event: error\n", &message.to_string()),
            sse("event: error\n", &instead.to_string()),
        ),
        (Shape::Responses, true, sse("", &failed.to_string()), sse("", &failed_instead.to_string())),
        (Shape::Responses, true, sse("", &event.to_string()), sse("", &event_instead.to_string())),
        (Shape::Gemini, true, sse("", &google.to_string()), sse("", &ours)),
        (Shape::Gemini, false, list(&google.to_string()), list(&ours)),
    ] {
        for cut in 0..=stream.len() {
            let shown = streamed(shape, is_events, false, &stream, cut).0;
            assert_eq!(String::from_utf8(shown).unwrap(), expected, "cut at {cut}");
        }
    }
    let of_request = sse(
        "",
        r#"{"error":{"message":"too long","code":"context_length_exceeded","type":"invalid_request_error"}}"#,
    );
    assert_eq!(streamed(Shape::OpenAi, true, false, &of_request, 3).0, of_request.as_bytes());
}

#[test]
fn a_stream_without_usage_is_estimated_from_its_text() {
    let (_, measured) = streamed(Shape::OpenAi, true, false, CHAT, 0);
    assert_eq!(measured, MeasuredTokens::estimate(1_000, 3));
    let broken = MESSAGES.split_once("event: message_delta").unwrap().0;
    let (_, measured) = streamed(Shape::Anthropic, true, false, broken, 0);
    // One token was told before the text, which is two.
    assert_eq!(measured, MeasuredTokens { metered: written(3).into(), estimated: true });
    let broken = RESPONSES.split_once("event: response.completed").unwrap().0;
    let (_, measured) = streamed(Shape::Responses, true, false, broken, 0);
    assert_eq!(measured, MeasuredTokens::estimate(1_000, 3));
}

#[test]
fn the_last_word_of_a_protocol_is_known() {
    let chat = [CHAT, CHAT_USAGE, DONE].concat();
    for (shape, stream) in
        [(Shape::OpenAi, chat.as_str()), (Shape::Anthropic, MESSAGES), (Shape::Responses, RESPONSES)]
    {
        let mut meter = StreamMeter::new(shape, true, false, bounds(), None);
        let almost = stream.len() - 5;
        let (one, two) = stream.split_at(almost);
        meter.feed(Bytes::from(one.to_owned()));
        assert!(!meter.is_over(), "{shape:?}");
        meter.feed(Bytes::from(two.to_owned()));
        assert!(meter.is_over(), "{shape:?}");
    }
}

#[test]
fn the_usage_of_a_whole_answer_is_read_in_every_shape() {
    for (shape, body, expected) in [
        (
            Shape::OpenAi,
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}}"#,
            tokens(5, 7, 2),
        ),
        (Shape::OpenAi, r#"{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}"#, tokens(5, 0, 0)),
        (
            Shape::Responses,
            r#"{"usage":{"input_tokens":5,"output_tokens":7,"input_tokens_details":{"cached_tokens":2}}}"#,
            tokens(5, 7, 2),
        ),
        (
            Shape::Anthropic,
            r#"{"usage":{"input_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":null,"output_tokens":7}}"#,
            tokens(8, 7, 3),
        ),
        (Shape::Gemini, r#"{"usageMetadata":{"promptTokenCount":5}}"#, tokens(5, 0, 0)),
        // What it thought is in the total alone.
        (
            Shape::OpenAi,
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":112}}"#,
            tokens(5, 107, 0),
        ),
        // Or beside the output.
        (
            Shape::OpenAi,
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":7,"completion_tokens_details":{"reasoning_tokens":100}}}"#,
            tokens(5, 7, 0).with(Meter::Reasoning, 100),
        ),
    ] {
        assert_eq!(
            measure_whole(shape, body.as_bytes(), false, 1_000, bounds()),
            reported(expected),
            "{body}"
        );
        assert_eq!(measure_failure(shape, body.as_bytes(), bounds()), reported(expected), "{body}");
    }
    for body in [r#"{"usage":null}"#, r#"{"usage":{}}"#, r#"{"usage":[1]}"#, "{}", ""] {
        let measured = measure_whole(Shape::OpenAi, body.as_bytes(), false, 1_000, bounds());
        assert_eq!(measured, MeasuredTokens::estimate(1_000, 0), "{body}");
        assert_eq!(measure_failure(Shape::OpenAi, body.as_bytes(), bounds()), MeasuredTokens::NOTHING);
    }
}

#[test]
fn the_usage_at_the_end_of_a_long_answer_is_found() {
    let end = br#"x", "text": "\"usage\": {\"prompt_tokens\": 1}"}], "usage" : {"prompt_tokens": 5, "completion_tokens": 7}, "service_tier": "flex", "x": 1}"#;
    let measured = measure_whole(Shape::OpenAi, end, true, 1_000, bounds());
    assert_eq!((measured.metered.counts, measured.estimated), (tokens(5, 7, 0), false));
    assert_eq!(measured.metered.served_as.tier, "flex");
    let measured = measure_whole(Shape::OpenAi, b"no usage at all", true, 1_000, bounds());
    assert_eq!(measured, MeasuredTokens::estimate(1_000, 5));
}

#[test]
fn what_a_model_can_give_is_believed() {
    let body = br#"{"usage":{"prompt_tokens":9,"completion_tokens":900000}}"#;
    let measured = |reserved| {
        let bounds = Bounds::new(9, None, 1, reserved);
        measure_whole(Shape::OpenAi, body, false, 9, bounds)
    };
    assert_eq!(
        (measured(1_048_576).metered.counts.output(), measured(1_048_576).estimated),
        (900_000, false)
    );
    assert!(measured(128_000).estimated && measured(128_000).metered.counts.output() < 900_000);
}

#[test]
fn the_text_of_an_answer_is_counted_where_no_usage_is_told() {
    for (body, output) in [
        (r#"{"choices":[{"message":{"role":"assistant","content":"abcdef"}}]}"#, 2),
        (r#"{"candidates":[{"content":{"parts":[{"text":"abc"}]}}]}"#, 1),
    ] {
        let measured = measure_whole(Shape::OpenAi, body.as_bytes(), false, 9, bounds());
        assert_eq!(measured, MeasuredTokens::estimate(9, output));
        // A route without output has none.
        let none = Bounds::new(9, Some(0), 1, 0);
        assert_eq!(none.output, 0);
        let measured = measure_whole(Shape::OpenAi, body.as_bytes(), false, 9, none);
        assert_eq!(measured, MeasuredTokens::estimate(9, 0));
    }
}
