//! What a key reads: the models it may use, and every way to be refused.

use axum::body::Body;
use axum::http::{Method, Request};
use keydesk_core::domain::imported::Confirmed;
use keydesk_core::domain::key_format::PlainSecret;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::ops::{catalogue, keys};
use keydesk_test_support::fuzz::fuzz;
use proptest::prelude::*;
use serde_json::json;
use tower::ServiceExt;

use super::support::*;
use crate::gateway::collapse_leading_slashes;

/// The lists, and the one model that every protocol has.
const PATHS: [&str; 5] =
    ["/v1/models", "/v1/models/", "/v1/models/demo/echo", "/v1beta/models", "/v1beta/models/demo/echo"];

#[tokio::test]
async fn a_key_is_taken_from_every_place_on_every_route() {
    let desk = installation().await;
    let key = desk.every_key().await;
    for path in PATHS {
        for spot in SPOTS {
            let answer = desk.send(ask(path).key_in(spot, key.as_bytes())).await;
            assert_eq!(answer.status, 200, "{path} {spot:?}");
        }
    }
    let raw = format!("/v1beta/models?alt=json&key={key}");
    assert_eq!(desk.status(ask(&raw)).await, 200);
    let lower = ask("/v1/models").header("authorization", &format!("bearer {key}"));
    assert_eq!(desk.status(lower).await, 200);
}

#[tokio::test]
async fn the_same_key_in_two_places_is_one_and_two_keys_are_refused() {
    let desk = installation().await;
    let one = desk.plain_key().await;
    let two = desk.create("another", |_| {}).await;
    let (one, two) = (one.secret.reveal().as_bytes(), two.secret.reveal().as_bytes());
    for first in SPOTS {
        for second in SPOTS {
            let both = |key| ask("/v1/models").key_in(first, one).key_in(second, key);
            assert_eq!(desk.status(both(one)).await, 200, "{first:?} {second:?}");
            let refused = desk.send(both(two)).await;
            assert_eq!(refused.status, 400, "{first:?} {second:?}");
            // In capitals for who sends a header of Google's.
            let said = refused.json().to_string().to_ascii_lowercase();
            assert!(said.contains("\"conflicting_credentials\""), "{said}");
            assert_eq!(refused.find_header("x-should-retry"), Some("false"));
            assert_eq!(refused.find_header("www-authenticate"), None);
        }
    }
}

#[tokio::test]
async fn each_mistake_with_a_key_has_its_own_sentence() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    let secret = key.secret.reveal();
    let elsewhere = PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(5)).unwrap();
    let cut = secret.split_at(30).0;
    let with = |value: &str| ask("/v1/models").header("authorization", value);
    let cases = [
        (ask("/v1/models"), "No API key was sent to https://keys.example.com."),
        (with(secret), "not of the form \"Bearer KEY\""),
        (with(&format!("Basic {secret}")), "not of the form \"Bearer KEY\""),
        (with(&format!("\"Bearer {secret}\"")), "not of the form \"Bearer KEY\""),
        (with("Bearer "), "The key is empty."),
        (with(&format!("Bearer  {secret}")), "contains white space"),
        (with("Bearer sk-desk-************a1B2"), "The key is masked"),
        (with(&format!("Bearer {cut}")), "cut off: it has 30 of 46 characters"),
        (with(&format!("Bearer \"{secret}\"")), "has quotation marks"),
        (with(&format!("Bearer Bearer {secret}")), "starts with the word Bearer"),
        (with("Bearer sk-proj-abcdefghijklmnopqrstuvwxyz"), "a key of OpenAI"),
        (
            with(&format!("Bearer {}", elsewhere.reveal())),
            "No valid active key for https://keys.example.com.",
        ),
    ];
    for (asked, sentence) in cases {
        let refused = desk.send(asked).await;
        assert_eq!(refused.status, 401, "{sentence}");
        assert!(refused.message().contains(sentence), "{} / {sentence}", refused.text);
        assert_eq!(refused.json()["error"]["code"], "invalid_api_key");
        assert_eq!(refused.find_header("www-authenticate"), Some("Bearer"));
        assert_eq!(refused.find_header("x-should-retry"), Some("false"));
    }
}

