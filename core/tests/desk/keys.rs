//! What people do with keys, and what must never happen to one.

use keydesk_core::admission::LastUsed;
use keydesk_core::domain::audit::{ChangeValue, EventKind};
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::KeyId;
use keydesk_core::domain::key::{State, Status};
use keydesk_core::domain::key_filter::{KeyFilter, StateFilter};
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::key::{EditForm, KeyForm};
use keydesk_core::forms::parts::{LimitField, LimitFields};
use keydesk_core::ops::edit::EditConflict;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::keys::{Found, IssuedKey};
use keydesk_core::ops::{self, OpError};
use keydesk_core::store;
use keydesk_core::store::Unaudited;
use sha2::{Digest, Sha256};

use crate::support::submit;
use crate::support::*;

async fn search(desk: &TestDesk, at: &At, text: &str) -> Result<Found, OpError> {
    ops::keys::search(desk, &at.caller, &at.org.slug, &Hidden::new(text)).await
}

fn is_key(found: &Result<Found, OpError>, issued: &IssuedKey) -> bool {
    matches!(found, Ok(Found::Key(id) | Found::Secret(id, _)) if *id == issued.id)
}

async fn edit(desk: &TestDesk, at: &At, form: &EditForm) -> Result<Outcome<KeyId, KeyForm>, OpError> {
    submit::edit_key(desk, &at.caller, form).await
}

async fn saved(desk: &TestDesk, at: &At, form: &EditForm) {
    assert!(matches!(edit(desk, at, form).await, Ok(Outcome::Saved(_))));
}

async fn conflict(desk: &TestDesk, at: &At, form: &EditForm) -> Box<EditConflict<KeyForm>> {
    match edit(desk, at, form).await {
        Ok(Outcome::Conflict(conflict)) => conflict,
        Ok(_) => panic!("saved over somebody"),
        Err(error) => panic!("{error:?}"),
    }
}

/// Saves what the page of a clash shows, as it shows it.
async fn save_again(desk: &TestDesk, at: &At, issued: &IssuedKey, conflict: Box<EditConflict<KeyForm>>) {
    let drawn = desk.drawn(at, issued).await;
    saved(desk, at, &EditForm { key: conflict.merged, ..drawn }).await;
}

async fn use_now(desk: &TestDesk, issued: &IssuedKey) {
    let used = LastUsed::default();
    used.note(&issued.id, &desk.secret_id(issued).await, desk.now());
    used.flush(&desk.db).await.unwrap();
}

fn is_conflict<T>(result: &Result<T, OpError>) -> bool {
    matches!(result, Err(OpError::Conflict(_)))
}

fn is_not_found<T>(result: &Result<T, OpError>) -> bool {
    matches!(result, Err(OpError::NotFound))
}

on_both!(
    fn a_new_key_is_found_by_all_that_is_known_of_it(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "another").await;
        let issued = desk.create_key(&at, "Zürich CI-Prod").await;
        assert!(is_key(&search(&desk, &at, issued.id.as_str()).await, &issued));
        assert!(is_key(&search(&desk, &at, issued.secret.reveal()).await, &issued));
        for text in [issued.secret.last_four(), "ci-p", "ZÜR", "zürich ci-prod", "z", "Zü"] {
            assert!(matches!(search(&desk, &at, text).await, Ok(Found::Text(_))), "{text}");
            assert_eq!(desk.search_names(&at, text).await, ["Zürich CI-Prod"], "{text}");
        }
        let key = desk.show(&at, &issued).await;
        assert_eq!((key.state(desk.now()), key.version), (State::Active, 1));
        assert_eq!(key.last_four, issued.secret.last_four());
        assert_eq!(key.created_by, "Ana Petrov");
    }
);

