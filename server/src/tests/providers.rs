//! Providers and the catalogue as an operator's browser meets them, with script and without.

use keydesk_core::admission::note_answer;
use keydesk_core::domain::ids::ProviderId;

use super::forms::new_provider;
use super::support::{Fields, TestApp, Who, on_both};

/// A form with some fields changed.
fn with<'a>(fields: Vec<(&'a str, &'a str)>, set: Fields<'a>) -> Vec<(&'a str, &'a str)> {
    let kept = fields.into_iter().filter(|(name, _)| !set.iter().any(|(other, _)| other == name));
    kept.chain(set.iter().copied()).collect()
}

/// What a page's hidden field holds, as the browser sends it back.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    let (value, _) = rest.split_once('"').unwrap();
    value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

on_both! {
    async fn a_provider_is_connected_and_given_models_by_plain_forms(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        for page in ["/operator/providers", "/operator/models"] {
            let page = app.get(&operator, page).await;
            assert!(page.text.contains("demo/echo") && page.text.contains("Connect provider") || page.text.contains("Connect a provider"), "{}", page.text);
        }
        let answer = app.post_page(&operator, "/operator/providers/new", "providers/add", &new_provider("OpenAI")).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let own = answer.location().to_owned();
        let page = app.get(&operator, &own).await.text;
        assert!(page.contains("OpenAI is saved, not usable yet. KEYDESK_TESTS_API_KEY is not set"), "{page}");
        assert!(page.contains("KEYDESK_TESTS_API_KEY is not set."), "{page}");
        assert!(page.contains("https://api.openai.com/v1/chat/completions"), "{page}");

        let (id, was) = (hidden(&page, "form[id]"), hidden(&page, "form[was]"));
        let fields = [("form[id]", &*id), ("form[was]", &*was), ("form[models][]", "gpt-5"), ("form[models][]", "gpt-4.1")];
        let answer = app.post_page(&operator, &own, "providers/route", &fields).await;
        assert_eq!((answer.status, answer.location()), (303, &*own), "{}", answer.text);
        assert!(app.get(&operator, &own).await.text.contains("2 models added to OpenAI"));
        let list = app.get(&operator, "/operator/models?served=yes").await.text;
        assert!(list.contains("gpt-4.1") && !list.contains("gpt-5-mini"), "{list}");
        // Routed is not connected: the demonstration stays until the provider has answered.
        let demo = "has answered yet. Until then the built-in <code>demo/echo</code> model answers.";
        assert!(list.contains(demo), "{list}");
        note_answer(&app.state.desk, &ProviderId::parse(&id).unwrap()).await.unwrap();
        let list = app.get(&operator, "/operator/models?served=yes").await.text;
        assert!(list.contains("gpt-4.1") && !list.contains("demo/echo"), "{list}");
        let retire = app.get(&operator, &format!("{own}/retire")).await.text;
        assert!(retire.contains("These 2 models are no longer served"), "{retire}");

        // The same boxes again are drawn from what is gone by now.
        let stale = app.post_page(&operator, &own, "providers/route", &fields).await;
        assert_eq!(stale.status, 409);
        assert!(stale.text.contains("was rerouted or retired in the meantime"), "{}", stale.text);

        let answer = app.post_page(&operator, &format!("{own}/retire"), "providers/retire", &[("form[id]", &*id)]).await;
        assert_eq!((answer.status, answer.location()), (303, "/operator/providers"));
        assert!(app.get(&operator, "/operator/providers").await.text.contains("OpenAI is retired. Its 2 models are no longer served."));
        assert_eq!(app.get(&operator, &own).await.status, 404);
        assert_eq!(app.number("SELECT COUNT(*) FROM models WHERE provider_id IS NOT NULL").await, 0);
    }
}

