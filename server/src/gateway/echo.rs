//! The model that answers while an installation has no provider: every route in its protocol's own shape, whole and as a
//! stream, so that a client can be set up and a budget be seen to work before anything is bought. It repeats the beginning
//! of what it was told and says that it is a demonstration. Its usage is true of its text, by the gateway's own estimate.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::model::{DEMO_ECHO, demo_echo};
use keydesk_core::domain::moment::Moment;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ask::{Ask, Route};
use super::estimate;
use super::upstream::Answer;

const START: &str = "This is a demonstration: no provider is connected. You said: ";
const APART: Duration = Duration::from_millis(5);
const PIECE: usize = 12;
const MAX_INPUTS: usize = 100;

/// What an answer is made of.
struct Said {
    id: String,
    seconds: i64,
    text: String,
    input: i64,
    output: i64,
    is_cut: bool,
}

/// `asked_events` is Gemini's `alt=sse`.
pub fn answer(ask: &Ask, asked_events: bool, request: &RequestId, now: Moment) -> Answer {
    let body: Value = serde_json::from_slice(ask.body()).unwrap_or_default();
    let max = ask.max_output.unwrap_or(i64::MAX).min(demo_echo().default_output_tokens);
    let whole = format!("{START}{}", last_text(&body).unwrap_or_default());
    let text = within(&whole, max);
    let said = Said {
        id: request.as_str().trim_start_matches("req_").to_owned(),
        seconds: now.ms() / 1_000,
        input: estimate::of_request(ask.body()).unwrap_or_default(),
        output: estimate::of_text(&text),
        is_cut: text.len() < whole.len() && ask.max_output.is_some_and(|named| named <= max),
        text,
    };
    if !ask.streams {
        return made("application/json", vec![whole_answer(ask.route, &said, &body).to_string()]);
    }
    let pieces = pieces(&said.text);
    match ask.route {
        Route::StreamGenerate if !asked_events => {
            let last = pieces.len().saturating_sub(1);
            let element = |(place, piece): (usize, &String)| {
                let open = if place == 0 { "[" } else { ",\r\n" };
                let close = if place == last { "]" } else { "" };
                format!("{open}{}{close}", gemini(&said, piece, place == last))
            };
            made("application/json", pieces.iter().enumerate().map(element).collect())
        }
        Route::StreamGenerate => {
            let last = pieces.len().saturating_sub(1);
            let event = |(place, piece): (usize, &String)| {
                format!("data: {}\r\n\r\n", gemini(&said, piece, place == last))
            };
            made("text/event-stream", pieces.iter().enumerate().map(event).collect())
        }
        Route::Messages => made("text/event-stream", named_events(message_events(&said, &pieces))),
        Route::Responses => made("text/event-stream", named_events(response_events(&said, &pieces))),
        route => {
            let events = completion_events(route, &said, &pieces);
            let events = events.iter().map(|event| format!("data: {event}\n\n"));
            made("text/event-stream", events.chain(["data: [DONE]\n\n".into()]).collect())
        }
    }
}

fn made(content_type: &'static str, parts: Vec<String>) -> Answer {
    let parts = parts.into_iter().enumerate();
    let chunks = stream::unfold(parts, |mut parts| async move {
        let (place, part) = parts.next()?;
        if place > 0 {
            tokio::time::sleep(APART).await;
        }
        Some((Ok(Bytes::from(part)), parts))
    });
    Answer {
        status: StatusCode::OK,
        content_type: Some(HeaderValue::from_static(content_type)),
        retry_after: None,
        request_id: None,
        chunks: Box::pin(chunks),
    }
}

/// The last text that was sent, wherever its protocol has it.
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

/// As much of the beginning as has this many tokens.
fn within(text: &str, max: i64) -> String {
    let mut kept: String =
        text.chars().take(usize::try_from(max.max(0)).unwrap_or(0).saturating_mul(3)).collect();
    while estimate::of_text(&kept) > max {
        kept.pop();
    }
    kept
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect();
    if pieces.is_empty() { vec![String::new()] } else { pieces }
}

fn named_events(events: Vec<Value>) -> Vec<String> {
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect()
}

fn whole_answer(route: Route, said: &Said, body: &Value) -> Value {
    match route {
        Route::ChatCompletions => {
            let message = json!({"role": "assistant", "content": said.text, "rejection": null});
            let choice =
                json!({"index": 0, "message": message, "logprobs": null, "finish_reason": said.finish()});
            completion(said, "chatcmpl", "chat.completion", json!([choice]), openai_usage(said))
        }
        Route::Completions => {
            let choice =
                json!({"index": 0, "text": said.text, "logprobs": null, "finish_reason": said.finish()});
            completion(said, "cmpl", "text_completion", json!([choice]), openai_usage(said))
        }
        Route::Embeddings => embeddings(said, body),
        Route::Responses => response(said, "completed"),
        Route::Messages => message(said, &said.text, Some(said.stop_reason()), said.output),
        Route::CountMessageTokens => json!({"input_tokens": said.input}),
        Route::CountTokens => json!({"totalTokens": said.input}),
        Route::Generate | Route::StreamGenerate => gemini(said, &said.text, true),
    }
}

