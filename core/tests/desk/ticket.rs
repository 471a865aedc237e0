//! A support ticket: the right key, the true reason, whom to ask, and a reply without a secret.

use keydesk_core::admission::{KnownKey, RejectedRequest, Rejections};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::request_log::RequestFailure;
use keydesk_core::domain::ticket::PastedSecret;
use keydesk_core::forms::ticket::TicketForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::doctor::Urls;
use keydesk_core::ops::support::{TicketAnswer, TicketView, find_pasted, ticket};

use crate::support::*;

fn of(fields: &[(&str, &str)]) -> TicketForm {
    TicketForm::default().map(|name, _| {
        fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, text)| (*text).to_owned())
            .unwrap_or_default()
    })
}

const URLS: Urls<'static> = Urls { gateway: "https://gw.example", desk: "https://desk.example" };

async fn answered(desk: &TestDesk, at: &At, fields: &[(&str, &str)]) -> TicketAnswer {
    let view = ticket(desk, &at.caller, Some(&of(fields).parse().unwrap()), URLS).await.unwrap();
    *view.answer.unwrap_or_else(|| panic!("no answer: {:?}", view.nothing))
}

on_both!(
    fn a_ticket_has_the_doctors_verdict(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let id = issued.id.as_str();
        desk.disable(&at, &issued).await.unwrap();
        let answer = answered(&desk, &support, &[("key", id)]).await;
        let verdict = answer.verdict.unwrap();
        assert!(verdict.contains("was disabled") && answer.reply.contains(&verdict), "{verdict}");
        desk.enable(&at, &issued).await.unwrap();
        assert_eq!(answered(&desk, &support, &[("key", id)]).await.verdict, None);
        let doubled = [("key", id), ("base_url", "https://gw.example/v1/v1")];
        assert!(answered(&desk, &support, &doubled).await.verdict.unwrap().contains("/v1"));
    }
);

on_both!(
    fn a_ticket_names_the_key_and_the_reason(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let served = desk.usage(&at, &issued, 5, desk.now()).await;
        record(&desk, &served).await.unwrap();
        let noted = Rejections::default();
        let id = RequestId::new(desk.now(), desk.id_entropy());
        let request =
            RejectedRequest { model: "o3", request_id: id.to_string(), ..RejectedRequest::default() };
        let key = KnownKey { key: issued.id.clone(), org: at.org.id.clone() };
        noted.note_failure(&key, RequestFailure::ModelNotServed, &request, desk.now());
        noted.flush(&desk.db).await.unwrap();
        let then = desk.now();
        let clock = then.exact(&at.org.zone);
        desk.clock.advance(2 * 3_600_000);

        let not_served =
            "The request for the model o3 failed with status 503: No provider serves this model.";
        let by_request = answered(&desk, &support, &[("request", id.as_str())]).await;
        assert_eq!(by_request.reason, not_served);
        assert_eq!((by_request.around, by_request.is_near, by_request.entries.len()), (Some(then), true, 2));
        let answer = answered(&desk, &support, &[("request", served.request.as_str())]).await;
        assert_eq!(answer.reason, "The request for the model gpt-5 was answered with status 200.");

        // By name, hint and id, at about the time.
        let hint = format!("sk-…{}", by_request.key.last_four);
        let time = format!("{} {}", moment_day(&desk, &at), then.time(&at.org.zone));
        for name in ["ci-prod", hint.as_str(), issued.id.as_str()] {
            let answer = answered(&desk, &support, &[("key", name), ("model", "o3"), ("time", &time)]).await;
            assert_eq!((answer.reason.as_str(), answer.entries.len()), (not_served, 1), "{name}");
            let any = answered(&desk, &support, &[("key", name), ("model", "03"), ("time", &time)]).await;
            assert_eq!(any.entries.len(), 2, "of any model where none is of this one");
        }
        // At another time.
        let now = answered(
            &desk,
            &support,
            &[("key", "ci-prod"), ("time", &desk.now().time(&at.org.zone)), ("models_work", "no")],
        )
        .await;
        assert!(!now.is_near && now.entries.len() == 2);
        assert!(
            now.reason.starts_with("No request of this key arrived near that time. GET /v1/models fails too"),
            "{}",
            now.reason
        );
        desk.disable(&at, &issued).await.unwrap();
        let disabled = answered(&desk, &support, &[("key", "ci-prod")]).await;
        assert!(
            disabled.reason.ends_with("The key is disabled, so requests with it are rejected."),
            "{}",
            disabled.reason
        );

        // The reply can leave.
        let reply = &by_request.reply;
        let contact = &by_request.contacts[0];
        for part in [not_served, "Key: ci-prod (sk-…", &clock, &contact.name, &contact.email] {
            assert!(reply.contains(part), "{part} is not in {reply}");
        }
        assert!(by_request.verdict.is_none());
    }
);

