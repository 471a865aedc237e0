//! What the desk answers holds for the gateway's very next request.

use clap::Parser;
use keydesk_core::store::Db;
use secrecy::ExposeSecret;

use super::routes::{borrowed, fields_for};
use super::support::{Browser, Cast, HOUR, TestApp, TestKey, TestRequest, Who, on_both};
use crate::config::{DataConfig, ServeConfig};
use crate::open::open_current;

async fn act(app: &TestApp, who: &Browser, action: &str, fields: &[(String, String)]) {
    let answer = app.post(who, action, &borrowed(fields)).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.text);
}

async fn edit(app: &TestApp, who: &Browser, cast: &Cast, key: &TestKey, version: &str, set: &[(&str, &str)]) {
    let mut fields = fields_for("keys/edit", cast, key, &key.name);
    for (name, value) in &mut fields {
        if name == "form[version]" {
            version.clone_into(value);
        }
        if let Some((_, wanted)) = set.iter().find(|(field, _)| *name == format!("form[key][{field}]")) {
            (*wanted).clone_into(value);
        }
    }
    act(app, who, "keys/edit", &fields).await;
}

on_both! {
    async fn a_revoked_key_is_refused_from_the_next_request_on(app: TestApp) {
        let cast = app.cast().await;
        for who in [Who::Owner, Who::TeamAdmin, Who::KeyOwner] {
            let browser = app.sign_in(who).await;
            for n in 0..5 {
                let key = app.key(&cast, &format!("{who:?} {n}")).await;
                assert_eq!(app.try_key(&key.secret).await, 200);
                act(&app, &browser, "keys/revoke", &fields_for("keys/revoke", &cast, &key, "")).await;
                for _ in 0..3 {
                    assert_eq!(app.try_key(&key.secret).await, 401);
                }
                // Final: neither enabling nor editing brings it back.
                for action in ["keys/enable", "keys/disable", "keys/edit"] {
                    let answer = app.post(&browser, action, &borrowed(&fields_for(action, &cast, &key, "again"))).await;
                    assert!([403, 409].contains(&answer.status), "{action}: {}", answer.status);
                }
                assert_eq!(app.try_key(&key.secret).await, 401);
            }
        }
    }
}