impl Said {
    fn finish(&self) -> &'static str {
        if self.is_cut { "length" } else { "stop" }
    }

    fn stop_reason(&self) -> &'static str {
        if self.is_cut { "max_tokens" } else { "end_turn" }
    }
}

fn openai_usage(said: &Said) -> Value {
    json!({
        "prompt_tokens": said.input,
        "completion_tokens": said.output,
        "total_tokens": said.input + said.output,
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}

fn completion(said: &Said, prefix: &str, object: &str, choices: Value, usage: Value) -> Value {
    json!({
        "id": format!("{prefix}-{}", said.id),
        "object": object,
        "created": said.seconds,
        "model": DEMO_ECHO,
        "choices": choices,
        "usage": usage,
    })
}

fn completion_events(route: Route, said: &Said, pieces: &[String]) -> Vec<Value> {
    let is_chat = route == Route::ChatCompletions;
    let (prefix, object) =
        if is_chat { ("chatcmpl", "chat.completion.chunk") } else { ("cmpl", "text_completion") };
    let event = |choices: Value, usage: Value| completion(said, prefix, object, choices, usage);
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
    events.push(choice(json!({}), "", Some(said.finish())));
    events.push(event(json!([]), openai_usage(said)));
    events
}

/// Short vectors that are the same for the same text.
fn embeddings(said: &Said, body: &Value) -> Value {
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
    let usage = json!({"prompt_tokens": said.input, "total_tokens": said.input});
    json!({"object": "list", "data": data, "model": DEMO_ECHO, "usage": usage})
}

fn message(said: &Said, text: &str, stop: Option<&str>, output: i64) -> Value {
    let content = if stop.is_some() { json!([{"type": "text", "text": text}]) } else { json!([]) };
    json!({
        "id": format!("msg_{}", said.id),
        "type": "message",
        "role": "assistant",
        "model": DEMO_ECHO,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": said.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
        },
    })
}

fn message_events(said: &Said, pieces: &[String]) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": message(said, "", None, 0)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(pieces.iter().map(
        |piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
    ));
    let delta = json!({"stop_reason": said.stop_reason(), "stop_sequence": null});
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": said.output}}),
        json!({"type": "message_stop"}),
    ]);
    events
}

fn response_item(said: &Said, status: &str) -> Value {
    let content = match status {
        "in_progress" => json!([]),
        _ => json!([response_part(&said.text)]),
    };
    let id = format!("msg_{}", said.id);
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

fn response_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn response(said: &Said, status: &str) -> Value {
    let is_over = status != "in_progress";
    let usage = json!({
        "input_tokens": said.input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": said.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.input + said.output,
    });
    let is_cut = is_over && said.is_cut;
    json!({
        "id": format!("resp_{}", said.id),
        "object": "response",
        "created_at": said.seconds,
        "status": if is_cut { "incomplete" } else { status },
        "error": null,
        "incomplete_details": if is_cut { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "instructions": null,
        "max_output_tokens": null,
        "model": DEMO_ECHO,
        "output": if is_over { json!([response_item(said, "completed")]) } else { json!([]) },
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
        "usage": if is_over { usage } else { Value::Null },
        "user": null,
        "metadata": {},
    })
}

fn response_events(said: &Said, pieces: &[String]) -> Vec<Value> {
    let item = format!("msg_{}", said.id);
    let part = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "item_id": item, "output_index": 0, "content_index": 0});
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    };
    let mut events = vec![
        json!({"type": "response.created", "response": response(said, "in_progress")}),
        json!({"type": "response.in_progress", "response": response(said, "in_progress")}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": response_item(said, "in_progress")}),
        part("response.content_part.added", json!({"part": response_part("")})),
    ];
    events.extend(
        pieces
            .iter()
            .map(|piece| part("response.output_text.delta", json!({"delta": piece, "logprobs": []}))),
    );
    let last = if said.is_cut { "response.incomplete" } else { "response.completed" };
    events.extend([
        part("response.output_text.done", json!({"text": said.text, "logprobs": []})),
        part("response.content_part.done", json!({"part": response_part(&said.text)})),
        json!({"type": "response.output_item.done", "output_index": 0, "item": response_item(said, "completed")}),
        json!({"type": last, "response": response(said, "completed")}),
    ]);
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

fn gemini(said: &Said, text: &str, is_last: bool) -> Value {
    let content = json!({"parts": [{"text": text}], "role": "model"});
    let mut candidate = json!({"content": content, "index": 0});
    let output = if is_last { said.output } else { estimate::of_text(text) };
    if is_last {
        candidate["finishReason"] = json!(if said.is_cut { "MAX_TOKENS" } else { "STOP" });
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": said.input,
            "candidatesTokenCount": output,
            "totalTokenCount": said.input + output,
        },
        "modelVersion": DEMO_ECHO,
        "responseId": said.id,
    })
}
