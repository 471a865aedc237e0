//! The connection to a provider, on both databases: its API key, sealed, and the test that says whether it answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use keydesk_core::admission::{self, MetWith, ProviderWatch};
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::live_test::{NoAnswer, ProbeAnswer};
use keydesk_core::domain::model::{DEMO_ECHO, EditModel};
use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::domain::provider::{Provider, ProviderKind};
use keydesk_core::domain::provider_failure::{HealthState, MetFailure, ProviderFailure};
use keydesk_core::domain::provider_test::{CallProvider, NoProviderAnswer, ProviderAnswer, ProviderCall};
use keydesk_core::forms::model::{FurtherForm, ModelForm};
use keydesk_core::forms::provider::{AddForm, ProviderForm, RetireForm, SaveForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{OpError, catalogue, connection, models, providers};
use keydesk_core::{Desk, ProviderVault, store};

use super::support::{TestDesk, on_both};
use crate::support::submit;

const SECRET: &str = "sk-proj-canary0123456789wxyz";

/// Answers calls in order, and keeps what it was asked.
#[derive(Default)]
struct Calls {
    answers: Mutex<Vec<ProviderAnswer>>,
    asked: Mutex<Vec<String>>,
}

impl Calls {
    fn answering(answers: Vec<ProviderAnswer>) -> Self {
        Self { answers: Mutex::new(answers), asked: Mutex::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl CallProvider for Calls {
    fn call<'a>(
        &'a self,
        _: &'a Provider,
        call: ProviderCall,
    ) -> Pin<Box<dyn Future<Output = ProviderAnswer> + Send + 'a>> {
        self.asked.lock().unwrap().push(if call.body.is_some() { call.model } else { "list".into() });
        let answer = self.answers.lock().unwrap().remove(0);
        Box::pin(async move { answer })
    }

    fn proxy(&self, _: &str) -> Option<String> {
        None
    }

    fn opens(&self, _: &Provider) -> Option<bool> {
        None
    }
}

fn answer(status: u16, body: &str) -> ProviderAnswer {
    let content_type = "application/json".to_owned();
    Ok(ProbeAnswer { status, content_type, body: body.into(), ..ProbeAnswer::default() })
}

const LIST: &str =
    r#"{"data":[{"id":"gpt-5"},{"id":"gpt-5-nano"},{"id":"own-model"},{"id":"text-embedding-3-small"}]}"#;

fn stored(name: &str) -> AddForm {
    let provider = ProviderForm {
        name: name.into(),
        base_url: "https://api.openai.com/v1".into(),
        credential: "stored".into(),
        ..ProviderForm::with_defaults()
    };
    AddForm { provider, secret: Hidden::new(SECRET) }
}

fn sealing(desk: &TestDesk, keys: &[&[u8]]) -> Desk {
    Desk::clone(desk).with_provider_vault(ProviderVault::of(keys))
}

async fn operator(desk: &TestDesk) -> Caller {
    let at = desk.owner().await;
    catalogue::seed(desk).await.unwrap();
    desk.clock.advance(1);
    desk.platform(&at, PlatformRole::Operator).await.caller
}

async fn find(desk: &Desk, id: &str) -> Provider {
    let all = providers::every(desk).await.unwrap();
    all.into_iter().find(|listed| listed.provider.id.as_str() == id).unwrap().provider
}

async fn drawn(desk: &Desk, boss: &Caller, id: &str) -> SaveForm {
    let view = providers::show(desk, boss, id).await.unwrap();
    let form = ProviderForm::of(&view.listed.provider.spec);
    let was = serde_json::to_string(&form).unwrap();
    SaveForm { id: id.into(), version: view.listed.version, was, provider: form, secret: Hidden::default() }
}

async fn tested(desk: &Desk, boss: &Caller, id: &str, calls: &Calls) -> bool {
    connection::test(desk, OperatorActor::Operator(boss), id, "", calls).await.unwrap().ok
}

on_both!(
    fn a_pasted_key_is_stored_sealed_replaced_and_forgotten(desk: TestDesk) {
        let boss = operator(&desk).await;
        let by = || OperatorActor::Operator(&boss);
        // Without the installation's key nothing is stored, and no provider is left behind.
        let refused = submit::add_provider(&desk, by(), &stored("OpenAI")).await.unwrap_err();
        assert!(matches!(&refused, OpError::Invalid(errors) if errors[0].field == "secret"), "{refused:?}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM providers").await, 0);

        let here = sealing(&desk, &[&[1; 64]]);
        let id = submit::add_provider(&here, by(), &stored("OpenAI")).await.unwrap().id.to_string();
        let provider = find(&here, &id).await;
        let key = provider.sealed_key.clone().unwrap();
        assert_eq!((provider.spec.stored_key, key.last_four.as_str()), (true, "wxyz"));
        assert_eq!(here.provider_vault.open(&provider.id, &key).unwrap().as_str(), SECRET);
        assert!(!key.sealed.windows(6).any(|part| part == b"canary"));
        let events = desk.texts("SELECT changes FROM audit_events WHERE chain_id = 'installation'").await;
        assert!(events.iter().any(|changes| changes.contains("…wxyz")), "{events:?}");
        assert!(!events.iter().any(|changes| changes.contains("canary")), "{events:?}");
        // What a gateway asks for has it too.
        models::route(&here, by(), &["gpt-5".into()], Some("OpenAI")).await.unwrap();
        let mut read = here.db.read().await.unwrap();
        let served = store::models::served(&mut read, "gpt-5", here.now()).await.unwrap().unwrap().1;
        assert_eq!(served.unwrap().sealed_key, Some(key.clone()));
        drop(read);

        // Another field is saved: the key stays. Nothing pasted and nothing changed is no change.
        let mut form = drawn(&here, &boss, &id).await;
        assert!(matches!(submit::save_provider(&here, by(), &form).await, Ok(Outcome::Unchanged(_))));
        form.provider.name = "OpenAI EU".into();
        assert!(matches!(submit::save_provider(&here, by(), &form).await, Ok(Outcome::Saved(_))));
        assert_eq!(find(&here, &id).await.sealed_key, Some(key.clone()));
        let mut form = drawn(&here, &boss, &id).await;
        form.secret = Hidden::new("sk-proj-another0123456789abcd");
        assert!(matches!(submit::save_provider(&here, by(), &form).await, Ok(Outcome::Saved(_))));
        let replaced = find(&here, &id).await;
        assert_eq!(replaced.sealed_key.as_ref().unwrap().last_four, "abcd");

        // A variable in its place: what was stored is gone.
        let mut form = drawn(&here, &boss, &id).await;
        form.provider.credential = "env".into();
        form.provider.credential_env = "OPENAI_API_KEY".into();
        assert!(matches!(submit::save_provider(&here, by(), &form).await, Ok(Outcome::Saved(_))));
        assert_eq!(desk.number("SELECT COUNT(*) FROM provider_keys").await, 0);
        assert_eq!(find(&here, &id).await.spec.credential_env, "OPENAI_API_KEY");
        // Back again: without a key there is nothing to use.
        let mut form = drawn(&here, &boss, &id).await;
        form.provider.credential = "stored".into();
        let refused = submit::save_provider(&here, by(), &form).await.unwrap_err();
        assert!(matches!(&refused, OpError::Invalid(errors) if errors[0].field == "secret"), "{refused:?}");
        form.secret = Hidden::new(SECRET);
        assert!(matches!(submit::save_provider(&here, by(), &form).await, Ok(Outcome::Saved(_))));
        let kept = find(&here, &id).await;
        assert_eq!((kept.spec.credential_env.as_str(), kept.spec.stored_key), ("", true));
        submit::retire_provider(&here, by(), &RetireForm { id }).await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM provider_keys").await, 0);
    }
);

on_both!(
    fn a_rotation_seals_every_key_anew_or_none(desk: TestDesk) {
        let boss = operator(&desk).await;
        let (old, both, new) =
            (sealing(&desk, &[&[1; 64]]), sealing(&desk, &[&[2; 64], &[1; 64]]), sealing(&desk, &[&[2; 64]]));
        let by = || OperatorActor::Operator(&boss);
        let first = submit::add_provider(&old, by(), &stored("OpenAI")).await.unwrap();
        let second = submit::add_provider(&old, by(), &stored("OpenAI EU")).await.unwrap();
        let opened = async |desk: &Desk, id: &str| {
            let provider = find(desk, id).await;
            let key = provider.sealed_key.unwrap();
            desk.provider_vault.open(&provider.id, &key).map(|key| key.to_string())
        };
        assert_eq!(connection::unopened(&new).await.unwrap(), ["OpenAI", "OpenAI EU"]);
        // The new key alone opens nothing, so nothing is changed.
        let refused = connection::reseal(&new, by()).await.unwrap_err();
        assert!(
            matches!(&refused, OpError::Conflict(sentence) if sentence.contains("OpenAI")),
            "{refused:?}"
        );
        assert_eq!(opened(&old, first.id.as_str()).await.as_deref(), Some(SECRET));
        assert_eq!(connection::reseal(&both, OperatorActor::CommandLine).await.unwrap(), 2);
        for provider in [&first, &second] {
            assert_eq!(opened(&new, provider.id.as_str()).await.as_deref(), Some(SECRET));
            assert_eq!(opened(&old, provider.id.as_str()).await, None);
        }
        // Again: nothing is left to do.
        assert_eq!(connection::reseal(&both, OperatorActor::CommandLine).await.unwrap(), 0);
        assert!(connection::unopened(&new).await.unwrap().is_empty());
        let events = desk.texts("SELECT changes FROM audit_events WHERE kind = 'provider.edited'").await;
        assert_eq!(events.iter().filter(|changes| changes.contains("sealing_key")).count(), 2);
    }
);

on_both!(
    fn connected_is_said_only_after_a_model_answered_and_the_demonstration_stays_until_then(desk: TestDesk) {
        let boss = operator(&desk).await;
        let here = sealing(&desk, &[&[1; 64]]);
        let by = || OperatorActor::Operator(&boss);
        let id = submit::add_provider(&here, by(), &stored("OpenAI")).await.unwrap().id.to_string();
        models::route(&here, by(), &["gpt-5".into()], Some("OpenAI")).await.unwrap();
        let demonstrates = async || {
            let found = admission::look_up_model(&here, DEMO_ECHO).await.unwrap();
            matches!(found, admission::ModelLookup::Routed(_, admission::Target::Demonstration))
        };
        assert!(demonstrates().await, "a provider that was never tried serves nothing");

        // Its key is wrong: no model is asked.
        let calls = Calls::answering(vec![answer(401, r#"{"error":"bad key"}"#)]);
        assert!(!tested(&here, &boss, &id, &calls).await);
        assert_eq!(calls.asked(), ["list"]);
        let view = providers::show(&here, &boss, &id).await.unwrap();
        let test = view.listed.test.unwrap();
        assert!(test.steps[0].sentence.contains("rejected the API key"), "{test:?}");
        assert!(demonstrates().await && view.found.is_empty());
        let calls = Calls::answering(vec![Err(NoProviderAnswer::Network(NoAnswer::Unreachable))]);
        assert!(!tested(&here, &boss, &id, &calls).await);

        // What is routed there is asked first; the newer name of the limit is tried.
        let wants = r#"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#;
        let calls = Calls::answering(vec![answer(200, LIST), answer(400, wants), answer(200, "{}")]);
        assert!(tested(&here, &boss, &id, &calls).await);
        assert_eq!(calls.asked(), ["list", "gpt-5", "gpt-5"]);
        assert!(!demonstrates().await);
        let view = providers::show(&here, &boss, &id).await.unwrap();
        assert!(view.found.contains("gpt-5") && view.found.contains("gpt-5-nano"), "{:?}", view.found);
        assert!(view.unknown.contains(&"own-model".to_owned()) && !view.found.contains("gpt-4.1"));
        let kinds = desk.texts("SELECT kind FROM audit_events WHERE kind = 'provider.tested'").await;
        assert_eq!(kinds.len(), 3);

        // Another address: what was found there is not known of this one; the name alone changes nothing.
        let mut form = drawn(&here, &boss, &id).await;
        form.provider.name = "OpenAI EU".into();
        submit::save_provider(&here, by(), &form).await.unwrap();
        assert!(providers::show(&here, &boss, &id).await.unwrap().listed.test.is_some());
        let mut form = drawn(&here, &boss, &id).await;
        form.provider.base_url = "https://eu.api.openai.com/v1".into();
        submit::save_provider(&here, by(), &form).await.unwrap();
        assert!(providers::show(&here, &boss, &id).await.unwrap().listed.test.is_none());
        assert!(!demonstrates().await, "what was served once does not bring it back");
        submit::retire_provider(&here, by(), &RetireForm { id }).await.unwrap();
        assert!(demonstrates().await);
    }
);

on_both!(
    fn a_test_asks_the_cheapest_model_that_is_there_or_the_one_that_is_named(desk: TestDesk) {
        let boss = operator(&desk).await;
        let here = sealing(&desk, &[&[1; 64]]);
        let by = || OperatorActor::Operator(&boss);
        let id = submit::add_provider(&here, by(), &stored("OpenAI")).await.unwrap().id.to_string();
        // The first cannot be asked so; another one can.
        let calls = Calls::answering(vec![answer(200, LIST), answer(404, "{}"), answer(200, "{}")]);
        assert!(tested(&here, &boss, &id, &calls).await);
        assert_eq!(calls.asked(), ["list", "gpt-5-nano", "gpt-5"]);
        // No credit: no second model is asked.
        let calls = Calls::answering(vec![answer(200, LIST), answer(429, r#"{"error":"no credit"}"#)]);
        assert!(!tested(&here, &boss, &id, &calls).await);
        assert_eq!(calls.asked(), ["list", "gpt-5-nano"]);
        // Without a list it has to be named.
        let calls = Calls::answering(vec![answer(404, "{}")]);
        assert!(!tested(&here, &boss, &id, &calls).await);
        let calls = Calls::answering(vec![answer(404, "{}"), answer(200, "{}")]);
        let named = connection::test(&here, by(), &id, " own-model ", &calls).await.unwrap();
        assert!(named.ok && named.model == "own-model");
        for wrong in ["a\nb", SECRET] {
            let calls = Calls::default();
            let refused = connection::test(&here, by(), &id, wrong, &calls).await.unwrap_err();
            assert!(
                matches!(&refused, OpError::Invalid(errors) if errors[0].field == "model"),
                "{refused:?}"
            );
            assert!(calls.asked().is_empty());
        }
        let at = desk.other_org("Fjord", "UTC").await.caller;
        let hidden = connection::test(&here, OperatorActor::Operator(&at), &id, "", &Calls::default()).await;
        assert!(matches!(hidden, Err(OpError::NotFound)));
    }
);

on_both!(
    fn tests_of_one_person_are_ten_a_minute(desk: TestDesk) {
        let boss = operator(&desk).await;
        let here = sealing(&desk, &[&[1; 64]]);
        let by = || OperatorActor::Operator(&boss);
        let id = submit::add_provider(&here, by(), &stored("OpenAI")).await.unwrap().id.to_string();
        let away = || Calls::answering(vec![Err(NoProviderAnswer::Network(NoAnswer::Unreachable))]);
        for _ in 0..10 {
            assert!(!tested(&here, &boss, &id, &away()).await);
        }
        let calls = Calls::default();
        let refused = connection::test(&here, by(), &id, "", &calls).await.unwrap_err();
        let OpError::TooMany { retry_after_s } = refused else { panic!("{refused:?}") };
        assert!((1..=60).contains(&retry_after_s) && calls.asked().is_empty(), "{retry_after_s}");
        // Nobody else waits, and the command line does not.
        let at = desk.other_org("Fjord", "UTC").await;
        let other = desk.platform(&at, PlatformRole::Operator).await.caller;
        assert!(!tested(&here, &other, &id, &away()).await);
        assert!(connection::test(&here, OperatorActor::CommandLine, &id, "", &away()).await.is_ok());
        desk.clock.advance(retry_after_s * 1_000);
        assert!(!tested(&here, &boss, &id, &away()).await);
    }
);

on_both!(
    fn a_first_answer_to_a_client_ends_the_demonstration_too(desk: TestDesk) {
        let boss = operator(&desk).await;
        let here = sealing(&desk, &[&[1; 64]]);
        let provider =
            submit::add_provider(&here, OperatorActor::Operator(&boss), &stored("OpenAI")).await.unwrap();
        models::route(&here, OperatorActor::CommandLine, &["gpt-5".into()], Some("OpenAI")).await.unwrap();
        let served = async || store::models::any_served(&mut here.db.read().await.unwrap()).await.unwrap();
        assert!(!served().await);
        admission::note_answer(&here, &provider.id).await.unwrap();
        assert!(served().await);
        let first = find(&here, provider.id.as_str()).await.connected_at;
        desk.clock.advance(1_000);
        admission::note_answer(&here, &provider.id).await.unwrap();
        assert_eq!(find(&here, provider.id.as_str()).await.connected_at, first);
    }
);

on_both!(
    fn a_further_provider_is_tested_and_counted_like_a_first_one(desk: TestDesk) {
        let boss = operator(&desk).await;
        let here = sealing(&desk, &[&[1; 64]]);
        let by = || OperatorActor::Operator(&boss);
        let first = submit::add_provider(&here, by(), &stored("OpenAI")).await.unwrap();
        let second = submit::add_provider(&here, by(), &stored("OpenAI EU")).await.unwrap();
        let known = models::show(&here, &boss, "gpt-5").await.unwrap().known.unwrap();
        let mut form = ModelForm::of(&known.model);
        form.route = first.id.to_string();
        let further = FurtherForm { weight: "2".into(), upstream: "gpt-5-eu".into() };
        form.further = [(second.id.to_string(), further)].into();
        let edit =
            EditModel { version: known.version, base: None, mine: form.parse().unwrap(), starts: None };
        models::save(&here, by(), &edit).await.unwrap();

        // What a gateway asks for has its sealed key.
        let model = models::by_id(&here, "gpt-5").await.unwrap().model;
        let found = admission::further_providers(&here, &model, ProviderKind::OpenAi).await.unwrap();
        let key = found[0].0.sealed_key.as_ref().unwrap();
        assert_eq!(here.provider_vault.open(&second.id, key).unwrap().as_str(), SECRET);
        let view = "SELECT api_path || ' ' || stored_key FROM gateway_model_providers_v1 WHERE is_first = 0";
        assert_eq!(desk.texts(view).await, ["/v1 1"]);

        // Its answer ends the demonstration.
        let served = async || store::models::any_served(&mut here.db.read().await.unwrap()).await.unwrap();
        assert!(!served().await);
        admission::note_answer(&here, &second.id).await.unwrap();
        assert!(served().await);

        // It is asked for its own name of the model, and an answer to the test ends a failure.
        let watch = ProviderWatch::default();
        let met = MetFailure {
            failure: ProviderFailure::CredentialRejected,
            status: 401,
            words: String::new(),
            retry_after_ms: None,
        };
        watch.note_failure(&second.id, &met, MetWith { model: "gpt-5", request: "req_1" }, desk.now());
        watch.flush(&desk.db).await.unwrap();
        let show = async || providers::show(&here, &boss, second.id.as_str()).await.unwrap();
        assert_eq!(show().await.health.state(), HealthState::Failing);
        desk.clock.advance(1_000);
        let list = r#"{"data":[{"id":"gpt-5"},{"id":"gpt-5-eu"},{"id":"own-model"}]}"#;
        let calls = Calls::answering(vec![answer(401, "{}")]);
        assert!(!tested(&here, &boss, second.id.as_str(), &calls).await);
        assert_eq!(show().await.health.state(), HealthState::Failing);
        let calls = Calls::answering(vec![answer(200, list), answer(200, "{}")]);
        assert!(tested(&here, &boss, second.id.as_str(), &calls).await);
        assert_eq!(calls.asked(), ["list", "gpt-5-eu"]);
        let view = show().await;
        assert_eq!(view.health.state(), HealthState::Healthy);
        assert_eq!(view.unknown, ["own-model"]);
        assert!(!view.others.iter().any(|known| known.model.id == "gpt-5"), "it serves it already");

        // As the first one it keeps its name of the model and its share.
        models::route(&here, by(), &["gpt-5".into()], Some("OpenAI EU")).await.unwrap();
        let model = models::by_id(&here, "gpt-5").await.unwrap().model;
        assert_eq!((model.name_upstream(), model.weight, model.further.len()), ("gpt-5-eu", 2, 0));
    }
);

on_both!(
    fn a_provider_keeps_its_address_headers_and_switches(desk: TestDesk) {
        let boss = operator(&desk).await;
        let form = ProviderForm {
            name: "Azure".into(),
            base_url:
                "https://acme.openai.azure.com/openai/deployments/x/chat/completions?api-version=2024-10-21"
                    .into(),
            credential_header: "api-key".into(),
            headers: "X-Team: blue".into(),
            omitted: vec!["store".into(), "stream_options".into()],
            ..ProviderForm::with_defaults()
        };
        let add = AddForm { provider: form, secret: Hidden::default() };
        let id =
            submit::add_provider(&desk, OperatorActor::Operator(&boss), &add).await.unwrap().id.to_string();
        let provider = find(&desk, &id).await;
        assert_eq!(
            provider.spec.address().url("/chat/completions", "gpt-5"),
            "https://acme.openai.azure.com/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(provider.spec.headers, "x-team: blue");
        // The form of a page changes nothing.
        let same = drawn(&desk, &boss, &id).await;
        let saved = submit::save_provider(&desk, OperatorActor::Operator(&boss), &same).await;
        assert!(matches!(saved, Ok(Outcome::Unchanged(_))));
        let view =
            "SELECT api_path || '|' || query || '|' || headers || '|' || omitted FROM gateway_providers_v1";
        assert_eq!(desk.texts(view).await, ["|api-version=2024-10-21|x-team: blue|stream_options,store"]);
    }
);
