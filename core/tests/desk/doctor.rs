//! The key doctor through its operation: each cause with a real malformed input, who sees what, and what is recorded.

use keydesk_core::domain::doctor::{Cause, Described, KeyPlace, Remedy, headers};
use keydesk_core::domain::key_format::PlainSecret;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::rotation::GracePeriod;
use keydesk_core::domain::route::Route;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::doctor::{
    Examined, Patient, Urls, admit, admit_public, causes_of, examine, find_keys, find_picked,
};
use keydesk_core::ops::{OpError, access, keys};

use crate::support::*;

const GATEWAY: &str = "https://gateway.example.com";

/// What fails, as a person describes it.
#[derive(Clone, Default)]
struct Question<'a> {
    secret: &'a str,
    raw: &'a str,
    request: Described,
}

fn chat(model: &str) -> Described {
    Described {
        route: Some(Route::ChatCompletions),
        model: model.into(),
        address: "203.0.113.7".parse().ok(),
        ..Described::default()
    }
}

async fn ask(desk: &TestDesk, at: &At, question: &Question<'_>) -> (Examined, Vec<Cause>) {
    let context = access::read_org(desk, &at.caller, &at.org.slug).await.unwrap();
    let request = &question.request;
    let sent = headers(request.place, question.secret, question.raw);
    let examined = examine(desk, &at.caller, &context, Patient::Sender(&sent), request).await.unwrap();
    let urls = Urls { gateway: GATEWAY, desk: "https://desk.example.com" };
    let causes = causes_of(request, &sent, &examined.diagnosis, Some(&context.org), urls);
    (examined, causes)
}

/// The first cause of a question about a key with this secret.
async fn cause(desk: &TestDesk, at: &At, question: Question<'_>) -> Cause {
    let (_, causes) = ask(desk, at, &question).await;
    causes.into_iter().next().expect("there is a cause")
}

on_both!(
    async fn every_malformed_input_has_its_own_cause(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let secret = issued.secret.reveal();
        let of = |secret: &str| secret.to_owned();
        let other = PlainSecret::mint("sk-acme-", &mut |bytes| desk.random.fill(bytes)).unwrap();
        for (sent, says) in [
            (of(&secret[..30]), "cut off: it has 30 of 46 characters"),
            (format!("sk-…{}", issued.secret.last_four()), "is masked"),
            (format!("{}**********", &secret[..12]), "is masked"),
            (format!("{}\u{a0}{}", &secret[..20], &secret[20..]), "white space or an invisible character"),
            (format!("\u{200b}{secret}"), "white space or an invisible character"),
            (format!("\"{secret}\""), "quotation marks"),
            (format!("Bearer {secret}"), "starts with the word Bearer"),
            (format!("{secret}x"), "too long"),
            (of("sk-ant-api03-abcdefghijklmnopqrstuvwxyz"), "a key of Anthropic"),
            (of("sk-proj-abcdefghijklmnopqrstuvwxyz01"), "a key of OpenAI"),
            (of("AIzaSyA0123456789abcdefghijklmnopqrstuv"), "a key of Google"),
            (of("gsk_0123456789abcdefghijklmnop"), "a key of Groq"),
            (of("r8_0123456789abcdefghijklmnop"), "a key of Replicate"),
            (of("hf_0123456789abcdefghijklmnop"), "a key of Hugging Face"),
            (
                of(other.reveal()),
                "starts with sk-acme-, and new keys of this organisation start with sk-desk-",
            ),
            (of("hello"), "does not start like a key"),
            (format!("{}{}", &secret[..45], if secret.ends_with('0') { '1' } else { '0' }), "typing error"),
        ] {
            let found =
                cause(&desk, &at, Question { secret: &sent, request: chat("gpt-5"), ..Question::default() })
                    .await;
            assert!(found.sentence.contains(says), "{says}: {}", found.sentence);
            assert!(found.advice.len() > 10 && !found.sentence.contains(&secret[8..30]), "{found:?}");
        }
        for (raw, says) in [
            (of(secret), "not the word Bearer before it"),
            (format!("Authorization: Basic {secret}"), "not of the form Bearer KEY"),
            (format!("Authorization: Bearer Bearer {secret}"), "starts with the word Bearer"),
            (format!("Authorization: Bearer  {secret}"), "white space"),
            (format!("Authorization: Bearer '{secret}'"), "quotation marks"),
            (format!("x-api-key: {secret}\nAuthorization: Bearer {}", other.reveal()), "two different keys"),
            (of("X-Request-Id: abc"), "has no key"),
        ] {
            let found =
                cause(&desk, &at, Question { raw: &raw, request: chat("demo/echo"), ..Question::default() })
                    .await;
            assert!(found.sentence.contains(says), "{says}: {}", found.sentence);
        }
        // What HTTP takes away passes, and is named.
        let (examined, causes) = ask(
            &desk,
            &at,
            &Question { secret: &format!("{secret} "), request: chat("demo/echo"), ..Question::default() },
        )
        .await;
        assert_eq!(examined.diagnosis.stop, None);
        assert!(causes[0].sentence.contains("white space at its end"), "{causes:?}");
    }
);

