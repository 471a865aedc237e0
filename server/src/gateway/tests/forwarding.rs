//! Requests passed on to a provider and back, as both sides see them.

use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};

fn chat() -> Value {
    json!({"model": "routed", "messages": [{"role": "user", "content": "Hi"}]})
}

fn streaming_chat() -> Value {
    json!({"model": "routed", "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
}

const ANSWER: &str = "{ \"id\": \"c1\",\n \"choices\":[{\"message\":{\"content\":\"Hé\"}}], \"usage\": {\"prompt_tokens\": 10, \"completion_tokens\": 5} }\n";

async fn served(
    kind: &str,
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (Installation, Upstream, String) {
    let desk = installation().await;
    let upstream = Upstream::answering(answer).await;
    desk.served_by(kind, &upstream.base_url, "TEST_API_KEY").await;
    let key = desk.every_key().await;
    (desk, upstream, key)
}

#[tokio::test]
async fn an_answer_comes_back_byte_for_byte_and_is_settled_before_it_does() {
    let (desk, upstream, key) = served("openai", || whole(200, "application/json", ANSWER)).await;
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    // Looked at without waiting: it was written before the answer was there.
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 1);
    assert_eq!((answer.status, answer.text.as_str()), (200, ANSWER));
    assert_eq!(answer.find_header("content-type"), Some("application/json"));
    assert_eq!(answer.find_header("x-upstream-request-id"), Some("up_1"));
    assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)]);
    let sent = upstream.one();
    assert_eq!(sent.target, "/v1/chat/completions");
    assert_eq!(sent.json(), json!({"model": "real-name", "messages": [{"role": "user", "content": "Hi"}]}));
}

#[tokio::test]
async fn nothing_of_the_client_goes_to_a_provider_and_nothing_of_the_provider_comes_back() {
    for (kind, path, body, header, value) in [
        ("openai", "/v1/chat/completions", chat(), "authorization", format!("Bearer {CREDENTIAL}")),
        ("anthropic", "/v1/messages", chat(), "x-api-key", CREDENTIAL.to_owned()),
        (
            "gemini",
            "/v1beta/models/routed:generateContent",
            json!({}),
            "x-goog-api-key",
            CREDENTIAL.to_owned(),
        ),
    ] {
        let (desk, upstream, key) = served(kind, || whole(200, "application/json", "{}")).await;
        let asked = SPOTS.iter().fold(post(path, &body), |ask, spot| ask.key_in(*spot, key.as_bytes()));
        let asked = asked
            .header("cookie", "session=1")
            .header("x-forwarded-for", "203.0.113.7")
            .header("openai-organization", "theirs")
            .header("anthropic-version", "2023-06-01")
            .header("user-agent", "client/1.0");
        let answer = desk.pass(asked).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text);
        let sent = upstream.one();
        let whole = format!("{sent:?}");
        assert!(
            !whole.contains(&key[8..]) && !whole.contains("session=1") && !whole.contains("203.0.113.7"),
            "{whole}"
        );
        assert_eq!(sent.headers[header], value.as_str());
        assert_eq!(sent.headers["anthropic-version"], "2023-06-01");
        let mut names: Vec<&str> = sent.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let mut expected = vec![
            "accept",
            "accept-encoding",
            "anthropic-version",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            header,
        ];
        expected.sort_unstable();
        assert_eq!(names, expected, "{kind}");
        assert!(sent.headers["user-agent"].to_str().unwrap().starts_with("keydesk/"));
        for name in ["set-cookie", "openai-organization"] {
            assert_eq!(answer.find_header(name), None, "{kind}");
        }
        assert!(!format!("{:?}", answer.headers).contains(CREDENTIAL));
    }
}

