//! The key doctor and the gateway never disagree, the pages of the doctor, and the links that lead there.

use std::sync::Arc;

use keydesk_core::admission::{Diagnosis, Presented, Subject, diagnose};
use keydesk_core::domain::api_error::{ErrorContext, Stop};
use keydesk_core::domain::doctor::{Described, Header, KeyPlace, RequestSize, headers};
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::route::Route;
use serde_json::{Value, json};

use super::support::{Browser, Cast, Dice, Spot, TestApp, TestKey, TestRequest, TestResponse, Who, on_both};
use crate::config::ServeConfig;
use crate::gateway::estimate;

const CASES: usize = 500;
const ADDRESS: &str = "203.0.113.7";

/// A request in random words.
struct Case {
    described: Described,
    secret: String,
    raw: String,
}

fn spot(place: KeyPlace) -> Spot {
    match place {
        KeyPlace::Bearer => Spot::Bearer,
        KeyPlace::XApiKey => Spot::XApiKey,
        KeyPlace::XGoogApiKey => Spot::Goog,
        KeyPlace::Query => Spot::Query,
    }
}

fn body(route: Route, model: &str, output: i64) -> Value {
    let messages = json!([{"role": "user", "content": "Say hello"}]);
    match route {
        Route::ChatCompletions => json!({"model": model, "messages": messages, "max_tokens": output}),
        Route::Completions => json!({"model": model, "prompt": "Say hello", "max_tokens": output}),
        Route::Embeddings => json!({"model": model, "input": "Say hello"}),
        Route::Responses | Route::CompactResponse | Route::CountResponseTokens => {
            json!({"model": model, "input": "Say hello", "max_output_tokens": output})
        }
        Route::GenerateImages => json!({"model": model, "prompt": "Say hello"}),
        Route::Moderations => json!({"model": model, "input": "Say hello"}),
        Route::Messages | Route::CountMessageTokens => {
            json!({"model": model, "messages": messages, "max_tokens": output})
        }
        Route::Generate | Route::StreamGenerate | Route::CountTokens => json!({
            "contents": [{"role": "user", "parts": [{"text": "Say hello"}]}],
            "generationConfig": {"maxOutputTokens": output},
        }),
        Route::EmbedContent => json!({"content": {"parts": [{"text": "Say hello"}]}}),
        Route::BatchEmbedContents => {
            let one =
                json!({"model": format!("models/{model}"), "content": {"parts": [{"text": "Say hello"}]}});
            json!({"requests": [one]})
        }
    }
}

impl Case {
    fn random(dice: &mut Dice, keys: &[TestKey], models: &[&str]) -> Self {
        // An image is refused for want of a price before gate 7, as tools are: the doctor has no form for either.
        let described: Vec<Route> =
            Route::ALL.into_iter().filter(|route| *route != Route::GenerateImages).collect();
        let route = *dice.one_of(&described);
        // Half of the requests are for a model that their route serves: others end at the model.
        let model = match dice.below(2) {
            0 => format!("{}-model", route.kind().as_str()),
            _ => (*dice.one_of(models)).to_owned(),
        };
        let output = *dice.one_of(&[1, 16, 5_000]);
        let input = estimate::of_request(&model, body(route, &model, output).to_string().as_bytes()).unwrap();
        let key = &dice.one_of(keys).secret;
        let secret = match dice.below(24) {
            0 => key[..key.len() - 3].to_owned(),
            1 => format!("\"{key}\""),
            2 => format!("{key} "),
            3 => format!(" {key}"),
            4 => "sk-ant-api03-abcdefghijklmnop".to_owned(),
            5 => String::new(),
            6 => format!("{}…{}", &key[..8], &key[key.len() - 4..]),
            _ => key.clone(),
        };
        let raw = match dice.below(12) {
            0 => format!("Authorization: Bearer Bearer {key}"),
            1 => format!("Authorization: {key}"),
            2 => format!("Authorization: Bearer {key}\nx-api-key: {}", dice.one_of(keys).secret),
            3 => format!("x-goog-api-key: {key}\nanthropic-version: 2023-06-01"),
            _ => String::new(),
        };
        let described = Described {
            route: (dice.below(8) > 0).then_some(route),
            model,
            place: *dice.one_of(&KeyPlace::ALL),
            address: dice.one_of(&["203.0.113.7", "198.51.100.9", "2001:db8::7"]).parse().ok(),
            origin: if dice.below(6) == 0 { "https://app.example.com".to_owned() } else { String::new() },
            size: RequestSize { input: input.likely, max_input: input.max, output },
            ..Described::default()
        };
        Self { described, secret, raw }
    }

