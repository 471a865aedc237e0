//! Rotation: the key stays, its secret changes, and the previous one ends when it was said.

use std::net::IpAddr;

use keydesk_core::admission::{AdmissionError, AuthContext, LastUsed, Presented, authenticate};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::policy::{Action, OrgRole, test_permit};
use keydesk_core::domain::rotation::{EndAdvice, GracePeriod, KeySecrets, SecretEnd};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys::{self, Found, IssuedKey};
use keydesk_core::store;

use crate::support::*;

const DAY: GracePeriod = GracePeriod::Hours(24);

async fn knock(desk: &TestDesk, issued: &IssuedKey) -> Result<AuthContext, AdmissionError> {
    let mut presented = Presented::default();
    presented.authorization(format!("Bearer {}", issued.secret.reveal()).as_bytes());
    authenticate(desk, &presented, Some("203.0.113.7".parse::<IpAddr>().unwrap())).await
}

/// A request with the secret, written down as the gateway does it.
async fn used(desk: &TestDesk, issued: &IssuedKey) {
    let context = knock(desk, issued).await.unwrap();
    let last_used = LastUsed::default();
    last_used.note(context.key(), context.secret(), desk.now());
    last_used.flush(&desk.db).await.unwrap();
}

async fn is_retired(desk: &TestDesk, issued: &IssuedKey) -> bool {
    match knock(desk, issued).await {
        Ok(_) => false,
        Err(AdmissionError::Rejected(Rejection::Retired { last_four, .. }, _)) => {
            assert_eq!(last_four, issued.secret.last_four());
            true
        }
        Err(error) => panic!("{error:?}"),
    }
}

async fn secrets(desk: &TestDesk, at: &At, issued: &IssuedKey) -> KeySecrets {
    keys::rotation(desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap().secrets
}

async fn rotate(
    desk: &TestDesk,
    at: &At,
    issued: &IssuedKey,
    grace: GracePeriod,
) -> Result<IssuedKey, OpError> {
    let from = secrets(desk, at, issued).await.current.id;
    rotate_from(desk, at, issued, from.as_str(), grace).await
}

async fn rotate_from(
    desk: &TestDesk,
    at: &At,
    issued: &IssuedKey,
    from: &str,
    grace: GracePeriod,
) -> Result<IssuedKey, OpError> {
    keys::rotate(desk, &at.caller, (&at.org.slug, issued.id.as_str()), from, grace).await
}

/// One current secret, and at most two that work.
async fn assert_bounds(desk: &TestDesk) {
    let current = "SELECT COUNT(*) FROM key_secrets WHERE replaced_at IS NULL";
    let keys = "SELECT COUNT(*) FROM keys";
    assert_eq!(desk.number(current).await, desk.number(keys).await);
    let now = desk.now().ms();
    let most = format!(
        "SELECT COALESCE(MAX(live), 0) FROM (SELECT COUNT(*) AS live FROM gateway_keys_v1
            WHERE secret_expires_at IS NULL OR secret_expires_at > {now} GROUP BY key_id) counted"
    );
    assert!(desk.number(&most).await <= 2);
}

fn is_conflict<T>(result: &Result<T, OpError>, words: &str) -> bool {
    matches!(result, Err(OpError::Conflict(sentence)) if sentence.contains(words))
}

on_both!(
    fn a_rotated_key_keeps_everything_but_its_secret(desk: TestDesk) {
        let at = desk.owner().await;
        let mut limited = form("ci-prod");
        limited.note = "the weekly run".into();
        let old = desk.create(&at, KeyForm { ..limited }).await.unwrap();
        record(&desk, &desk.usage(&at, &old, 5_000_000, desk.now()).await).await.unwrap();
        let before = desk.show(&at, &old).await;

        let new = rotate(&desk, &at, &old, DAY).await.unwrap();
        assert_eq!(new.id, old.id);
        assert_ne!(new.secret.reveal(), old.secret.reveal());
        let after = desk.show(&at, &new).await;
        assert_eq!(after.last_four, new.secret.last_four());
        assert_eq!(
            (after.spec(), after.month_spent, after.version),
            (before.spec(), before.month_spent, before.version)
        );
        let ends = desk.now().plus_ms(24 * HOUR);
        for (issued, replaced, end) in [(&old, true, Some(ends)), (&new, false, None)] {
            let context = knock(&desk, issued).await.unwrap();
            assert_eq!((context.secret_replaced(), context.secret_expires_at()), (replaced, end));
        }
        // To the millisecond.
        desk.clock.set(ends.plus_ms(-1));
        assert!(!is_retired(&desk, &old).await);
        desk.clock.set(ends);
        assert!(is_retired(&desk, &old).await);
        assert!(knock(&desk, &new).await.is_ok());
        assert_eq!(secrets(&desk, &at, &new).await.previous, None);
        let found = keys::search(&desk, &at.caller, &at.org.slug, &Hidden::new(old.secret.reveal())).await;
        assert!(matches!(found, Ok(Found::Secret(id, _)) if id == old.id));
        assert_bounds(&desk).await;
    }
);