on_both!(
    fn nothing_stored_gives_the_secret_away(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        search(&desk, &at, issued.secret.reveal()).await.unwrap();
        search(&desk, &at, &issued.secret.reveal()[..40]).await.unwrap();
        saved(&desk, &at, &{
            let mut form = desk.drawn(&at, &issued).await;
            form.key.note = "x".into();
            form
        })
        .await;
        use_now(&desk, &issued).await;
        desk.disable(&at, &issued).await.unwrap();
        desk.revoke(&at, &issued, "ci-prod").await.unwrap();

        let whole = issued.secret.reveal();
        let (body, _) = whole.strip_prefix("sk-desk-").unwrap().split_at(32);
        let hash = Sha256::digest(whole);
        let mut dump = desk.dump().await;
        assert!(dump.contains(&hex(&hash)), "the dump must see hashes to be worth anything");
        assert_eq!(desk.bytes_of("SELECT hash FROM key_secrets").await, [hash.to_vec()]);
        if let Some(file) = &desk.file {
            for name in ["desk.db", "desk.db-wal"] {
                let raw = std::fs::read(file.with_file_name(name)).unwrap();
                dump.push_str(&String::from_utf8_lossy(&raw));
            }
        }
        // No six characters in a row, in no spelling of the whole or of its random part.
        let tail = &whole[8..];
        for start in 0..=tail.len() - 6 {
            assert!(!dump.contains(&tail[start..start + 6]), "characters from {start} on are stored");
        }
        for part in [whole, body] {
            assert!(!dump.contains(&hex(part.as_bytes())));
            assert!(part == whole || !dump.contains(&hex(&Sha256::digest(part))));
        }
        assert!(dump.contains(issued.secret.last_four()));
    }
);

on_both!(
    fn a_name_is_taken_while_its_key_lives_and_free_afterwards(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Search").await;
        let first = desk.create_key(&at, "ci-prod").await;
        let in_team = |name: &str| KeyForm { team: team.id.to_string(), ..form(name) };
        for name in ["ci-prod", "CI-Prod", "  ci-prod "] {
            let (field, sentence) = refused(desk.create(&at, form(name)).await);
            assert_eq!(field, "name");
            assert!(sentence.contains("already named"), "{sentence}");
        }
        // Another team is another list of names, and so is another organisation.
        desk.create(&at, in_team("ci-prod")).await.unwrap();
        assert_eq!(refused(desk.create(&at, in_team("CI-PROD")).await).0, "name");
        let other = desk.other_org("Other", "UTC").await;
        desk.create_key(&other, "ci-prod").await;

        desk.disable(&at, &first).await.unwrap();
        assert_eq!(refused(desk.create(&at, form("ci-prod")).await).0, "name");
        desk.revoke(&at, &first, "").await.unwrap();
        desk.create_key(&at, "CI-prod").await;

        // Renaming runs into the same rule.
        let third = desk.create_key(&at, "third").await;
        let mut renamed = desk.drawn(&at, &third).await;
        renamed.key.name = "ci-PROD".into();
        let (field, _) = refused(edit(&desk, &at, &renamed).await.map(|_| ()));
        assert_eq!(field, "name");
        assert_eq!(desk.show(&at, &third).await.version, 1);
    }
);

on_both!(
    fn of_twenty_people_who_create_the_same_name_one_succeeds(desk: TestDesk) {
        let at = desk.owner().await;
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (desk, at) = (desk.clone(), at.clone());
            tries.spawn(async move { desk.create(&at, form("ci-prod")).await.is_ok() });
        }
        let mut made = 0;
        while let Some(done) = tries.join_next().await {
            made += i32::from(done.unwrap());
        }
        assert_eq!(made, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM keys").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 1);
    }
);

on_both!(
    fn an_edit_writes_only_what_changed(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let before = desk.show(&at, &issued).await;
        let mut form = desk.drawn(&at, &issued).await;
        assert!(matches!(edit(&desk, &at, &form).await, Ok(Outcome::Unchanged(_))));
        assert_eq!(desk.show(&at, &issued).await.version, 1);

        form.key.limits.rpm.value = "90".into();
        form.key.addresses = "10.0.0.0/8".into();
        saved(&desk, &at, &form).await;
        let after = desk.show(&at, &issued).await;
        assert_eq!(after.version, 2);
        let mut expected = before.spec();
        expected.limits.rpm = Some(90);
        expected.addresses = after.addresses.clone();
        assert_eq!(after.spec(), expected);
        assert_eq!(after.addresses.lines(), "10.0.0.0/8");

        let view = ops::keys::show(&desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        let event = &view.history[0];
        assert_eq!(event.kind, EventKind::KeyEdited);
        let fields: Vec<&str> = event.changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["addresses", "rpm"]);
        assert_eq!(event.changes[1].before, Some(ChangeValue::Limit(Some(60))));
        assert_eq!(event.changes[1].after, Some(ChangeValue::Limit(Some(90))));
    }
);