    fn sent(&self) -> Vec<Header> {
        headers(self.described.place, &self.secret, &self.raw)
    }

    /// What the doctor says, without reserving anything.
    async fn diagnosis(&self, app: &TestApp) -> Diagnosis {
        let mut presented = Presented::default();
        for header in self.sent() {
            match header.name.as_str() {
                "?key" => presented.bare(header.value.as_bytes()),
                name => presented.header(name, header.value.as_bytes()),
            }
        }
        let described = &self.described;
        let subject = Subject::Sender(&presented);
        diagnose(&app.state.desk, subject, described.address, described.target(), described.size)
            .await
            .unwrap()
    }

    /// The same request to the gateway.
    async fn send(&self, app: &TestApp) -> TestResponse {
        let described = &self.described;
        let path = described.path();
        let mut ask = match described.route {
            Some(route) => TestRequest::post_json(
                &path,
                &body(route, &described.model, described.size.output).to_string(),
            ),
            None => TestRequest::get(&path),
        };
        if self.raw.is_empty() {
            if !self.secret.is_empty() {
                // As HTTP hands a header over.
                let key = match described.place {
                    KeyPlace::Query => self.secret.as_str(),
                    KeyPlace::Bearer => self.secret.trim_end(),
                    KeyPlace::XApiKey | KeyPlace::XGoogApiKey => self.secret.trim(),
                };
                ask = ask.key_in(spot(described.place), key.as_bytes());
            }
        } else {
            for line in self.raw.lines() {
                let (name, value) = line.split_once(':').unwrap();
                let name = ["authorization", "x-api-key", "x-goog-api-key", "anthropic-version"]
                    .into_iter()
                    .find(|known| known.eq_ignore_ascii_case(name))
                    .unwrap();
                ask = ask.another(name, value.trim());
            }
        }
        if !described.origin.is_empty() {
            ask = ask.header("origin", &described.origin);
        }
        ask.address = described.address;
        let answer = app.ask(ask).await;
        // What passed is settled before anything is asked again.
        for _ in 0..500 {
            if app.state.gateway.in_flight.tasks.is_empty() {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("a request is still under way");
    }
}

/// Keys in every state that stops a request somewhere, and some that pass.
async fn keys(app: &TestApp, cast: &Cast) -> Vec<TestKey> {
    let mut keys = Vec::new();
    let set = async |key: &TestKey, columns: &str| {
        app.execute(&format!("UPDATE keys SET {columns} WHERE id = '{}'", key.id)).await;
    };
    for name in [
        "free",
        "disabled",
        "expired",
        "revoked",
        "addressed",
        "narrow",
        "budget",
        "spent",
        "rpm",
        "tpm",
        "both",
        "archived",
    ] {
        let key = app.key(cast, name).await;
        match name {
            "disabled" => set(&key, "status = 'disabled', status_at = 1").await,
            "expired" => set(&key, "expires_at = 1").await,
            "revoked" => set(&key, "status = 'revoked', status_at = 1").await,
            "addressed" => set(&key, "addresses = '198.51.100.0/24'").await,
            "narrow" => {
                set(&key, "model_scope = 'listed'").await;
                app.execute(&format!(
                    "INSERT INTO scopes (holder_kind, holder_id, pattern, org_id)
                    SELECT 'key', id, 'open*', org_id FROM keys WHERE id = '{}'",
                    key.id
                ))
                .await;
            }
            "rpm" => set(&key, "rpm = 2").await,
            "tpm" => set(&key, "tpm = 200").await,
            "both" => set(&key, "rpm = 100, concurrent = 1, tpm = 100000").await,
            "budget" | "spent" => {
                let amount = if name == "budget" { 20_000_000 } else { 1_000 };
                app.execute(&format!(
                    "INSERT INTO budgets (holder_kind, holder_id, period, amount, org_id)
                    SELECT 'key', id, 'month', {amount}, org_id FROM keys WHERE id = '{}'",
                    key.id
                ))
                .await;
            }
            "archived" => {
                let team = app.another_team(cast, "Archive").await;
                set(&key, &format!("team_id = '{}'", team.id)).await;
                app.execute(&format!("UPDATE teams SET archived_at = 1 WHERE id = '{}'", team.id)).await;
            }
            _ => {}
        }
        keys.push(key);
    }
    let rotated = app.key(cast, "rotated").await;
    app.rotate(cast, &rotated).await;
    app.execute(&format!(
        "UPDATE key_secrets SET expires_at = 2 WHERE key_id = '{}' AND replaced_at IS NOT NULL",
        rotated.id
    ))
    .await;
    keys.push(rotated);
    keys
}

/// A provider of each protocol at a port where no one listens, with a dear model each, and a model that no one serves.
async fn models(app: &TestApp) {
    for (at, kind) in ProviderKind::ALL.into_iter().enumerate() {
        let (id, kind) = (format!("prov_0000000000000000000000000000000{at}"), kind.as_str());
        app.execute(&format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version)
            VALUES ('{id}', '{kind}', '{kind}', 'http://127.0.0.1:9', '', 500, 300, 3000, 0, 1)"
        ))
        .await;
        app.execute(&format!(
            "INSERT INTO models (id, provider, created_at, provider_id, upstream_name)
            VALUES ('{kind}-model', 'Far', 0, '{id}', '')"
        ))
        .await;
        app.execute(&format!(
            r#"INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
            VALUES ('price_0000000000000000000000000000000{at}', '{kind}-model', 0, 'operator', '',
                '{{"input":"1","cached_input":"0.5","output":"4000"}}', 0, '')"#
        ))
        .await;
        // Without a price, so that a key with a budget may not use it.
        app.execute(&format!(
            "INSERT INTO models (id, provider, created_at, provider_id, upstream_name)
            VALUES ('{kind}-unpriced', 'Far', 0, '{id}', '')"
        ))
        .await;
    }
}