#[tokio::test]
async fn the_trace_of_a_client_goes_on_to_its_provider() {
    let (desk, upstream, key) = served("openai", || whole(200, "application/json", ANSWER)).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asked =
        |parent: &str| post("/v1/chat/completions", &chat()).bearer(&key).header("traceparent", parent);
    assert_eq!(desk.pass(asked(parent).header("tracestate", "congo=t61rcWkgMzE")).await.status, 200);
    assert_eq!(desk.pass(asked(&key).header("tracestate", "congo=t61rcWkgMzE")).await.status, 200);
    let [good, bad] = &upstream.arrived()[..] else { panic!("both were sent") };
    assert_eq!(
        (&good.headers["traceparent"], &good.headers["tracestate"]),
        (&parent.parse().unwrap(), &"congo=t61rcWkgMzE".parse().unwrap())
    );
    assert!(!bad.headers.contains_key("traceparent") && !bad.headers.contains_key("tracestate"), "{bad:?}");
}

#[tokio::test]
async fn of_a_query_only_what_a_provider_needs_is_kept() {
    let (desk, upstream, key) = served("gemini", || whole(200, "text/event-stream", "data: {}\n\n")).await;
    let path = format!("/v1beta/models/routed:streamGenerateContent?alt=sse&key={key}&x=1&beta=a%26b");
    assert_eq!(desk.pass(post(&path, &json!({}))).await.status, 200);
    assert_eq!(upstream.one().target, "/v1beta/models/real-name:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn the_suffix_for_a_long_context_is_no_part_of_the_models_name() {
    let (desk, upstream, _) = served("anthropic", || whole(200, "application/json", "{}")).await;
    let narrow = desk.create("one model", |form| {
        form.models = vec![];
        form.patterns = "routed".into();
    });
    let key = narrow.await.secret.reveal().to_owned();
    desk.execute("UPDATE models SET upstream_name = '' WHERE id = 'routed'").await;
    let body = json!({"model": "routed[1m]", "max_tokens": 9, "messages": []});
    assert_eq!(desk.pass(post("/v1/messages", &body).bearer(&key)).await.status, 200);
    assert_eq!(upstream.one().json()["model"], "routed");
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage WHERE model_id = 'routed'").await, 1);
    let body = json!({"model": "routed[2m]", "max_tokens": 9, "messages": []});
    assert_eq!(desk.pass(post("/v1/messages", &body).bearer(&key)).await.status, 403);
}

#[tokio::test]
async fn an_id_with_slashes_reaches_a_provider_under_its_name_there() {
    let (desk, upstream, key) = served("gemini", || whole(200, "application/json", "{}")).await;
    desk.execute(
        "INSERT INTO models (id, provider, created_at, provider_id, upstream_name)
        SELECT 'google/routed:free', provider, created_at, provider_id, '' FROM models WHERE id = 'routed';
        UPDATE prices SET model_id = 'google/routed:free' WHERE model_id = 'routed'",
    )
    .await;
    let path = "/v1beta/models/google/routed:free:generateContent";
    assert_eq!(desk.pass(post(path, &json!({})).bearer(&key)).await.status, 200);
    assert_eq!(upstream.one().target, path);
}

const CHUNKS: [&str; 4] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\n",
    "data: [DONE]\n\n",
];

#[tokio::test]
async fn a_stream_is_metered_by_a_chunk_that_its_client_does_not_see() {
    let (desk, upstream, key) = served("openai", || parts("text/event-stream", &CHUNKS, 5, Then::Ends)).await;
    let answer = desk.pass(post("/v1/chat/completions", &streaming_chat()).bearer(&key)).await;
    assert_eq!(answer.text, [CHUNKS[0], CHUNKS[1], CHUNKS[3]].concat());
    assert_eq!(answer.find_header("content-type"), Some("text/event-stream"));
    assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)]);
    assert_eq!(upstream.one().json()["stream_options"], json!({"include_usage": true}));

    let asked = json!({"model": "routed", "stream": true, "stream_options": {"include_usage": true}});
    let answer = desk.pass(post("/v1/chat/completions", &asked).bearer(&key)).await;
    assert_eq!(answer.text, CHUNKS.concat());
}

#[tokio::test]
async fn a_stream_is_settled_before_its_last_word_is_seen() {
    let (desk, _upstream, key) =
        served("openai", || parts("text/event-stream", &CHUNKS, 5, Then::Hangs)).await;
    let mut body = desk.open(post("/v1/chat/completions", &streaming_chat()).bearer(&key)).await.into_body();
    loop {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        if frame.ends_with(b"[DONE]\n\n") {
            break;
        }
    }
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 1);
}

