//! A secret that leaked: found by pasting it, told with its use, and ended in one step.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::leak::{LeakAction, LeakResponse, SecretState, secrets_in};
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::rotation::GracePeriod;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys::{self, Found, HandledLeak, IssuedKey, SecretView};
use keydesk_core::ops::leaks::{ScannedSecret, respond, scan};

use crate::support::*;

/// The page that pasting the secret leads to.
async fn pasted(desk: &TestDesk, at: &At, issued: &IssuedKey) -> SecretView {
    let text = Hidden::new(issued.secret.reveal());
    let found = keys::search(desk, &at.caller, &at.org.slug, &text).await.unwrap();
    let Found::Secret(key, secret) = found else { panic!("no secret was found") };
    assert_eq!(key, issued.id);
    keys::secret(desk, &at.caller, &at.org.slug, key.as_str(), secret.as_str()).await.unwrap()
}

async fn report(
    desk: &TestDesk,
    at: &At,
    view: &SecretView,
    action: LeakAction,
) -> Result<HandledLeak, OpError> {
    let key = (at.org.slug.as_str(), view.key.id.as_str());
    keys::report_leak(desk, &at.caller, key, view.secret.id.as_str(), action).await
}

async fn rotate(desk: &TestDesk, at: &At, issued: &IssuedKey, grace: GracePeriod) -> IssuedKey {
    let from = desk.secret_id(issued).await;
    let key = (at.org.slug.as_str(), issued.id.as_str());
    keys::rotate(desk, &at.caller, key, from.as_str(), grace).await.unwrap()
}

async fn kinds(desk: &TestDesk) -> Vec<String> {
    desk.texts("SELECT kind FROM audit_events WHERE subject_id LIKE 'key_%' AND kind <> 'support.accessed' ORDER BY at, seq").await
}

async fn scanned(desk: &TestDesk, text: &str) -> Vec<ScannedSecret> {
    scan(desk, &secrets_in(text)).await.unwrap()
}

on_both!(
    fn a_leaked_current_secret_is_replaced_at_once(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        let mut usage = desk.usage(&at, &old, 1_000, desk.now()).await;
        for address in ["198.51.100.4", "203.0.113.7", "203.0.113.7"] {
            usage.request = keydesk_core::domain::ids::RequestId::new(desk.now(), desk.id_entropy());
            usage.address = address.into();
            usage.started_at = desk.now();
            record(&desk, &usage).await.unwrap();
            desk.clock.advance(1_000);
        }
        let view = pasted(&desk, &at, &old).await;
        assert_eq!((view.secret.state, view.works()), (SecretState::Current, true));
        assert_eq!(view.actions, [LeakAction::Rotate, LeakAction::Revoke]);
        let uses: Vec<_> = view.secret.uses.iter().map(|one| (one.address.as_str(), one.requests)).collect();
        assert_eq!(uses, [("203.0.113.7", 2), ("198.51.100.4", 1)]);

        let done = report(&desk, &at, &view, LeakAction::Rotate).await.unwrap();
        let new = done.issued.unwrap();
        assert_eq!((done.key.as_str(), new.id == old.id), ("ci-prod", true));
        assert_eq!(kinds(&desk).await, ["key.created", "key.secret_leaked", "key.rotated"]);
        let view = pasted(&desk, &at, &old).await;
        assert_eq!((view.secret.state, view.works()), (SecretState::Ended(desk.now()), false));
        assert!(view.actions.is_empty());
        assert!(pasted(&desk, &at, &new).await.works());
        // Nothing more can be done about it.
        assert_eq!(refused(report(&desk, &at, &view, LeakAction::Rotate).await).0, "action");
        assert_eq!(kinds(&desk).await.len(), 3);
    }
);

on_both!(
    fn of_two_secrets_the_leaked_one_ends_and_the_other_goes_on(desk: TestDesk) {
        let at = desk.owner().await;
        for leaked_is_new in [false, true] {
            let old = desk.create_key(&at, &format!("key {leaked_is_new}")).await;
            let new = rotate(&desk, &at, &old, GracePeriod::Hours(24)).await;
            let usage = desk.usage(&at, &new, 1_000, desk.now()).await;
            record(&desk, &usage).await.unwrap();
            let secret = desk.secret_id(&new).await;
            desk.execute(&format!("UPDATE key_secrets SET first_used_at = 1 WHERE id = '{secret}'"))
                .await
                .unwrap();
            let (leaked, other) = if leaked_is_new { (&new, &old) } else { (&old, &new) };
            let view = pasted(&desk, &at, leaked).await;
            assert_eq!(view.actions, [LeakAction::EndSecret, LeakAction::Revoke]);
            report(&desk, &at, &view, LeakAction::EndSecret).await.unwrap();
            assert!(!pasted(&desk, &at, leaked).await.works());
            let view = pasted(&desk, &at, other).await;
            assert_eq!((view.secret.state, view.works()), (SecretState::Current, true));
        }
    }
);

