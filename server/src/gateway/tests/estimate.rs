//! How many tokens a body has: nothing in it is free, and files count as files only where they are some.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keydesk_core::domain::expected_use::InputTokens;
use proptest::prelude::*;
use serde_json::{Value, json};
use tiktoken_rs::o200k_base_singleton;

use crate::gateway::estimate::{MAX_TOKENS, of_request};

const GPT: &str = "gpt-5";
const OTHER: &str = "claude-opus";

fn of(model: &str, body: &Value) -> InputTokens {
    of_request(model, body.to_string().as_bytes()).unwrap()
}

fn file(start: &[u8], size: usize) -> String {
    let mut bytes = vec![7; size];
    bytes[..start.len()].copy_from_slice(start);
    BASE64_STANDARD.encode(bytes)
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Of 900 kB that a client tried to send for nothing.
#[test]
fn no_member_name_and_no_shape_makes_text_free() {
    let text = "word ".repeat(180_000);
    let names: serde_json::Map<String, Value> =
        (0..30_000).map(|number| (format!("a property with a long name {number}"), json!(1))).collect();
    let floats: Vec<f64> = (0..100_000).map(|number| f64::from(number) + 0.125).collect();
    let tight = "dGhpcyBpcyB0ZXh0".repeat(56_000);
    let tool =
        |parameters: Value| json!({"model": "m", "tools": [{"name": "t", "input_schema": parameters}]});
    for body in [
        tool(json!({"role": text})),
        tool(json!({"properties": names})),
        tool(json!({"enum": floats})),
        tool(json!({"data": tight})),
        tool(json!({"type": "base64", "media_type": "image/png", "source": {"data": file(PNG, 600_000)}})),
        json!({"messages": [{"role": "assistant", "content": [
            {"type": "tool_use", "input": {"source": {"type": "base64", "data": file(PNG, 600_000)}}}]}]}),
        json!({"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": file(PNG, 600_000)}}]}]}),
        json!({"contents": [{"parts": [{"inlineData": {"mimeType": "text/plain", "data": file(PNG, 600_000)}}]}]}),
        json!({"messages": [{"role": text}]}),
        json!({"metadata": {"url": text}}),
    ] {
        let start = body.to_string().chars().take(120).collect::<String>();
        for model in [GPT, OTHER] {
            let tokens = of(model, &body);
            let bytes = body.to_string().len() as i64;
            assert!(tokens.likely >= bytes / 8 - 1, "{model}: {tokens:?} of {bytes}: {start}");
            assert!(tokens.max >= tokens.likely);
        }
        let most = of(OTHER, &body).max;
        assert!(most >= body.to_string().len() as i64 / 4 * 3 - 400, "{most}: {start}");
    }
}