#[tokio::test]
async fn a_rejection_has_exactly_the_shape_of_each_protocol() {
    let desk = installation().await;
    let message = "The key is empty. Send the whole key.";
    let message = format!("Not a valid API key for {BASE}. {message}");
    let bad = |path| ask(path).bearer("");
    let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": "invalid_api_key"});
    let openai = json!({"error": error});
    let error = json!({"type": "authentication_error", "message": message});
    let anthropic = json!({"type": "error", "error": error, "request_id": "req_1"});
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "keydesk"
    });
    let error = json!({"code": 401, "message": message, "status": "UNAUTHENTICATED", "details": [info]});
    let gemini = json!({"error": error});
    for path in ["/v1/models", "/v1/models/gpt-5", "/v1/chat/completions"] {
        assert_eq!(desk.send(bad(path)).await.json(), openai, "{path}");
        assert_eq!(desk.send(bad(path).anthropic()).await.json(), anthropic, "{path}");
    }
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        assert_eq!(desk.send(bad(path)).await.json(), anthropic, "{path}");
    }
    for path in ["/v1beta/models", "/v1beta/models/gemini-2.5-pro"] {
        assert_eq!(desk.send(bad(path)).await.json(), gemini, "{path}");
        assert_eq!(desk.send(bad(path).anthropic()).await.json(), gemini, "{path}");
    }
}

#[tokio::test]
async fn the_models_have_the_shape_of_each_protocol() {
    let desk = installation().await;
    desk.serve(ProviderKind::OpenAi, &["gpt-5", "gpt-5-mini"]).await;
    desk.serve(ProviderKind::Anthropic, &["claude-opus-4-5", "claude-haiku-4-5"]).await;
    desk.serve(ProviderKind::Gemini, &["gemini-2.5-pro", "gemini-2.5-flash"]).await;
    let key = desk
        .create("narrow", |form| {
            form.models =
                ["gpt-5", "claude-opus-4-5", "claude-haiku-4-5", "gemini-2.5-pro", "gemini-2.5-flash"]
                    .map(String::from)
                    .into();
        })
        .await;
    let send = async |path| desk.send(ask(path).bearer(key.secret.reveal())).await.json();
    let send_anthropic =
        async |path| desk.send(ask(path).anthropic().bearer(key.secret.reveal())).await.json();

    let shown =
        |id: &str, vendor: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": vendor});
    let list = [
        shown("claude-haiku-4-5", "Anthropic"),
        shown("claude-opus-4-5", "Anthropic"),
        shown("gemini-2.5-flash", "Google"),
        shown("gemini-2.5-pro", "Google"),
        shown("gpt-5", "OpenAI"),
    ];
    assert_eq!(send("/v1/models").await, json!({"object": "list", "data": list}));
    assert_eq!(send("/v1/models/gpt-5").await, shown("gpt-5", "OpenAI"));

    let shown = |id: &str| {
        json!({
            "type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z",
            "max_input_tokens": 200_000, "max_tokens": 64_000
        })
    };
    let list = json!({
        "data": [shown("claude-haiku-4-5"), shown("claude-opus-4-5")],
        "has_more": false, "first_id": "claude-haiku-4-5", "last_id": "claude-opus-4-5"
    });
    assert_eq!(send_anthropic("/v1/models").await, list);
    assert_eq!(send_anthropic("/v1/models/claude-opus-4-5").await, shown("claude-opus-4-5"));

    let shown = |id: &str| {
        json!({
            "name": format!("models/{id}"), "version": "", "displayName": id,
            "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"]
        })
    };
    let list = json!({"models": [shown("gemini-2.5-flash"), shown("gemini-2.5-pro")]});
    assert_eq!(send("/v1beta/models").await, list);
    assert_eq!(send("/v1beta/models/gemini-2.5-pro").await, shown("gemini-2.5-pro"));
    // Google's clients ask here as well, with a header that only they send.
    let google = |path| ask(path).key_in(Spot::Goog, key.secret.reveal().as_bytes());
    assert_eq!(desk.send(google("/v1/models")).await.json(), list);
    assert_eq!(desk.send(google("/v1/models/gemini-2.5-pro")).await.json(), shown("gemini-2.5-pro"));
}