on_both!(
    fn one_confirmation_revokes_a_key_that_is_in_use(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        desk.execute(&format!("UPDATE keys SET last_used_at = {}", desk.now().ms())).await.unwrap();
        let view = pasted(&desk, &at, &key).await;
        report(&desk, &at, &view, LeakAction::Revoke).await.unwrap();
        assert_eq!(kinds(&desk).await, ["key.created", "key.secret_leaked", "key.revoked"]);
        let view = pasted(&desk, &at, &key).await;
        assert_eq!((view.secret.state, view.works(), view.actions.len()), (SecretState::Current, false, 0));
    }
);

on_both!(
    fn who_may_not_change_the_key_is_told_whom_to_tell(desk: TestDesk) {
        let at = desk.owner().await;
        let member = desk.member(&at, OrgRole::Member).await;
        let team = desk.team(&at, "Web").await;
        desk.join(&at, &team, false).await;
        desk.join(&member, &team, false).await;
        let form = KeyForm { team: team.id.to_string(), ..form("ci-prod") };
        let key = desk.create(&at, form).await.unwrap();
        let text = Hidden::new(key.secret.reveal());
        let found = keys::search(&desk, &member.caller, &at.org.slug, &text).await.unwrap();
        assert!(matches!(found, Found::NoSuchSecret(_)), "another person's key is not there");

        let support = desk.platform(&at, PlatformRole::Support).await;
        let view = pasted(&desk, &support, &key).await;
        assert!(view.works() && view.actions.is_empty());
        let names: Vec<&str> = view.contacts.iter().map(|contact| contact.name.as_str()).collect();
        assert_eq!(names, [at.caller.person.name.as_str()], "the owner, once");
        assert!(report(&desk, &support, &view, LeakAction::Revoke).await.is_err());

        // Another person's key needs a fresh proof, and a stale caller leaves no report.
        let admin = desk.member(&at, OrgRole::Admin).await;
        let view = pasted(&desk, &admin, &key).await;
        desk.clock.advance(11 * MINUTE);
        let refused = report(&desk, &admin, &view, LeakAction::Rotate).await;
        assert!(matches!(refused, Err(OpError::ReauthRequired)));
        assert_eq!(kinds(&desk).await, ["key.created"]);
    }
);

on_both!(
    fn a_scanner_takes_keys_out_of_use_once(desk: TestDesk) {
        let at = desk.owner().await;
        let keys = ["notify", "disable", "revoke"];
        let responses = [LeakResponse::Notify, LeakResponse::Disable, LeakResponse::Revoke];
        for (name, response) in keys.into_iter().zip(responses) {
            let key = desk.create_key(&at, name).await;
            let text = format!(
                "KEY={0}\n{0} {1}",
                key.secret.reveal(),
                "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE"
            );
            let found = scanned(&desk, &text).await;
            assert_eq!(found.len(), 2, "each once");
            assert!(found[1].known.is_none());
            let known = found[0].known.as_ref().unwrap();
            assert!(known.works);
            let place = "https://git.example/a/b";
            let changed = respond(&desk, &known.place, response, place, "secret scanning").await.unwrap();
            assert_eq!(changed, response != LeakResponse::Notify, "{name}");
            let again = respond(&desk, &known.place, response, "", "secret scanning").await.unwrap();
            assert!(!again, "{name}");
            let works = scanned(&desk, &text).await[0].known.as_ref().unwrap().works;
            assert_eq!(works, response == LeakResponse::Notify);
        }
        let reports = "SELECT COUNT(*) FROM audit_events WHERE kind = 'key.secret_leaked' AND actor_name = 'secret scanning'";
        assert_eq!(desk.number(reports).await, 6);
        let found_at = "SELECT COUNT(*) FROM audit_events WHERE changes LIKE '%https://git.example/a/b%'";
        assert_eq!(desk.number(found_at).await, 3);
        let status = desk.texts("SELECT status FROM keys ORDER BY seq").await;
        assert_eq!(status, ["active", "disabled", "revoked"]);
    }
);

on_both!(
    fn a_place_that_holds_a_secret_is_not_kept(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        let known = scanned(&desk, key.secret.reveal()).await.remove(0).known.unwrap();
        let place = format!("https://git.example/?q={}", key.secret.reveal());
        respond(&desk, &known.place, LeakResponse::Notify, &place, "command line").await.unwrap();
        assert_eq!(
            desk.number("SELECT COUNT(*) FROM audit_events WHERE changes LIKE '%git.example%'").await,
            0
        );
    }
);