on_both! {
    async fn the_doctor_and_the_gateway_never_disagree(app: TestApp) {
        let cast = app.cast().await;
        models(&app).await;
        let keys = keys(&app, &cast).await;
        let models = ["openai-model", "anthropic-model", "gemini-model", "gpt-5", "no-such-model", "openai-unpriced"];
        let mut dice = Dice::new(21);
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        for at in 0..CASES {
            // The organisation is suspended for the last of them.
            if at == CASES - 20 {
                app.execute("UPDATE orgs SET suspended_at = 1 WHERE slug = 'acme'").await;
            }
            if at % 5 == 0 {
                app.clock.advance(20_000);
            }
            let case = Case::random(&mut dice, &keys, &models);
            let diagnosis = case.diagnosis(&app).await;
            let answer = case.send(&app).await;
            let what = format!("case {at}: {:?}, raw {:?}", case.described, case.raw.split(':').next());
            let Some(stop) = &diagnosis.stop else {
                assert!(matches!(answer.status, 200 | 502 | 504), "{what}: {} {}", answer.status, answer.text);
                *seen.entry("passed".into()).or_default() += 1;
                continue;
            };
            let error = ErrorContext {
                protocol: case.described.protocol(Some(&case.sent())),
                base_url: app.state.config.gateway_url(),
                desk_url: Some(app.state.config.base_url()),
                request_id: Some(answer.header("x-request-id").to_owned()),
                from_browser: !case.described.origin.is_empty(),
                is_codex: false,
                now: app.state.desk.now(),
            }
            .stopped(stop, &case.described.model);
            assert_eq!(answer.status, error.status, "{what}: {}", answer.text);
            assert_eq!(answer.json(), error.body(), "{what}");
            for (name, value) in error.headers() {
                assert_eq!(answer.header(name), value, "{what}: {name}");
            }
            let gate = match stop {
                Stop::Gate(rejection) => rejection.gate().as_str(),
                Stop::NoTarget(_) => "",
            };
            assert_eq!(answer.header("x-keydesk-rejected-by"), gate, "{what}");
            *seen.entry(format!("{gate}{}", answer.status)).or_default() += 1;
        }
        for outcome in [
            "passed", "credential400", "credential401", "well_formed401", "known401", "live401", "address403", "model403",
            "budget429", "rate429", "404", "503", "400",
        ] {
            assert!(seen.contains_key(outcome), "no {outcome} in {seen:?}");
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM reservations").await, 0);
    }
}

on_both! {
    async fn the_doctor_reserves_and_counts_nothing(app: TestApp) {
        let cast = app.cast().await;
        models(&app).await;
        let keys = keys(&app, &cast).await;
        for key in &keys {
            let described = Described {
                route: Some(Route::ChatCompletions),
                model: "openai-model".into(),
                address: ADDRESS.parse().ok(),
                ..Described::default()
            };
            let case = Case { described, secret: key.secret.clone(), raw: String::new() };
            case.diagnosis(&app).await;
        }
        app.state.rejections.flush(&app.state.desk.db).await.unwrap();
        for table in ["reservations", "rate_counts", "usage", "counters", "rejections"] {
            assert_eq!(app.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
        }
    }
}

/// The form of the doctor's page; `fields` replace or add.
fn question<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![
        ("form[org]", "acme"),
        ("form[request][route]", "chat"),
        ("form[request][model]", "gpt-5"),
        ("form[request][place]", "bearer"),
        ("form[request][input]", "10"),
        ("form[request][output]", "16"),
    ];
    for (name, value) in fields {
        form.retain(|(known, _)| known != name);
        form.push((*name, *value));
    }
    form
}

on_both! {
    async fn a_pasted_secret_is_answered_once_on_the_page(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "pasted").await;
        let owner = app.sign_in(Who::Owner).await;
        let fields = question(&[("form[secret]", &key.secret)]);
        let answer = app.post_page(&owner, "/acme/doctor", "doctor/examine", &fields).await;
        assert_eq!((answer.status, answer.location()), (303, "/acme/doctor"));
        let page = app.get(&owner, "/acme/doctor").await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("no provider serves it here") && page.text.contains("HTTP 503"), "{}", page.text);
        assert!(page.text.contains("Not reached") && page.text.contains("Passed") && page.text.contains("Failed"));
        assert!(!page.text.contains(&key.secret[8..]));
        let again = app.get(&owner, "/acme/doctor").await;
        assert!(!again.text.contains("HTTP 503"));
        // Another organisation's person learns nothing.
        let foreign = app.sign_in(Who::ForeignOwner).await;
        let fields = question(&[("form[org]", "elsewhere"), ("form[secret]", &key.secret)]);
        assert_eq!(app.post(&foreign, "doctor/examine", &fields).await.status, 200);
        let page = app.get(&foreign, "/elsewhere/doctor").await.text;
        assert!(page.contains("no key that you can see has this secret"), "{page}");
        assert!(!page.contains("pasted") && !page.contains("Acme"));
        // What is missing is said beside its field.
        let answer = app.post(&owner, "doctor/examine", &question(&[("form[request][address]", "nowhere")])).await;
        assert_eq!(answer.wrong_fields(), ["secret", "address"]);
    }
}

