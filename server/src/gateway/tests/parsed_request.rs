//! Requests as they are read.

use bytes::Bytes;
use keydesk_core::domain::meter::ServedAs;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::price::Price;
use keydesk_core::domain::route::Route;
use keydesk_core::domain::tariff::Tariff;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::gateway::estimate;
use crate::gateway::parsed_request::ParsedRequest;

fn read(route: Route, body: &str) -> ParsedRequest {
    ParsedRequest::parse(route, None, Bytes::from(body.to_owned())).unwrap()
}

fn refused(route: Route, body: &str) -> String {
    let error = ParsedRequest::parse(route, None, Bytes::from(body.to_owned())).unwrap_err();
    error.sentence().to_owned()
}

#[test]
fn a_body_that_needs_no_change_is_passed_on_byte_for_byte() {
    let body = "{ \"model\" : \"m\",\n \"messages\": [ {\"role\":\"user\",\"content\":\"h\\u0069\"} ], \"x\": 1.50 }";
    let (sent, hides) = read(Route::ChatCompletions, body).into_upstream("m");
    assert_eq!((sent, hides), (Bytes::from(body), false));
}

#[test]
fn only_the_models_name_differs_where_it_has_another_one_upstream() {
    let body = r#"{"a": 1.50, "model":"m", "messages": [ ]}"#;
    let (sent, _) = read(Route::ChatCompletions, body).into_upstream("real-m");
    assert_eq!(sent, Bytes::from(r#"{"a":1.50,"model":"real-m","messages":[ ]}"#));
}

#[test]
fn of_a_name_that_stands_twice_only_the_last_reaches_a_provider() {
    let ask = read(Route::ChatCompletions, r#"{"model":"cheap","mod\u0065l":"dear","n":1}"#);
    assert_eq!(ask.model, "dear");
    assert_eq!(ask.into_upstream("dear").0, Bytes::from(r#"{"model":"dear","n":1}"#));
}

#[test]
fn what_cannot_be_read_hides_nothing() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for member in [
        r#""generationConfig":{"candidateCount":8,"maxOutputTokens":1e9999}"#.to_owned(),
        r#""tools":[{"type":"web_search","x":-1e999}]"#.into(),
        r#""n":1e400"#.into(),
        r#""tools":[{"type":"web_search","x":"\ud83d"}]"#.into(),
        format!(r#""tools":[{{"type":"web_search","x":{deep}}}]"#),
    ] {
        let body = format!(r#"{{"model":"m",{member}}}"#);
        for route in Route::ALL {
            let path =
                matches!(route, Route::Generate | Route::StreamGenerate | Route::CountTokens).then_some("m");
            assert!(
                ParsedRequest::parse(route, path, Bytes::from(body.clone())).is_err(),
                "{route:?} {body}"
            );
        }
    }
    read(
        Route::ChatCompletions,
        r#"{"model":"m","messages":[],"x":[1e300,-0.0,"\ud83d\ude00",null,{"a":[true]}]}"#,
    );
}

#[test]
fn another_way_to_name_a_model_is_refused() {
    for body in [
        r#"{"model":"m","models":["other"]}"#,
        r#"{"model":"m","route":"fallback"}"#,
        r#"{"model":"m","fallbacks":[]}"#,
        r#"{"model":"m","Model":"other"}"#,
    ] {
        assert!(refused(Route::ChatCompletions, body).contains("more than one way"), "{body}");
    }
    let other = ParsedRequest::parse(Route::Generate, Some("m"), Bytes::from(r#"{"model":"models/other"}"#));
    assert!(other.is_err());
    let same =
        ParsedRequest::parse(Route::Generate, Some("m"), Bytes::from(r#"{"model":"models/m"}"#)).unwrap();
    assert_eq!(same.into_upstream("real").0, Bytes::from(r#"{"model":"models/real"}"#));
}

#[test]
fn what_is_no_object_with_a_model_is_refused() {
    for body in ["", "[]", "{", "null", "{\"model\":\"m\"} x", "\u{1}"] {
        assert_eq!(
            refused(Route::ChatCompletions, body),
            "The request's body is not a JSON object.",
            "{body}"
        );
    }
    let deep = format!("{{\"model\":\"m\",\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for body in [&deep, r#"{"model":"m","a":"\ud800"}"#, r#"{"model":"m","a":1e999}"#] {
        assert!(
            refused(Route::ChatCompletions, body)
                .contains("too large, a text is no Unicode, or it is nested")
        );
    }
    for body in ["{}", r#"{"model":""}"#, r#"{"model":null}"#, r#"{"model":["m"]}"#] {
        assert!(refused(Route::Messages, body).contains("has no model"), "{body}");
    }
    assert!(refused(Route::Responses, r#"{"model":"m","background":true}"#).contains("background"));
}

#[test]
fn a_stream_of_openai_is_made_to_tell_its_usage() {
    let ask = read(Route::ChatCompletions, r#"{"model":"m","stream":true,"stream_options":{"x":1}}"#);
    let (sent, hides) = ask.into_upstream("m");
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert!(hides);
    assert_eq!(sent["stream_options"], json!({"x": 1, "include_usage": true}));
    let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(read(Route::Completions, asked).into_upstream("m"), (Bytes::from(asked), false));
    let other = r#"{"model":"m","stream":true}"#;
    assert_eq!(read(Route::Responses, other).into_upstream("m"), (Bytes::from(other), false));
}

#[test]
fn the_most_output_is_read_wherever_a_protocol_names_it() {
    let most = |read: ParsedRequest| {
        let asked = read.asked();
        asked.output.unwrap_or(1_000) * asked.answers
    };
    let output = |route, body: &str| most(read(route, body));
    assert_eq!(output(Route::ChatCompletions, r#"{"model":"m"}"#), 1_000);
    assert_eq!(
        output(Route::ChatCompletions, r#"{"model":"m","max_tokens":5,"max_completion_tokens":9}"#),
        9
    );
    assert_eq!(output(Route::ChatCompletions, r#"{"model":"m","max_tokens":5,"n":3}"#), 15);
    assert_eq!(
        output(Route::Completions, r#"{"model":"m","max_tokens":5,"prompt":["a","b"],"best_of":2}"#),
        20
    );
    assert_eq!(output(Route::Completions, r#"{"model":"m","max_tokens":5,"prompt":[1,2,3]}"#), 5);
    assert_eq!(output(Route::Responses, r#"{"model":"m","max_output_tokens":7}"#), 7);
    assert_eq!(output(Route::Messages, r#"{"model":"m","max_tokens":7}"#), 7);
    assert_eq!(output(Route::Embeddings, r#"{"model":"m","max_tokens":7}"#), 0);
    let gemini = r#"{"generationConfig":{"maxOutputTokens":8,"candidateCount":2}}"#;
    assert_eq!(most(ParsedRequest::parse(Route::Generate, Some("m"), gemini.into()).unwrap()), 16);
    for number in ["\"8\"", "8.0", "\" 8 \"", "\"8e0\"", "7.5"] {
        let body = format!(r#"{{"model":"m","max_tokens":"5","n":{number}}}"#);
        assert_eq!(output(Route::ChatCompletions, &body), 40, "{number}");
        let gemini = format!(r#"{{"generationConfig":{{"maxOutputTokens":"5","candidateCount":{number}}}}}"#);
        assert_eq!(most(ParsedRequest::parse(Route::Generate, Some("m"), gemini.into()).unwrap()), 40);
    }
    for number in ["true", "\"many\"", "[8]", "{}", "\"inf\"", "\"\""] {
        for name in ["n", "best_of", "max_tokens"] {
            let body = format!(r#"{{"model":"m","{name}":{number}}}"#);
            assert!(refused(Route::ChatCompletions, &body).contains("is not a number"), "{body}");
        }
    }
    // A summary is written with no maximum.
    for edit in ["compact_20260112", "\\u0063ompact_20260112"] {
        let body = r#"{"model":"m","max_tokens":5,"context_management":{"edits":[{"type":"EDIT"}]}}"#;
        assert_eq!(read(Route::Messages, &body.replace("EDIT", edit)).asked().output, None);
    }
    let predicted = r#"{"model":"m","max_tokens":5,"prediction":{"type":"content","content":"a"}}"#;
    assert_eq!(read(Route::ChatCompletions, predicted).asked().output, None);
}

/// A model with this price.
fn priced(tariff: Value) -> Model {
    let tariff: Tariff = serde_json::from_value(tariff).unwrap();
    Model { price: Some(Price::unrecorded(tariff)), ..Model::unrouted("m", "Far") }
}

fn read_gemini(body: &str) -> ParsedRequest {
    ParsedRequest::parse(Route::Generate, Some("m"), Bytes::from(body.to_owned())).unwrap()
}

#[test]
fn what_the_model_has_no_price_for_is_refused_by_name() {
    let plain = priced(json!({"input": "1", "output": "2"}));
    let complete = priced(json!({
        "input": "1", "output": "2", "audio_output": "3", "image_output": "3", "searches": "10", "tool_uses": "2",
        "factors": {"tier": {"flex": "0.5", "priority": "2"}, "region": {"us": "1.1"}, "speed": {"fast": "2"}},
    }));
    for (route, body, what) in [
        (Route::ChatCompletions, r#"{"model":"m","service_tier":"priority"}"#, "the service tier priority"),
        (Route::ChatCompletions, r#"{"model":"m","service_tier":"Flex"}"#, "the service tier flex"),
        (Route::Messages, r#"{"model":"m","speed":"fast"}"#, "the speed fast"),
        (Route::Messages, r#"{"model":"m","inference_geo":"us"}"#, "the region us"),
        (Route::ChatCompletions, r#"{"model":"m","modalities":["text","audio"]}"#, "audio output"),
        (Route::ChatCompletions, r#"{"model":"m","web_search_options":{}}"#, "web searches"),
        (Route::Responses, r#"{"model":"m","tools":[{"type":"web_search_preview"}]}"#, "web searches"),
        (
            Route::Responses,
            r#"{"model":"m","tools":[{"type":"namespace","tools":[{"type":"web_search"}]}]}"#,
            "web searches",
        ),
        (Route::Responses, r#"{"model":"m","tools":[{"type":"file_search"}]}"#, "file search"),
        (
            Route::Messages,
            r#"{"model":"m","tools":[{"type":"web_search_20250305","name":"w"}]}"#,
            "web searches",
        ),
        (Route::Generate, r#"{"serviceTier":"PRIORITY"}"#, "the service tier priority"),
        (Route::Generate, r#"{"service_tier":"priority"}"#, "the service tier priority"),
        (Route::Generate, r#"{"generationConfig":{"serviceTier":"flex"}}"#, "the service tier flex"),
        (Route::Generate, r#"{"generationConfig":{"responseModalities":["TEXT","IMAGE"]}}"#, "image output"),
        (Route::Generate, r#"{"generation_config":{"response_modalities":["AUDIO"]}}"#, "audio output"),
        (Route::Generate, r#"{"tools":[{"google_search":{}}]}"#, "web searches"),
        (Route::Generate, r#"{"tools":[{"googleMaps":{}}]}"#, "maps"),
    ] {
        let parsed = if route == Route::Generate { read_gemini(body) } else { read(route, body) };
        let refused = parsed.check_priced(&plain, false).unwrap_err();
        let says = format!("The model m has no price for {what}.");
        assert!(refused.sentence().starts_with(&says), "{body}: {}", refused.sentence());
        assert_eq!(parsed.check_priced(&complete, false), Ok(()), "{body}");
        assert_eq!(parsed.check_priced(&plain, true), Ok(()), "{body}");
        assert_eq!(parsed.check_priced(&Model::unrouted("m", "Far"), false), Ok(()), "{body}");
    }
    // No price of a meter is for these.
    for (route, body, what) in [
        (
            Route::Responses,
            r#"{"model":"m","tools":[{"type":"code_interpreter"}]}"#,
            "the tool code_interpreter",
        ),
        (
            Route::Responses,
            r#"{"model":"m","tools":[{"type":"shell","environment":{"type":"container_auto"}}]}"#,
            "the tool shell",
        ),
        (Route::Responses, r#"{"model":"m","tools":[{"type":"x_search"}]}"#, "the tool x_search"),
        (
            Route::ChatCompletions,
            r#"{"model":"m","tools":[{"type":"builtin_function","function":{"name":"$web_search"}}]}"#,
            "the tool builtin_function",
        ),
        (
            Route::ChatCompletions,
            r#"{"model":"m","tools":[{"type":"browser_search"}]}"#,
            "the tool browser_search",
        ),
        (
            Route::ChatCompletions,
            r#"{"model":"m","search_parameters":{"mode":"auto"}}"#,
            "the provider's own search",
        ),
        (Route::ChatCompletions, r#"{"model":"m","plugins":[{"id":"web"}]}"#, "a plugin"),
        (
            Route::Messages,
            r#"{"model":"m","tools":[{"type":"code_execution_20250825","name":"c"}]}"#,
            "the tool code_execution_20250825",
        ),
        (Route::Generate, r#"{"tools":[{"googleSearch":{},"somethingNew":{}}]}"#, "the tool somethingNew"),
        (Route::Generate, r#"{"tools":["googleSearch"]}"#, "a tool without a type"),
    ] {
        let parsed = if route == Route::Generate { read_gemini(body) } else { read(route, body) };
        let refused = parsed.check_priced(&complete, false).unwrap_err();
        let says = format!("What {what} costs cannot be counted.");
        assert!(refused.sentence().starts_with(&says), "{body}: {}", refused.sentence());
        assert_eq!(parsed.check_priced(&complete, true), Ok(()), "{body}");
        assert!(parsed.has_uncounted(&complete), "{body}");
    }
    // Let through, it is marked where its response may not tell it, and not where a meter counts it.
    let maps = read_gemini(r#"{"tools":[{"googleMaps":{}}]}"#);
    assert!(maps.has_uncounted(&plain) && !maps.has_uncounted(&complete));
    for other in [r#"{"model":"m","service_tier":"scale"}"#, r#"{"model":"m","service_tier":["flex"]}"#] {
        assert!(read(Route::ChatCompletions, other).check_priced(&complete, false).is_err(), "{other}");
    }
}

#[test]
fn what_costs_the_models_price_is_not_refused() {
    let plain = priced(json!({"input": "1", "output": "2"}));
    for body in [
        r#"{"model":"m","service_tier":"auto","tools":[{"type":"function","name":"web_search"}]}"#,
        r#"{"model":"m","service_tier":"default","modalities":["text"],"web_search_options":null}"#,
        r#"{"model":"m","service_tier":"standard_only","speed":"standard","inference_geo":"global"}"#,
        r#"{"model":"m","service_tier":null,"speed":null,"inference_geo":null,"tools":null}"#,
    ] {
        let parsed = read(Route::Messages, body);
        assert_eq!(parsed.check_priced(&plain, false), Ok(()), "{body}");
    }
    // Tools of the client's, and those that cost the tokens that they add.
    for tools in [
        r#"[{"type":"custom"},{"type":"shell"},{"type":"shell","environment":{"type":"local"}},{"type":"computer"}]"#,
        r#"[{"type":"mcp","server_url":"x"},{"type":"tool_search"},{"type":"namespace","tools":[{"type":"function"}]}]"#,
        r#"[{"type":"web_fetch_20250910"},{"type":"bash_20250124"},{"type":"mcp_toolset"},{"name":"x","input_schema":{}}]"#,
    ] {
        let body =
            format!(r#"{{"model":"m","plugins":[],"search_parameters":{{"mode":"off"}},"tools":{tools}}}"#);
        let parsed = read(Route::Messages, &body);
        assert_eq!(parsed.check_priced(&plain, false), Ok(()), "{body}");
        assert!(!parsed.has_uncounted(&plain), "{body}");
    }
    let own = read_gemini(
        r#"{"tools":[{"codeExecution":{},"url_context":{},"fileSearch":{}},{"functionDeclarations":[]},{"computerUse":{}}]}"#,
    );
    assert_eq!(own.check_priced(&plain, false), Ok(()));
    // To count tokens costs nothing.
    let counted = read(Route::CountMessageTokens, r#"{"model":"m","speed":"fast"}"#);
    assert_eq!(counted.check_priced(&plain, false), Ok(()));
}

#[test]
fn a_request_is_served_as_it_asks() {
    let asked = read(
        Route::Messages,
        r#"{"model":"m","service_tier":" Priority ","speed":"FAST","inference_geo":"us"}"#,
    );
    let served_as = ServedAs { tier: "priority".into(), region: "us".into(), speed: "fast".into() };
    assert_eq!(asked.served_as(), &served_as);
    assert_eq!(read_gemini(r#"{"serviceTier":"SERVICE_TIER_FLEX"}"#).served_as().tier, "flex");
    let secret = r#"{"model":"m","service_tier":"sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE"}"#;
    assert_eq!(read(Route::ChatCompletions, secret).served_as().tier, "unknown");
    let two = ParsedRequest::parse(
        Route::Generate,
        Some("m"),
        r#"{"service_tier":"flex","serviceTier":"priority"}"#.into(),
    );
    assert!(two.unwrap_err().sentence().contains("more than one place"));
    for body in [
        r#"{"model":"m","tools":[{"type":"image_generation"}]}"#,
        r#"{"model":"m","tools":[{"type":"function"},{"type":"other","model":"dear"}]}"#,
        r#"{"model":"m","tools":[{"type":"namespace","tools":[{"type":"other","model":"dear"}]}]}"#,
    ] {
        assert!(refused(Route::Responses, body).contains("names its own model"), "{body}");
    }
}

#[test]
fn what_a_provider_takes_from_its_store_is_found() {
    let stored = |route, body: &str| read(route, body).stored;
    assert_eq!(stored(Route::Responses, r#"{"model":"m","previous_response_id":"resp_1"}"#), ["resp_1"]);
    assert_eq!(stored(Route::Responses, r#"{"model":"m","previous_response_id":null}"#), [""; 0]);
    assert_eq!(stored(Route::Responses, r#"{"model":"m","previous_response_id":["resp_1"]}"#), [""]);
    // It may have grown since this gateway saw it.
    assert_eq!(stored(Route::Responses, r#"{"model":"m","conversation":{"id":"conv_1"}}"#), [""]);
    assert_eq!(stored(Route::Responses, r#"{"model":"m","conversation":"conv_1"}"#), [""]);
    assert_eq!(stored(Route::Responses, r#"{"model":"m","prompt":{"id":"pmpt_1"}}"#), [""]);
    assert_eq!(stored(Route::Completions, r#"{"model":"m","prompt":"hi"}"#), [""; 0]);
    let gemini = r#"{"cachedContent":"cachedContents/1"}"#;
    let gemini = ParsedRequest::parse(Route::Generate, Some("m"), gemini.into()).unwrap();
    assert_eq!(gemini.stored, [""]);
}

#[test]
fn the_texts_of_a_batch_are_counted() {
    let inputs = |route, body: &str| read(route, body).asked().inputs;
    assert_eq!(inputs(Route::Embeddings, r#"{"model":"m","input":["a","b","c"]}"#), 3);
    assert_eq!(inputs(Route::Embeddings, r#"{"model":"m","input":[[1,2],[3]]}"#), 2);
    assert_eq!(inputs(Route::Embeddings, r#"{"model":"m","input":[1,2,3]}"#), 1);
    assert_eq!(inputs(Route::Embeddings, r#"{"model":"m","input":"a"}"#), 1);
    assert_eq!(inputs(Route::Completions, r#"{"model":"m","prompt":["a","b"],"n":4}"#), 2);
    assert_eq!(inputs(Route::ChatCompletions, r#"{"model":"m","prompt":["a","b"],"n":4}"#), 1);
    assert_eq!(
        inputs(
            Route::Messages,
            r#"{"model":"m","context_management":{"edits":[{"type":"compact_20260112"}]}}"#
        ),
        2
    );
    let batch = r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#;
    let batch = ParsedRequest::parse(Route::BatchEmbedContents, Some("m"), batch.into()).unwrap();
    assert_eq!(batch.asked().inputs, 2);
}

#[test]
fn tools_that_a_provider_runs_may_fill_the_context() {
    let most = |route, tools: Value| {
        let body = json!({"model": "m", "tools": tools}).to_string();
        read(route, &body).input.max
    };
    for tools in [
        json!([{"type": "web_search"}]),
        json!([{"type": "function", "name": "f"}, {"type": "mcp"}]),
        json!([{"google_search": {}}]),
        json!({"a": 1}),
        json!([1]),
    ] {
        assert_eq!(most(Route::Responses, tools), estimate::MAX_TOKENS);
    }
    for tools in [
        json!([{"type": "function", "name": "f"}]),
        json!([{"name": "f", "input_schema": {}}]),
        json!([{"type": "bash_20250124", "name": "bash"}]),
        json!([{"functionDeclarations": []}]),
        json!([]),
        json!(null),
    ] {
        assert!(most(Route::Messages, tools) < 10_000);
    }
}

proptest! {
    #[test]
    fn no_numbers_make_a_request_hold_less_than_nothing(max: i64, float: f64, n: i64, held in 1..100_000_i64) {
        for max in [json!(max), json!(float), json!(u64::MAX), json!("9"), json!(null)] {
            let body = json!({"model": "m", "max_tokens": max, "n": n, "best_of": n}).to_string();
            let asked = read(Route::ChatCompletions, &body).asked();
            prop_assert!((1..=1_000_000_000).contains(&asked.output.unwrap_or(held)));
            prop_assert!((1..=1_000_000_000).contains(&asked.answers));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body: Vec<u8>) {
        let _ = ParsedRequest::parse(Route::ChatCompletions, None, body.into());
    }
}
