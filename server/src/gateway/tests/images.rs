//! Images and moderation, in OpenAI's protocol.

use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Upstream, whole};

const PATH: &str = "/v1/images/generations";

/// A model with a price for images of 40 dollars a million tokens, and for the input of 10 for images and 5 for text.
async fn painting(answer: &'static str) -> (Installation, Upstream, String) {
    let desk = installation().await;
    let upstream = Upstream::answering(move || whole(200, "application/json", answer)).await;
    desk.served_by("openai", &upstream.base_url, "TEST_API_KEY").await;
    desk.execute(
        "UPDATE prices SET tariff = '{\"input\":\"5\",\"image_input\":\"10\",\"output\":\"40\",\"image_output\":\"40\"}'
        WHERE model_id = 'routed'",
    )
    .await;
    let key = desk.every_key().await;
    (desk, upstream, key)
}

fn paint() -> Value {
    json!({"model": "routed", "prompt": "A violet tram", "n": 2, "size": "1024x1024"})
}

#[tokio::test]
async fn an_image_costs_what_its_usage_tells() {
    for (details, cost) in [
        // All output is images where it says nothing else.
        ("", 100 * 5_000 + 400 * 10_000 + 2_000 * 40_000),
        (
            ",\"output_tokens_details\":{\"image_tokens\":1900,\"text_tokens\":100}",
            100 * 5_000 + 400 * 10_000 + 2_000 * 40_000,
        ),
    ] {
        let answer = format!(
            "{{\"created\":1,\"data\":[{{\"b64_json\":\"{}\"}}],\"usage\":{{\"input_tokens\":500,\"output_tokens\":2000,\"total_tokens\":2500,\"input_tokens_details\":{{\"text_tokens\":100,\"image_tokens\":400}}{details}}}}}",
            "iVBORw0KGgo".repeat(1_000)
        );
        let (desk, upstream, key) = painting(answer.leak()).await;
        assert_eq!(desk.pass(post(PATH, &paint()).bearer(&key)).await.status, 200);
        assert_eq!(desk.settled().await, [(200, 500, 2_000, 0, 0, cost)]);
        let sent = upstream.one();
        assert_eq!((sent.target.as_str(), &sent.json()["model"]), (PATH, &json!("real-name")));
    }
}

#[tokio::test]
async fn an_image_without_a_usage_is_estimated_by_the_number_of_images_and_not_by_its_bytes() {
    let (desk, _upstream, key) = painting(
        "{\"data\":[{\"url\":\"https://x.example/1\"},{\"b64_json\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
    )
    .await;
    assert_eq!(desk.pass(post(PATH, &paint()).bearer(&key)).await.status, 200);
    let settled = desk.settled().await;
    assert_eq!((settled[0].2, settled[0].4), (2 * 4_160, 1));
}

#[tokio::test]
async fn an_image_that_cannot_be_priced_or_measured_is_refused() {
    let (desk, upstream, key) = painting("{}").await;
    let mut streamed = paint();
    streamed["stream"] = true.into();
    let answer = desk.send(post(PATH, &streamed).bearer(&key)).await;
    assert!(answer.status == 400 && answer.message().contains("Remove \"stream\""), "{}", answer.text);
    desk.execute(
        "UPDATE prices SET tariff = '{\"input\":\"5\",\"output\":\"40\"}' WHERE model_id = 'routed'",
    )
    .await;
    let answer = desk.send(post(PATH, &paint()).bearer(&key)).await;
    assert!(
        answer.status == 400 && answer.message().contains("no price for image output"),
        "{}",
        answer.text
    );
    assert!(upstream.arrived().is_empty());
}

#[tokio::test]
async fn a_moderation_is_free_and_passes_gate_6() {
    let (desk, upstream, key) = painting("{\"results\":[{\"flagged\":false}]}").await;
    // Its clients need not name a model.
    let usual = json!({"input": "Hi"});
    let answer = desk.send(post("/v1/moderations", &usual).bearer(&key)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    desk.execute(
        "INSERT INTO models (id, provider, created_at, provider_id, upstream_name)
        SELECT 'omni-moderation-latest', provider, created_at, provider_id, 'theirs' FROM models WHERE id = 'routed'",
    )
    .await;
    assert_eq!(desk.pass(post("/v1/moderations", &usual).bearer(&key)).await.status, 200);
    let sent = upstream.one();
    assert_eq!((sent.target.as_str(), &sent.json()["model"]), ("/v1/moderations", &json!("theirs")));
    assert_eq!(desk.settled().await, [(200, 0, 0, 0, 0, 0)]);
    let narrow = desk.create("narrow", |form| form.models = vec!["gpt-5".into()]).await;
    let answer = desk.send(post("/v1/moderations", &usual).bearer(narrow.secret.reveal())).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
}
