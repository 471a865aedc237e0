//! A new operator's way from a fresh installation to a real provider's answer, by plain forms of a browser alone.

use keydesk_test_support::TestRequest;
use serde_json::json;

use super::support::{TestApp, Who, on_both};
use crate::gateway::tests::upstream::{Upstream, whole};

const JSON: &str = "application/json";
const SECRET: &str = "sk-proj-canary0123456789wxyz";
/// A list of models that is an answer too.
const ANSWER: &str = r#"{"data":[{"id":"gpt-5-mini"},{"id":"own-model"}],"id":"c1","choices":[{"message":{"content":"Hello from far"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

fn hidden(page: &str, name: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    let (value, _) = rest.split_once('"').unwrap();
    value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

on_both! {
    async fn an_operator_goes_from_nothing_to_a_providers_answer_in_the_browser(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "first").await;
        let operator = app.sign_in(Who::Operator).await;
        let ask = || TestRequest::post_json(
            "/v1/chat/completions",
            &json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}]}).to_string(),
        ).bearer(&key.secret);
        let echo = || TestRequest::post_json(
            "/v1/chat/completions",
            &json!({"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]}).to_string(),
        ).bearer(&key.secret);
        assert_eq!(app.ask(ask()).await.status, 503);
        assert_eq!(app.ask(echo()).await.status, 200);

        // The address first: nothing is saved, and the whole URL is shown.
        let upstream = Upstream::answering(|| whole(200, JSON, ANSWER)).await;
        let first = app.get(&operator, "/operator/providers/new").await.text;
        assert!(first.contains("Azure OpenAI") && first.contains("Step 1 of 2"), "{first}");
        let typed = format!("{}/api/paas/v4/chat/completions", upstream.base_url);
        let second = format!("/operator/providers/new?kind=openai&name=Far&url={}", encoded(&typed));
        let page = app.get(&operator, &second).await.text;
        assert!(page.contains(&format!("{}/api/paas/v4/chat/completions", upstream.base_url)), "{page}");
        assert!(page.contains(&format!("{}/api/paas/v4/models", upstream.base_url)), "{page}");
        assert_eq!(app.number("SELECT COUNT(*) FROM providers").await, 0);

        let (kind, url, exact) = (
            hidden(&page, "form[provider][kind]"),
            hidden(&page, "form[provider][base_url]"),
            hidden(&page, "form[provider][exact]"),
        );
        let fields = [
            ("form[provider][name]", "Far"),
            ("form[provider][kind]", &*kind),
            ("form[provider][base_url]", &*url),
            ("form[provider][exact]", &*exact),
            ("form[provider][credential]", "stored"),
            ("form[secret]", SECRET),
            ("form[provider][credential_env]", ""),
            ("form[provider][connect]", "5"),
            ("form[provider][idle]", "60"),
            ("form[provider][whole]", "600"),
            ("form[provider][on_disconnect]", "read_on"),
        ];
        // A mistake keeps what was typed, and not the key.
        let mut wrong = fields;
        wrong[0].1 = "";
        let answer = app.post_page(&operator, &second, "providers/add", &wrong).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(!answer.text.contains("canary") && answer.text.contains("/api/paas/v4/chat/completions"), "{}", answer.text);

        let answer = app.post_page(&operator, &second, "providers/add", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let own = answer.location().to_owned();
        let page = app.get(&operator, &own).await.text;
        assert!(page.contains("Far is connected: gpt-5-mini answered."), "{page}");
        assert!(page.contains("…wxyz") && !page.contains("canary"), "{page}");
        assert!(page.contains("own-model") && page.contains("Add to the catalogue"), "{page}");
        let arrived = upstream.arrived();
        assert_eq!(arrived[0].target, "/api/paas/v4/models");
        assert_eq!(arrived[0].headers["authorization"], format!("Bearer {SECRET}").as_str());

        // What it lists is ticked: one press, and the model answers. Until then the demonstration does.
        let ticked = page.split("name=\"form[models][]\"").filter(|part| part.split('>').next().is_some_and(|tag| tag.contains("checked") && tag.contains("gpt-5-mini"))).count();
        assert_eq!(ticked, 1, "{page}");
        assert_eq!(app.ask(echo()).await.status, 200);
        let was = hidden(&page, "form[was]");
        let id = own.rsplit('/').next().unwrap().to_owned();
        let fields = [("form[id]", &*id), ("form[was]", &*was), ("form[models][]", "gpt-5-mini")];
        let answer = app.post_page(&operator, &own, "providers/route", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let answer = app.ask(ask()).await;
        assert!(answer.status == 200 && answer.text.contains("Hello from far"), "{}", answer.text);
        assert_eq!(app.ask(echo()).await.status, 404);
        let new = app.get(&operator, &format!("/operator/models/new?id=own-model&provider={id}")).await.text;
        assert!(new.contains("value=\"own-model\""), "{new}");
    }
}

on_both! {
    async fn a_provider_that_does_not_answer_is_saved_and_not_called_connected(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let upstream = Upstream::answering(|| whole(401, JSON, r#"{"error":"Incorrect API key: sk-proj-canary0123456789wxyz"}"#)).await;
        let fields = [
            ("form[provider][name]", "Far"),
            ("form[provider][kind]", "openai"),
            ("form[provider][base_url]", &*upstream.base_url),
            ("form[provider][credential]", "stored"),
            ("form[secret]", SECRET),
            ("form[provider][connect]", "5"),
            ("form[provider][idle]", "60"),
            ("form[provider][whole]", "600"),
            ("form[provider][on_disconnect]", "read_on"),
        ];
        let answer = app.post_page(&operator, "/operator/providers/new", "providers/add", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let own = answer.location().to_owned();
        let page = app.get(&operator, &own).await.text;
        assert!(page.contains("Far is saved, not usable yet. The provider rejected the API key."), "{page}");
        assert!(page.contains("Test failed") && !page.contains("canary"), "{page}");
        // Ten tests a minute, the first one's with them.
        let id = own.rsplit('/').next().unwrap();
        let test = [("form[id]", id), ("form[model]", "")];
        for _ in 0..9 {
            assert_eq!(app.post_page(&operator, &own, "providers/test", &test).await.status, 303);
        }
        let asked = upstream.arrived().len();
        let answer = app.post_page(&operator, &own, "providers/test", &test).await;
        let wait = answer.header("retry-after");
        assert!((1..=60).contains(&wait.parse::<u8>().unwrap()), "{wait}");
        assert!(answer.status == 429 && answer.text.contains(&format!("Too many attempts. Try again in {wait} second")), "{}", answer.text);
        assert_eq!(upstream.arrived().len(), asked);
        assert!(app.get(&operator, "/operator/models").await.text.contains("demo/echo"));
        // Another address is shown before it is saved.
        let typed = format!("{own}?kind=openai&url={}", encoded("https://api.example.com/v4"));
        let page = app.get(&operator, &typed).await.text;
        assert!(page.contains("https://api.example.com/v4/chat/completions"), "{page}");
        let typed = format!("{own}?kind=openai&url={}", encoded("http://169.254.169.254"));
        assert!(app.get(&operator, &typed).await.text.contains("link-local address"));
        let typed = format!("/operator/providers/new?kind=openai&url={}", encoded(SECRET));
        let page = app.get(&operator, &typed).await.text;
        assert!(page.contains("There was a secret in the address") && !page.contains("canary"), "{page}");
    }
}
