//! A client whose base URL has too little or too much in it is told the right one, in its protocol and without a key.

use http::Method;
use serde_json::Value;

use super::support::{TestApp, TestRequest, TestResponse, on_both};

const SECRET: &str = "sk-desk-canarycanarycanarycanary";

fn ask(method: &Method, path: &str, headers: &[(&'static str, &str)]) -> TestRequest {
    let ask = TestRequest::get(path).method(method.clone()).body("{\"model\": \"gpt-5\"}");
    headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

/// The message in the protocol's own shape.
fn message(protocol: &str, answer: &TestResponse) -> String {
    assert_eq!(answer.status, 404, "{}", answer.text);
    assert!(answer.header("content-type").starts_with("application/json"));
    assert!(!answer.headers.contains_key("location"));
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_else(|_| panic!("{}", answer.text));
    let error = &body["error"];
    match protocol {
        "openai" => assert!(["not_found", "not_served"].iter().any(|code| error["code"] == *code), "{body}"),
        "anthropic" => {
            assert_eq!((&body["type"], &error["type"]), (&"error".into(), &"not_found_error".into()))
        }
        _ => assert_eq!(error["status"], "NOT_FOUND", "{body}"),
    }
    error["message"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_missed_request_is_told_the_right_base_url(app: TestApp) {
        let bearer = format!("Bearer {SECRET}");
        let bearer: [(&'static str, &str); 1] = [("authorization", &bearer)];
        let api_key = [("x-api-key", SECRET)];
        let google = [("x-goog-api-key", SECRET)];
        let none: [(&'static str, &str); 0] = [];
        let (get, post) = (Method::GET, Method::POST);
        for (desk, base) in [
            (app.clone(), "http://keys.example.com"),
            (app.without_gateway(), "http://127.0.0.1:1"),
            (app.without_gateway().gateway_alone(), "http://127.0.0.1:1"),
        ] {
            for (method, path, headers, protocol, says) in [
                (&get, "/models", &bearer[..], "openai", "Use BASE/v1/models: set the client's base URL to BASE/v1."),
                (&get, "/models", &none[..], "openai", "Use BASE/v1/models:"),
                (&post, "/chat/completions", &bearer, "openai", "Use BASE/v1/chat/completions: set the client's base URL to BASE/v1."),
                (&post, "/chat/completions", &none, "openai", "Use BASE/v1/chat/completions:"),
                (&post, "/responses", &bearer, "openai", "Use BASE/v1/responses:"),
                (&post, "/embeddings", &bearer, "openai", "Use BASE/v1/embeddings:"),
                (&post, "/messages", &api_key, "anthropic", "Use BASE/v1/messages: set the client's base URL to BASE."),
                (&post, "/messages", &bearer, "anthropic", "Use BASE/v1/messages:"),
                (&post, "/api/event_logging/batch", &api_key, "anthropic", "Set the client's base URL to BASE."),
                (&post, "/api/v1/messages", &api_key, "anthropic", "Use BASE/v1/messages:"),
                (&post, "/api/v1/chat/completions", &bearer, "openai", "Use BASE/v1/chat/completions:"),
                (&get, "/api/v1/models", &bearer, "openai", "Use BASE/v1/models:"),
                (&post, "/openai/v1/responses", &bearer, "openai", "Use BASE/v1/responses:"),
                (&post, "/openai/deployments/gpt-5/chat/completions", &none, "openai", "Set the client's base URL to BASE/v1."),
                (&post, "/models/gemini-3:generateContent", &google, "gemini", "Set the client's base URL to BASE."),
                (&post, "/openai/v1/v1beta/models", &google, "gemini", "Use BASE/v1beta/models:"),
                (&post, "/files", &bearer, "openai", "does not serve /v1/files yet. The base URL for clients is BASE/v1."),
                (&post, "/upload/v1/files", &google, "gemini", "does not serve /v1/files yet. The base URL for clients is BASE."),
                (&post, "/upload/v1beta/files", &google, "gemini", "does not serve /v1beta/files yet."),
                (&get, "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", &google, "gemini", "does not serve the Live API yet."),
                (&post, "/", &none, "openai", "Set the client's base URL to BASE/v1."),
                (&post, "/acme/keys", &bearer, "openai", "Set the client's base URL to BASE/v1."),
                (&get, "/no/such/path/at/all", &bearer, "openai", "Set the client's base URL to BASE/v1."),
                (&Method::PUT, "/no/such/path", &api_key, "anthropic", "Set the client's base URL to BASE."),
                (&post, &format!("/{SECRET}?key={SECRET}"), &none, "openai", "Set the client's base URL to BASE/v1."),
            ] {
                let answer = desk.ask(ask(method, path, headers)).await;
                let said = message(protocol, &answer);
                assert!(said.contains(&says.replace("BASE", base)), "{method} {path}: {said}");
                assert!(!answer.text.contains(SECRET), "{}", answer.text);
            }
        }
        for path in ["/v1/v1/models", "/v1/v1/chat/completions", "/v1//models"] {
            let answer = app.ask(ask(&get, path, &none)).await;
            assert!(message("openai", &answer).contains("Use http://keys.example.com/v1/"), "{path}");
        }
    }
}

on_both! {
    async fn a_missed_request_with_a_large_body_is_read_before_it_is_answered(app: TestApp) {
        let body = "x".repeat(300_000);
        let answer = app.ask(ask(&Method::POST, "/messages", &[("x-api-key", SECRET)]).body(body)).await;
        message("anthropic", &answer);
    }
}

on_both! {
    async fn what_a_browser_opens_or_posts_is_the_desks(app: TestApp) {
        app.cast().await;
        let html = [("accept", "text/html,application/xhtml+xml")];
        for path in ["/models", "/messages", "/chat/completions", "/api/v1/models", "/acme/keys"] {
            let answer = app.ask(ask(&Method::GET, path, &html)).await;
            assert_eq!(answer.status, 303, "{path}");
            assert!(answer.location().starts_with("/sign-in?next="), "{path}");
            // As a page's script fetches it.
            let answer = app.ask(ask(&Method::GET, path, &[("sec-fetch-site", "same-origin"), ("accept", "*/*")])).await;
            assert_eq!(answer.status, 303, "{path}");
        }
        // A proxy may add a token of its own to what a browser asks for.
        let answer = app.ask(ask(&Method::GET, "/acme/keys", &[("authorization", "Bearer proxy"), ("accept", "*/*")])).await;
        assert_eq!(answer.status, 303);
        let answer = app.ask(ask(&Method::POST, "/acme/keys", &[("origin", "https://evil.example")])).await;
        assert_eq!(answer.status, 403);
    }
}

on_both! {
    async fn robots_and_icons_need_no_session(app: TestApp) {
        let answer = app.ask(TestRequest::get("/robots.txt").header("accept", "*/*")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "User-agent: *\nDisallow: /\n"));
        assert!(answer.header("content-type").starts_with("text/plain"));
        let answer = app.ask(TestRequest::get("/favicon.ico").header("accept", "image/*")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "image/svg+xml"));
        assert!(answer.text.contains("<svg"));
    }
}