on_both! {
    async fn a_picked_key_is_diagnosed_with_its_current_secret(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "picked").await;
        let owner = app.sign_in(Who::Owner).await;
        let found = app.get(&owner, "/acme/doctor?q=picked").await.text;
        assert!(found.contains(&format!("/acme/doctor?key={}", key.id)), "{found}");
        let id = key.id.as_str();
        let fields = question(&[("form[key]", id), ("form[request][model]", "demo/echo")]);
        let answer = app.post(&owner, "doctor/examine", &fields).await;
        let to = answer.location().to_owned();
        assert_eq!(to, format!("/acme/doctor?key={id}&model=demo%2Fecho"));
        let page = app.get(&owner, &to).await.text;
        assert!(page.contains("The gateway passes this request on"), "{page}");
        assert!(page.contains("Not checked"));
        app.execute(&format!("UPDATE keys SET status = 'disabled' WHERE id = '{id}'")).await;
        let page = app.get(&owner, &to).await.text;
        assert!(page.contains("/api/keys/enable") && page.contains("Enable key"), "{page}");
        let member = app.sign_in(Who::KeyOwner).await;
        let page = app.get(&member, &to).await.text;
        assert!(!page.contains("Enable key") && page.contains("Ask ") && page.contains("TeamAdmin"), "{page}");
        let stranger = app.sign_in(Who::Member).await;
        assert_eq!(app.get(&stranger, &to).await.status, 404);
        // A secret that is pasted in place of a model stands in no address.
        let fields = question(&[("form[key]", id), ("form[request][model]", &key.secret)]);
        let answer = app.post(&owner, "doctor/examine", &fields).await;
        assert!(!answer.location().contains(&key.secret[8..]), "{}", answer.location());
    }
}

