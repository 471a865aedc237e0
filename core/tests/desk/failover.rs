//! Several providers of one model, what is known of how they answer, and who is alerted; on both databases.

use keydesk_core::admission::{
    self, MetWith, ModelLookup, Presented, ProviderWatch, ReservationRequest, Settlement, further_providers,
    look_up_model,
};
use keydesk_core::domain::failover::Attempt;
use keydesk_core::domain::ids::{ProviderId, RequestId};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::provider::{Provider, ProviderKind, ProviderSpec, RouteModels};
use keydesk_core::domain::provider_failure::{HealthState, MetFailure, ProviderFailure};
use keydesk_core::forms::model::{FurtherForm, ModelForm, SaveForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::alerts::{self, InboxFilter, Look};
use keydesk_core::ops::orgs::{self, OperatorActor};
use keydesk_core::ops::{OpError, catalogue, models, providers, requests, retention, verify_spend};

use crate::support::*;

const WITH: MetWith<'static> = MetWith { model: "gpt-5", request: "req_1" };

async fn provider(desk: &TestDesk, name: &str, kind: ProviderKind) -> Provider {
    let spec = ProviderSpec::new(name.into(), kind, format!("https://{name}.example.com").to_lowercase());
    providers::add(desk, OperatorActor::CommandLine, &spec).await.unwrap()
}

/// An installation with a catalogue, its operator, and these providers.
pub async fn with(desk: &TestDesk, names: &[&str]) -> (At, Caller, Vec<Provider>) {
    let at = desk.owner().await;
    catalogue::seed(desk).await.unwrap();
    desk.clock.advance(1);
    let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
    let mut all = Vec::new();
    for name in names {
        all.push(provider(desk, name, ProviderKind::OpenAi).await);
    }
    (at, operator, all)
}

fn presented(key: &str) -> Presented {
    let mut presented = Presented::default();
    presented.authorization(format!("Bearer {key}").as_bytes());
    presented
}

async fn form_of(desk: &TestDesk, operator: &Caller, id: &str) -> SaveForm {
    let known = models::show(desk, operator, id).await.unwrap().known.unwrap();
    let model = ModelForm::of(&known.model);
    let was = serde_json::to_string(&model).unwrap();
    SaveForm { version: known.version, was, model, starts: String::new() }
}

/// `gpt-5` by the first of them, and by the others with these weights.
pub async fn serve(desk: &TestDesk, operator: &Caller, all: &[Provider], weights: &[i64]) {
    let mut form = form_of(desk, operator, "gpt-5").await;
    form.model.route = all[0].id.to_string();
    form.model.further = all[1..]
        .iter()
        .zip(weights)
        .map(|(one, weight)| {
            (one.id.to_string(), FurtherForm { weight: weight.to_string(), upstream: String::new() })
        })
        .collect();
    models::save(desk, OperatorActor::Operator(operator), &form.parse().unwrap()).await.unwrap();
}

async fn model(desk: &TestDesk) -> Model {
    models::by_id(desk, "gpt-5").await.unwrap().model
}

/// Everyone who serves `gpt-5` by name, the first one first.
async fn served_by(desk: &TestDesk) -> Vec<String> {
    let names = desk
        .texts("SELECT id || ' ' || name FROM providers")
        .await
        .into_iter()
        .filter_map(|row| row.split_once(' ').map(|(id, name)| (id.to_owned(), name.to_owned())))
        .collect::<std::collections::BTreeMap<_, _>>();
    model(desk).await.providers().map(|id| names[id.as_str()].clone()).collect()
}

fn sentence<T: std::fmt::Debug>(result: Result<T, OpError>) -> (String, String) {
    match result.unwrap_err() {
        OpError::Invalid(errors) => (errors[0].field.clone(), errors[0].problem.to_string()),
        other => panic!("{other:?}"),
    }
}

fn met(failure: ProviderFailure) -> MetFailure {
    let words = "Your organization org-1 has no credit".to_owned();
    MetFailure { failure, status: 402, words, retry_after_ms: None }
}

on_both!(
    fn a_model_has_several_providers_and_what_gateways_read_has_the_first(desk: TestDesk) {
        let (_, operator, all) = with(&desk, &["Alpha", "Beta", "Gamma"]).await;
        serve(&desk, &operator, &all, &[0, 7]).await;
        assert_eq!(served_by(&desk).await, ["Alpha", "Gamma", "Beta"]);
        let found = look_up_model(&desk, "gpt-5").await.unwrap();
        let ModelLookup::Routed(found, _) = found else { panic!("not served") };
        let further = further_providers(&desk, &found, ProviderKind::OpenAi).await.unwrap();
        let shares: Vec<_> = further.iter().map(|(one, of)| (one.spec.name.as_str(), of.weight)).collect();
        assert_eq!(shares, [("Gamma", 7), ("Beta", 0)]);
        assert!(further_providers(&desk, &found, ProviderKind::Gemini).await.unwrap().is_empty());
        assert_eq!(
            desk.texts("SELECT provider_name FROM gateway_models_v1 WHERE id = 'gpt-5'").await,
            ["Alpha"]
        );
        assert_eq!(
            desk.texts("SELECT provider_name || ' ' || weight FROM gateway_model_providers_v1 WHERE model_id = 'gpt-5' ORDER BY is_first DESC, weight DESC").await,
            ["Alpha 1", "Gamma 7", "Beta 0"]
        );
        let view = providers::show(&desk, &operator, all[2].id.as_str()).await.unwrap();
        assert_eq!((view.further.len(), view.further[0].1, view.listed.models), (1, 7, 1));
        // An edit of something else keeps them, and so does the audit's sentence.
        let mut form = form_of(&desk, &operator, "gpt-5").await;
        form.model.default_output_tokens = "2,000".into();
        models::save(&desk, OperatorActor::Operator(&operator), &form.parse().unwrap()).await.unwrap();
        assert_eq!(served_by(&desk).await, ["Alpha", "Gamma", "Beta"]);
        let changes =
            desk.texts("SELECT changes FROM audit_events WHERE kind = 'model.edited' ORDER BY seq").await;
        assert!(changes[0].contains("Gamma, weight 7"), "{}", changes[0]);
        assert!(!changes[1].contains("Gamma"), "{}", changes[1]);
    }
);

on_both!(
    fn providers_of_one_model_are_there_and_speak_one_protocol(desk: TestDesk) {
        let (_, operator, mut all) = with(&desk, &["Alpha"]).await;
        all.push(provider(&desk, "Claude", ProviderKind::Anthropic).await);
        let mut form = form_of(&desk, &operator, "gpt-5").await;
        form.model.route = all[0].id.to_string();
        let further = FurtherForm { weight: "1".into(), upstream: String::new() };
        form.model.further = [(all[1].id.to_string(), further.clone())].into();
        let save = async |form: &SaveForm| {
            let edit = form.parse().unwrap();
            models::save(&desk, OperatorActor::Operator(&operator), &edit).await.map(|_| ())
        };
        let (field, says) = sentence(save(&form).await);
        assert_eq!(field, "further");
        assert!(says.starts_with("Claude speaks the protocol of Anthropic"), "{says}");
        providers::retire(&desk, OperatorActor::CommandLine, all[1].id.as_str()).await.unwrap();
        assert_eq!(sentence(save(&form).await).0, "further");
        let nobody = ProviderId::new(desk.now(), [9; 10]);
        form.model.further = [(nobody.to_string(), further)].into();
        assert_eq!(sentence(save(&form).await).0, "further");
        assert_eq!(served_by(&desk).await, [""; 0]);
    }
);

on_both!(
    fn when_the_first_provider_goes_the_next_one_is_the_first(desk: TestDesk) {
        let (_, operator, all) = with(&desk, &["Alpha", "Beta", "Gamma"]).await;
        serve(&desk, &operator, &all, &[2, 5]).await;
        let retired = providers::retire(&desk, OperatorActor::CommandLine, all[0].id.as_str()).await.unwrap();
        assert_eq!(retired.unrouted, [""; 0]);
        assert_eq!(served_by(&desk).await, ["Gamma", "Beta"]);
        assert_eq!(model(&desk).await.weight, 5);
        // Taken from its first provider, the last one that is left serves it.
        let ids = ["gpt-5".to_owned()];
        let untick = RouteModels {
            provider: all[2].id.to_string(),
            was: [("gpt-5".to_owned(), Some(all[2].id.clone()))].into(),
            models: vec![],
        };
        let routed = providers::route(&desk, OperatorActor::CommandLine, &untick).await.unwrap();
        assert_eq!((routed.removed, served_by(&desk).await), (1, vec!["Beta".to_owned()]));
        // Not served is not served, by further ones neither.
        serve(&desk, &operator, &all[1..], &[2]).await;
        models::route(&desk, OperatorActor::CommandLine, &ids, None).await.unwrap();
        assert_eq!(served_by(&desk).await, [""; 0]);
        // Routed to a further one, it is the first and no further one.
        serve(&desk, &operator, &all[1..], &[2]).await;
        models::route(&desk, OperatorActor::CommandLine, &ids, Some("Gamma")).await.unwrap();
        assert_eq!(served_by(&desk).await, ["Gamma"]);
        // A further one that retires is gone, and its model has changed.
        serve(&desk, &operator, &all[1..], &[2]).await;
        let before = form_of(&desk, &operator, "gpt-5").await.version;
        providers::retire(&desk, OperatorActor::CommandLine, all[2].id.as_str()).await.unwrap();
        assert_eq!(served_by(&desk).await, ["Beta"]);
        assert!(form_of(&desk, &operator, "gpt-5").await.version > before);
        models::retire(&desk, OperatorActor::CommandLine, "gpt-5").await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM model_providers").await, 0);
    }
);

on_both!(
    fn what_two_nodes_meet_is_one_health_and_one_count_of_each_kind(desk: TestDesk) {
        let (_, operator, all) = with(&desk, &["Alpha"]).await;
        let id = &all[0].id;
        let (one, other) = (ProviderWatch::default(), ProviderWatch::default());
        let show = async || providers::show(&desk, &operator, id.as_str()).await.unwrap();
        assert_eq!(show().await.health.state(), HealthState::Unknown);
        let since = desk.now();
        one.note_failure(id, &met(ProviderFailure::NoCredit), WITH, since);
        one.flush(&desk.db).await.unwrap();
        desk.clock.advance(1_000);
        let newest = MetFailure { words: "Newest".into(), ..met(ProviderFailure::NoCredit) };
        other.note_failure(id, &newest, WITH, desk.now());
        other.note_failure(id, &met(ProviderFailure::Failed), WITH, desk.now());
        other.flush(&desk.db).await.unwrap();
        let view = show().await;
        assert_eq!(view.health.state(), HealthState::Failing);
        assert_eq!((view.health.failing_since, view.health.failure), (since, Some(ProviderFailure::Failed)));
        let credit = view.failures.iter().find(|one| one.failure == ProviderFailure::NoCredit).unwrap();
        assert_eq!((credit.times, credit.first_at, credit.words.as_str()), (2, since, "Newest"));
        assert_eq!((credit.model.as_str(), credit.request.as_str(), credit.status), ("gpt-5", "req_1", 402));
        // An answer ends it, and the next failure begins anew.
        desk.clock.advance(1_000);
        one.note_answer(id, desk.now());
        one.flush(&desk.db).await.unwrap();
        assert_eq!(show().await.health.state(), HealthState::Healthy);
        desk.clock.advance(2 * DAY);
        other.note_failure(id, &met(ProviderFailure::NoCredit), WITH, desk.now());
        other.flush(&desk.db).await.unwrap();
        let view = show().await;
        assert_eq!((view.health.state(), view.health.failing_since), (HealthState::Failing, desk.now()));
        let credit = view.failures.iter().find(|one| one.failure == ProviderFailure::NoCredit).unwrap();
        assert_eq!((credit.times, credit.first_at), (1, desk.now()));
        let listed = providers::list(&desk, &operator).await.unwrap();
        assert_eq!(listed.health[id].state(), HealthState::Failing);
    }
);

on_both!(
    fn operators_are_alerted_once_a_day_for_each_kind_and_no_one_else(desk: TestDesk) {
        let (at, _, all) = with(&desk, &["Alpha"]).await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        let watch = ProviderWatch::default();
        // What the first look finds is mailed to no one.
        assert_eq!(alerts::look(&desk, Look::Everything, true).await.unwrap(), 0);
        let meet = async |failure: ProviderFailure| {
            watch.note_failure(&all[0].id, &met(failure), WITH, desk.now());
            watch.flush(&desk.db).await.unwrap();
            desk.clock.advance(1_000);
            alerts::look(&desk, Look::Recent, true).await.unwrap()
        };
        // A server error is no one's to repair.
        assert_eq!(meet(ProviderFailure::Failed).await, 0);
        assert_eq!((meet(ProviderFailure::NoCredit).await, meet(ProviderFailure::NoCredit).await), (1, 0));
        assert_eq!(meet(ProviderFailure::CredentialRejected).await, 1);
        let inbox = async |who: &At| {
            let view = alerts::inbox(&desk, &who.caller, &at.org.slug, InboxFilter::default(), None).await;
            let rows = view.unwrap().page.rows;
            let words = |entry: &alerts::InboxEntry| {
                let (zone, alert) = (&at.org.zone, &entry.alert);
                format!("{}. {}", alert.heading(zone), alert.details(zone))
            };
            rows.iter().map(words).collect::<Vec<_>>()
        };
        let told = inbox(&at).await;
        assert_eq!(told.len(), 2);
        assert!(
            told[0].starts_with("Alpha rejects this installation's credential. 1 request."),
            "{}",
            told[0]
        );
        assert!(told[1].ends_with("It said: Your organization org-1 has no credit"), "{}", told[1]);
        assert_eq!(inbox(&admin).await, [""; 0]);
        let due = alerts::mails_due(&desk).await.unwrap();
        let mails: Vec<_> = due.iter().map(|mail| (mail.email.as_str(), mail.alerts.len())).collect();
        assert_eq!(mails, [(OWNER_EMAIL, 2)]);
        let posts = alerts::posts_due(&desk).await.unwrap();
        assert!(posts.slack.is_empty() && posts.webhooks.is_empty());
        // The next day again.
        desk.clock.advance(DAY);
        assert_eq!(meet(ProviderFailure::NoCredit).await, 1);
        // Who is no operator any more reads none of it.
        desk.execute("UPDATE people SET platform_role = 'none'").await.unwrap();
        assert_eq!(inbox(&at).await, [""; 0]);
    }
);

on_both!(
    fn attempts_are_kept_with_their_request_and_deleted_with_it(desk: TestDesk) {
        let (at, operator, all) = with(&desk, &["Alpha", "Beta"]).await;
        serve(&desk, &operator, &all, &[1]).await;
        let key = desk.create_key(&at, "ci").await;
        let presented = presented(key.secret.reveal());
        let context = admission::authenticate(&desk, &presented, None).await.unwrap();
        let request = RequestId::new(desk.now(), desk.id_entropy());
        let wanted = ReservationRequest {
            request: request.clone(),
            model: "gpt-5".into(),
            amount: Money::ZERO,
            worst: Money::ZERO,
            tokens: 0,
            presumed: Default::default(),
            is_priced: true,
        };
        let reservation = admission::reserve(&desk, &context, &wanted).await.unwrap();
        let attempt = |one: &Provider, status: i64, failure: Option<ProviderFailure>| Attempt {
            provider: one.id.clone(),
            provider_name: one.spec.name.clone(),
            began_at: desk.now(),
            latency_ms: 7,
            status,
            failure,
        };
        let attempts =
            vec![attempt(&all[0], 500, Some(ProviderFailure::Failed)), attempt(&all[1], 200, None)];
        let settlement = Settlement { status: 200, attempts: attempts.clone(), ..Settlement::default() };
        assert!(admission::settle(&desk, &reservation, &settlement).await.unwrap());
        assert!(!admission::settle(&desk, &reservation, &settlement).await.unwrap(), "once");
        let view = requests::show(&desk, &at.caller, &at.org.slug, request.as_str()).await.unwrap();
        assert_eq!(view.attempts, attempts);
        let cost: Vec<_> =
            view.attempts.iter().zip([false, true]).map(|(one, last)| one.cost_words(last)).collect();
        assert_eq!(cost, ["May have cost: no use was reported, and none is charged", "Charged as above"]);
        assert!(verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().adds_up());
        desk.execute("UPDATE orgs SET raw_days = 30").await.unwrap();
        desk.clock.advance(60 * DAY);
        let keeping = orgs::keeping_requests_for_days(&desk).await.unwrap().remove(0);
        while retention::delete_some(&desk, &keeping).await.unwrap() {}
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM request_attempts").await, 0);
    }
);