on_both!(
    fn a_form_that_says_nothing_of_a_field_does_not_undo_it(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut form = desk.drawn(&at, &issued).await;
        form.key.note = "of the north office".into();
        form.was = "not a form".into();
        assert_eq!(refused(edit(&desk, &at, &form).await.map(|_| ())).0, "name");
        assert_eq!(desk.show(&at, &issued).await.note, "");
    }
);

on_both!(
    fn an_edit_of_what_somebody_else_changed_is_a_clash_that_names_both(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let boris = desk.member(&at, OrgRole::Admin).await;
        let mut late = desk.drawn(&at, &issued).await;
        let mut early = desk.drawn(&boris, &issued).await;
        early.key.limits.rpm.value = "500".into();
        early.key.note = "for the nightly build".into();
        saved(&desk, &boris, &early).await;
        let written = desk.show(&at, &issued).await.spec();

        late.key.limits.rpm.value = "7".into();
        late.key.limits.tpm.value = "5k".into();
        let conflict = conflict(&desk, &at, &late).await;
        assert!(conflict.sentence.starts_with(&boris.caller.person.name), "{}", conflict.sentence);
        let errors: Vec<(&str, String)> =
            conflict.errors.iter().map(|error| (error.field.as_str(), error.problem.to_string())).collect();
        assert_eq!(errors, [("rpm", "Now: 500. You entered: 7.".to_owned())]);
        let now = desk.show(&at, &issued).await;
        assert_eq!((now.spec(), now.version), (written.clone(), 2));

        save_again(&desk, &at, &issued, conflict).await;
        let after = desk.show(&at, &issued).await;
        let mut expected = written;
        expected.limits = Limits { rpm: Some(7), tpm: Some(5_000), ..expected.limits };
        assert_eq!((after.spec(), after.version), (expected, 3));
    }
);

on_both!(
    fn saving_a_clash_keeps_the_other_persons_change_whatever_the_field(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Search").await;
        type Change = fn(&mut KeyForm, &str);
        let changes: [(&str, Change); 8] = [
            ("name", |form, _| form.name = "renamed".into()),
            ("note", |form, _| form.note = "noted".into()),
            ("team", |form, team| form.team = team.into()),
            ("models", |form, _| {
                form.scope = "listed".into();
                form.patterns = "claude-*\ngpt-5".into();
            }),
            ("addresses", |form, _| form.addresses = "203.0.113.7".into()),
            ("budgets", |form, _| {
                form.limits.month = LimitField::none();
                form.limits.total = LimitField::limit("99");
            }),
            ("concurrent", |form, _| form.limits.concurrent = LimitField::none()),
            ("expiry", |form, _| form.expiry = "never".into()),
        ];
        for (at_theirs, (theirs, change_theirs)) in changes.iter().enumerate() {
            for (at_mine, (mine, change_mine)) in changes.iter().enumerate() {
                if theirs == mine {
                    continue;
                }
                let issued = desk.create_key(&at, &format!("key {at_theirs}-{at_mine}")).await;
                let mut late = desk.drawn(&at, &issued).await;
                let mut early = desk.drawn(&at, &issued).await;
                change_theirs(&mut early.key, team.id.as_str());
                saved(&desk, &at, &early).await;
                change_mine(&mut late.key, team.id.as_str());
                let conflict = conflict(&desk, &at, &late).await;
                save_again(&desk, &at, &issued, conflict).await;

                // One after the other, in one form each, must come to the same.
                let twin = desk.create_key(&at, &format!("twin {at_theirs}-{at_mine}")).await;
                for change in [change_theirs, change_mine] {
                    let mut form = desk.drawn(&at, &twin).await;
                    change(&mut form.key, team.id.as_str());
                    if form.key.name == "renamed" {
                        form.key.name = "renamed twin".into();
                    }
                    saved(&desk, &at, &form).await;
                }
                let (mut merged, mut in_turn) =
                    (desk.show(&at, &issued).await.spec(), desk.show(&at, &twin).await.spec());
                assert_eq!(merged.name == "renamed", in_turn.name == "renamed twin");
                (merged.name, in_turn.name) = (String::new(), String::new());
                assert_eq!(merged, in_turn, "theirs: {theirs}, mine: {mine}");
                for done in [&issued, &twin] {
                    desk.revoke(&at, done, "").await.unwrap();
                }
            }
        }
    }
);

