//! The demonstration model of an installation without providers: every route in its protocol's shape, whole and as a
//! stream, so that clients and budgets can be tried before a provider is connected. It repeats the beginning of its input
//! and says that it is a demonstration. Its usage is the gateway's estimate of its text.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::model::{DEMO_ECHO, demo_echo};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::route::Route;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::estimate;
use super::parsed_request::ParsedRequest;
use super::upstream::UpstreamResponse;

const START: &str = "This is a demonstration: no provider is connected. You said: ";
const PIECE_INTERVAL: Duration = Duration::from_millis(5);
const PIECE_LENGTH: usize = 12;
const MAX_INPUTS: usize = 100;
/// One pixel, as PNG.
const DEMO_IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// The parts of an answer.
struct DemoAnswer {
    id: String,
    seconds: i64,
    text: String,
    input: i64,
    output: i64,
    is_cut: bool,
}

/// Answers a request. `wants_events` is Gemini's `alt=sse`.
pub fn answer(
    parsed: &ParsedRequest,
    wants_events: bool,
    request: &RequestId,
    now: Moment,
) -> UpstreamResponse {
    let body: Value = serde_json::from_slice(parsed.body()).unwrap_or_default();
    let max = parsed.max_output.unwrap_or(i64::MAX).min(demo_echo().default_output_tokens);
    let whole = format!("{START}{}", last_text(&body).unwrap_or_default());
    let text = truncated(&whole, max);
    let answer = DemoAnswer {
        id: request.as_str().trim_start_matches("req_").to_owned(),
        seconds: now.ms() / 1_000,
        input: estimate::of_request(&parsed.model, parsed.body()).unwrap_or_default().likely,
        output: estimate::of_text(&text),
        is_cut: text.len() < whole.len() && parsed.max_output.is_some_and(|named| named <= max),
        text,
    };
    if !parsed.streams {
        return response_of("application/json", vec![whole_answer(parsed.route, &answer, &body).to_string()]);
    }
    let pieces = pieces(&answer.text);
    match parsed.route {
        Route::StreamGenerate if !wants_events => {
            let last = pieces.len().saturating_sub(1);
            let element = |(position, piece): (usize, &String)| {
                let open = if position == 0 { "[" } else { ",\r\n" };
                let close = if position == last { "]" } else { "" };
                format!("{open}{}{close}", gemini(&answer, piece, position == last))
            };
            response_of("application/json", pieces.iter().enumerate().map(element).collect())
        }
        Route::StreamGenerate => {
            let last = pieces.len().saturating_sub(1);
            let event = |(position, piece): (usize, &String)| {
                format!("data: {}\r\n\r\n", gemini(&answer, piece, position == last))
            };
            response_of("text/event-stream", pieces.iter().enumerate().map(event).collect())
        }
        Route::Messages => response_of("text/event-stream", named_events(message_events(&answer, &pieces))),
        Route::Responses => response_of("text/event-stream", named_events(response_events(&answer, &pieces))),
        route => {
            let events = completion_events(route, &answer, &pieces);
            let events = events.iter().map(|event| format!("data: {event}\n\n"));
            response_of("text/event-stream", events.chain(["data: [DONE]\n\n".into()]).collect())
        }
    }
}

fn response_of(content_type: &'static str, parts: Vec<String>) -> UpstreamResponse {
    let parts = parts.into_iter().enumerate();
    let chunks = stream::unfold(parts, |mut parts| async move {
        let (position, part) = parts.next()?;
        if position > 0 {
            tokio::time::sleep(PIECE_INTERVAL).await;
        }
        Some((Ok(Bytes::from(part)), parts))
    });
    UpstreamResponse {
        status: StatusCode::OK,
        content_type: Some(HeaderValue::from_static(content_type)),
        headers: HeaderMap::new(),
        request_id: None,
        chunks: Box::pin(chunks),
    }
}

/// The last text of the request, in any protocol.
fn last_text(body: &Value) -> Option<String> {
    fn last(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Array(list) => list.iter().rev().find_map(last),
            Value::Object(object) => {
                ["content", "parts", "text"].iter().find_map(|name| last(object.get(*name)?))
            }
            _ => None,
        }
    }
    ["messages", "contents", "input", "prompt"].iter().find_map(|name| last(body.get(*name)?))
}

/// The beginning of the text, up to this many tokens.
fn truncated(text: &str, max: i64) -> String {
    let mut kept: String =
        text.chars().take(usize::try_from(max.max(0)).unwrap_or(0).saturating_mul(3)).collect();
    while estimate::of_text(&kept) > max {
        kept.pop();
    }
    kept
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters.chunks(PIECE_LENGTH).map(|piece| piece.iter().collect()).collect();
    if pieces.is_empty() { vec![String::new()] } else { pieces }
}

