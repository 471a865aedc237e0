//! What people do with keys, and what must never happen to one. Edits are in `key_edits`, the search in `key_search`.

use keydesk_core::admission::LastUsed;
use keydesk_core::domain::audit::EventKind;
use keydesk_core::domain::key::{State, Status};
use keydesk_core::domain::key_filter::{KeyFilter, StateFilter};
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::key::{EditForm, KeyForm};
use keydesk_core::forms::parts::{LimitField, LimitFields};
use keydesk_core::ops::keys::{Found, IssuedKey};
use keydesk_core::ops::{self, OpError};
use keydesk_core::store;
use keydesk_core::store::Unaudited;
use sha2::{Digest, Sha256};

use crate::key_edits::{edit, saved};
use crate::key_search::{is_key, minted_elsewhere, search};
use crate::support::submit;
use crate::support::*;

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
