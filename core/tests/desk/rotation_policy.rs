//! When keys are due for rotation, and keys that rotate themselves.

use keydesk_core::admission::{AuthContext, LastUsed, Presented, authenticate};
use keydesk_core::domain::key_filter::{KeyFilter, SecretAge, Sort, StateFilter};
use keydesk_core::domain::policy::{OrgRole, Origin};
use keydesk_core::domain::rotation::{GracePeriod, HOUR_MS, SecretEnd};
use keydesk_core::forms::key::{EditForm, KeyForm};
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys::{self, IssuedKey, SelfRotation, SelfRotationRejected};

use crate::support::*;

const GRACE: GracePeriod = GracePeriod::Hours(24);

async fn set_policy(desk: &TestDesk, at: &At, days: &str, self_rotation: &str) {
    let view = keydesk_core::ops::orgs::settings(desk, &at.caller, &at.org.slug).await.unwrap();
    let drawn = SettingsForm::of(&view.settings);
    let was = serde_json::to_string(&drawn).unwrap();
    let settings = SettingsForm { rotate_days: days.into(), self_rotation: self_rotation.into(), ..drawn };
    let (org, version) = (at.org.slug.clone(), view.context.org.version);
    let form = SaveForm { org, version, was, settings, ..SaveForm::default() };
    keydesk_core::ops::orgs::save(desk, &at.caller, &form.parse().unwrap()).await.unwrap();
}

async fn create(desk: &TestDesk, at: &At, name: &str, days: &str, itself: bool) -> IssuedKey {
    let self_rotation = if itself { "yes" } else { "" }.into();
    desk.create(at, KeyForm { rotate_days: days.into(), self_rotation, expiry: "never".into(), ..form(name) })
        .await
        .unwrap()
}

async fn names(desk: &TestDesk, at: &At, filter: &KeyFilter) -> Vec<String> {
    let mut names = desk.names(at, filter).await;
    names.sort();
    names
}

async fn due(desk: &TestDesk, at: &At) -> Vec<String> {
    let due = KeyFilter::in_state(StateFilter::RotationDue);
    let names = names(desk, at, &due).await;
    let view = keys::list(desk, &at.caller, &at.org.slug, &everything()).await.unwrap();
    assert_eq!(view.counts.unwrap().of(StateFilter::RotationDue), names.len() as i64);
    // Rows say the same as the filter.
    let rows = view.page.rows.iter();
    let rows = rows.filter(|key| key.rotation_due(&view.context.org.rules, view.now).is_some());
    let mut said: Vec<String> = rows.map(|key| key.name.clone()).collect();
    said.sort();
    assert_eq!(said, names);
    names
}

async fn rotate(desk: &TestDesk, at: &At, key: &IssuedKey) -> IssuedKey {
    let view = keys::rotation(desk, &at.caller, &at.org.slug, key.id.as_str()).await.unwrap();
    let place = (at.org.slug.as_str(), key.id.as_str());
    keys::rotate(desk, &at.caller, place, view.secrets.current.id.as_str(), GRACE).await.unwrap()
}