/// The day of the desk's clock, as people write it.
fn moment_day(desk: &TestDesk, at: &At) -> String {
    keydesk_core::domain::moment::Day::of(desk.now(), &at.org.zone).to_string()
}

on_both!(
    fn a_request_whose_id_was_not_kept_still_tells_its_time(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let lost = RequestId::new(desk.now(), desk.id_entropy());
        let then = desk.now();
        record(&desk, &desk.usage(&at, &issued, 5, then).await).await.unwrap();
        desk.clock.advance(3_600_000);
        let view =
            ticket(&desk, &support.caller, Some(&of(&[("request", lost.as_str())]).parse().unwrap()), URLS)
                .await
                .unwrap();
        assert!(view.nothing.is_some() && view.answer.is_none());
        let answer = answered(&desk, &support, &[("request", lost.as_str()), ("key", "ci-prod")]).await;
        assert_eq!((answer.around, answer.is_near), (Some(then), true));
    }
);

on_both!(
    fn several_keys_are_offered_and_wrong_fields_are_named(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Elsewhere", "UTC").await;
        for who in [&at, &other] {
            desk.create_key(who, "shared-name").await;
        }
        let support = desk.platform(&at, PlatformRole::Support).await;
        let view = async |fields: &[(&str, &str)]| -> TicketView {
            ticket(&desk, &support.caller, Some(&of(fields).parse().unwrap()), URLS).await.unwrap()
        };
        let two = view(&[("key", "shared-name")]).await;
        assert!(two.answer.is_none());
        assert_eq!(two.candidates.len(), 2);
        assert!(view(&[("key", "nothing-like-it")]).await.nothing.is_some());
        let wrong = of(&[("request", "req_1"), ("time", "3 pm"), ("zone", "Mars")]).parse().unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["request", "time", "zone"]);
        assert_eq!(of(&[("model", "o3")]).parse().unwrap_err()[0].field, "request");
    }
);

on_both!(
    fn a_secret_in_a_ticket_leads_to_its_key_and_goes_nowhere_else(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let secret = issued.secret.reveal();
        for field in ["request", "key", "model", "time", "zone", "endpoint", "base_url", "client"] {
            let form = of(&[(field, &format!("Bearer {secret}"))]);
            let (key, sentence) = find_pasted(&desk, &support.caller, &form.pasted()).await.unwrap();
            assert_eq!((key.as_ref(), sentence.is_some()), (Some(&issued.id), true));
            // Put into the address by hand, it is not read at all.
            assert!(form.shown().is_empty());
        }
        assert!(!desk.dump().await.contains(secret));
        let looks =
            "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'support.accessed'";
        assert_eq!(desk.number(looks).await, 1, "one look at one key in a minute");
    }
);

on_both!(
    fn only_support_answers_tickets(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        let read = of(&[("key", "ci-prod")]).parse().unwrap();
        for who in [&at, &operator, &admin] {
            assert!(matches!(ticket(&desk, &who.caller, Some(&read), URLS).await, Err(OpError::NotFound)));
            assert!(matches!(
                find_pasted(&desk, &who.caller, &PastedSecret::None).await,
                Err(OpError::NotFound)
            ));
        }
    }
);