fn named_events(events: Vec<Value>) -> Vec<String> {
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect()
}

fn whole_answer(route: Route, answer: &DemoAnswer, body: &Value) -> Value {
    match route {
        Route::ChatCompletions => {
            let message = json!({"role": "assistant", "content": answer.text, "refusal": null});
            let choice =
                json!({"index": 0, "message": message, "logprobs": null, "finish_reason": answer.finish()});
            completion(answer, "chatcmpl", "chat.completion", json!([choice]), openai_usage(answer))
        }
        Route::Completions => {
            let choice =
                json!({"index": 0, "text": answer.text, "logprobs": null, "finish_reason": answer.finish()});
            completion(answer, "cmpl", "text_completion", json!([choice]), openai_usage(answer))
        }
        Route::Embeddings => embeddings(answer, body),
        Route::Responses => response(answer, "completed"),
        Route::CompactResponse => compaction(answer),
        Route::CountResponseTokens => {
            json!({"object": "response.input_tokens", "input_tokens": answer.input})
        }
        Route::GenerateImages => json!({
            "created": answer.seconds,
            "data": [{"b64_json": DEMO_IMAGE}],
            "usage": {
                "input_tokens": answer.input, "output_tokens": 1, "total_tokens": answer.input + 1,
                "input_tokens_details": {"text_tokens": answer.input, "image_tokens": 0},
                "output_tokens_details": {"text_tokens": 1, "image_tokens": 0},
            },
        }),
        Route::Moderations => json!({
            "id": format!("modr-{}", answer.id),
            "model": DEMO_ECHO,
            "results": [{"flagged": false, "categories": {}, "category_scores": {}}],
        }),
        Route::Messages => message(answer, &answer.text, Some(answer.stop_reason()), answer.output),
        Route::CountMessageTokens => json!({"input_tokens": answer.input}),
        Route::CountTokens => json!({"totalTokens": answer.input}),
        Route::Generate | Route::StreamGenerate => gemini(answer, &answer.text, true),
        Route::EmbedContent => {
            json!({"embedding": {"values": [0.0, 1.0]}, "usageMetadata": {"promptTokenCount": answer.input}})
        }
        Route::BatchEmbedContents => {
            let texts = body.get("requests").and_then(Value::as_array).map_or(0, Vec::len).min(MAX_INPUTS);
            let one = json!({"values": [0.0, 1.0]});
            json!({"embeddings": vec![one; texts], "usageMetadata": {"promptTokenCount": answer.input}})
        }
    }
}

impl DemoAnswer {
    fn finish(&self) -> &'static str {
        if self.is_cut { "length" } else { "stop" }
    }

    fn stop_reason(&self) -> &'static str {
        if self.is_cut { "max_tokens" } else { "end_turn" }
    }
}

fn openai_usage(answer: &DemoAnswer) -> Value {
    json!({
        "prompt_tokens": answer.input,
        "completion_tokens": answer.output,
        "total_tokens": answer.input + answer.output,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    })
}

fn completion(answer: &DemoAnswer, prefix: &str, object: &str, choices: Value, usage: Value) -> Value {
    json!({
        "id": format!("{prefix}-{}", answer.id),
        "object": object,
        "created": answer.seconds,
        "model": DEMO_ECHO,
        "choices": choices,
        "usage": usage,
        "service_tier": "default",
    })
}

fn completion_events(route: Route, answer: &DemoAnswer, pieces: &[String]) -> Vec<Value> {
    let is_chat = route == Route::ChatCompletions;
    let (prefix, object) =
        if is_chat { ("chatcmpl", "chat.completion.chunk") } else { ("cmpl", "text_completion") };
    let event = |choices: Value, usage: Value| completion(answer, prefix, object, choices, usage);
    let choice = |delta: Value, text: &str, finish: Option<&str>| {
        let choice = if is_chat {
            json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish})
        } else {
            json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish})
        };
        event(json!([choice]), Value::Null)
    };
    let mut events = Vec::new();
    if is_chat {
        events.push(choice(json!({"role": "assistant", "content": ""}), "", None));
    }
    events.extend(pieces.iter().map(|piece| choice(json!({"content": piece}), piece, None)));
    events.push(choice(json!({}), "", Some(answer.finish())));
    events.push(event(json!([]), openai_usage(answer)));
    events
}