on_both!(
    fn a_key_is_due_by_its_own_period_or_its_organisations(desk: TestDesk) {
        let at = desk.owner().await;
        let member = desk.member(&at, OrgRole::Member).await;
        let start = desk.now();
        let own = create(&desk, &at, "own-30", "30", false).await;
        create(&desk, &at, "own-200", "200", false).await;
        create(&desk, &at, "by-org", "", false).await;
        let gone = create(&desk, &at, "gone", "1", false).await;
        desk.revoke(&at, &gone, "gone").await.unwrap();
        assert_eq!(due(&desk, &at).await, [""; 0]);
        // To the millisecond.
        desk.clock.set(start.plus_days(30).plus_ms(-1));
        assert_eq!(due(&desk, &at).await, [""; 0]);
        desk.clock.set(start.plus_days(30));
        assert_eq!(due(&desk, &at).await, ["own-30"]);
        desk.clock.set(start.plus_days(90).plus_ms(-1));
        set_policy(&desk, &at, "90", "by_key").await;
        assert_eq!(due(&desk, &at).await, ["own-30"]);
        desk.clock.advance(1);
        assert_eq!(due(&desk, &at).await, ["by-org", "own-30"]);
        // A member is not told of other people's keys.
        assert_eq!(due(&desk, &member).await, [""; 0]);
        let give = async |to: &At| {
            let sql = format!("UPDATE keys SET owner_id = '{}' WHERE name <> 'by-org'", to.caller.person.id);
            desk.execute(&sql).await.unwrap();
        };
        give(&member).await;
        assert_eq!(due(&desk, &member).await, ["own-30"]);
        give(&at).await;

        rotate(&desk, &at, &own).await;
        assert_eq!(due(&desk, &at).await, ["by-org"]);
        let place = (at.org.slug.as_str(), own.id.as_str());
        let view = keys::rotation(&desk, &at.caller, place.0, place.1).await.unwrap();
        assert_eq!(view.key.secret_created_at, desk.now());
        keys::undo_rotation(&desk, &at.caller, place, view.secrets.previous.unwrap().id.as_str())
            .await
            .unwrap();
        assert_eq!(due(&desk, &at).await, ["by-org", "own-30"], "the old secret is back, with its age");
        set_policy(&desk, &at, "", "by_key").await;
        assert_eq!(due(&desk, &at).await, ["own-30"]);
        let view = keys::edit_form(&desk, &at.caller, place.0, place.1).await.unwrap();
        let key = view.key.unwrap();
        let drawn = KeyForm::of(&key.spec(), &view.models);
        let was = serde_json::to_string(&drawn).unwrap();
        let form = EditForm {
            org: place.0.into(),
            id: place.1.into(),
            version: key.version,
            was,
            key: KeyForm { rotate_days: "3,650".into(), self_rotation: "yes".into(), ..drawn },
        };
        keys::edit(&desk, &at.caller, &form.parse().unwrap()).await.unwrap();
        assert_eq!(due(&desk, &at).await, [""; 0]);
        let said = desk.texts("SELECT changes FROM audit_events WHERE kind = 'key.edited'").await.concat();
        assert!(said.contains("rotate_days") && said.contains("self_rotation"), "{said}");
    }
);

on_both!(
    fn keys_are_listed_by_the_age_of_their_secret(desk: TestDesk) {
        let at = desk.owner().await;
        let old = create(&desk, &at, "old", "", false).await;
        desk.clock.advance(100 * DAY);
        create(&desk, &at, "newer", "", false).await;
        let older = |age| KeyFilter { older: Some(age), ..everything() };
        assert_eq!(names(&desk, &at, &older(SecretAge::Quarter)).await, ["old"]);
        assert_eq!(names(&desk, &at, &older(SecretAge::Half)).await, [""; 0]);
        desk.clock.advance(100 * DAY);
        assert_eq!(names(&desk, &at, &older(SecretAge::Quarter)).await, ["newer", "old"]);
        assert_eq!(names(&desk, &at, &older(SecretAge::Half)).await, ["old"]);
        let by_age = KeyFilter { sort: Sort::Rotated, descending: false, ..everything() };
        assert_eq!(desk.names(&at, &by_age).await, ["old", "newer"]);
        rotate(&desk, &at, &old).await;
        assert_eq!(desk.names(&at, &by_age).await, ["newer", "old"]);
        assert_eq!(names(&desk, &at, &older(SecretAge::Quarter)).await, ["newer"]);
    }
);

async fn knock(desk: &TestDesk, secret: &str) -> AuthContext {
    let mut presented = Presented::default();
    presented.bare(secret.as_bytes());
    authenticate(desk, &presented, None).await.unwrap()
}

async fn works(desk: &TestDesk, secret: &str) -> bool {
    let mut presented = Presented::default();
    presented.bare(secret.as_bytes());
    authenticate(desk, &presented, None).await.is_ok()
}

async fn used(desk: &TestDesk, secret: &str) {
    let context = knock(desk, secret).await;
    let last_used = LastUsed::default();
    last_used.note(context.key(), context.secret(), desk.now());
    last_used.flush(&desk.db).await.unwrap();
}