on_both!(
    fn an_expiry_chosen_in_a_clash_is_not_lost(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        for (expiry, expires_on, days) in [("7", "", Some(7)), ("never", "", None)] {
            let mut late = desk.drawn(&at, &issued).await;
            let mut early = desk.drawn(&at, &issued).await;
            early.key.note = format!("noted for {expiry}");
            saved(&desk, &at, &early).await;
            late.key.expiry = expiry.into();
            late.key.expires_on = expires_on.into();
            let conflict = conflict(&desk, &at, &late).await;
            save_again(&desk, &at, &issued, conflict).await;
            let key = desk.show(&at, &issued).await;
            assert_eq!(key.expires_at, days.map(|days| desk.now().plus_days(days)));
        }
    }
);

on_both!(
    fn an_expiry_that_somebody_else_changed_is_named_in_the_clash(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut late = desk.drawn(&at, &issued).await;
        let mut early = desk.drawn(&at, &issued).await;
        early.key.expiry = "7".into();
        saved(&desk, &at, &early).await;
        late.key.expiry = "365".into();
        let conflict = conflict(&desk, &at, &late).await;
        assert_eq!(conflict.errors.len(), 1, "{:?}", conflict.errors);
        assert_eq!(conflict.errors[0].field, "expiry");
        assert!(conflict.errors[0].problem.to_string().contains("27 Nov 2026"), "{:?}", conflict.errors);
    }
);

on_both!(
    fn of_many_edits_from_one_version_one_is_saved(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let drawn = serde_json::to_string(&desk.drawn(&at, &issued).await).unwrap();
        let mut edits = tokio::task::JoinSet::new();
        for n in 1..=10 {
            let (desk, at) = (desk.clone(), at.clone());
            let mut form: EditForm = serde_json::from_str(&drawn).unwrap();
            form.key.limits.rpm.value = (n * 100).to_string();
            form.key.patterns = format!("model-{n}");
            form.key.scope = "listed".into();
            edits.spawn(async move { matches!(edit(&desk, &at, &form).await, Ok(Outcome::Saved(_))) });
        }
        let mut won = 0;
        while let Some(done) = edits.join_next().await {
            won += i32::from(done.unwrap());
        }
        assert_eq!(won, 1);
        let key = desk.show(&at, &issued).await;
        assert_eq!(key.version, 2);
        // All of one edit, nothing of another.
        assert_eq!(key.models.summary(), format!("model-{}", key.limits.rpm.unwrap() / 100));
    }
);

on_both!(
    fn a_key_is_disabled_and_enabled_again(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        assert!(is_conflict(&desk.enable(&at, &issued).await));
        assert_eq!(desk.disable(&at, &issued).await.unwrap(), "ci-prod");
        assert_eq!(desk.show(&at, &issued).await.state(desk.now()), State::Disabled);
        assert!(is_conflict(&desk.disable(&at, &issued).await));
        assert_eq!(desk.show(&at, &issued).await.status_by.as_deref(), Some("Ana Petrov"));
        desk.enable(&at, &issued).await.unwrap();
        let key = desk.show(&at, &issued).await;
        assert_eq!((key.state(desk.now()), key.version), (State::Active, 3));
    }
);

on_both!(
    fn revoked_is_final_and_said_once(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let form = desk.drawn(&at, &issued).await;
        assert_eq!(desk.revoke(&at, &issued, "").await.unwrap(), "ci-prod");
        assert!(is_conflict(&desk.revoke(&at, &issued, "").await));
        assert!(is_conflict(&desk.enable(&at, &issued).await));
        assert!(is_conflict(&desk.disable(&at, &issued).await));
        assert!(is_conflict(&edit(&desk, &at, &form).await));
        let slug = &at.org.slug;
        let drawn = ops::keys::edit_form(&desk, &at.caller, slug, issued.id.as_str()).await;
        assert!(is_conflict(&drawn));
        assert!(is_conflict(&ops::keys::revoke_form(&desk, &at.caller, slug, issued.id.as_str()).await));
        // It can still be seen, with its past.
        let view = ops::keys::show(&desk, &at.caller, slug, issued.id.as_str()).await.unwrap();
        assert_eq!(view.key.state(desk.now()), State::Revoked);
        let kinds: Vec<EventKind> = view.history.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::KeyRevoked, EventKind::KeyCreated]);
    }
);