#[tokio::test]
async fn a_list_has_only_what_a_client_of_its_protocol_can_call() {
    let desk = installation().await;
    desk.serve(ProviderKind::OpenAi, &["gpt-6-sol", "text-embedding-3-small"]).await;
    desk.serve(ProviderKind::Anthropic, &["claude-opus-4-8", "claude-haiku-4-5"]).await;
    desk.serve(ProviderKind::Gemini, &["gemini-2.5-flash", "gemini-embedding-001"]).await;
    let key = desk.every_key().await;
    let send = async |ask: TestRequest| desk.send(ask.bearer(&key)).await;
    let openai = send(ask("/v1/models")).await.ids();
    assert_eq!(openai.len(), 6, "{openai:?}");
    let anthropic = send(ask("/v1/models").anthropic()).await;
    assert_eq!(anthropic.ids(), ["claude-haiku-4-5", "claude-opus-4-8"]);
    assert_eq!(anthropic.json()["data"][1]["max_input_tokens"], 1_000_000);
    let gemini = send(ask("/v1beta/models")).await.json();
    assert_eq!(gemini["models"].as_array().unwrap().len(), 2, "{gemini}");
    assert_eq!(gemini["models"][0]["name"], "models/gemini-2.5-flash");
    assert_eq!(gemini["models"][0]["inputTokenLimit"], 1_048_576);
    assert_eq!(gemini["models"][0]["outputTokenLimit"], 65_536);
    assert_eq!(gemini["models"][0]["supportedGenerationMethods"][0], "generateContent");
    assert_eq!(gemini["models"][1]["supportedGenerationMethods"][0], "embedContent");

    // Claude Code asks for the long context with a suffix.
    assert_eq!(
        send(ask("/v1/models/claude-opus-4-8%5B1m%5D").anthropic()).await.json()["id"],
        "claude-opus-4-8"
    );
    let other = send(ask("/v1beta/models/claude-opus-4-8")).await;
    assert_eq!(other.status, 400);
    assert!(other.message().contains("uses the protocol of Anthropic"), "{}", other.text);
    let embedding = send(ask("/v1beta/models/gemini-embedding-001")).await;
    assert_eq!(embedding.json()["inputTokenLimit"], 2_048);
}

#[tokio::test]
async fn an_empty_scope_lists_no_model() {
    let desk = installation().await;
    let key = desk
        .create("elsewhere", |form| {
            form.models = vec![];
            form.patterns = "no-such-*".into();
        })
        .await;
    let answer = desk.send(ask("/v1/models").anthropic().bearer(key.secret.reveal())).await;
    assert_eq!(answer.json(), json!({"data": [], "has_more": false, "first_id": null, "last_id": null}));
    // In scope by its pattern, but there is no such model.
    assert_eq!(desk.status(ask("/v1/models/no-such-model").bearer(key.secret.reveal())).await, 404);
}