#[tokio::test]
async fn a_stream_does_not_keep_the_memory_of_its_requests_body() {
    let (desk, _upstream, _) =
        served("openai", || parts("text/event-stream", &CHUNKS[..1], 1, Then::Hangs)).await;
    let mut open = Vec::new();
    // Without a length each of them may be 32 MiB, and there is room for fifteen such.
    for n in 0..20 {
        let key = desk.create(&format!("key {n}"), |form| form.scope = "every".into()).await;
        let key = key.secret.reveal();
        let stream = desk.open(post("/v1/chat/completions", &streaming_chat()).bearer(key)).await;
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_on_a_whole_answer_pays_for_it() {
    let (desk, _upstream, key) = served("openai", || {
        parts("application/json", &ANSWER.split_inclusive(' ').collect::<Vec<_>>(), 10, Then::Ends)
    })
    .await;
    let asked = desk.open(post("/v1/chat/completions", &chat()).bearer(&key));
    let hung_up = tokio::time::timeout(std::time::Duration::from_millis(40), asked).await;
    assert!(hung_up.is_err(), "it answered too soon");
    assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let (desk, _upstream, key) =
        served("openai", || parts("text/event-stream", &CHUNKS[..2], 5, Then::BreaksOff)).await;
    let body = desk.open(post("/v1/chat/completions", &streaming_chat()).bearer(&key)).await.into_body();
    assert!(body.collect().await.is_err());
    assert_eq!(desk.settled().await, [(502, 23, 2, 0, 1, 25_000)]);

    let (desk, _upstream, key) =
        served("openai", || parts("application/json", &["{\"a\":"], 5, Then::BreaksOff)).await;
    let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.message(),
        "The response of the provider Far ended early. It may have done its work, so a retry may be charged again."
    );
    // A library does not, because it would be paid again.
    assert_eq!(answer.find_header("x-should-retry"), Some("false"));
    // The provider has taken the request in, and nobody knows what it charges.
    assert_eq!(desk.settled().await, [(502, 19, 0, 0, 1, 19_000)]);
}

#[tokio::test]
async fn what_a_provider_does_wrong_is_told_without_its_address_and_costs_what_it_may_charge() {
    let redirect = || {
        let builder = Response::builder().status(307).header("location", "http://127.0.0.1:1/steal");
        builder.body(axum::body::Body::empty()).unwrap()
    };
    let encoded = |how: &'static str| {
        let builder = Response::builder().header("content-encoding", how);
        builder.body(axum::body::Body::from("x")).unwrap()
    };
    type Answering = std::sync::Arc<dyn Fn() -> Response + Send + Sync>;
    let cases: [(Answering, u16, &str); 6] = [
        (
            std::sync::Arc::new(|| {
                whole(401, "application/json", "{\"error\":\"bad key upstream-credential-9f3c\"}")
            }),
            502,
            "rejected this installation's credential",
        ),
        (
            std::sync::Arc::new(|| whole(403, "text/html", "<html>")),
            502,
            "rejected this installation's credential",
        ),
        (std::sync::Arc::new(redirect), 502, "redirect, which is not followed"),
        (std::sync::Arc::new(move || encoded("compress")), 502, "compressed in an unknown way"),
        (std::sync::Arc::new(move || encoded("gzip")), 502, "ended early"),
        (
            std::sync::Arc::new(|| parts("application/json", &[], 0, Then::Hangs)),
            504,
            "did not answer in time",
        ),
    ];
    for (answering, status, says) in cases {
        let (desk, upstream, key) = served("openai", move || answering()).await;
        let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some("upstream_error"))
        );
        assert!(answer.message().contains(says) && answer.message().contains("Far"), "{}", answer.text);
        assert!(!answer.text.contains(&upstream.base_url) && !answer.text.contains(CREDENTIAL));
        // A retry would be refused again, or paid again.
        assert_eq!(answer.find_header("x-should-retry"), Some("false"), "{says}");
        assert_eq!(answer.find_header("x-keydesk-upstream"), Some("Far"), "{says}");
        assert_eq!(upstream.arrived().len(), 1);
        // After these the provider may have done its work.
        let may_cost =
            ["compressed in an unknown way", "ended early", "did not answer in time"].contains(&says);
        let input = if may_cost { 19 } else { 0 };
        // It may have reasoned until the gateway gave up.
        let output = if status == 504 { 128_000 } else { 0 };
        let costs = (i64::from(status), input, output, 0, i64::from(may_cost), (input + output) * 1_000);
        assert_eq!(desk.settled().await, [costs]);
    }
}