on_both!(
    fn of_two_people_who_revoke_one_learns_that_it_was_done(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (one, two) = tokio::join!(desk.revoke(&at, &issued, ""), desk.revoke(&at, &issued, ""));
        assert!(one.is_ok() != two.is_ok());
        assert!(is_conflict(&one) || is_conflict(&two));
        let told = desk
            .number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'key.revoked'")
            .await;
        assert_eq!(told, 1);
    }
);

on_both!(
    fn a_key_in_use_is_revoked_by_its_name_only(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        use_now(&desk, &issued).await;
        desk.clock.advance(DAY - 1);
        let view = ops::keys::revoke_form(&desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        assert!(view.must_type_name);
        for name in ["", "ci", "CI-prod"] {
            let (field, sentence) = refused(desk.revoke(&at, &issued, name).await);
            assert_eq!(field, "name");
            assert!(sentence.contains("ci-prod"));
        }
        assert_eq!(desk.show(&at, &issued).await.status, Status::Active);
        desk.revoke(&at, &issued, " ci-prod ").await.unwrap();

        let idle = desk.create_key(&at, "idle").await;
        use_now(&desk, &idle).await;
        desk.clock.advance(DAY);
        desk.revoke(&at, &idle, "").await.unwrap();
    }
);

on_both!(
    fn last_use_only_moves_forward(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        use_now(&desk, &issued).await;
        desk.clock.advance(-HOUR);
        use_now(&desk, &issued).await;
        assert_eq!(desk.show(&at, &issued).await.last_used_at, Some(START));
        desk.clock.advance(2 * HOUR);
        use_now(&desk, &issued).await;
        assert_eq!(desk.show(&at, &issued).await.last_used_at, Some(START.plus_ms(HOUR)));
        assert_eq!(desk.show(&at, &issued).await.version, 1);
    }
);

on_both!(
    fn an_expired_key_stays_expired_when_the_clock_steps_back(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create(&at, KeyForm { expiry: "7".into(), ..form("ci-prod") }).await.unwrap();
        let other = desk.create(&at, KeyForm { expiry: "30".into(), ..form("later") }).await.unwrap();
        let drawn = desk.drawn(&at, &issued).await;
        let sweep = async || {
            let mut tx = desk.db.write().await.unwrap();
            let swept = store::keys::expire_due(&mut tx, desk.now()).await.unwrap();
            tx.save_unaudited(Unaudited::Bench).await.unwrap();
            swept
        };
        desk.clock.set(START.plus_days(7).plus_ms(-1));
        assert_eq!(sweep().await, 0);
        assert!(matches!(desk.show(&at, &issued).await.state(desk.now()), State::ExpiresSoon { .. }));
        desk.clock.advance(1);
        assert!(matches!(desk.show(&at, &issued).await.state(desk.now()), State::Expired { .. }));
        assert_eq!(sweep().await, 1);
        assert_eq!(sweep().await, 0);

        desk.clock.set(START.plus_days(1));
        let key = desk.show(&at, &issued).await;
        assert_eq!(key.state(desk.now()), State::Expired { at: START.plus_days(7) });
        assert!(is_conflict(&desk.enable(&at, &issued).await));
        assert!(is_conflict(&desk.disable(&at, &issued).await));
        assert!(is_conflict(&edit(&desk, &at, &drawn).await));
        assert_eq!(desk.show(&at, &other).await.status, Status::Active);
        // Its name is free, and it can still be revoked.
        desk.create_key(&at, "ci-prod").await;
        desk.revoke(&at, &issued, "").await.unwrap();
    }
);

on_both!(
    fn every_limit_can_be_set_and_removed_again(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut with_all = desk.drawn(&at, &issued).await;
        let key = &mut with_all.key;
        key.limits = LimitFields {
            total: LimitField::limit("1k"),
            month: LimitField::limit("100"),
            week: LimitField::limit("50"),
            day: LimitField::limit("0.000000001"),
            rpm: LimitField::limit("1"),
            tpm: LimitField::limit("1,000,000"),
            concurrent: LimitField::limit("2"),
        };
        key.addresses = "10.0.0.0/8\n2001:db8::/32".into();
        saved(&desk, &at, &with_all).await;
        let set = desk.show(&at, &issued).await;
        assert_eq!(set.budgets.len(), 4);
        assert_eq!(set.limits, Limits { rpm: Some(1), tpm: Some(1_000_000), concurrent: Some(2) });

        let mut none = desk.drawn(&at, &issued).await;
        let key = &mut none.key;
        key.limits = LimitFields::of(&[], &Limits::default());
        key.addresses = String::new();
        key.expiry = "never".into();
        saved(&desk, &at, &none).await;
        let free = desk.show(&at, &issued).await;
        assert_eq!((free.budgets.len(), &free.limits, free.expires_at), (0, &Limits::default(), None));
        assert!(free.addresses.is_any());
        assert_eq!(desk.number("SELECT COUNT(*) FROM budgets").await, 0);
    }
);

on_both!(
    fn a_team_admin_creates_and_edits_in_their_own_teams_only(desk: TestDesk) {
        let owner = desk.owner().await;
        let (mine, theirs) = (desk.team(&owner, "Mine").await, desk.team(&owner, "Theirs").await);
        let admin = desk.member(&owner, OrgRole::Member).await;
        desk.join(&admin, &mine, true).await;
        desk.join(&admin, &theirs, false).await;
        let in_team = |team: &str, name: &str| KeyForm { team: team.into(), ..form(name) };

        let issued = desk.create(&admin, in_team(mine.id.as_str(), "ours")).await.unwrap();
        for team in ["", theirs.id.as_str(), "team_00000000000000000000000000000000"] {
            assert_eq!(refused(desk.create(&admin, in_team(team, "other")).await).0, "team", "{team}");
            let mut moved = desk.drawn(&admin, &issued).await;
            moved.key.team = team.into();
            assert_eq!(refused(edit(&desk, &admin, &moved).await.map(|_| ())).0, "team", "{team}");
        }
        let foreign = desk.create(&owner, in_team(theirs.id.as_str(), "foreign")).await.unwrap();
        assert!(is_not_found(&desk.disable(&admin, &foreign).await));
        let blank = ops::keys::blank(&desk, &admin.caller, &owner.org.slug, "").await.unwrap();
        assert_eq!(blank.teams, [mine]);
        assert_eq!(desk.names(&admin, &everything()).await, ["ours"]);

        // Somebody who looks after no team creates nothing.
        let member = desk.member(&owner, OrgRole::Member).await;
        assert!(matches!(desk.create(&member, form("mine")).await, Err(OpError::Forbidden)));
        // A team of another organisation is no team here.
        let other = desk.other_org("Other", "UTC").await;
        let far = desk.team(&other, "Far").await;
        assert_eq!(refused(desk.create(&owner, in_team(far.id.as_str(), "x")).await).0, "team");
    }
);

on_both!(
    fn a_member_sees_their_own_keys_and_no_trace_of_others(desk: TestDesk) {
        let owner = desk.owner().await;
        let team = desk.team(&owner, "Search").await;
        let member = desk.member(&owner, OrgRole::Member).await;
        desk.join(&member, &team, true).await;
        let mine = desk.create(&member, KeyForm { team: team.id.to_string(), ..form("key of mine") }).await;
        let mine = mine.unwrap();
        desk.execute("UPDATE team_members SET role = 'member'").await.unwrap();
        let theirs = desk.create_key(&owner, "key of theirs").await;
        let same_team = desk
            .create(&owner, KeyForm { team: team.id.to_string(), ..form("key of the team") })
            .await
            .unwrap();

        assert_eq!(desk.names(&member, &everything()).await, ["key of mine"]);
        for text in ["key", "key of", "k", theirs.secret.last_four()] {
            let found = desk.search_names(&member, text).await;
            assert!(found.iter().all(|name| name == "key of mine"), "{text}: {found:?}");
        }
        let slug = &owner.org.slug;
        let view = ops::keys::list(&desk, &member.caller, slug, &everything()).await.unwrap();
        assert_eq!((view.count, view.capped), (1, false));
        assert!(is_key(&search(&desk, &member, mine.secret.reveal()).await, &mine));
        let nowhere = search(&desk, &member, &minted_elsewhere()).await;
        let Ok(Found::NoSuchSecret(nowhere)) = nowhere else { panic!("found") };
        for other in [&theirs, &same_team] {
            // The same answer as for a secret that is nowhere.
            let Ok(Found::NoSuchSecret(sentence)) = search(&desk, &member, other.secret.reveal()).await
            else {
                panic!("a secret of somebody else was found")
            };
            assert_eq!(sentence, nowhere);
            assert!(matches!(search(&desk, &member, other.id.as_str()).await, Ok(Found::Text(_))));
            let (id, caller) = (other.id.as_str(), &member.caller);
            assert!(is_not_found(&ops::keys::show(&desk, caller, slug, id).await));
            assert!(is_not_found(&ops::keys::edit_form(&desk, caller, slug, id).await));
            assert!(is_not_found(&ops::keys::revoke_form(&desk, caller, slug, id).await));
            assert!(is_not_found(&desk.disable(&member, other).await));
            assert!(is_not_found(&desk.enable(&member, other).await));
            assert!(is_not_found(&desk.revoke(&member, other, "").await));
        }
        // One's own key can be stopped but not started again or widened.
        assert!(matches!(
            ops::keys::edit_form(&desk, &member.caller, slug, mine.id.as_str()).await,
            Err(OpError::Forbidden)
        ));
        desk.disable(&member, &mine).await.unwrap();
        assert!(matches!(desk.enable(&member, &mine).await, Err(OpError::Forbidden)));
        desk.revoke(&member, &mine, "").await.unwrap();
    }
);

fn minted_elsewhere() -> String {
    let secret = keydesk_core::domain::key_format::PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(7));
    secret.unwrap().reveal().to_owned()
}