on_both!(
    fn a_previous_secret_can_end_at_once_or_with_a_day(desk: TestDesk) {
        let at = desk.owner().await;
        let (one, two) = (desk.create_key(&at, "one").await, desk.create_key(&at, "two").await);
        rotate(&desk, &at, &one, GracePeriod::None).await.unwrap();
        assert!(is_retired(&desk, &one).await);
        let today = Day::of(desk.now(), &at.org.zone);
        rotate(&desk, &at, &two, GracePeriod::Until(today)).await.unwrap();
        desk.clock.set(today.end(&at.org.zone).plus_ms(-2));
        assert!(!is_retired(&desk, &two).await);
        desk.clock.advance(1);
        assert!(is_retired(&desk, &two).await);
        let past = rotate(&desk, &at, &one, GracePeriod::Until(today)).await;
        assert_eq!(refused(past).0, "grace");
        assert_bounds(&desk).await;
    }
);

on_both!(
    fn a_grace_period_can_begin_with_the_first_use_of_the_new_secret(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        used(&desk, &old).await;
        let new = rotate(&desk, &at, &old, GracePeriod::HoursAfterFirstUse(2)).await.unwrap();
        desk.clock.advance(1_000 * HOUR);
        assert!(!is_retired(&desk, &old).await);
        assert_eq!(knock(&desk, &old).await.unwrap().secret_expires_at(), None);
        used(&desk, &new).await;
        let ends = desk.now().plus_ms(2 * HOUR);
        desk.clock.advance(HOUR);
        used(&desk, &new).await;
        assert_eq!(knock(&desk, &old).await.unwrap().secret_expires_at(), Some(ends));
        desk.clock.set(ends.plus_ms(-1));
        assert!(!is_retired(&desk, &old).await);
        desk.clock.set(ends);
        assert!(is_retired(&desk, &old).await);

        // What has ended stays so, although the current secret is a new one that nothing used.
        rotate(&desk, &at, &new, GracePeriod::HoursAfterFirstUse(2)).await.unwrap();
        assert!(is_retired(&desk, &old).await);
        assert!(!is_retired(&desk, &new).await);
        assert_bounds(&desk).await;
    }
);

on_both!(
    fn a_settled_request_is_a_first_use_too(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        let new = rotate(&desk, &at, &old, GracePeriod::HoursAfterFirstUse(2)).await.unwrap();
        desk.clock.advance(HOUR);
        record(&desk, &desk.usage(&at, &new, 1, desk.now()).await).await.unwrap();
        let ends = knock(&desk, &old).await.unwrap().secret_expires_at();
        assert_eq!(ends, Some(desk.now().plus_ms(2 * HOUR)));
    }
);

on_both!(
    fn a_secret_that_was_ended_is_not_extended_by_a_request_that_waited(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        rotate(&desk, &at, &old, DAY).await.unwrap();
        let previous = secrets(&desk, &at, &old).await.previous.unwrap().id;
        let place = (at.org.slug.as_str(), old.id.as_str());
        let mut tx = desk.db.write().await.unwrap();
        store::keys::lock(&mut tx, &at.org.id, &old.id).await.unwrap();
        let end = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            desk.clock.advance(10);
            let permit = test_permit(&at.org.id, Action::RotateKey, old.id.as_str());
            let now = desk.now();
            let ends = SecretEnd::At(now);
            assert!(store::secrets::set_end(&mut tx, &permit, &old.id, &previous, ends, now).await.unwrap());
            tx.save_without_events().await.unwrap();
        };
        let extend = keys::set_previous_end(&desk, &at.caller, place, previous.as_str(), DAY);
        let (extended, ()) = tokio::join!(extend, end);
        assert!(is_conflict(&extended, "does not work any more"), "{extended:?}");
        assert!(is_retired(&desk, &old).await);
    }
);

