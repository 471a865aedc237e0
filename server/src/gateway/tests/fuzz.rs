//! What clients and providers send, nearly right and not at all, in pieces of any size: nothing of it is lost, invented or
//! charged beyond bounds.

use bytes::Bytes;
use keydesk_core::domain::route::Route;
use keydesk_test_support::fuzz::{fuzz, near};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::gateway::parsed_request::ParsedRequest;
use crate::gateway::sse::{Elements, Event, Events};
use crate::gateway::usage::{Bounds, MeasuredTokens, Shape, StreamMeter, measure_failure, measure_whole};

const CHAT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \u{1F600}\"}}],\"usage\":null}\r\n\r\n: keep-alive\r\n\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\r\n\r\ndata: [DONE]\r\n\r\n";
const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":50,\"output_tokens\":1}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello!\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15,\"iterations\":[{\"type\":\"compaction\",\"input_tokens\":7}]}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const RESPONSES: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi there\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"service_tier\":\"flex\",\"usage\":{\"input_tokens\":37,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":11,\"total_tokens\":48}}}\n\n";
const GEMINI: &str = "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}]}}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":1}}\n,\r\n{\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":10,\"toolUsePromptTokenCount\":2,\"candidatesTokenCount\":5,\"thoughtsTokenCount\":7,\"promptTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":3}]}}]\n";
const WHOLE: &str = "{\"id\":\"x\",\"choices\":[{\"message\":{\"content\":\"Hello\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"input_tokens\":9,\"output_tokens\":12},\"usageMetadata\":{\"promptTokenCount\":10},\"service_tier\":\"flex\"}";

const STREAMS: [&str; 5] = [CHAT, MESSAGES, RESPONSES, GEMINI, WHOLE];
const SHAPES: [Shape; 4] = [Shape::OpenAi, Shape::Responses, Shape::Anthropic, Shape::Gemini];

const BODIES: [&str; 7] = [
    r#"{"model":"gpt-5","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"max_tokens":16,"n":2,"stream":true,"stream_options":{"include_usage":false},"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"service_tier":"flex"}"#,
    r#"{"model":"gpt-5","input":[{"role":"user","content":"hi"}],"previous_response_id":"resp_1","max_output_tokens":9,"tools":[{"type":"web_search"}],"reasoning":{"effort":"none"}}"#,
    r#"{"model":"claude","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"enabled","budget_tokens":5}}"#,
    r#"{"contents":[{"parts":[{"text":"hi"},{"inlineData":{"mimeType":"audio/mp3","data":"AAAA"}}]}],"generationConfig":{"maxOutputTokens":9,"candidateCount":2},"tools":[{"googleSearch":{}}]}"#,
    r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"hi"}]}}]}"#,
    r#"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#,
    r#"{"model":"m","prompt":["a",[1,2,3]],"best_of":3,"mod\u0065l":"other"}"#,
];

/// The stream in pieces that meet at these places.
fn pieces(stream: &[u8], cuts: &[Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| Bytes::copy_from_slice(&stream[pair[0]..pair[1]])).collect()
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..8)
}

fn events(pieces: &[Bytes], keeps_raw: bool) -> Vec<Event> {
    let (mut events, mut found) = (Events::keeping_raw(keeps_raw), Vec::new());
    pieces.iter().for_each(|piece| events.feed(piece, &mut |event| found.push(event)));
    events.finish(&mut |event| found.push(event));
    found
}

#[test]
fn a_stream_of_events_is_the_same_in_any_pieces_and_none_is_lost() {
    fuzz((near(&STREAMS), cuts()), |(stream, cuts)| {
        let whole = events(&pieces(&stream, &[]), true);
        let cut = events(&pieces(&stream, &cuts), true);
        prop_assert_eq!(&whole, &cut);
        let raw: Vec<u8> = cut.into_iter().flat_map(|event| event.raw).collect();
        prop_assert_eq!(raw, stream);
        Ok(())
    });
}