async fn itself(
    desk: &TestDesk,
    secret: &str,
    repeat: &str,
    grace: GracePeriod,
) -> Result<SelfRotation, SelfRotationRejected> {
    let origin = Origin { address: "203.0.113.7".into(), request_id: "req_1".into() };
    keys::rotate_itself(desk, &knock(desk, secret).await, origin, repeat, grace).await
}

fn is_conflict(result: &Result<SelfRotation, SelfRotationRejected>, words: &str) -> bool {
    matches!(result, Err(SelfRotationRejected::Conflict(sentence)) if sentence.contains(words))
}

on_both!(
    fn a_key_rotates_itself_where_that_is_allowed(desk: TestDesk) {
        let at = desk.owner().await;
        let no = create(&desk, &at, "no", "", false).await;
        let denied = itself(&desk, no.secret.reveal(), "", GRACE).await;
        let Err(SelfRotationRejected::NotAllowed { contacts }) = denied else { panic!("{denied:?}") };
        assert_eq!(contacts, [at.caller.person.name.as_str()]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 1);

        let key = create(&desk, &at, "ci-prod", "", true).await;
        let rotated = itself(&desk, key.secret.reveal(), "", GRACE).await.unwrap();
        let end = desk.now().plus_ms(24 * HOUR_MS);
        assert_eq!(rotated.previous_end, SecretEnd::At(end));
        assert!(works(&desk, key.secret.reveal()).await && works(&desk, rotated.secret.reveal()).await);
        desk.clock.set(end.plus_ms(-1));
        assert!(works(&desk, key.secret.reveal()).await);
        desk.clock.set(end);
        assert!(!works(&desk, key.secret.reveal()).await);

        // The audit names the key and the request, and no secret.
        let id = key.id.as_str();
        let of = format!("FROM audit_events WHERE kind = 'key.rotated' AND subject_id = '{id}'");
        for (column, value) in
            [("actor_id", id), ("actor_name", "ci-prod"), ("address", "203.0.113.7"), ("request_id", "req_1")]
        {
            assert_eq!(desk.texts(&format!("SELECT {column} {of}")).await, [value]);
        }
        let view = keys::show(&desk, &at.caller, &at.org.slug, id).await.unwrap();
        let said = keydesk_core::domain::audit_words::sentence(&view.history[0], &at.org.zone);
        assert!(said.starts_with("The key ci-prod rotated itself from sk-…"), "{said}");
        assert!(
            !desk.texts(&format!("SELECT changes {of}")).await[0].contains(&rotated.secret.reveal()[8..30])
        );

        // The organisation may allow it for every key.
        set_policy(&desk, &at, "", "every_key").await;
        let ended = itself(&desk, no.secret.reveal(), "", GracePeriod::None).await.unwrap();
        assert_eq!(ended.previous_end, SecretEnd::At(desk.now()));
        assert!(!works(&desk, no.secret.reveal()).await && works(&desk, ended.secret.reveal()).await);
    }
);

on_both!(
    fn a_lost_answer_can_be_asked_for_again(desk: TestDesk) {
        let at = desk.owner().await;
        let key = create(&desk, &at, "ci-prod", "", true).await;
        let old = key.secret.reveal();
        let lost = itself(&desk, old, "try-1", GRACE).await.unwrap();
        let end = lost.previous_end;
        let again = itself(&desk, old, "try-1", GRACE).await;
        assert!(matches!(again, Err(SelfRotationRejected::TooSoon { retry_after_s: 2 })), "{again:?}");
        // Another program with the old secret takes nothing away from the first one.
        desk.clock.advance(HOUR_MS);
        assert!(is_conflict(&itself(&desk, old, "try-2", GRACE).await, "replaced this secret by"));
        assert!(is_conflict(&itself(&desk, old, "", GRACE).await, "replaced this secret by"));
        let again = itself(&desk, old, "try-1", GracePeriod::None).await.unwrap();
        assert_eq!(again.previous_end, end, "its end stays");
        assert!(works(&desk, old).await && works(&desk, again.secret.reveal()).await);
        assert!(!works(&desk, lost.secret.reveal()).await);
        // Once the new one is in use, someone saw it.
        used(&desk, again.secret.reveal()).await;
        desk.clock.advance(HOUR_MS);
        assert!(is_conflict(&itself(&desk, old, "try-1", GRACE).await, "replaced this secret by"));
        assert!(is_conflict(&itself(&desk, again.secret.reveal(), "try-3", GRACE).await, "in progress"));
        desk.clock.advance(24 * HOUR_MS);
        itself(&desk, again.secret.reveal(), "try-3", GRACE).await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 4);
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets WHERE made_with LIKE '%try%'").await, 0);
    }
);