on_both! {
    async fn requests_beside_a_revocation_are_refused_once_it_has_answered(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let key = app.key(&cast, "busy").await;
        let (told, revoked) = tokio::sync::watch::channel(false);
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (app, secret, revoked) = (app.clone(), key.secret.clone(), revoked.clone());
            callers.spawn(async move {
                let (mut before, mut after) = (0, 0);
                while after < 10 {
                    let late = *revoked.borrow();
                    let status = app.try_key(&secret).await;
                    if late {
                        assert_eq!(status, 401, "a request that began after the answer");
                        after += 1;
                    } else {
                        before += 1;
                    }
                }
                before
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        act(&app, &owner, "keys/revoke", &fields_for("keys/revoke", &cast, &key, "")).await;
        told.send(true).unwrap();
        let mut before = 0;
        while let Some(count) = callers.join_next().await {
            before += count.unwrap();
        }
        assert!(before > 0, "nobody asked while it was revoked");
    }
}

on_both! {
    async fn a_key_is_off_and_on_at_once(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let key = app.key(&cast, "ci").await;
        for _ in 0..3 {
            act(&app, &owner, "keys/disable", &fields_for("keys/disable", &cast, &key, "")).await;
            assert_eq!(app.try_key(&key.secret).await, 401);
            act(&app, &owner, "keys/enable", &fields_for("keys/enable", &cast, &key, "")).await;
            assert_eq!(app.try_key(&key.secret).await, 200);
        }
    }
}

on_both! {
    async fn an_edit_holds_for_the_next_request(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let key = app.key(&cast, "ci").await;
        assert_eq!(app.try_key(&key.secret).await, 200);
        edit(&app, &owner, &cast, &key, "1", &[("addresses", "198.51.100.0/24"), ("expiry", "never")]).await;
        assert_eq!(app.try_key(&key.secret).await, 403);
        edit(&app, &owner, &cast, &key, "2", &[("addresses", "203.0.113.7"), ("expiry", "never")]).await;
        // The form said "any address" when it was drawn; the second edit is a new one.
        assert_eq!(app.try_key(&key.secret).await, 200);
        edit(&app, &owner, &cast, &key, "3", &[("addresses", "203.0.113.7"), ("expiry", "7")]).await;
        app.clock.advance(8 * 24 * HOUR);
        assert_eq!(app.try_key(&key.secret).await, 401);
    }
}

on_both! {
    async fn a_keys_page_lists_its_rejections_by_model(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let key = app.key(&cast, "narrow").await;
        let narrow = format!("UPDATE keys SET model_scope = 'listed' WHERE id = '{}'", key.id);
        let pattern = format!(
            "INSERT INTO scopes (holder_kind, holder_id, pattern, org_id)
            SELECT 'key', id, 'gpt-*', org_id FROM keys WHERE id = '{}'",
            key.id
        );
        app.execute(&narrow).await;
        app.execute(&pattern).await;
        for model in ["o3", "o1", "o3"] {
            let ask = TestRequest::get(&format!("/v1/models/{model}"));
            let answer = app.ask(ask.header("authorization", &format!("Bearer {}", key.secret))).await;
            assert_eq!(answer.status, 403, "{}", answer.text);
            app.clock.advance(1_000);
        }
        app.state.rejections.flush(&app.state.desk.db).await.unwrap();
        let page = app.get(&owner, &format!("/acme/keys/{}", key.id)).await.text;
        let (_, card) = page.split_once("id=\"requests\"").unwrap();
        let (o3, o1) = card.split_once("o1").unwrap();
        assert!(o3.contains("o3") && o3.contains("2 times between") && o3.contains("may not use this model"), "{o3}");
        assert!(o1.contains("may not use this model") && !o1.split("</section>").next().unwrap().contains("times"), "{o1}");
    }
}

on_both! {
    async fn a_request_to_the_gateway_has_an_id_of_ours_and_a_row_under_it(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "demo").await;
        for sent in ["req_00000000000000000000000000000000", "my-own-id-12345"] {
            let body = serde_json::json!({"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]});
            let ask = TestRequest::post_json("/v1/chat/completions", &body.to_string())
                .header("authorization", &format!("Bearer {}", key.secret))
                .header("x-request-id", sent);
            let answer = app.ask(ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let id = answer.header("x-request-id").to_owned();
            assert!(id.starts_with("req_") && id != sent, "{id}");
            let rows = app.number(&format!("SELECT COUNT(*) FROM usage WHERE request_id = '{id}' AND cost > 0")).await;
            assert_eq!(rows, 1);
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM reservations").await, 0);
    }
}

on_both! {
    async fn a_port_for_the_gateway_has_nothing_of_the_desk(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "apart").await;
        let asked = |path: &str| TestRequest::get(path).header("authorization", &format!("Bearer {}", key.secret));
        let gateway = app.gateway_alone();
        assert_eq!(gateway.ask(asked("/v1/models")).await.status, 200);
        assert_eq!(gateway.ask(asked("/v1/key")).await.status, 200);
        assert_eq!(gateway.ask(TestRequest::get("/readyz")).await.status, 200);
        for path in ["/", "/sign-in", "/acme/keys", "/api/session/sign-in", "/setup/x"] {
            assert_eq!(gateway.ask(TestRequest::get(path)).await.status, 404, "{path}");
        }
        let desk = app.without_gateway();
        assert_eq!(desk.ask(TestRequest::get("/sign-in")).await.status, 200);
        for path in ["/v1/models", "/v1/key", "/gateway/forward-auth"] {
            let answer = desk.ask(asked(path)).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.text.contains("Its base URL is http://127.0.0.1:1."), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn the_gateway_alone_starts_only_on_a_database_that_is_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataConfig { data: folder.path().into(), database_url: None };
    let refused = open_current(&data).await.err().unwrap();
    assert!(refused.starts_with("There is no database"), "{refused}");
    let db = Db::open(&data.database().unwrap()).await.unwrap();
    let refused = open_current(&data).await.err().unwrap();
    assert!(refused.ends_with("Run: keydesk migrate"), "{refused}");
    db.migrate().await.unwrap();
    assert!(open_current(&data).await.is_ok());
}

#[test]
fn a_gateway_token_is_long_or_the_start_fails() {
    #[derive(clap::Parser)]
    struct Options {
        #[command(flatten)]
        serve: ServeConfig,
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let config = |option: &str, value: &str| Options::parse_from(["keydesk", option, value]).serve;
    let by_file = |token: &str| {
        std::fs::write(&file, token).unwrap();
        config("--gateway-token-file", file.to_str().unwrap())
    };
    for short in [config("--gateway-token", "short"), by_file(""), by_file(&"a b ".repeat(20))] {
        assert!(short.check().unwrap_err().contains("at least 32 characters"));
    }
    let token = "0123456789abcdef0123456789abcdef";
    for long in [config("--gateway-token", token), by_file(&format!("{token}\n"))] {
        long.check().unwrap();
        assert_eq!(long.token().unwrap().unwrap().expose_secret(), token);
        assert!(!format!("{long:?}").contains(token));
    }
    std::fs::remove_file(&file).unwrap();
    let missing = config("--gateway-token-file", file.to_str().unwrap());
    assert!(missing.check().unwrap_err().contains("cannot be read"));
    assert!(config("--gateway-listen", "127.0.0.1:3000").check().unwrap_err().contains("cannot both listen"));
}

on_both! {
    async fn a_request_that_no_provider_serves_is_found_by_its_id_and_answers_a_ticket(app: TestApp) {
        let cast = app.cast().await;
        let (owner, support) = (app.sign_in(Who::Owner).await, app.sign_in(Who::Support).await);
        let key = app.key(&cast, "plain").await;
        let ask = TestRequest::post_json("/v1/chat/completions", r#"{"model": "gpt-5", "messages": []}"#);
        let answer = app.ask(ask.header("authorization", &format!("Bearer {}", key.secret))).await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        let id = answer.header("x-request-id").to_owned();
        app.state.rejections.flush(&app.state.desk.db).await.unwrap();

        let fields = [("form[org]", "acme"), ("form[q]", id.as_str()), ("form[rest]", "")];
        let found = app.post(&owner, "keys/search", &fields).await.location().to_owned();
        let expected = format!("/acme/keys/{}?request={id}#requests", key.id);
        assert_eq!(found, expected);
        let page = app.get(&owner, found.split('#').next().unwrap()).await.text;
        for part in ["aria-current=\"true\"", "No provider serves this model", "gpt-5", "503", id.as_str()] {
            assert!(page.contains(part), "{part}");
        }
        let found = app.post(&support, "support/look-up", &[("form[q]", id.as_str())]).await;
        assert_eq!(found.location(), expected);

        // The ticket: a secret leads to the key and is not shown again; the values stay.
        let fields = [("form[key]", key.secret.as_str()), ("form[model]", "gpt-5"), ("form[client]", "curl")];
        let found = app.post(&support, "support/ticket", &fields).await.location().to_owned();
        assert_eq!(found, format!("/support/ticket?key={}&model=gpt-5&client=curl", key.id));
        let page = app.get(&support, &found).await.text;
        assert!(!page.contains(&key.secret));
        for part in ["The request for the model gpt-5 failed with status 503", "value=\"curl\"", "Hello,", "Copy reply"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