#[test]
fn a_real_file_counts_by_its_kind_wherever_a_protocol_has_one() {
    let image = file(PNG, 2_000_000);
    let url = format!("data:image/png;base64,{image}");
    for body in [
        json!({"messages": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]}),
        json!({"input": [{"content": [{"type": "input_image", "image_url": url}]}]}),
        json!({"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": url}]}]}),
        json!({"messages": [{"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}]}]}),
        json!({"messages": [{"content": [{"type": "tool_result", "content": [
            {"type": "image", "source": {"data": image, "media_type": "image/png", "type": "base64"}}]}]}]}),
        json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": image}}]}]}),
        json!({"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": image}}]}]}),
    ] {
        for model in [GPT, OTHER] {
            let tokens = of(model, &body);
            assert!((1_600..2_000).contains(&tokens.likely), "{tokens:?}");
            assert!((50_000..51_000).contains(&tokens.max), "{tokens:?}");
        }
    }
    let other = |start: &[u8]| {
        let data = file(start, 300_000);
        of(OTHER, &json!({"contents": [{"parts": [{"inlineData": {"mimeType": "a/b", "data": data}}]}]}))
    };
    assert_eq!(other(b"%PDF-1.7").max, MAX_TOKENS);
    assert!((18_000..20_000).contains(&other(b"%PDF-1.7").likely));
    // A second of silence may be a few packed bytes; samples as they are cannot be made smaller.
    let wav = |format: u8, rate: u32| {
        let mut start = b"RIFF\x24\x90\x04\x00WAVEfmt \x10\0\0\0\0\0\x01\0".to_vec();
        start[20] = format;
        start.extend(rate.to_le_bytes());
        other(&start)
    };
    assert!(wav(1, 24_000).likely < 2_000);
    assert!((299_000..310_000).contains(&wav(1, 24_000).max), "{:?}", wav(1, 24_000));
    for audio in
        [other(b"ID3"), other(b"OggS"), other(b"fLaC"), other(b"\xff\xfb"), wav(85, 24_000), wav(1, 1)]
    {
        assert!(audio.likely < 2_000 && audio.max == MAX_TOKENS, "{audio:?}");
    }
    // A link to a file that the provider fetches.
    let link =
        json!({"input": [{"content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}]});
    assert_eq!(of(OTHER, &link).max, MAX_TOKENS);
}

#[test]
fn what_a_body_only_names_counts_as_the_whole_context() {
    let input = |item: Value| json!({"model": "m", "input": [{"role": "user", "content": "Hi"}, item]});
    let packed = file(b"gAAAAABo", 300);
    for body in [
        input(json!({"id": "msg_1"})),
        input(json!({"id": "msg_1", "type": null})),
        input(json!({"type": "item_reference", "id": "msg_1"})),
        input(json!({"type": "message", "id": "msg_1", "role": "user"})),
        input(json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": []})),
        input(json!({"encrypted_content": "", "type": "reasoning", "id": "rs_1", "summary": []})),
        input(json!({"type": "image_generation_call", "id": "ig_1", "result": null})),
        input(json!({"type": "image_generation_call", "id": "ig_1", "result": []})),
        input(json!({"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "a"}})),
        json!({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}),
        json!({"content": {"parts": [{"fileData": {"fileUri": "https://example.com/a"}}]}}),
        json!({"requests": [{"content": {"parts": [{"file_data": {"file_uri": "https://example.com/a"}}]}}]}),
    ] {
        for model in [GPT, OTHER] {
            let tokens = of(model, &body);
            assert!(tokens.max == MAX_TOKENS && tokens.likely < 2_000, "{tokens:?} of {body}");
        }
    }
    for body in [
        input(
            json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}),
        ),
        input(json!({"id": "msg_1", "role": "assistant", "content": "a"})),
        input(json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": packed})),
        input(json!({"type": "reasoning", "summary": []})),
        input(
            json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}),
        ),
        input(json!({"type": "function_call_output", "id": "fo_1", "call_id": "call_1", "output": "a"})),
        json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}]}),
        json!({"audio": {"voice": "alloy", "format": "wav"}}),
        // What Claude reasoned, as it gave it out.
        json!({"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": packed}]}]}),
        json!({"messages": [{"role": "assistant", "content": [{"data": packed, "type": "redacted_thinking"}]}]}),
    ] {
        assert!(of(OTHER, &body).max < 2_000, "{body}");
    }
}

#[test]
fn ordinary_bodies_are_counted_closely() {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(400);
    let body = json!({"model": GPT, "messages": [{"role": "user", "content": text}]});
    let truth = o200k_base_singleton().count_ordinary(&text) as i64;
    let tokens = of(GPT, &body);
    assert!(truth <= tokens.likely && tokens.max < truth + 60, "{tokens:?} of {truth}");
    let others = of(OTHER, &body);
    assert!(
        others.likely < 2 * truth && others.max == body.to_string().len() as i64,
        "{others:?} of {truth}"
    );
    assert!(of(OTHER, &json!({"input": [1, 2, 3]})).likely < 10);
}

/// Two million characters without a space, and a text that is longer than what is tokenized.
#[test]
fn no_text_takes_long() {
    let began = std::time::Instant::now();
    for text in ["a".repeat(2_000_000), " ".repeat(2_000_000), "A".repeat(2_000_000), "字".repeat(600_000)] {
        assert!(of(GPT, &json!({"prompt": text})).likely > 0);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = "role|data|url|image_url|source|type|content|messages|input|[a-z]{1,9}|\\PC{0,9}";
    let leaf = prop_oneof![
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|truth| json!(truth)),
        "\\PC{0,60}".prop_map(Value::String),
        "[A-Za-z0-9+/=]{0,80}".prop_map(Value::String),
        "[ -~\n\t]{0,200}".prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 200, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            proptest::collection::vec((name, inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Every text in it: what a model reads of it at least.
fn texts(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => all.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, all)),
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            all.push(name.clone());
            texts(value, all);
        }),
        other => all.push(other.to_string()),
    }
}

proptest! {
    #[test]
    fn the_most_is_never_less_than_the_tokenizer_says(body in any_json()) {
        let mut all = Vec::new();
        texts(&body, &mut all);
        let tokenizer = o200k_base_singleton();
        let apart: usize = all.iter().map(|text| tokenizer.count_ordinary(text)).sum();
        let together = tokenizer.count_ordinary(&body.to_string());
        let decoded = tokenizer.count_ordinary(&all.join("\n"));
        for model in [GPT, OTHER] {
            let tokens = of(model, &body);
            prop_assert!(tokens.max >= apart as i64, "{model}: {tokens:?} < {apart}");
            prop_assert!(tokens.max >= decoded as i64, "{model}: {tokens:?} < {decoded}");
            prop_assert!(tokens.likely <= tokens.max);
        }
        prop_assert!(of(OTHER, &body).max >= together as i64);
    }

    #[test]
    fn any_bytes_are_counted_or_refused(body: Vec<u8>) {
        let _ = of_request(GPT, &body);
    }
}