#[tokio::test]
async fn the_scope_narrows_the_list_and_the_single_model() {
    let desk = installation().await;
    let key = desk
        .create("claude only", |form| {
            form.models = vec![];
            form.patterns = "claude-*\naws/*".into();
        })
        .await;
    let entry =
        r#"[{"id": "aws/claude-x", "provider": "AWS", "input": "1", "output": "2", "cached": "0.1"}]"#;
    catalogue::import(&desk.state.desk, &catalogue::read(entry).unwrap(), false, &Confirmed::default())
        .await
        .unwrap();
    desk.serve(ProviderKind::Gemini, &["aws/claude-x", "claude-opus-4-5", "gemini-2.5-pro"]).await;
    let send = async |path| desk.send(ask(path).bearer(key.secret.reveal())).await;

    assert_eq!(send("/v1/models").await.ids(), ["aws/claude-x", "claude-opus-4-5"]);
    for path in ["/v1/models/aws/claude-x", "/v1/models/aws%2Fclaude-x", "/v1/models/aws/claude-x/"] {
        assert_eq!(send(path).await.json()["id"], "aws/claude-x", "{path}");
    }
    assert_eq!(send("/v1beta/models/aws/claude-x").await.json()["name"], "models/aws/claude-x");

    let refused = send("/v1/models/gpt-5").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("model_not_allowed")));
    assert!(refused.message().contains("is not allowed to use the model gpt-5"));
    assert_eq!(refused.find_header("x-should-retry"), Some("false"));
    let refused = desk.send(ask("/v1/models/gpt-5").anthropic().bearer(key.secret.reveal())).await;
    assert_eq!(refused.json()["error"]["type"], "permission_error");
    let refused = send("/v1beta/models/gpt-5").await;
    assert_eq!(refused.json()["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(refused.json()["error"]["details"][0]["reason"], "MODEL_NOT_ALLOWED");

    let absent = send("/v1/models/claude-99").await;
    assert_eq!((absent.status, &absent.json()["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(send("/v1beta/models/claude-99").await.json()["error"]["status"], "NOT_FOUND");
    for path in ["/v1/models/%FF", "/v1/models//"] {
        assert_eq!(send(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    let asked = || ask("/v1/models").bearer(key.secret.reveal());
    assert_eq!(desk.status(asked()).await, 200);
    desk.revoke(&key).await;
    let refused = desk.send(asked()).await;
    assert_eq!(refused.status, 401);
    assert!(refused.message().contains(&format!("sk-…{} was revoked", key.secret.last_four())));
}

#[tokio::test]
async fn a_disabled_key_is_refused_until_it_is_enabled() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    let asked = || ask("/v1beta/models").bearer(key.secret.reveal());
    keys::disable(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
    let refused = desk.send(asked()).await;
    assert_eq!(refused.status, 401);
    assert!(refused.message().contains("was disabled"));
    keys::enable(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
    assert_eq!(desk.status(asked()).await, 200);
}

#[tokio::test]
async fn a_key_ends_with_its_expiry() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    let asked = || ask("/v1/models").bearer(key.secret.reveal());
    desk.clock.advance(89 * DAY);
    assert_eq!(desk.status(asked()).await, 200);
    desk.clock.advance(3 * DAY);
    let refused = desk.send(asked()).await;
    assert_eq!(refused.status, 401);
    assert!(refused.message().contains("expired"));
}

#[tokio::test]
async fn a_key_is_refused_from_an_address_that_is_not_on_its_list() {
    let desk = installation().await;
    let key = desk.create("office", |form| form.addresses = "198.51.100.0/24".into()).await;
    let asked = |address| ask("/v1/models").bearer(key.secret.reveal()).from(address);
    assert_eq!(desk.status(asked("198.51.100.9")).await, 200);
    let refused = desk.send(asked("203.0.113.7")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("address_not_allowed")));
    assert!(refused.message().contains("203.0.113.7"));
    assert_eq!(refused.find_header("www-authenticate"), None);
    // An address that nobody knows is on no list.
    assert_eq!(desk.status(asked("")).await, 403);
    let request = Request::get("/v1/models").header("x-api-key", key.secret.reveal()).body(Body::empty());
    assert_eq!(desk.router().oneshot(request.unwrap()).await.unwrap().status(), 403);
}

#[tokio::test]
async fn slashes_in_front_and_at_the_end_do_no_harm() {
    let desk = installation().await;
    desk.serve(ProviderKind::OpenAi, &["gpt-5"]).await;
    let key = desk.plain_key().await;
    for path in ["//v1/models", "///v1/models/", "//v1beta/models", "//v1/models/gpt-5"] {
        assert_eq!(desk.status(ask(path).bearer(key.secret.reveal())).await, 200, "{path}");
    }
    let by_query = ask("//v1beta/models").key_in(Spot::Query, key.secret.reveal().as_bytes());
    assert_eq!(desk.status(by_query).await, 200);
}

#[test]
fn only_the_gateways_own_paths_are_rewritten() {
    for (before, after) in [
        ("//v1/models?key=a%20b", "/v1/models?key=a%20b"),
        ("https://keys.example.com//v1/models", "https://keys.example.com/v1/models"),
        ("/v1//models", "/v1//models"),
        ("//v1", "//v1"),
        ("//v1x/models", "//v1x/models"),
        ("//evil.example/v1/models", "//evil.example/v1/models"),
        ("/acme/keys", "/acme/keys"),
    ] {
        let request = Request::get(before).body(()).unwrap();
        assert_eq!(collapse_leading_slashes(request).uri().to_string(), after, "{before}");
    }
}

#[tokio::test]
async fn a_wrong_url_is_answered_with_the_right_one() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    for (path, right) in [
        ("/v1//models", "https://keys.example.com/v1/models:"),
        ("/v1/v1/models", "https://keys.example.com/v1/models:"),
        ("//v1/v1/models/", "https://keys.example.com/v1/models:"),
        ("/v1/v1beta/models", "https://keys.example.com/v1beta/models:"),
        ("/v1beta//models", "https://keys.example.com/v1beta/models:"),
        ("/v1/v1/chat/completions", "https://keys.example.com/v1/chat/completions:"),
        ("/v1/chat/completions/", "https://keys.example.com/v1/chat/completions:"),
        ("/v1beta/openai/chat/completions", "https://keys.example.com/v1/chat/completions:"),
        ("/v1/messages/nothing", "The base URL for clients is https://keys.example.com. "),
        ("/v1/unknown", "https://keys.example.com/v1/models "),
        ("/v1", "https://keys.example.com/v1/models "),
        ("/v1/", "https://keys.example.com/v1/models "),
        ("/v1beta", "https://keys.example.com/v1beta/models "),
        ("/v1beta/unknown", "https://keys.example.com/v1beta/models "),
        ("/v1/%FF", "https://keys.example.com/v1/models "),
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            // Whatever the key is.
            for key in [key.secret.reveal(), "wrong", ""] {
                let answer = desk.send(ask(path).method(method.clone()).bearer(key)).await;
                assert_eq!(answer.status, 404, "{path}");
                assert!(answer.message().contains(right), "{path}: {}", answer.text);
            }
        }
    }
    let answer = desk.send(ask("/v1/unknown").bearer(key.secret.reveal())).await;
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    assert_eq!(answer.json()["error"]["code"], "not_found");
}

#[tokio::test]
async fn a_websocket_is_refused_so_that_clients_go_on_with_http() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    let upgrade = ask("/v1/responses").header("connection", "upgrade").header("upgrade", "websocket");
    let answer = desk.send(upgrade.bearer(key.secret.reveal())).await;
    assert_eq!((answer.status, answer.find_header("upgrade")), (426, Some("HTTP/1.1")));
    assert_eq!(
        answer.message(),
        "WebSockets are not served. Use HTTP: POST https://keys.example.com/v1/responses."
    );
    let plain = desk.send(ask("/v1/responses").bearer(key.secret.reveal())).await;
    assert_eq!((plain.status, plain.find_header("allow")), (405, Some("POST")));
    assert_eq!(desk.status(ask("/v1/responses")).await, 401);
}

#[tokio::test]
async fn another_method_is_refused_with_those_there_are() {
    let desk = installation().await;
    let key = desk.every_key().await;
    for path in PATHS {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = desk.send(ask(path).method(method.clone()).bearer(&key)).await;
            assert_eq!((answer.status, answer.find_header("allow")), (405, Some("GET, HEAD")), "{path}");
            assert!(answer.message().contains("GET, HEAD"));
            assert_eq!(desk.status(ask(path).method(method)).await, 401, "{path}");
        }
        let head = desk.send(ask(path).method(Method::HEAD).bearer(&key)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
    }
    let answer = desk.send(ask("/v1beta/models").method(Method::POST).bearer(&key)).await;
    assert_eq!(answer.json()["error"]["code"], 405);
}

#[tokio::test]
async fn a_browser_is_warned_and_its_preflight_refused() {
    let desk = installation().await;
    let origin = |path| ask(path).header("origin", "https://shop.example");
    for (path, allow) in
        [("/v1/models", "GET, HEAD"), ("/v1beta/models/x", "GET, HEAD"), ("/v1/messages", "POST")]
    {
        let answer = desk.send(origin(path).method(Method::OPTIONS)).await;
        assert_eq!((answer.status, answer.find_header("allow")), (405, Some(allow)), "{path}");
        assert!(answer.message().ends_with(BROWSER));
        assert!(desk.send(origin(path)).await.message().ends_with(BROWSER));
        assert!(!desk.send(ask(path)).await.text.contains(BROWSER));
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_the_database_is_away() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    desk.state.desk.db.close().await;
    for (asked, kind) in
        [(ask("/v1/models"), json!("server_error")), (ask("/v1/models").anthropic(), json!("api_error"))]
    {
        let answer = desk.send(asked.bearer(key.secret.reveal())).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["error"]["type"], kind);
        assert!(answer.message().starts_with("The database is not available"));
        assert_eq!(answer.find_header("retry-after"), Some("5"));
        assert_eq!(answer.find_header("x-should-retry"), None);
    }
    let answer = desk.send(ask("/v1beta/models").bearer(key.secret.reveal())).await;
    assert_eq!(answer.json()["error"]["status"], "UNAVAILABLE");
    // What needs no database to be refused still says why.
    assert_eq!(desk.status(ask("/v1/models").bearer("sk-desk-short")).await, 401);
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_and_a_rejection_is_not() {
    let desk = installation().await;
    let key = desk.plain_key().await;
    let last_used = async || {
        desk.state.last_used.flush(&desk.state.desk.db).await.unwrap();
        let view = keys::show(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
        view.key.last_used_at
    };
    keys::disable(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
    assert_eq!(desk.status(ask("/v1/models").bearer(key.secret.reveal())).await, 401);
    assert_eq!(last_used().await, None);
    keys::enable(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
    assert_eq!(desk.status(ask("/v1/models").bearer(key.secret.reveal())).await, 200);
    assert_eq!(last_used().await, Some(START));
}

#[tokio::test]
async fn a_key_pasted_into_a_path_is_not_repeated() {
    let desk = installation().await;
    let key = desk.create("every", |form| form.scope = "every".into()).await;
    let secret = key.secret.reveal();
    for path in [
        format!("/v1/models/{secret}"),
        format!("/v1/models/Bearer%20{secret}"),
        format!("/v1beta/models/{secret}"),
        format!("/v1/{secret}"),
        format!("/v1/v1/{secret}"),
    ] {
        let answer = desk.send(ask(&path).bearer(secret)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text.contains(secret.split_at(12).1), "{}", answer.text);
    }
}

/// What arrives instead of a whole key.
fn not_a_key(secret: String) -> impl Strategy<Value = Vec<u8>> {
    let whole = secret.into_bytes();
    let (cut, extended, changed) = (whole.clone(), whole.clone(), whole.clone());
    let length = whole.len();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        (0..length).prop_map(move |end| cut.split_at(end).0.to_vec()),
        (0..=length, any::<u8>()).prop_map(move |(place, byte)| {
            let mut text = extended.clone();
            text.insert(place, byte);
            text
        }),
        (0..length, 1..=127_u8).prop_map(move |(place, flip)| {
            let mut text = changed.clone();
            text[place] ^= flip;
            text
        }),
    ]
}

#[test]
fn whatever_is_sent_instead_of_a_key_is_refused_and_not_repeated() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let desk = runtime.block_on(installation());
    let key = runtime.block_on(desk.plain_key());
    let secret = key.secret.reveal().to_owned();
    let tail = secret.strip_prefix("sk-desk-").unwrap().as_bytes().to_vec();
    let sent = move || not_a_key(secret.clone());
    let places = prop::collection::vec((prop::sample::select(SPOTS.to_vec()), sent()), 0..4);
    let paths = prop::sample::select(vec![
        "/v1/models",
        "/v1/models/gpt-5",
        "/v1beta/models",
        "/v1/key",
        "/gateway/forward-auth",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1beta/models/gpt-5:generateContent",
        "/v1beta/models/a/b:streamGenerateContent",
        "/v1beta/models/gpt-5:countTokens",
    ]);
    fuzz((paths, any::<bool>(), any::<Vec<u8>>(), places), |(path, posts, body, places)| {
        let method = if posts { Method::POST } else { Method::GET };
        let asked = ask(path).method(method).body(body);
        let asked = places.iter().fold(asked, |asked, (spot, value)| asked.key_in(*spot, value));
        let answer = runtime.block_on(desk.send(asked));
        prop_assert!(matches!(answer.status, 400 | 401), "{}", answer.text);
        for piece in tail.windows(5) {
            prop_assert!(!answer.text.contains(std::str::from_utf8(piece).unwrap()), "{}", answer.text);
        }
        for text in places.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok()) {
            prop_assert!(text.chars().count() < 12 || !answer.text.contains(text), "{}", answer.text);
        }
        Ok(())
    });
    drop(desk);
}