on_both!(
    fn an_organisation_is_not_there_for_strangers(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let stranger = desk.other_org("Other", "UTC").await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let visiting = At { caller: stranger.caller.clone(), org: at.org.clone() };
        for who in [&visiting, &operator] {
            assert!(is_not_found(&ops::keys::list(&desk, &who.caller, &at.org.slug, &everything()).await));
            assert!(is_not_found(&search(&desk, who, issued.secret.reveal()).await));
            assert!(is_not_found(&desk.revoke(who, &issued, "").await));
            assert!(is_not_found(&desk.create(who, form("x")).await));
        }
        // The owner of one organisation does not reach another's key through their own.
        assert!(matches!(search(&desk, &stranger, issued.secret.reveal()).await, Ok(Found::NoSuchSecret(_))));
        assert!(matches!(search(&desk, &stranger, issued.id.as_str()).await, Ok(Found::Text(_))));
        assert!(is_not_found(&desk.revoke(&stranger, &issued, "").await));
        for slug in ["", "none", "north\0wind", "'; DROP TABLE keys; --"] {
            let listed = ops::keys::list(&desk, &at.caller, slug, &everything()).await;
            assert!(is_not_found(&listed), "{slug:?}: {:?}", listed.err());
        }
    }
);

on_both!(
    fn support_sees_every_key_and_changes_none(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        assert!(is_key(&search(&desk, &support, issued.secret.reveal()).await, &issued));
        assert_eq!(desk.names(&support, &everything()).await, ["ci-prod"]);
        let before = desk.dump().await;
        let drawn = desk.drawn(&at, &issued).await;
        let changed = EditForm { key: KeyForm { note: "x".into(), ..drawn.key.clone() }, ..drawn };
        assert!(matches!(edit(&desk, &support, &changed).await, Err(OpError::Forbidden)));
        assert!(matches!(desk.disable(&support, &issued).await, Err(OpError::Forbidden)));
        assert!(matches!(desk.enable(&support, &issued).await, Err(OpError::Forbidden)));
        assert!(matches!(desk.revoke(&support, &issued, "").await, Err(OpError::Forbidden)));
        assert!(matches!(desk.create(&support, form("x")).await, Err(OpError::Forbidden)));
        assert_eq!(before, desk.dump().await);
    }
);