on_both!(
    async fn every_state_of_a_key_has_its_cause_and_its_remedy(desk: TestDesk) {
        let at = desk.owner().await;
        let question =
            |issued: &keys::IssuedKey, request: Described| (issued.secret.reveal().to_owned(), request);
        let issued = desk.create_key(&at, "ci-prod").await;
        let first = async |(secret, request): (String, Described)| {
            cause(&desk, &at, Question { secret: &secret, request, ..Question::default() }).await
        };
        let misspelt = first(question(&issued, chat("demo/ecko"))).await;
        assert!(misspelt.sentence.contains("The nearest that this key may use is demo/echo"), "{misspelt:?}");
        let unserved = first(question(&issued, chat("gpt-5"))).await;
        assert_eq!(unserved.remedy, Remedy::Operator, "{unserved:?}");
        let mixed_up = first(question(&issued, chat(issued.secret.reveal()))).await;
        assert!(mixed_up.sentence.contains("looks like a key"), "{mixed_up:?}");

        let narrow = KeyForm { scope: "listed".into(), patterns: "demo/*".into(), ..form("narrow") };
        let narrow = desk.create(&at, narrow).await.unwrap();
        let near = first(question(&narrow, chat("demo-echo"))).await;
        assert!(near.sentence.contains("may use demo/echo"), "{near:?}");
        let denied = first(question(&narrow, chat("claude-opus-4-5"))).await;
        assert_eq!(
            (denied.remedy.clone(), denied.sentence.contains("The key’s models")),
            (Remedy::EditKey, true),
            "{denied:?}"
        );

        let fixed = KeyForm { addresses: "198.51.100.0/24".into(), ..form("fixed") };
        let fixed = desk.create(&at, fixed).await.unwrap();
        let elsewhere = first(question(&fixed, chat("demo/echo"))).await;
        assert!(elsewhere.sentence.contains("203.0.113.7 is not on it"), "{elsewhere:?}");
        assert_eq!(elsewhere.remedy, Remedy::EditKey);

        desk.disable(&at, &issued).await.unwrap();
        assert_eq!(first(question(&issued, chat("demo/echo"))).await.remedy, Remedy::Enable);
        desk.enable(&at, &issued).await.unwrap();
        let from = desk.secret_id(&issued).await;
        let key = (at.org.slug.as_str(), issued.id.as_str());
        keys::rotate(&desk, &at.caller, key, from.as_str(), GracePeriod::None).await.unwrap();
        let retired = first(question(&issued, chat("demo/echo"))).await;
        assert!(retired.sentence.contains("was replaced by a rotation and ended"), "{retired:?}");
        assert_eq!(retired.remedy, Remedy::Rotate);
        desk.revoke(&at, &issued, "ci-prod").await.unwrap();
        desk.revoke(&at, &narrow, "narrow").await.unwrap();
        assert_eq!(first(question(&narrow, chat("demo/echo"))).await.remedy, Remedy::NewKey);
    }
);