#[tokio::test]
async fn the_tier_that_gemini_names_in_a_header_is_passed_on_and_known() {
    let (desk, _upstream, key) = served("gemini", || {
        let usage = r#"{"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5}}"#;
        let mut answer = whole(200, "application/json", usage);
        answer.headers_mut().insert("x-gemini-service-tier", "priority".parse().unwrap());
        answer
    })
    .await;
    let answer = desk.pass(post("/v1beta/models/routed:generateContent", &json!({})).bearer(&key)).await;
    assert_eq!(answer.find_header("x-gemini-service-tier"), Some("priority"));
    assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)]);
}

#[tokio::test]
async fn a_providers_own_errors_pass_and_cost_nothing() {
    for (status, body) in [(400, "{\"error\":{\"message\":\"no\"}}"), (429, "{}"), (500, "oops"), (529, "")] {
        let (desk, _upstream, key) = served("anthropic", move || {
            let mut answer = whole(status, "application/json", body);
            for (name, value) in [
                ("retry-after", "7"),
                ("retry-after-ms", "100"),
                ("x-should-retry", "false"),
                ("x-gemini-service-tier", "standard"),
            ] {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            answer
        })
        .await;
        let answer = desk.pass(post("/v1/messages", &chat()).bearer(&key)).await;
        assert_eq!((answer.status, answer.text.as_str()), (status, body));
        assert_eq!(answer.find_header("retry-after"), Some("7"));
        assert_eq!(answer.find_header("retry-after-ms"), Some("100"));
        assert_eq!(answer.find_header("x-should-retry"), Some("false"));
        assert_eq!(answer.find_header("x-gemini-service-tier"), Some("standard"));
        assert!(answer.find_header("request-id").is_some());
        assert_eq!(desk.settled().await, [(i64::from(status), 0, 0, 0, 0, 0)]);
    }
}

#[tokio::test]
async fn a_providers_own_timeout_is_not_tried_again_unless_it_says_so() {
    for (said, told) in [(None, "false"), (Some("true"), "true"), (Some("false"), "false")] {
        let (desk, _upstream, key) = served("openai", move || {
            let mut answer = whole(504, "application/json", "{\"error\":{\"message\":\"late\"}}");
            if let Some(said) = said {
                answer.headers_mut().insert("x-should-retry", said.parse().unwrap());
            }
            answer
        })
        .await;
        let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!((answer.status, answer.find_header("x-should-retry")), (504, Some(told)), "{said:?}");
    }
}

#[tokio::test]
async fn what_a_provider_says_about_the_account_is_for_the_operator() {
    let no_credit = "This installation has no credit left at the provider Far. Your key is valid. Tell your administrator.";
    let limited = "The provider Far limits how much this installation may send, and that limit is reached. Your key's limits are not. Retry in a moment.";
    let rejected = "The provider Far rejected this installation's credential. Your key is valid. Tell your administrator.";
    let cases = [
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-5 in organization org-PROVIDER0123 on tokens per min (TPM)","type":"tokens","code":"rate_limit_exceeded"}}"#,
            503,
            limited,
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            503,
            no_credit,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#,
            503,
            no_credit,
        ),
        (402, r#"{"error":{"message":"Insufficient Balance"}}"#, 503, no_credit),
        (
            429,
            r#"{"error":{"code":429,"message":"You exceeded your current quota of project 123456789","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"6.5s"}]}}"#,
            503,
            limited,
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            502,
            rejected,
        ),
    ];
    for (status, body, answered, says) in cases {
        let (desk, _upstream, key) = served("openai", move || whole(status, "application/json", body)).await;
        let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!((answer.status, answer.message().as_str()), (answered, says), "{body}");
        let (wait, retry) = match says {
            it if it == limited && body.contains("6.5s") => (Some("7"), None),
            it if it == limited => (Some("5"), None),
            _ => (None, Some("false")),
        };
        assert_eq!(
            (answer.find_header("retry-after"), answer.find_header("x-should-retry")),
            (wait, retry),
            "{body}"
        );
        // Nor does the user's list of requests have it.
        assert_eq!(desk.texts("SELECT error FROM usage").await, [says]);
        assert_eq!(desk.settled().await, [(i64::from(answered), 0, 0, 0, 0, 0)]);
    }
    // What a user wrote is not taken for the account's.
    let own = r#"{"error":{"message":"Unknown parameter: 'credit balance'"}}"#;
    let (desk, _upstream, key) = served("openai", move || whole(400, "application/json", own)).await;
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!((answer.status, answer.text.as_str()), (400, own));
}

#[tokio::test]
async fn compaction_and_geminis_embeddings_are_metered_and_counting_is_free() {
    let compacted =
        r#"{"object":"response.compaction","output":[],"usage":{"input_tokens":900,"output_tokens":100}}"#;
    let embedded = r#"{"embeddings":[{"values":[1]}],"usageMetadata":{"promptTokenCount":12}}"#;
    let one = r#"{"embedding":{"values":[1]}}"#;
    let requests = json!({"requests": [{"model": "models/routed", "content": {"parts": [{"text": "Hi"}]}}]});
    let content = json!({"content": {"parts": [{"text": "Hi there"}]}});
    let input = json!({"model": "routed", "input": "Hi"});
    let cases = [
        ("openai", "/v1/responses/compact", &input, compacted, (200, 900, 100, 0, 0, 1_000_000)),
        ("openai", "/v1/responses/input_tokens", &input, "{\"input_tokens\":9}", (200, 0, 0, 0, 0, 0)),
        ("openai", "/v1/moderations", &input, "{\"results\":[]}", (200, 0, 0, 0, 0, 0)),
        (
            "gemini",
            "/v1beta/models/routed:batchEmbedContents",
            &requests,
            embedded,
            (200, 12, 0, 0, 0, 12_000),
        ),
        ("gemini", "/v1/models/routed:embedContent", &content, one, (200, 13, 0, 0, 1, 13_000)),
    ];
    for (kind, path, body, answers, expected) in cases {
        let (desk, upstream, key) = served(kind, move || whole(200, "application/json", answers)).await;
        let answer = desk.pass(post(path, body).bearer(&key)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, answers), "{path}");
        assert_eq!(desk.settled().await, [expected], "{path}");
        let sent = upstream.one();
        let names = sent.json().to_string() + &sent.target;
        assert!(names.contains("real-name") && !names.contains("routed"), "{names}");
    }
    let (desk, upstream, key) = served("gemini", move || whole(200, "application/json", one)).await;
    let other = json!({"requests": [{"model": "models/gemini-2.5-pro"}]});
    let answer = desk.send(post("/v1beta/models/routed:batchEmbedContents", &other).bearer(&key)).await;
    assert_eq!(answer.status, 400);
    assert!(upstream.arrived().is_empty());
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_has_no_credential_is_a_sentence() {
    let desk = installation().await;
    desk.served_by("openai", "http://127.0.0.1:1", "").await;
    let key = desk.every_key().await;
    let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(
        (answer.status, answer.message()),
        (502, "The provider Far cannot be reached. Retry later.".into())
    );

    let desk = installation().await;
    let upstream = Upstream::answering(|| whole(200, "application/json", "{}")).await;
    desk.served_by("openai", &upstream.base_url, "MISSING_API_KEY").await;
    let key = desk.every_key().await;
    let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 503);
    assert!(answer.message().starts_with("This installation has no credential for the provider Far."));
    assert!(upstream.arrived().is_empty());
    assert_eq!(desk.settled().await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_refused_with_what_to_do() {
    let (desk, upstream, key) = served("anthropic", || whole(200, "application/json", "{}")).await;
    let with = |path: &str, body: Value| post(path, &body).bearer(&key);
    for (asked, status, code, says) in [
        (
            with("/v1/chat/completions", chat()),
            400,
            "invalid_request",
            "Send it to POST https://keys.example.com/v1/messages.",
        ),
        (
            with("/v1/messages", json!({"model": "gpt-5"})),
            503,
            "model_not_served",
            "No provider serves the model gpt-5 here",
        ),
        (
            with("/v1/messages", json!({"model": "nothing"})),
            404,
            "model_not_found",
            "is not in the catalogue",
        ),
        (
            with("/v1/messages", json!({"model": key})),
            404,
            "model_not_found",
            "There is no model with this name.",
        ),
        (
            with("/v1/messages", json!({"model": "routed", "models": ["a"]})),
            400,
            "invalid_request",
            "more than one way",
        ),
        (with("/v1/messages", json!([])), 400, "invalid_request", "not a JSON object"),
        (
            with("/v1/messages", json!({"model": "routed", "service_tier": "priority"})),
            400,
            "invalid_request",
            "The model routed has no price for the service tier priority.",
        ),
    ] {
        let answer = desk.send(asked).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.message().contains(says), "{}", answer.text);
        assert_eq!(answer.find_header("x-should-retry"), Some("false"), "{code}");
        assert!(!answer.text.contains(&key[12..]));
    }
    let narrow = desk.create("narrow", |form| form.models = vec!["gpt-5".into()]).await;
    let answer = desk.send(post("/v1/messages", &chat()).bearer(narrow.secret.reveal())).await;
    assert_eq!(answer.status, 403);
    let large = post("/v1/messages", &chat()).bearer(&key).body(vec![b' '; (32 << 20) + 1]);
    assert_eq!(desk.send(large).await.json()["error"]["type"], "request_too_large");
    let announced = post("/v1/messages", &chat()).bearer(&key).header("content-length", "99999999999");
    assert_eq!(desk.send(announced).await.status, 413);
    assert!(upstream.arrived().is_empty());
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 0);
}

