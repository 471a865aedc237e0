//! Providers and models as whoever runs the installation manages them, on both databases.

use keydesk_core::domain::ids::ProviderId;
use keydesk_core::domain::imported::Confirmed;
use keydesk_core::domain::list_filter::{ModelFilter, ModelSort};
use keydesk_core::domain::meter::Meter;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::provider::{OnDisconnect, Provider};
use keydesk_core::forms::model::ModelForm;
use keydesk_core::forms::provider::{AddForm, ProviderForm, RetireForm, RouteForm, SaveForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::models;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::providers;
use keydesk_core::ops::{OpError, catalogue};
use keydesk_core::{forms, store};

use super::support::{TestDesk, on_both};
use crate::support::submit;

fn form(name: &str) -> ProviderForm {
    ProviderForm {
        name: name.into(),
        base_url: "https://api.openai.com/v1".into(),
        credential: "env".into(),
        credential_env: "OPENAI_API_KEY".into(),
        ..ProviderForm::with_defaults()
    }
}

async fn added(desk: &TestDesk, name: &str) -> Provider {
    submit::add_provider(
        desk,
        OperatorActor::CommandLine,
        &AddForm { provider: form(name), ..AddForm::default() },
    )
    .await
    .unwrap()
}

/// The form of a provider as a page draws it now.
async fn drawn(desk: &TestDesk, operator: &Caller, provider: &Provider) -> SaveForm {
    let view = providers::show(desk, operator, provider.id.as_str()).await.unwrap();
    let form = ProviderForm::of(&view.listed.provider.spec);
    let was = serde_json::to_string(&form).unwrap();
    SaveForm {
        id: provider.id.to_string(),
        version: view.listed.version,
        was,
        provider: form,
        ..SaveForm::default()
    }
}

/// The boxes of a provider's page, with these ticked.
async fn boxes(desk: &TestDesk, operator: &Caller, provider: &Provider, ticked: &[&str]) -> RouteForm {
    let view = providers::show(desk, operator, provider.id.as_str()).await.unwrap();
    let shown = view.served.iter().chain(&view.others);
    let was: std::collections::BTreeMap<_, _> = shown
        .map(|known| {
            let route = known.model.route.as_ref().map(ProviderId::to_string).unwrap_or_default();
            (known.model.id.clone(), route)
        })
        .collect();
    RouteForm {
        id: provider.id.to_string(),
        was: serde_json::to_string(&was).unwrap(),
        models: ticked.iter().map(|id| (*id).to_owned()).collect(),
    }
}

async fn model_form(desk: &TestDesk, operator: &Caller, id: &str) -> forms::model::SaveForm {
    let view = models::show(desk, operator, id).await.unwrap();
    let known = view.known.unwrap();
    let form = forms::model::ModelForm::of(&known.model);
    let was = serde_json::to_string(&form).unwrap();
    forms::model::SaveForm { version: known.version, was, model: form, starts: String::new() }
}

async fn operator(desk: &TestDesk) -> Caller {
    let at = desk.owner().await;
    catalogue::seed(desk).await.unwrap();
    desk.clock.advance(1);
    desk.platform(&at, PlatformRole::Operator).await.caller
}

async fn route_of(desk: &TestDesk, id: &str) -> Option<String> {
    models::by_id(desk, id).await.unwrap().served_by
}

fn refused<T: std::fmt::Debug>(result: Result<T, OpError>) -> (String, String) {
    match result.unwrap_err() {
        OpError::Invalid(errors) => (errors[0].field.clone(), errors[0].problem.to_string()),
        other => panic!("{other:?}"),
    }
}

fn clashes<T: std::fmt::Debug>(result: Result<T, OpError>) -> String {
    match result.unwrap_err() {
        OpError::Conflict(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

on_both!(
    fn for_anybody_but_an_operator_there_are_no_providers_and_no_catalogue(desk: TestDesk) {
        let at = desk.owner().await;
        catalogue::seed(&desk).await.unwrap();
        let provider = added(&desk, "OpenAI").await;
        let id = provider.id.to_string();
        let admin = desk.member(&at, OrgRole::Admin).await.caller;
        let support = desk.platform(&at, PlatformRole::Support).await.caller;
        let owner = desk.other_org("Fjord", "UTC").await.caller;
        let hidden = |error: Option<OpError>| assert!(matches!(error, Some(OpError::NotFound)), "{error:?}");
        for who in [&admin, &support, &owner] {
            let by = || OperatorActor::Operator(who);
            hidden(providers::list(&desk, who).await.err());
            hidden(providers::show(&desk, who, &id).await.err());
            hidden(
                submit::add_provider(&desk, by(), &AddForm { provider: form("Other"), ..AddForm::default() })
                    .await
                    .err(),
            );
            // Not even a mistake is told.
            hidden(submit::add_provider(&desk, by(), &AddForm::default()).await.err());
            hidden(
                submit::save_provider(&desk, by(), &SaveForm { id: id.clone(), ..SaveForm::default() })
                    .await
                    .err(),
            );
            hidden(
                submit::route_provider(&desk, by(), &RouteForm { id: id.clone(), ..RouteForm::default() })
                    .await
                    .err(),
            );
            hidden(submit::retire_provider(&desk, by(), &RetireForm { id: id.clone() }).await.err());
            hidden(models::list(&desk, who, &ModelFilter::default()).await.err());
            hidden(models::blank(&desk, who).await.err());
            hidden(models::show(&desk, who, "gpt-5").await.err());
            hidden(submit::add_model(&desk, by(), &forms::model::AddForm::default()).await.err());
            hidden(submit::save_model(&desk, by(), &forms::model::SaveForm::default()).await.err());
            hidden(
                submit::retire_model(&desk, by(), &forms::model::RetireForm { id: "gpt-5".into() })
                    .await
                    .err(),
            );
            hidden(models::route(&desk, by(), &["gpt-5".to_owned()], None).await.err());
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM providers WHERE retired_at IS NULL").await, 1);
        // It is in no organisation's audit, whoever does it, and in the installation's.
        let boss = desk.platform(&at, PlatformRole::Operator).await.caller;
        let count = "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL";
        let before = desk.number(count).await;
        submit::retire_provider(&desk, OperatorActor::Operator(&boss), &RetireForm { id }).await.unwrap();
        assert_eq!(desk.number(count).await, before);
        let newest =
            "SELECT kind FROM audit_events WHERE chain_id = 'installation' ORDER BY seq DESC LIMIT 1";
        assert_eq!(desk.texts(newest).await, ["provider.retired"]);
    }
);

on_both!(
    fn a_provider_is_added_changed_and_listed_with_what_it_serves(desk: TestDesk) {
        let boss = operator(&desk).await;
        assert!(providers::list(&desk, &boss).await.unwrap().providers.is_empty());
        let provider = submit::add_provider(
            &desk,
            OperatorActor::Operator(&boss),
            &AddForm { provider: form("OpenAI"), ..AddForm::default() },
        )
        .await
        .unwrap();
        assert_eq!(provider.spec.base_url, "https://api.openai.com");

        let same = drawn(&desk, &boss, &provider).await;
        assert!(matches!(
            submit::save_provider(&desk, OperatorActor::Operator(&boss), &same).await,
            Ok(Outcome::Unchanged(_))
        ));
        let mut form = same.clone();
        form.provider.base_url = "http://localhost:8000/".into();
        form.provider.credential = "none".into();
        form.provider.idle = "90".into();
        form.provider.on_disconnect = "stop".into();
        assert!(matches!(
            submit::save_provider(&desk, OperatorActor::Operator(&boss), &form).await,
            Ok(Outcome::Saved(_))
        ));
        models::route(&desk, OperatorActor::CommandLine, &["gpt-5".into(), "gpt-4.1".into()], Some("openai"))
            .await
            .unwrap();

        let list = providers::list(&desk, &boss).await.unwrap().providers;
        assert_eq!((list.len(), list[0].models, list[0].version), (1, 2, 2));
        assert_eq!(list[0].provider.spec.base_url, "http://localhost:8000");
        let mut read = desk.db.read().await.unwrap();
        let (model, by) = store::models::served(&mut read, "gpt-5", desk.now()).await.unwrap().unwrap();
        assert_eq!(
            (model.route.as_ref(), by.as_ref().map(|by| by.spec.idle_ms)),
            (Some(&provider.id), Some(90_000))
        );
        assert_eq!(by.as_ref().unwrap().spec.credential_env, "");
        assert_eq!(by.unwrap().spec.on_disconnect, OnDisconnect::Stop);
        let events = desk.texts("SELECT changes FROM audit_events WHERE kind = 'provider.edited'").await;
        assert!(events[0].contains("Stop and charge the reservation"), "{events:?}");
    }
);

on_both!(
    fn two_providers_in_use_have_two_names(desk: TestDesk) {
        let boss = operator(&desk).await;
        let first = added(&desk, "OpenAI").await;
        for name in ["OpenAI", " openai "] {
            let again = submit::add_provider(
                &desk,
                OperatorActor::CommandLine,
                &AddForm { provider: form(name), ..AddForm::default() },
            )
            .await;
            let (field, sentence) = refused(again);
            assert_eq!(field, "name");
            assert!(sentence.contains("There is already a provider OpenAI"), "{sentence}");
        }
        let second = added(&desk, "OpenAI EU").await;
        let mut rename = drawn(&desk, &boss, &second).await;
        rename.provider.name = "OPENAI".into();
        assert_eq!(
            refused(submit::save_provider(&desk, OperatorActor::Operator(&boss), &rename).await).0,
            "name"
        );
        // Its own in another case is no other.
        let mut own = drawn(&desk, &boss, &first).await;
        own.provider.name = "openai".into();
        assert!(matches!(
            submit::save_provider(&desk, OperatorActor::Operator(&boss), &own).await,
            Ok(Outcome::Saved(_))
        ));
        // A retired one's name is free.
        submit::retire_provider(&desk, OperatorActor::CommandLine, &RetireForm { id: first.id.to_string() })
            .await
            .unwrap();
        added(&desk, "OpenAI").await;
    }
);

on_both!(
    fn of_two_who_edit_a_provider_neither_loses_anything(desk: TestDesk) {
        let boss = operator(&desk).await;
        let provider = added(&desk, "OpenAI").await;
        let (mut mine, mut theirs) =
            (drawn(&desk, &boss, &provider).await, drawn(&desk, &boss, &provider).await);
        theirs.provider.connect = "7".into();
        theirs.provider.whole = "300".into();
        assert!(matches!(
            submit::save_provider(&desk, OperatorActor::CommandLine, &theirs).await,
            Ok(Outcome::Saved(_))
        ));
        mine.provider.name = "OpenAI EU".into();
        mine.provider.connect = "9".into();
        let Ok(Outcome::Conflict(conflict)) =
            submit::save_provider(&desk, OperatorActor::Operator(&boss), &mine).await
        else {
            panic!("a clash")
        };
        assert!(
            conflict.sentence.contains("This provider was changed while you were editing"),
            "{}",
            conflict.sentence
        );
        let told: Vec<_> = conflict.errors.iter().map(|e| (e.field.as_str(), e.problem.sentence())).collect();
        assert_eq!(told, [("connect", "Now: 7 seconds. You entered: 9 seconds.")]);
        assert_eq!((conflict.merged.name.as_str(), conflict.merged.whole.as_str()), ("OpenAI EU", "300"));
        assert_eq!(desk.texts("SELECT name FROM providers").await, ["OpenAI"]);
        let again = SaveForm { provider: conflict.merged, ..drawn(&desk, &boss, &provider).await };
        assert!(matches!(
            submit::save_provider(&desk, OperatorActor::Operator(&boss), &again).await,
            Ok(Outcome::Saved(_))
        ));
        assert_eq!(desk.numbers("SELECT connect_ms FROM providers").await, [9_000]);
    }
);

on_both!(
    fn of_many_who_save_from_one_version_one_is_written(desk: TestDesk) {
        let boss = operator(&desk).await;
        let provider = added(&desk, "OpenAI").await;
        let form = drawn(&desk, &boss, &provider).await;
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (desk, mut form) = (desk.clone(), form.clone());
            form.provider.connect = format!("{}", 10 + n);
            tries.spawn(async move {
                matches!(
                    submit::save_provider(&desk, OperatorActor::CommandLine, &form).await,
                    Ok(Outcome::Saved(_))
                )
            });
        }
        let mut saved = 0;
        while let Some(done) = tries.join_next().await {
            saved += i32::from(done.unwrap());
        }
        assert_eq!(saved, 1);
        assert_eq!(desk.numbers("SELECT version FROM providers").await, [2]);
    }
);

on_both!(
    fn retiring_a_provider_says_what_it_served_and_leaves_nothing_routed_to_it(desk: TestDesk) {
        let boss = operator(&desk).await;
        let (gone, stays) = (added(&desk, "Gone").await, added(&desk, "Stays").await);
        models::route(&desk, OperatorActor::CommandLine, &["gpt-5".into(), "gpt-4.1".into()], Some("Gone"))
            .await
            .unwrap();
        models::route(&desk, OperatorActor::CommandLine, &["gpt-5-mini".into()], Some("Stays"))
            .await
            .unwrap();
        let stale = model_form(&desk, &boss, "gpt-5").await;
        let form = RetireForm { id: gone.id.to_string() };
        let retired = submit::retire_provider(&desk, OperatorActor::Operator(&boss), &form).await.unwrap();
        assert_eq!(
            (retired.name.as_str(), retired.unrouted),
            ("Gone", vec!["gpt-4.1".to_owned(), "gpt-5".to_owned()])
        );
        assert_eq!(route_of(&desk, "gpt-5").await, None);
        assert_eq!(route_of(&desk, "gpt-5-mini").await.as_deref(), Some("Stays"));
        assert!(matches!(
            submit::retire_provider(&desk, OperatorActor::Operator(&boss), &form).await,
            Err(OpError::NotFound)
        ));
        // Nothing brings it back: neither a form from before, nor a new one, nor its name.
        let Ok(Outcome::Conflict(conflict)) =
            submit::save_model(&desk, OperatorActor::Operator(&boss), &stale).await
        else {
            panic!("a clash")
        };
        assert_eq!(conflict.merged.route, "");
        let mut anew = model_form(&desk, &boss, "gpt-5").await;
        anew.model.route = gone.id.to_string();
        assert_eq!(
            refused(submit::save_model(&desk, OperatorActor::Operator(&boss), &anew).await).0,
            "route"
        );
        let named = models::route(&desk, OperatorActor::CommandLine, &["gpt-5".into()], Some("Gone")).await;
        assert_eq!(clashes(named), "There is no provider Gone. There are: Stays.");
        assert_eq!(desk.number("SELECT COUNT(*) FROM models WHERE provider_id IS NOT NULL").await, 1);
        assert!(providers::show(&desk, &boss, stays.id.as_str()).await.is_ok());
    }
);

on_both!(
    fn nothing_is_left_routed_to_a_provider_that_is_retired_while_models_are_routed_to_it(desk: TestDesk) {
        operator(&desk).await;
        for round in 0..6 {
            let provider = added(&desk, &format!("Racing {round}")).await;
            let mut tries = tokio::task::JoinSet::new();
            for model in ["gpt-5", "gpt-5-mini", "gpt-4.1"] {
                let (desk, name) = (desk.clone(), provider.spec.name.clone());
                tries.spawn(async move {
                    let _ =
                        models::route(&desk, OperatorActor::CommandLine, &[model.to_owned()], Some(&name))
                            .await;
                });
            }
            let (racing, id) = (desk.clone(), provider.id.to_string());
            tries.spawn(async move {
                submit::retire_provider(&racing, OperatorActor::CommandLine, &RetireForm { id })
                    .await
                    .unwrap();
            });
            while let Some(done) = tries.join_next().await {
                done.unwrap();
            }
            assert_eq!(desk.number("SELECT COUNT(*) FROM models WHERE provider_id IS NOT NULL").await, 0);
        }
    }
);

on_both!(
    fn a_providers_boxes_route_what_is_ticked_and_let_go_what_is_not(desk: TestDesk) {
        let boss = operator(&desk).await;
        let (openai, other) = (added(&desk, "OpenAI").await, added(&desk, "Other").await);
        models::route(&desk, OperatorActor::CommandLine, &["gpt-5".into()], Some("Other")).await.unwrap();
        models::route(&desk, OperatorActor::CommandLine, &["claude-opus-4-5".into()], Some("Other"))
            .await
            .unwrap();
        // Of the vendor, whoever serves it; of others, only what nobody serves.
        let view = providers::show(&desk, &boss, openai.id.as_str()).await.unwrap();
        let there = |id: &str| view.others.iter().any(|known| known.model.id == id);
        assert!(there("gpt-5") && there("gemini-2.5-pro") && !there("claude-opus-4-5"));

        let form = boxes(&desk, &boss, &openai, &["gpt-5", "gpt-4.1"]).await;
        let routed = submit::route_provider(&desk, OperatorActor::Operator(&boss), &form).await.unwrap();
        assert_eq!((routed.added, routed.removed), (2, 0));
        let form = boxes(&desk, &boss, &openai, &["gpt-4.1", "gpt-5-nano"]).await;
        let routed = submit::route_provider(&desk, OperatorActor::Operator(&boss), &form).await.unwrap();
        assert_eq!((routed.added, routed.removed), (1, 1));
        assert_eq!(route_of(&desk, "gpt-5").await, None);
        assert_eq!(route_of(&desk, "gpt-4.1").await.as_deref(), Some("OpenAI"));

        // Drawn before somebody else routed one of them: nothing of it is done.
        let stale = boxes(&desk, &boss, &openai, &["gpt-4.1", "gpt-5-nano", "gpt-5", "gpt-5-mini"]).await;
        models::route(&desk, OperatorActor::CommandLine, &["gpt-5-mini".into()], Some("Other"))
            .await
            .unwrap();
        let sentence = clashes(submit::route_provider(&desk, OperatorActor::Operator(&boss), &stale).await);
        assert!(sentence.starts_with("gpt-5-mini was rerouted or retired"), "{sentence}");
        assert_eq!(route_of(&desk, "gpt-5").await, None);
        // What was not on the page cannot be sent.
        let foreign = boxes(&desk, &boss, &openai, &["claude-opus-4-5"]).await;
        assert_eq!(
            refused(submit::route_provider(&desk, OperatorActor::Operator(&boss), &foreign).await).0,
            "models"
        );
        assert_eq!(route_of(&desk, "claude-opus-4-5").await.as_deref(), Some("Other"));
        assert_eq!(providers::show(&desk, &boss, other.id.as_str()).await.unwrap().served.len(), 2);
    }
);

on_both!(
    fn a_model_is_added_changed_and_retired_and_comes_back_routed_to_nobody(desk: TestDesk) {
        let boss = operator(&desk).await;
        let provider = added(&desk, "Fireworks").await;
        let form = ModelForm {
            id: "meta/llama-4".into(),
            vendor: "Meta".into(),
            route: provider.id.to_string(),
            upstream: "accounts/x/llama-4".into(),
            input: "0.22".into(),
            output: "0.88".into(),
            cached: "0.11".into(),
            default_output_tokens: "4k".into(),
            ..ModelForm::default()
        };
        let add = forms::model::AddForm { model: form, starts: String::new() };
        assert_eq!(
            submit::add_model(&desk, OperatorActor::Operator(&boss), &add).await.unwrap(),
            "meta/llama-4"
        );
        desk.clock.advance(1);
        assert_eq!(refused(submit::add_model(&desk, OperatorActor::Operator(&boss), &add).await).0, "id");
        let known = models::by_id(&desk, "meta/llama-4").await.unwrap();
        assert_eq!(
            (known.served_by.as_deref(), known.model.default_output_tokens),
            (Some("Fireworks"), 4_000)
        );

        let (mut mine, mut theirs) =
            (model_form(&desk, &boss, "meta/llama-4").await, model_form(&desk, &boss, "meta/llama-4").await);
        theirs.model.input = "0.25".into();
        theirs.model.route = String::new();
        assert!(matches!(
            submit::save_model(&desk, OperatorActor::CommandLine, &theirs).await,
            Ok(Outcome::Saved(_))
        ));
        desk.clock.advance(1);
        mine.model.input = "0.30".into();
        mine.model.output = "1".into();
        let Ok(Outcome::Conflict(conflict)) =
            submit::save_model(&desk, OperatorActor::Operator(&boss), &mine).await
        else {
            panic!("a clash")
        };
        let told: Vec<_> = conflict.errors.iter().map(|e| (e.field.as_str(), e.problem.sentence())).collect();
        assert_eq!(
            told,
            [("price", "Now: input $0.25, output $0.88. You entered: input $0.30, output $1.00.")]
        );
        assert_eq!((conflict.merged.route.as_str(), conflict.merged.output.as_str()), ("", "1"));

        models::route(&desk, OperatorActor::CommandLine, &["meta/llama-4".into()], Some("Fireworks"))
            .await
            .unwrap();
        let retire = forms::model::RetireForm { id: "meta/llama-4".into() };
        submit::retire_model(&desk, OperatorActor::Operator(&boss), &retire).await.unwrap();
        assert!(matches!(
            submit::retire_model(&desk, OperatorActor::Operator(&boss), &retire).await,
            Err(OpError::NotFound)
        ));
        assert!(clashes(models::by_id(&desk, "meta/llama-4").await).contains("not in the catalogue"));
        let file =
            r#"[{"id": "meta/llama-4", "provider": "Meta", "input": "1", "output": "2", "cached": "0.1"}]"#;
        catalogue::import(&desk, &catalogue::read(file).unwrap(), false, &Confirmed::default())
            .await
            .unwrap();
        assert_eq!(route_of(&desk, "meta/llama-4").await, None);
        assert!(matches!(models::show(&desk, &boss, "a\0b").await, Err(OpError::NotFound)));
    }
);

on_both!(
    fn an_import_keeps_the_routes_of_models_that_are_there_unless_the_file_says_otherwise(desk: TestDesk) {
        let boss = operator(&desk).await;
        added(&desk, "OpenAI").await;
        added(&desk, "Azure").await;
        models::route(
            &desk,
            OperatorActor::CommandLine,
            &["gpt-5".into(), "gpt-4.1".into(), "gpt-5-mini".into()],
            Some("OpenAI"),
        )
        .await
        .unwrap();
        let mut form = model_form(&desk, &boss, "gpt-5").await;
        form.model.upstream = "gpt-5-2026".into();
        form.model.default_output_tokens = "2500".into();
        submit::save_model(&desk, OperatorActor::CommandLine, &form).await.unwrap();
        let entry = |id: &str, more: &str| {
            format!(
                r#"{{"id": "{id}", "provider": "OpenAI", "input": "9", "output": "9", "cached": "9"{more}}}"#
            )
        };
        let file = [
            entry("gpt-5", ""),
            entry("gpt-4.1", r#", "route": "azure", "upstream": "prod-41""#),
            entry("gpt-5-mini", r#", "route": """#),
            entry("gpt-6", r#", "route": "OpenAI", "default_output_tokens": 5"#),
        ];
        let list = catalogue::read(&format!("[{}]", file.join(","))).unwrap();
        let all = Confirmed { every_far_move: true, ..Confirmed::default() };
        assert_eq!(catalogue::import(&desk, &list, false, &all).await.unwrap().models.len(), 4);
        desk.clock.advance(1);
        let known = models::by_id(&desk, "gpt-5").await.unwrap();
        assert_eq!(known.served_by.as_deref(), Some("OpenAI"));
        assert_eq!((known.model.name_upstream(), known.model.default_output_tokens), ("gpt-5-2026", 2_500));
        assert_eq!(known.model.rate(Meter::Input).unwrap().input(), "9");
        assert_eq!(route_of(&desk, "gpt-4.1").await.as_deref(), Some("Azure"));
        assert_eq!(route_of(&desk, "gpt-5-mini").await, None);
        assert_eq!(models::by_id(&desk, "gpt-6").await.unwrap().model.default_output_tokens, 5);

        // A name that nobody has imports nothing.
        let wrong = format!("[{},{}]", entry("gpt-7", ""), entry("gpt-5", r#", "route": "Nowhere""#));
        let sentence =
            clashes(catalogue::import(&desk, &catalogue::read(&wrong).unwrap(), false, &all).await);
        assert_eq!(
            sentence,
            "gpt-5: route: There is no provider Nowhere. There are: Azure, OpenAI. Nothing was imported."
        );
        assert!(models::by_id(&desk, "gpt-7").await.is_err());
        // What is written reads back to the same, and with `only` the others go.
        let before = models::every(&desk).await.unwrap();
        let again = catalogue::read(&catalogue::write(&before)).unwrap();
        let same = catalogue::import(&desk, &again, true, &Confirmed::default()).await.unwrap();
        assert!(same.retired.is_empty() && same.models.iter().all(|planned| planned.is_unchanged()));
        let after: Vec<_> =
            models::every(&desk).await.unwrap().into_iter().map(|known| known.model).collect();
        assert_eq!(after, before.into_iter().map(|known| known.model).collect::<Vec<_>>());
        catalogue::import(&desk, &list, true, &all).await.unwrap();
        assert_eq!(models::every(&desk).await.unwrap().len(), 4);
    }
);

on_both!(
    fn the_list_of_models_searches_sorts_and_tells_the_served_from_the_others(desk: TestDesk) {
        let boss = operator(&desk).await;
        added(&desk, "Bedrock").await;
        models::route(&desk, OperatorActor::CommandLine, &["claude-opus-4-5".into()], Some("Bedrock"))
            .await
            .unwrap();
        let ids = async |filter: ModelFilter| -> Vec<String> {
            let view = models::list(&desk, &boss, &filter).await.unwrap();
            view.models.into_iter().map(|known| known.model.id).collect()
        };
        let all = ids(ModelFilter::default()).await;
        assert!(all.is_sorted() && all.len() >= 12);
        assert_eq!(ids(ModelFilter { served: Some(true), ..Default::default() }).await, ["claude-opus-4-5"]);
        assert_eq!(ids(ModelFilter { served: Some(false), ..Default::default() }).await.len(), all.len() - 1);
        let found =
            async |search: &str| ids(ModelFilter { search: search.into(), ..Default::default() }).await;
        assert_eq!(found(" bedr").await, ["claude-opus-4-5"]);
        let opus: Vec<_> = all.iter().filter(|id| id.contains("opus")).cloned().collect();
        assert!(opus.len() > 1);
        assert_eq!(found("OPUS").await, opus);
        assert_eq!(ids(ModelFilter { search: "%".into(), ..Default::default() }).await.len(), 0);
        let dear = ModelFilter { sort: ModelSort::Output, descending: true, ..Default::default() };
        let dearest_first = models::list(&desk, &boss, &dear).await.unwrap().models;
        let outputs: Vec<_> = dearest_first.iter().map(|known| known.model.rate(Meter::Output)).collect();
        assert!(outputs.is_sorted_by(|dearer, other| dearer >= other), "{outputs:?}");
        let served = ModelFilter { sort: ModelSort::Served, ..Default::default() };
        assert_eq!(ids(served).await.last().map(String::as_str), Some("claude-opus-4-5"));
    }
);