on_both!(
    fn a_second_click_makes_no_third_secret_and_an_unseen_one_is_replaced(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        used(&desk, &old).await;
        let from = secrets(&desk, &at, &old).await.current.id;
        let unseen = rotate_from(&desk, &at, &old, from.as_str(), DAY).await.unwrap();
        let again = rotate_from(&desk, &at, &old, from.as_str(), DAY).await;
        assert!(is_conflict(&again, "was rotated in the meantime"), "{again:?}");
        assert!(knock(&desk, &unseen).await.is_ok());

        let new = rotate(&desk, &at, &old, GracePeriod::None).await.unwrap();
        assert!(is_retired(&desk, &unseen).await);
        let context = knock(&desk, &old).await.unwrap();
        assert_eq!(context.secret_expires_at(), Some(desk.now().plus_ms(24 * HOUR)), "its end stays");
        used(&desk, &new).await;
        let third = rotate(&desk, &at, &old, DAY).await;
        assert!(is_conflict(&third, "Two secrets of ci-prod are in use"), "{third:?}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 3);
        assert_bounds(&desk).await;
    }
);

on_both!(
    fn a_previous_secret_is_ended_extended_or_taken_back(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        let key = (at.org.slug.as_str(), old.id.as_str());
        let new = rotate(&desk, &at, &old, GracePeriod::Hours(1)).await.unwrap();
        let previous = secrets(&desk, &at, &old).await.previous.unwrap();
        let id = previous.id.as_str();
        keys::set_previous_end(&desk, &at.caller, key, id, DAY).await.unwrap();
        desk.clock.advance(2 * HOUR);
        assert!(!is_retired(&desk, &old).await);

        keys::undo_rotation(&desk, &at.caller, key, id).await.unwrap();
        assert!(is_retired(&desk, &new).await);
        let back = secrets(&desk, &at, &old).await;
        assert_eq!((back.current.hint(), back.previous), (previous.hint(), None));
        assert_eq!(desk.show(&at, &old).await.last_four, old.secret.last_four());
        desk.clock.advance(100 * HOUR);
        assert!(knock(&desk, &old).await.is_ok(), "for good");
        let gone = keys::undo_rotation(&desk, &at.caller, key, id).await;
        assert!(is_conflict(&gone, "does not work any more"), "{gone:?}");

        let newest = rotate(&desk, &at, &old, DAY).await.unwrap();
        let id = secrets(&desk, &at, &old).await.previous.unwrap().id;
        keys::end_previous(&desk, &at.caller, key, id.as_str()).await.unwrap();
        assert!(is_retired(&desk, &old).await);
        let late = keys::set_previous_end(&desk, &at.caller, key, id.as_str(), DAY).await;
        assert!(is_conflict(&late, "does not work any more"), "{late:?}");
        assert!(knock(&desk, &newest).await.is_ok());
        assert_bounds(&desk).await;

        let kinds = desk.texts("SELECT kind FROM audit_events WHERE kind LIKE 'key.%' ORDER BY seq").await;
        let expected =
            ["created", "rotated", "secret_extended", "rotation_undone", "rotated", "secret_ended"];
        assert_eq!(kinds, expected.map(|kind| format!("key.{kind}")));
        let audit = desk.texts("SELECT changes FROM audit_events").await.join("\n");
        for issued in [&old, &new, &newest] {
            let middle = &issued.secret.reveal()[8..30];
            assert!(!audit.contains(middle), "{audit}");
        }
    }
);

on_both!(
    fn who_uses_which_secret_is_seen(desk: TestDesk) {
        let at = desk.owner().await;
        let old = desk.create_key(&at, "ci-prod").await;
        record(&desk, &desk.usage(&at, &old, 1, desk.now()).await).await.unwrap();
        let old_usage = desk.usage(&at, &old, 1, desk.now().plus_ms(10)).await;
        desk.clock.advance(5);
        let new = rotate(&desk, &at, &old, DAY).await.unwrap();
        assert_eq!(secrets(&desk, &at, &old).await.advice(desk.now()), Some(EndAdvice::NewUnused));
        desk.clock.advance(10);
        record(&desk, &old_usage).await.unwrap();
        for _ in 0..3 {
            record(&desk, &desk.usage(&at, &new, 1, desk.now()).await).await.unwrap();
        }
        let seen = secrets(&desk, &at, &old).await;
        let previous = seen.previous.clone().unwrap();
        assert_eq!((seen.current.requests, previous.requests), (3, 1), "since the rotation");
        assert_eq!(seen.current.addresses.len(), 1);
        assert!(matches!(seen.advice(desk.now()), Some(EndAdvice::StillUsed { .. })));
        desk.clock.advance(HOUR);
        let seen = secrets(&desk, &at, &old).await;
        assert!(matches!(seen.advice(desk.now()), Some(EndAdvice::Safe { last: Some(_) })));
    }
);

on_both!(
    fn members_rotate_their_own_keys_and_a_password_is_asked_for_those_of_others(desk: TestDesk) {
        let at = desk.owner().await;
        let theirs = desk.create_key(&at, "theirs").await;
        let member = desk.member(&at, OrgRole::Member).await;
        assert!(matches!(rotate_from(&desk, &member, &theirs, "", DAY).await, Err(OpError::NotFound)));
        let admin = desk.member(&at, OrgRole::Admin).await;
        desk.clock.advance(HOUR);
        let from = secrets(&desk, &at, &theirs).await.current.id;
        let asked = rotate_from(&desk, &admin, &theirs, from.as_str(), DAY).await;
        assert!(matches!(asked, Err(OpError::ReauthRequired)), "{asked:?}");
        rotate(&desk, &at, &theirs, DAY).await.unwrap();

        let gone = desk.create_key(&at, "gone").await;
        let from = secrets(&desk, &at, &gone).await.current.id;
        desk.revoke(&at, &gone, "gone").await.unwrap();
        let revoked = rotate_from(&desk, &at, &gone, from.as_str(), DAY).await;
        assert!(is_conflict(&revoked, "is revoked"), "{revoked:?}");
    }
);

on_both!(
    fn rotations_first_uses_a_revocation_and_an_expiry_at_once_keep_the_bounds(desk: TestDesk) {
        let at = desk.owner().await;
        for round in 0..4 {
            let expires = KeyForm { expiry: "7".into(), ..form(&format!("key {round}")) };
            let key = desk.create(&at, expires).await.unwrap();
            let new = rotate(&desk, &at, &key, GracePeriod::HoursAfterFirstUse(1)).await.unwrap();
            let from = secrets(&desk, &at, &key).await.current.id.to_string();
            let place = (at.org.slug.as_str(), key.id.as_str());
            let rotate = || keys::rotate(&desk, &at.caller, place, &from, DAY);
            let end = async {
                match round % 2 {
                    0 => drop(desk.revoke(&at, &key, &format!("key {round}")).await),
                    // What has expired is marked while the others go on.
                    _ => {
                        desk.clock.advance(200 * HOUR);
                        let mut tx = desk.db.write().await.unwrap();
                        store::keys::expire_due(&mut tx, desk.now()).await.unwrap();
                        tx.save_unaudited(store::Unaudited::Expiry).await.unwrap();
                    }
                }
            };
            let first_use = async {
                let Ok(context) = knock(&desk, &new).await else { return };
                let last_used = LastUsed::default();
                last_used.note(context.key(), context.secret(), desk.now());
                last_used.flush(&desk.db).await.unwrap();
            };
            let (a, (), c, ()) = tokio::join!(rotate(), first_use, rotate(), end);
            assert!([a, c].iter().filter(|made| made.is_ok()).count() <= 1, "{round}");
            assert_bounds(&desk).await;
            assert!(
                knock(&desk, &key).await.is_err() && knock(&desk, &new).await.is_err(),
                "the key is over"
            );
        }
    }
);

on_both!(
    fn many_who_rotate_end_and_undo_at_once_leave_one_current_secret(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        let mut secret = key.secret.reveal().to_owned();
        for round in 0..6 {
            let seen = secrets(&desk, &at, &key).await;
            let (from, previous) = (seen.current.id.to_string(), seen.previous.map(|one| one.id.to_string()));
            let place = (at.org.slug.as_str(), key.id.as_str());
            let rotate = || keys::rotate(&desk, &at.caller, place, &from, DAY);
            let undo = async {
                match &previous {
                    Some(id) => keys::undo_rotation(&desk, &at.caller, place, id).await.is_ok(),
                    None => false,
                }
            };
            let end = async {
                match &previous {
                    Some(id) => keys::end_previous(&desk, &at.caller, place, id).await.is_ok(),
                    None => false,
                }
            };
            let (a, b, c, d, undone, _) = tokio::join!(rotate(), rotate(), rotate(), rotate(), undo, end);
            let made: Vec<_> = [a, b, c, d].into_iter().flatten().collect();
            assert!(made.len() <= 1, "{round}: {} secrets were made", made.len());
            assert!(made.len() == 1 || undone || round > 0, "{round}");
            if let Some(new) = made.first() {
                secret = new.secret.reveal().to_owned();
            }
            assert_bounds(&desk).await;
            desk.clock.advance(1);
        }
        assert!(!secret.is_empty());
    }
);