#[test]
fn the_elements_of_an_array_are_the_same_in_any_pieces() {
    fuzz((near(&STREAMS), cuts()), |(stream, cuts)| {
        let found = |pieces: &[Bytes]| {
            let (mut elements, mut found) = (Elements::default(), Vec::new());
            pieces.iter().for_each(|piece| elements.feed(piece, &mut |event| found.push(event)));
            found
        };
        prop_assert_eq!(found(&pieces(&stream, &[])), found(&pieces(&stream, &cuts)));
        Ok(())
    });
}

fn is_bounded(measured: &MeasuredTokens) -> bool {
    let counts = measured.metered.counts;
    // Twice, because another pass can be reported beside the answer.
    (0..=4_000_000).contains(&counts.input()) && (0..=2_000_000).contains(&counts.output())
}

#[test]
fn a_streams_usage_is_the_same_in_any_pieces_and_never_beyond_its_bounds() {
    fuzz(
        (near(&STREAMS), cuts(), 0..4_usize, any::<[bool; 3]>()),
        |(stream, cuts, shape, [is_events, hides, ended])| {
            let read = |pieces: Vec<Bytes>| {
                let mut meter = StreamMeter::new(
                    SHAPES[shape],
                    is_events,
                    hides,
                    Bounds::new(1_000, Some(50), 1, 0),
                    None,
                );
                let mut shown: Vec<u8> = pieces.into_iter().flat_map(|piece| meter.feed(piece)).collect();
                shown.extend(meter.finish());
                (shown, meter.measured(1_000, ended), meter.stored_ids().to_vec())
            };
            let whole = read(pieces(&stream, &[]));
            let cut = read(pieces(&stream, &cuts));
            prop_assert_eq!(&whole, &cut);
            prop_assert!(is_bounded(&cut.1), "{:?}", cut.1);
            // The client loses at most events with nothing but the usage, which it did not ask for.
            let is_kept = if hides && is_events { cut.0.len() <= stream.len() } else { cut.0 == stream };
            prop_assert!(is_kept, "{} of {} bytes are shown", cut.0.len(), stream.len());
            Ok(())
        },
    );
}

#[test]
fn a_whole_answers_usage_is_never_beyond_its_bounds() {
    fuzz((near(&STREAMS), 0..4_usize, any::<bool>()), |(body, shape, end_only)| {
        let bounds = Bounds::new(1_000, None, 1, 0);
        let measured = measure_whole(SHAPES[shape], &body, end_only, 1_000, bounds);
        prop_assert!(is_bounded(&measured), "{:?}", measured);
        let failed = measure_failure(SHAPES[shape], &body, bounds);
        prop_assert!(is_bounded(&failed), "{:?}", failed);
        Ok(())
    });
}

#[test]
fn a_request_is_read_and_passed_on_or_refused_with_a_sentence() {
    fuzz((near(&BODIES), any::<Index>(), any::<bool>()), |(body, route, in_path)| {
        let route = *route.get(&Route::ALL);
        let body = Bytes::from(body);
        match ParsedRequest::parse(route, in_path.then_some("m"), body.clone()) {
            Err(error) => prop_assert!(!error.sentence().is_empty()),
            Ok(request) => {
                let asked = request.asked();
                prop_assert!(asked.input.likely >= 0 && asked.input.likely <= asked.input.max, "{:?}", asked);
                prop_assert!(
                    asked.output.is_none_or(|output| output >= 0) && asked.answers >= 1 && asked.inputs >= 1,
                    "{:?}",
                    asked
                );
                request.may_reason();
                let model = request.model.clone();
                let (sent, _) = request.into_upstream("elsewhere");
                let sent: Value =
                    serde_json::from_slice(&sent).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(sent.is_object());
                // The provider hears its own name of the model, and no other.
                if let Some(named) = sent.get("model") {
                    prop_assert!(named == "elsewhere" || named == "models/elsewhere", "{named} for {model}");
                }
            }
        }
        Ok(())
    });
}