on_both!(
    fn hostile_names_are_data(desk: TestDesk) {
        let at = desk.owner().await;
        let long = "é".repeat(100);
        let names = [
            "%",
            "100% sure",
            "%%%",
            "_",
            "a_b_c",
            "___",
            "\\",
            "back\\slash",
            "\\%\\_",
            "\"",
            "say \"hi\" twice",
            "'",
            "it's o'clock",
            "'; DROP TABLE keys; --",
            "<script>alert(1)</script>",
            "{{7*7}} ${x}",
            "🦀",
            "🦀🦀🦀 crabs",
            "👩‍🔬",
            "שלום עולם",
            "İstanbul",
            "ß sharp",
            "NULL",
            "OR 1=1",
            "name_folded : x",
            "(a OR b) NOT c*",
            "^caret",
            "日本語の鍵",
            &long,
        ];
        let mut made = Vec::new();
        for name in names {
            let issued = desk.create(&at, form(name)).await.unwrap();
            assert_eq!(desk.show(&at, &issued).await.name, name);
            made.push(name);
        }
        for name in &made {
            let found = desk.search_names(&at, name).await;
            assert!(found.iter().any(|other| other == name), "{name}: {found:?}");
            let folded = name.to_lowercase();
            assert!(found.iter().all(|other| other.to_lowercase().contains(&folded)), "{name}: {found:?}");
        }
        for (text, expected) in [
            ("%", &["%", "%%%"][..]),
            ("0% s", &["100% sure"]),
            ("_", &["_", "___"]),
            ("_b_", &["a_b_c"]),
            ("a%c", &[]),
            ("\\", &["\\", "\\%\\_", "back\\slash"][..2]),
            ("k\\s", &["back\\slash"]),
            ("y \"h", &["say \"hi\" twice"]),
            ("🦀", &["🦀", "🦀🦀🦀 crabs"]),
            ("🦀🦀🦀", &["🦀🦀🦀 crabs"]),
            ("本語の", &["日本語の鍵"]),
            ("t>a", &["<script>alert(1)</script>"]),
            ("a OR b", &["(a OR b) NOT c*"]),
            ("hi* OR", &[]),
        ] {
            assert_eq!(desk.search_names(&at, text).await, expected, "{text}");
        }
    }
);

