//! Requests that end in every way, and the limits that stop them.

use keydesk_core::admission::{self, Presented, Settlement};
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::money::Money;
use keydesk_core::forms::parts::LimitField;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};
use crate::gateway::reservation_guard::Unsettled;

fn chat() -> Value {
    json!({"model": "routed", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]})
}

const ANSWER: &str = "{\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500}}";

async fn limited(
    change: impl FnOnce(&mut keydesk_core::forms::key::KeyForm),
) -> (Installation, Upstream, String) {
    let desk = installation().await;
    let upstream = Upstream::answering(|| whole(200, "application/json", ANSWER)).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    let key = desk.create("limited", |form| {
        form.scope = "every".into();
        change(form);
    });
    let key = key.await.secret.reveal().to_owned();
    (desk, upstream, key)
}

#[tokio::test]
async fn every_answer_tells_what_is_left() {
    let (desk, _upstream, key) = limited(|form| {
        form.limits.month = LimitField::limit("0.01");
        form.limits.rpm = LimitField::limit("3");
        form.limits.tpm = LimitField::limit("10000");
    })
    .await;
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (name, value) in [
        ("x-ratelimit-limit-requests", "3"),
        ("x-ratelimit-remaining-requests", "2"),
        ("x-ratelimit-limit-tokens", "10000"),
        ("x-keydesk-budget-limit", "0.01"),
        // 1,500 tokens at a dollar a million.
        ("x-keydesk-budget-remaining", "0.0085"),
        ("x-keydesk-budget-scope", "key"),
    ] {
        assert_eq!(answer.find_header(name), Some(value), "{name}");
    }
    assert!(answer.find_header("x-ratelimit-reset-requests").unwrap().ends_with('s'));
    assert!(answer.find_header("x-keydesk-budget-reset").unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_budget_that_is_used_up_stops_the_next_request_in_every_protocol() {
    let (desk, upstream, key) = limited(|form| form.limits.month = LimitField::limit("0.0015")).await;
    assert_eq!(desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await.status, 200);
    let refused = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert_eq!(refused.find_header("x-should-retry"), Some("false"));
    assert_eq!(refused.find_header("retry-after"), None);
    assert!(refused.find_header("x-keydesk-budget-reset").is_some());
    assert!(refused.message().contains("budget"), "{}", refused.text);

    desk.execute("UPDATE providers SET kind = 'anthropic'").await;
    let refused = desk.send(post("/v1/messages", &chat()).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    desk.execute("UPDATE providers SET kind = 'gemini'").await;
    let refused = desk.send(post("/v1beta/models/routed:generateContent", &json!({})).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    // Google's clients stop at a quota of a day, and at a long wait.
    let details = &refused.json()["error"]["details"];
    assert_eq!(details[1]["violations"][0]["quotaId"], "KeydeskBudgetPerDay");
    let wait: i64 = details[2]["retryDelay"].as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
    assert!((86_400..32 * 86_400).contains(&wait), "{wait}");
    assert_eq!(upstream.arrived().len(), 1);
    // A rejection is for the key's page, not for its usage.
    assert_eq!(desk.settled().await.len(), 1);
    desk.state.rejections.flush(&desk.state.desk.db).await.unwrap();
    assert_eq!(desk.number("SELECT CAST(SUM(times) AS INTEGER) FROM rejections").await, 3);
}

/// Of another 429 it shows no sentence, and says that the quota of a plan is exceeded.
#[tokio::test]
async fn codex_is_told_of_a_limit_where_it_shows_it() {
    let (desk, _upstream, key) = limited(|form| form.limits.month = LimitField::limit("0.0015")).await;
    let ask = || post("/v1/chat/completions", &chat()).bearer(&key);
    assert_eq!(desk.pass(ask()).await.status, 200);
    let other = desk.send(ask().header("user-agent", "OpenAI/Python 2.54.0")).await;
    assert_eq!(other.json()["error"]["type"], "insufficient_quota");
    assert_eq!(other.find_header("x-codex-promo-message"), None);
    let told =
        desk.send(ask().header("user-agent", "codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown")).await;
    let error = &told.json()["error"];
    assert_eq!((told.status, told.find_header("x-should-retry")), (429, Some("false")));
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("usage_limit_reached"), &json!("insufficient_quota"))
    );
    assert_eq!(error["message"], other.json()["error"]["message"]);
    let shown = told.find_header("x-codex-promo-message").unwrap();
    assert!(
        shown.is_ascii() && shown.contains("The budget of the key sk-...") && shown.ends_with("(UTC)"),
        "{shown}"
    );
    let seconds = error["resets_at"].as_i64().unwrap() - desk.state.desk.now().ms() / 1_000;
    assert!((86_400..32 * 86_400).contains(&seconds), "{seconds}");
    // The shape of other protocols stays theirs.
    desk.execute("UPDATE providers SET kind = 'anthropic'").await;
    let messages = post("/v1/messages", &chat()).bearer(&key).header("user-agent", "codex_exec/0.171.0");
    let messages = desk.send(messages).await;
    assert_eq!(messages.json()["error"]["type"], "rate_limit_error");
    assert_eq!(messages.find_header("x-codex-promo-message"), None);
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_again() {
    let (desk, _upstream, key) = limited(|form| form.limits.rpm = LimitField::limit("1")).await;
    assert_eq!(desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await.status, 200);
    let refused = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    let seconds: i64 = refused.find_header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&seconds));
    assert_eq!(refused.find_header("x-should-retry"), None);
    assert_eq!(refused.find_header("x-ratelimit-limit-requests"), Some("1"));
    // Codex waits and tries again, too.
    let codex = post("/v1/chat/completions", &chat()).bearer(&key).header("user-agent", "codex_exec/0.171.0");
    assert_eq!(desk.send(codex).await.json()["error"]["type"], "rate_limit_error");
    desk.execute("UPDATE providers SET kind = 'gemini'").await;
    let refused = desk.send(post("/v1beta/models/routed:generateContent", &json!({})).bearer(&key)).await;
    let details = &refused.json()["error"]["details"];
    assert_eq!(details[1]["violations"][0]["quotaId"], "KeydeskLimitPerMinute");
    assert_eq!(details[2]["retryDelay"], format!("{}s", refused.find_header("retry-after").unwrap()));
    assert_eq!(refused.find_header("x-ratelimit-remaining-requests"), Some("0"));
}

#[tokio::test]
async fn a_request_that_never_fits_is_not_tried_again_by_googles_clients() {
    let (desk, upstream, key) = limited(|form| form.limits.tpm = LimitField::limit("100")).await;
    desk.execute("UPDATE providers SET kind = 'gemini'").await;
    let long = json!({"contents": [{"parts": [{"text": "word ".repeat(2_000)}]}]});
    let refused = desk.send(post("/v1beta/models/routed:generateContent", &long).bearer(&key)).await;
    assert_eq!((refused.status, refused.find_header("retry-after")), (429, None), "{}", refused.text);
    assert_eq!(refused.find_header("x-should-retry"), Some("false"));
    let details = &refused.json()["error"]["details"];
    assert_eq!(details[1]["violations"][0]["quotaId"], "KeydeskTokensPerRequest");
    assert_eq!(details[2]["retryDelay"], "86400s");
    assert!(upstream.arrived().is_empty());
}

#[tokio::test]
async fn what_a_dying_database_did_not_take_is_settled_when_it_is_back() {
    let (desk, _upstream, key) = limited(|_| {}).await;
    desk.execute("ALTER TABLE usage RENAME TO usage_away").await;
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    // It was paid for: the client has it.
    assert_eq!((answer.status, answer.text.as_str()), (200, ANSWER));
    let in_flight = &desk.state.gateway.in_flight;
    assert_eq!(in_flight.pending(), 1);
    assert!(in_flight.settle_pending(&desk.state.desk).await.is_err());
    assert_eq!(in_flight.pending(), 1);
    let waiting = in_flight.unsettled();
    assert_eq!((waiting.reserved, waiting.ended, waiting.queued), (1, 1, 1));
    assert!(!waiting.lag.is_zero());
    desk.execute("ALTER TABLE usage_away RENAME TO usage").await;
    in_flight.settle_pending(&desk.state.desk).await.unwrap();
    assert_eq!(in_flight.unsettled(), Unsettled::default());
    assert_eq!(desk.settled().await, [(200, 1000, 500, 0, 0, 1_500_000)]);
}

#[tokio::test]
async fn a_stop_that_waits_no_longer_settles_what_is_under_way() {
    let desk = installation().await;
    let chunks = ["data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n"];
    let upstream = Upstream::answering(move || parts("text/event-stream", &chunks, 1, Then::Hangs)).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    desk.execute("UPDATE providers SET idle_ms = 60000, whole_ms = 60000").await;
    let key = desk.every_key().await;
    let body = json!({"model": "routed", "stream": true});
    let mut open = desk.open(post("/v1/chat/completions", &body).bearer(&key)).await.into_body();
    http_body_util::BodyExt::frame(&mut open).await.unwrap().unwrap();
    let in_flight = &desk.state.gateway.in_flight;
    assert_eq!(in_flight.tasks.len(), 1);
    in_flight.stop.cancel();
    in_flight.tasks.close();
    tokio::time::timeout(std::time::Duration::from_secs(5), in_flight.tasks.wait()).await.ok();
    assert_eq!(desk.settled().await, [(502, 10, 2, 0, 1, 12_000)]);
}

#[tokio::test]
async fn the_leases_of_requests_under_way_move_on() {
    let desk = installation().await;
    let upstream = Upstream::answering(|| parts("application/json", &[], 0, Then::Hangs)).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    let key = desk.every_key().await;
    let asked = desk.open(post("/v1/chat/completions", &chat()).bearer(&key));
    let renewed = async {
        while desk.number("SELECT COUNT(*) FROM reservations").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let before = desk.number("SELECT expires_at FROM reservations").await;
        desk.clock.advance(30_000);
        desk.state.gateway.in_flight.renew(&desk.state.desk).await.unwrap();
        assert_eq!(desk.number("SELECT expires_at FROM reservations").await, before + 30_000);
    };
    let (answer, ()) = tokio::join!(asked, renewed);
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn a_request_whose_task_breaks_down_is_settled_as_it_stood() {
    let (desk, _upstream, key) = limited(|_| {}).await;
    let (state, now) = (&desk.state, desk.state.desk.now());
    let mut sent = Presented::default();
    sent.bare(key.as_bytes());
    let context = admission::authenticate(&state.desk, &sent, None).await.unwrap();
    let request = RequestId::new(now, state.desk.id_entropy());
    let asked = admission::ReservationRequest {
        request,
        model: "routed".into(),
        amount: Money::from_nanos(9_000),
        worst: Money::from_nanos(9_000),
        tokens: 9,
        presumed: admission::Presumed::default(),
        is_priced: true,
    };
    let reservation = admission::reserve(&state.desk, &context, &asked).await.unwrap();
    let settlement = Settlement {
        route: "/v1/chat/completions".into(),
        status: 500,
        bill: Bill {
            is_estimated: true,
            ..Bill::of_cost(Counts::of_totals(7, 0, 0), Money::from_nanos(7_000))
        },
        latency_ms: 0,
        first_byte_ms: None,
        address: String::new(),
        user_agent: String::new(),
        error: String::new(),
        tags: Vec::new(),
        attempts: Vec::new(),
    };
    let guard = state.gateway.in_flight.guard(reservation, settlement);
    let task = tokio::spawn(async move {
        let _guard = guard;
        panic!("a test breaks a task down");
    });
    assert!(task.await.is_err());
    assert_eq!(state.gateway.in_flight.pending(), 1);
    state.gateway.in_flight.settle_pending(&state.desk).await.unwrap();
    assert_eq!(desk.settled().await, [(500, 7, 0, 0, 1, 7_000)]);
}