on_both! {
    async fn a_mistake_keeps_what_was_typed_but_never_a_credential(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let wrong = with(new_provider("Acme proxy"), &[
            ("form[provider][base_url]", "http://api.example.com"),
            ("form[provider][credential_env]", "sk-proj-0123456789abcdefghijklmn"),
            ("form[provider][idle]", "1h"),
        ]);
        let answer = app.post_page(&operator, "/operator/providers/new", "providers/add", &wrong).await;
        assert_eq!(answer.status, 422);
        assert!(answer.text.contains("Plain http sends the API key"), "{}", answer.text);
        assert!(answer.text.contains("Acme proxy") && answer.text.contains(r#"value="1h""#), "{}", answer.text);
        assert!(!answer.text.contains("sk-proj-0123456789"), "{}", answer.text);
        let answer = app.post(&operator, "providers/add", &wrong).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec!["base_url".into(), "credential_env".into(), "idle".into()]));
        assert!(!answer.text.contains("sk-proj-0123456789"), "{}", answer.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM providers").await, 0);
        for inside in ["http://169.254.169.254", "http://[fe80::1]", "http://2852039166"] {
            let set = [("form[provider][base_url]", inside)];
            let fields = with(new_provider("Inside"), &set);
            assert_eq!(app.post(&operator, "providers/add", &fields).await.wrong_fields(), ["base_url"], "{inside}");
        }
    }
}

on_both! {
    async fn whether_a_credential_is_there_is_told_and_never_what_it_is(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        app.provider("OpenAI").await;
        let list = app.get(&operator, "/operator/providers").await.text;
        assert!(list.contains("KEYDESK_TESTS_API_KEY") && list.contains("Not set"), "{list}");
        // No form reaches another variable of this process than one for an API key.
        for other in ["PATH", "HOME", "KEYDESK_COOKIE_KEY_FILE", "path_API_KEY"] {
            let set = [("form[provider][credential_env]", other)];
            let fields = with(new_provider("Nosy"), &set);
            assert_eq!(app.post(&operator, "providers/add", &fields).await.wrong_fields(), ["credential_env"], "{other}");
        }
    }
}

on_both! {
    async fn a_model_is_added_edited_and_retired_and_of_two_who_edit_neither_loses_anything(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let new = vec![
            ("form[model][id]", "meta/llama-4"),
            ("form[model][vendor]", "Meta"),
            ("form[model][route]", ""),
            ("form[model][upstream]", ""),
            ("form[model][input]", "0.125"),
            ("form[model][output]", "0.88"),
            ("form[model][cached]", "1,5"),
            ("form[model][default_output_tokens]", "4k"),
        ];
        let wrong = app.post_page(&operator, "/operator/models/new", "models/add", &new).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.text.contains("can be read in two ways") && wrong.text.contains("meta/llama-4"), "{}", wrong.text);
        let new = with(new, &[("form[model][cached]", "0.05")]);
        let answer = app.post_page(&operator, "/operator/models/new", "models/add", &new).await;
        assert_eq!((answer.status, answer.location()), (303, "/operator/models"));
        let list = app.get(&operator, "/operator/models?q=llama").await.text;
        assert!(list.contains("$0.125") && list.contains("/operator/models/show?id=meta%2Fllama-4"), "{list}");

        let own = "/operator/models/edit?id=meta%2Fllama-4";
        let drawn = app.get(&operator, own).await.text;
        let (version, was) = (hidden(&drawn, "form[version]"), hidden(&drawn, "form[was]"));
        let save = |set: Fields<'static>| {
            let fields = with(new.clone(), set);
            let more = [("form[version]", version.clone()), ("form[was]", was.clone()), ("page", own.to_owned())];
            let fields: Vec<(String, String)> = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .chain(more.map(|(name, value)| (name.to_owned(), value)))
                .collect();
            let (app, operator) = (app.clone(), operator.clone());
            async move {
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                app.post_page(&operator, own, "models/save", &fields).await
            }
        };
        assert_eq!(save(&[("form[model][input]", "0.2"), ("form[model][vendor]", "Meta AI")]).await.status, 303);
        app.clock.advance(1);
        let conflict = save(&[("form[model][input]", "0.3"), ("form[model][output]", "0.9")]).await;
        assert_eq!(conflict.status, 409);
        assert!(conflict.text.contains("This model was changed while you were editing."), "{}", conflict.text);
        assert!(
            conflict.text.contains("Now: input $0.20, output $0.88. You entered: input $0.30,"),
            "{}",
            conflict.text
        );
        assert!(conflict.text.contains(r#"value="Meta AI""#) && conflict.text.contains(r#"value="0.9""#), "{}", conflict.text);

        let retire = "/operator/models/retire?id=meta%2Fllama-4";
        assert!(app.get(&operator, retire).await.text.contains("Retire meta/llama-4"));
        let answer = app.post_page(&operator, retire, "models/retire", &[("form[id]", "meta/llama-4")]).await;
        assert_eq!((answer.status, answer.location()), (303, "/operator/models"));
        assert_eq!(app.get(&operator, own).await.status, 404);
    }
}

on_both! {
    async fn a_model_shows_its_prices_and_a_coming_one_is_withdrawn_without_script(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let own = "/operator/models/show?id=gpt-5";
        let page = app.get(&operator, own).await.text;
        for part in ["Price in force", "$1.25 per 1M tokens", "From a catalogue", "Context length", "400,000"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("Coming prices"));
        let edit = "/operator/models/edit?id=gpt-5";
        let drawn = app.get(&operator, edit).await.text;
        let (version, was) = (hidden(&drawn, "form[version]"), hidden(&drawn, "form[was]"));
        let save = |starts: &'static str, lines: &'static str| {
            let (app, operator, version, was) = (app.clone(), operator.clone(), version.clone(), was.clone());
            async move {
                let fields = [
                    ("form[version]", version.as_str()),
                    ("form[was]", was.as_str()),
                    ("form[model][id]", "gpt-5"),
                    ("form[model][vendor]", "OpenAI"),
                    ("form[model][input]", "2"),
                    ("form[model][output]", "8"),
                    ("form[model][more][cache_write_short]", "2.5"),
                    ("form[model][more][searches]", ""),
                    ("form[model][lines]", lines),
                    ("form[model][factors]", "tier:flex=0.5"),
                    ("form[model][source]", "https://example.com/<pricing>"),
                    ("form[model][context_tokens]", "400k"),
                    ("form[model][default_output_tokens]", "1000"),
                    ("form[starts]", starts),
                    ("page", edit),
                ];
                app.post_page(&operator, edit, "models/save", &fields).await
            }
        };
        for (starts, lines, says) in [
            ("2020-01-01T00:00", "", "This time is past."),
            ("someday", "", "Enter a date and time in UTC"),
            ("", "272000", "Write a line as TOKENS"),
        ] {
            let wrong = save(starts, lines).await;
            assert!(wrong.status == 422 && wrong.text.contains(says), "{says}: {} {}", wrong.status, wrong.text);
            assert!(wrong.text.contains("tier:flex=0.5"), "what was typed stays");
        }
        let saved = save("2099-12-01T00:00", "272000: input=4").await;
        assert_eq!((saved.status, saved.location()), (303, own));
        let page = app.get(&operator, own).await.text;
        for part in [
            "Coming prices",
            "1 Dec 2099 00:00:00 UTC",
            "cache write, short $2.50",
            "above 272,000 input tokens: input $4.00",
            "service tier flex × 0.5",
            "example.com</a>",
            "400,000",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let id = app.texts("SELECT id FROM prices WHERE starts_at > 4000000000000").await.remove(0);
        let withdraw = format!("/operator/models/withdraw?id=gpt-5&price={id}");
        assert!(page.contains(&withdraw.replace('&', "&amp;")), "{page}");
        assert!(app.get(&operator, &withdraw).await.text.contains("It won’t start"));
        let fields = [("form[id]", "gpt-5"), ("form[price]", id.as_str())];
        let answer = app.post_page(&operator, &withdraw, "models/withdraw-price", &fields).await;
        assert_eq!((answer.status, answer.location()), (303, own));
        let page = app.get(&operator, own).await.text;
        assert!(page.contains("Withdrawn") && !page.contains("Coming prices"), "{page}");
        assert_eq!(app.get(&operator, &withdraw).await.status, 404);
    }
}

on_both! {
    async fn a_model_without_a_price_says_so_and_goes_back_to_the_catalogues(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        app.execute("UPDATE prices SET origin = 'operator', tariff = '{}' WHERE model_id = 'gpt-5'").await;
        assert!(app.get(&operator, "/operator/models?q=gpt-5").await.text.contains("No price"));
        let own = "/operator/models/show?id=gpt-5";
        let page = app.get(&operator, own).await.text;
        assert!(page.contains("No price.") && page.contains("Use the catalogue’s price"), "{page}");
        let confirm = "/operator/models/catalogue-price?id=gpt-5";
        assert!(app.get(&operator, confirm).await.text.contains("$1.25 per 1M tokens"));
        // The price that says there is none started in this very millisecond.
        app.clock.advance(1);
        let answer = app.post_page(&operator, confirm, "models/catalogue-price", &[("form[id]", "gpt-5")]).await;
        assert_eq!((answer.status, answer.location()), (303, own));
        let page = app.get(&operator, own).await.text;
        assert!(page.contains("From a catalogue") && !page.contains("Use the catalogue’s price"), "{page}");
    }
}

on_both! {
    async fn odd_addresses_of_the_operators_pages_are_answered(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        for (path, status) in [
            ("/operator/models?q=%00&sort=x&dir=up&served=maybe", 400),
            ("/operator/models?q=%25", 200),
            ("/operator/models?q=nothing-has-this-name", 200),
            ("/operator/models?served=yes", 200),
            ("/operator/models/edit", 404),
            ("/operator/models/edit?id=%00", 400),
            ("/operator/models/edit?id=../..", 404),
            ("/operator/models/show?id=gpt-0", 404),
            ("/operator/models/withdraw?id=gpt-5&price=%00", 400),
            ("/operator/models/catalogue-price?id=gpt-5", 404),
            ("/operator/models/retire?id=gpt-0", 404),
            ("/operator/providers/prov_0", 404),
            ("/operator/providers/%00", 400),
            ("/operator/providers/suspend", 404),
        ] {
            assert_eq!(app.get(&operator, path).await.status, status, "{path}");
        }
        for backwards in ["", "&dir=desc"] {
            for sort in ["model", "vendor", "served", "input", "output"] {
                let page = app.get(&operator, &format!("/operator/models?sort={sort}{backwards}")).await;
                assert!(page.text.contains("aria-sort"), "{sort}");
            }
        }
    }
}