on_both!(
    async fn what_fails_elsewhere_is_named_although_it_passes_here(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let secret = issued.secret.reveal();
        let request = Described {
            place: KeyPlace::XApiKey,
            origin: "https://app.example.com".into(),
            base_url: "https://desk.example.com".into(),
            ..chat("demo/echo")
        };
        let (examined, causes) = ask(&desk, &at, &Question { secret, request, ..Question::default() }).await;
        assert_eq!(examined.diagnosis.stop, None);
        let sentences: Vec<&str> = causes.iter().map(|cause| cause.sentence.as_str()).collect();
        assert!(sentences[0].contains("address of the dashboard"), "{sentences:?}");
        assert!(sentences[1].contains("OpenAI itself would answer 401"), "{sentences:?}");
        assert!(sentences[2].contains("A browser sends this request"), "{sentences:?}");
    }
);

on_both!(
    async fn a_secret_that_is_not_theirs_to_see_is_an_unknown_one(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let unknown = PlainSecret::mint("sk-desk-", &mut |bytes| desk.random.fill(bytes)).unwrap();
        let other = desk.other_org("Elsewhere", "UTC").await;
        let member = desk.member(&at, OrgRole::Member).await;
        for stranger in [&other, &member] {
            let told = async |secret: &str| {
                let (examined, causes) = ask(
                    &desk,
                    stranger,
                    &Question { secret, request: chat("nothing"), ..Question::default() },
                )
                .await;
                assert!(examined.key.is_none() && examined.contacts.is_empty());
                (format!("{:?}", examined.diagnosis.stop), examined.diagnosis.key.is_none(), causes)
            };
            assert_eq!(told(issued.secret.reveal()).await, told(unknown.reveal()).await);
            let picked = find_picked(&desk, &stranger.caller, &stranger.org.slug, issued.id.as_str()).await;
            assert!(matches!(picked, Err(OpError::NotFound)));
            assert!(
                find_keys(&desk, &stranger.caller, &stranger.org.slug, "ci-prod").await.unwrap().is_empty()
            );
        }
        let (examined, _) = ask(
            &desk,
            &at,
            &Question { secret: issued.secret.reveal(), request: chat("nothing"), ..Question::default() },
        )
        .await;
        assert_eq!(examined.key.unwrap().id, issued.id);
    }
);

on_both!(
    async fn looks_of_support_are_recorded_and_secrets_count_as_searches(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let looks =
            async || desk.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'support.accessed'").await;
        let before = looks().await;
        let (examined, _) = ask(
            &desk,
            &support,
            &Question { secret: issued.secret.reveal(), request: chat("gpt-5"), ..Question::default() },
        )
        .await;
        assert!(examined.key.is_some());
        assert_eq!(looks().await, before + 1);
        assert_eq!(find_keys(&desk, &support.caller, &at.org.slug, "ci-prod").await.unwrap().len(), 1);
        assert_eq!(looks().await, before + 2);
        for _ in 0..60 {
            admit(&desk, &support.caller, &at.org.slug).await.unwrap();
        }
        let refused = admit(&desk, &support.caller, &at.org.slug).await;
        assert!(matches!(refused, Err(OpError::TooMany { .. })));
        for _ in 0..10 {
            admit_public(&desk, "2001:db8::7").await.unwrap();
        }
        // A customer's whole network counts as one.
        assert!(matches!(admit_public(&desk, "2001:db8::8").await, Err(OpError::TooMany { .. })));
        admit_public(&desk, "203.0.113.8").await.unwrap();
    }
);