on_both!(
    fn a_search_may_hold_any_character(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        for text in [
            "\0",
            "ci\0prod",
            "\0\0\0\0",
            "\u{10ffff}",
            "\u{10ffff}\u{10ffff}\u{10ffff}",
            "a\nb\rc",
            "\u{feff}ab c",
        ] {
            assert_eq!(desk.search_names(&at, text).await, [""; 0], "{text:?}");
            assert!(matches!(search(&desk, &at, text).await, Ok(Found::Text(_))));
        }
    }
);

on_both!(
    fn a_pasted_secret_that_was_rotated_away_says_so(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let ends = desk.now().plus_ms(HOUR).ms();
        desk.execute(&format!("UPDATE key_secrets SET expires_at = {ends}")).await.unwrap();
        assert!(is_key(&search(&desk, &at, issued.secret.reveal()).await, &issued));
        desk.clock.advance(HOUR);
        let found = search(&desk, &at, issued.secret.reveal()).await;
        assert!(matches!(found, Ok(Found::Secret(id, _)) if id == issued.id));
    }
);

on_both!(
    fn searching_for_secrets_by_the_thousand_is_slowed_down(desk: TestDesk) {
        let at = desk.owner().await;
        let secret = minted_elsewhere();
        for _ in 0..60 {
            assert!(matches!(search(&desk, &at, &secret).await, Ok(Found::NoSuchSecret(_))));
        }
        assert!(matches!(search(&desk, &at, &secret).await, Err(OpError::TooMany { .. })));
        // Other searches go on, and so does everything a minute later.
        assert!(matches!(search(&desk, &at, "ci-prod").await, Ok(Found::Text(_))));
        desk.clock.advance(MINUTE);
        assert!(matches!(search(&desk, &at, &secret).await, Ok(Found::NoSuchSecret(_))));
    }
);

on_both!(
    fn a_form_with_mistakes_writes_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let before = desk.dump().await;
        let mut wrong = KeyForm { name: String::new(), ..form("x") };
        wrong.limits.rpm = LimitField::limit("-1");
        let form = create_form(&at, wrong);
        let Err(OpError::Invalid(errors)) = submit::create_key(&desk, &at.caller, &form).await else {
            panic!("created")
        };
        assert_eq!(errors.len(), 2);
        assert_eq!(before, desk.dump().await);
        let revoked = KeyFilter { state: StateFilter::Only(Status::Revoked), ..everything() };
        assert!(desk.names(&at, &revoked).await.is_empty());
    }
);