on_both! {
    async fn rejections_lead_to_the_doctor_where_the_desk_has_an_address(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "linked").await;
        app.execute(&format!("UPDATE keys SET status = 'disabled' WHERE id = '{}'", key.id)).await;
        let ask = || TestRequest::get("/v1/models").bearer(&key.secret);
        let answer = app.ask(ask()).await;
        let request = answer.header("x-request-id").to_owned();
        let link = answer.header("x-keydesk-doctor").to_owned();
        assert_eq!(link, format!("{}/doctor?gate=live&request={request}", app.state.config.base_url()));
        let path = link.strip_prefix(&app.state.config.base_url()).unwrap();
        let nobody = app.get(&Browser::default(), path).await;
        assert_eq!(nobody.status, 303);
        assert!(nobody.location().starts_with("/sign-in?next=%2Fdoctor%3Fgate"), "{}", nobody.location());
        let owner = app.sign_in(Who::Owner).await;
        let led = app.get(&owner, path).await;
        assert_eq!(led.location(), format!("/acme/doctor?gate=live&request={request}"));
        let page = app.get(&owner, led.location()).await.text;
        assert!(page.contains(&request) && page.contains("gate 4"), "{page}");
        let mut unset = app.state.clone();
        unset.config = Arc::new(ServeConfig { base_url: None, ..ServeConfig::clone(&unset.config) });
        assert_eq!(app.over(unset).ask(ask()).await.find_header("x-keydesk-doctor"), None);
    }
}

on_both! {
    async fn the_public_page_is_for_ones_own_secret_and_off_by_default(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "own").await;
        app.execute(&format!("UPDATE keys SET rpm = 60 WHERE id = '{}'", key.id)).await;
        let fields = question(&[("form[org]", ""), ("form[secret]", &key.secret), ("form[request][model]", "demo/echo")]);
        let nobody = Browser::default();
        assert_eq!(app.post(&nobody, "doctor/examine-own", &fields).await.status, 404);
        let mut state = app.state.clone();
        state.config = Arc::new(ServeConfig { public_doctor: true, ..ServeConfig::clone(&state.config) });
        let app = app.over(state);
        assert_eq!(app.get(&nobody, "/doctor?gate=rate").await.status, 200);
        let answer = app.post(&nobody, "doctor/examine-own", &fields).await;
        assert_eq!((answer.status, answer.location()), (200, "/doctor"), "{}", answer.text);
        let page = app.get(&nobody, "/doctor").await.text;
        assert!(page.contains("Key: requests per minute") && page.contains("60 of 60"), "{page}");
        for other in ["TeamAdmin", "KeyOwner", "own</a>", "Ask "] {
            assert!(!page.contains(other), "{other}: {page}");
        }
        app.execute(&format!("UPDATE keys SET status = 'revoked' WHERE id = '{}'", key.id)).await;
        app.post(&nobody, "doctor/examine-own", &fields).await;
        let page = app.get(&nobody, "/doctor").await.text;
        assert!(page.contains("The key was revoked") && !page.contains("What is left"), "{page}");
        for _ in 0..10 {
            app.post(&nobody, "doctor/examine-own", &fields).await;
        }
        assert_eq!(app.post(&nobody, "doctor/examine-own", &fields).await.status, 429);
    }
}