on_both!(
    fn a_secret_that_a_person_made_is_not_replaced_by_a_program(desk: TestDesk) {
        let at = desk.owner().await;
        let key = create(&desk, &at, "ci-prod", "", true).await;
        let new = rotate(&desk, &at, &key).await;
        desk.clock.advance(HOUR_MS);
        let taken = itself(&desk, key.secret.reveal(), "", GRACE).await;
        assert!(is_conflict(&taken, "replaced this secret by"), "{taken:?}");
        assert!(works(&desk, new.secret.reveal()).await);
    }
);

on_both!(
    fn a_key_rotates_itself_once_a_minute(desk: TestDesk) {
        let at = desk.owner().await;
        let key = create(&desk, &at, "ci-prod", "", true).await;
        let one = itself(&desk, key.secret.reveal(), "", GracePeriod::None).await.unwrap();
        desk.clock.advance(59_001);
        let soon = itself(&desk, one.secret.reveal(), "", GracePeriod::None).await;
        assert!(matches!(soon, Err(SelfRotationRejected::TooSoon { retry_after_s: 1 })), "{soon:?}");
        desk.clock.advance(999);
        itself(&desk, one.secret.reveal(), "", GracePeriod::None).await.unwrap();
    }
);

on_both!(
    fn many_programs_that_rotate_one_key_make_one_secret(desk: TestDesk) {
        let at = desk.owner().await;
        let key = create(&desk, &at, "ci-prod", "", true).await;
        let old = key.secret.reveal();
        let tries = ["a", "b", "c", "d"].map(|repeat| itself(&desk, old, repeat, GRACE));
        let [a, b, c, d] = tries;
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        assert_eq!([a, b, c, d].iter().filter(|made| made.is_ok()).count(), 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 2);
    }
);

on_both!(
    fn a_key_that_was_taken_out_of_use_meanwhile_does_not_rotate_itself(desk: TestDesk) {
        let at = desk.owner().await;
        let key = create(&desk, &at, "ci-prod", "", true).await;
        let context = knock(&desk, key.secret.reveal()).await;
        keys::disable(&desk, &at.caller, &at.org.slug, key.id.as_str()).await.unwrap();
        let late = keys::rotate_itself(&desk, &context, Origin::default(), "", GRACE).await;
        assert!(is_conflict(&late, "out of use"), "{late:?}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 1);
    }
);

on_both!(
    fn every_change_of_another_persons_secrets_asks_for_a_password(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "theirs").await;
        rotate(&desk, &at, &key).await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        desk.clock.advance(HOUR_MS);
        let place = (at.org.slug.as_str(), key.id.as_str());
        let view = keys::rotation(&desk, &admin.caller, place.0, place.1).await.unwrap();
        let previous = view.secrets.previous.unwrap().id;
        let id = previous.as_str();
        let asked = [
            keys::end_previous(&desk, &admin.caller, place, id).await,
            keys::set_previous_end(&desk, &admin.caller, place, id, GRACE).await,
            keys::undo_rotation(&desk, &admin.caller, place, id).await,
        ];
        for answer in asked {
            assert!(matches!(answer, Err(OpError::ReauthRequired)), "{answer:?}");
        }
        // Its owner is not asked, however long ago they signed in.
        keys::set_previous_end(&desk, &at.caller, place, id, GRACE).await.unwrap();
        keys::end_previous(&desk, &at.caller, place, id).await.unwrap();
    }
);