/// Short vectors that depend only on the text.
fn embeddings(answer: &DemoAnswer, body: &Value) -> Value {
    let texts: Vec<String> = match &body["input"] {
        Value::Array(list) if list.iter().any(|part| !part.is_number()) => {
            list.iter().take(MAX_INPUTS).map(Value::to_string).collect()
        }
        other => vec![other.to_string()],
    };
    let as_base64 = body["encoding_format"] == "base64";
    let vector = |text: &String| {
        let numbers: Vec<f32> =
            Sha256::digest(text).iter().take(16).map(|byte| (f32::from(*byte) - 127.5) / 510.0).collect();
        if as_base64 {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::String(BASE64_STANDARD.encode(bytes))
        } else {
            json!(numbers)
        }
    };
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    let usage = json!({"prompt_tokens": answer.input, "total_tokens": answer.input});
    json!({"object": "list", "data": data, "model": DEMO_ECHO, "usage": usage})
}

fn message(answer: &DemoAnswer, text: &str, stop: Option<&str>, output: i64) -> Value {
    let content = if stop.is_some() { json!([{"type": "text", "text": text}]) } else { json!([]) };
    json!({
        "id": format!("msg_{}", answer.id),
        "type": "message",
        "role": "assistant",
        "model": DEMO_ECHO,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": answer.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output,
            "service_tier": "standard",
        },
    })
}

fn message_events(answer: &DemoAnswer, pieces: &[String]) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": message(answer, "", None, 0)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(pieces.iter().map(
        |piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
    ));
    let delta = json!({"stop_reason": answer.stop_reason(), "stop_sequence": null});
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": answer.output}}),
        json!({"type": "message_stop"}),
    ]);
    events
}

fn response_item(answer: &DemoAnswer, status: &str) -> Value {
    let content = match status {
        "in_progress" => json!([]),
        _ => json!([response_part(&answer.text)]),
    };
    let id = format!("msg_{}", answer.id);
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

fn response_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn compaction(answer: &DemoAnswer) -> Value {
    let item = json!({
        "id": format!("cmp_{}", answer.id),
        "type": "compaction",
        "encrypted_content": answer.text,
    });
    let mut whole = response(answer, "completed");
    let usage = whole.get_mut("usage").map(Value::take);
    json!({
        "id": format!("resp_{}", answer.id),
        "object": "response.compaction",
        "created_at": answer.seconds,
        "output": [item],
        "usage": usage,
    })
}

fn response(answer: &DemoAnswer, status: &str) -> Value {
    let is_over = status != "in_progress";
    let usage = json!({
        "input_tokens": answer.input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input + answer.output,
    });
    let is_cut = is_over && answer.is_cut;
    json!({
        "id": format!("resp_{}", answer.id),
        "object": "response",
        "created_at": answer.seconds,
        "status": if is_cut { "incomplete" } else { status },
        "error": null,
        "incomplete_details": if is_cut { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "instructions": null,
        "max_output_tokens": null,
        "model": DEMO_ECHO,
        "output": if is_over { json!([response_item(answer, "completed")]) } else { json!([]) },
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "service_tier": "default",
        "usage": if is_over { usage } else { Value::Null },
        "user": null,
        "metadata": {},
    })
}

fn response_events(answer: &DemoAnswer, pieces: &[String]) -> Vec<Value> {
    let item = format!("msg_{}", answer.id);
    let part = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "item_id": item, "output_index": 0, "content_index": 0});
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    };
    let mut events = vec![
        json!({"type": "response.created", "response": response(answer, "in_progress")}),
        json!({"type": "response.in_progress", "response": response(answer, "in_progress")}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": response_item(answer, "in_progress")}),
        part("response.content_part.added", json!({"part": response_part("")})),
    ];
    events.extend(
        pieces
            .iter()
            .map(|piece| part("response.output_text.delta", json!({"delta": piece, "logprobs": []}))),
    );
    let last = if answer.is_cut { "response.incomplete" } else { "response.completed" };
    events.extend([
        part("response.output_text.done", json!({"text": answer.text, "logprobs": []})),
        part("response.content_part.done", json!({"part": response_part(&answer.text)})),
        json!({"type": "response.output_item.done", "output_index": 0, "item": response_item(answer, "completed")}),
        json!({"type": last, "response": response(answer, "completed")}),
    ]);
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

fn gemini(answer: &DemoAnswer, text: &str, is_last: bool) -> Value {
    let content = json!({"parts": [{"text": text}], "role": "model"});
    let mut candidate = json!({"content": content, "index": 0});
    let output = if is_last { answer.output } else { estimate::of_text(text) };
    if is_last {
        candidate["finishReason"] = json!(if answer.is_cut { "MAX_TOKENS" } else { "STOP" });
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": answer.input,
            "candidatesTokenCount": output,
            "totalTokenCount": answer.input + output,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input}],
            "serviceTier": "standard",
        },
        "modelVersion": DEMO_ECHO,
        "responseId": answer.id,
    })
}