#[tokio::test]
async fn with_a_provider_only_what_is_served_is_listed() {
    let (desk, _upstream, key) = served("openai", || whole(200, "application/json", "{}")).await;
    assert_eq!(desk.send(ask("/v1/models").bearer(&key)).await.ids(), ["routed"]);
    assert_eq!(desk.status(ask("/v1/models/demo/echo").bearer(&key)).await, 404);
    assert_eq!(
        desk.status(post("/v1/chat/completions", &json!({"model": "demo/echo"})).bearer(&key)).await,
        404
    );
}

#[tokio::test]
async fn counting_tokens_costs_nothing_and_is_written_down() {
    let (desk, upstream, key) =
        served("anthropic", || whole(200, "application/json", "{\"input_tokens\": 9}")).await;
    let answer = desk.pass(post("/v1/messages/count_tokens", &chat()).bearer(&key)).await;
    assert_eq!(answer.text, "{\"input_tokens\": 9}");
    assert_eq!(upstream.one().target, "/v1/messages/count_tokens");
    assert_eq!(desk.settled().await, [(200, 0, 0, 0, 0, 0)]);
}

#[tokio::test]
async fn a_very_long_answer_goes_on_as_it_comes_and_its_usage_is_read_at_its_end() {
    let long = format!(
        "{{\"data\":[\"{}\"],\"usage\":{{\"prompt_tokens\":10,\"total_tokens\":10}}}}",
        "x".repeat(20 << 20)
    );
    let body = long.clone();
    let (desk, _upstream, key) = served("openai", move || whole(200, "application/json", &body)).await;
    let answer =
        desk.pass(post("/v1/embeddings", &json!({"model": "routed", "input": "a"})).bearer(&key)).await;
    assert!(answer.text == long);
    assert_eq!(desk.settled().await, [(200, 10, 0, 0, 0, 10_000)]);
}
