//! One act on several keys: what it comes to for each key, state and caller, and what fails for one key only.

use keydesk_core::domain::bulk::{BulkAct, BulkChange, Outcome, Selected, Verdict};
use keydesk_core::domain::expiry::Expiry;
use keydesk_core::domain::ids::{KeyId, TeamId};
use keydesk_core::domain::key::Status;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys::{self, IssuedKey};

use crate::support::*;

fn picked(ids: &[&KeyId]) -> Vec<Selected> {
    ids.iter().map(|id| Selected { id: (*id).clone(), version: None }).collect()
}

async fn apply(desk: &TestDesk, at: &At, ids: &[&KeyId], change: &BulkChange) -> Result<Outcome, OpError> {
    let done = keys::apply(desk, &at.caller, &at.org.slug, &picked(ids), change).await?;
    assert!(done.1.is_none());
    Ok(done.0)
}

async fn preview(desk: &TestDesk, at: &At, ids: &[&KeyId], change: &BulkChange) -> Vec<(Verdict, String)> {
    let asked = (change.act(), Some(change));
    let view = keys::preview(desk, &at.caller, &at.org.slug, &picked(ids), asked).await.unwrap();
    view.rows.into_iter().map(|row| (row.verdict, row.words)).collect()
}

fn words(outcome: &Outcome) -> Vec<&str> {
    outcome.rows.iter().map(|row| row.words.as_str()).collect()
}

async fn events(desk: &TestDesk, kind: &str) -> i64 {
    desk.number(&format!("SELECT COUNT(*) FROM audit_events WHERE kind = '{kind}'")).await
}

async fn set_status(desk: &TestDesk, key: &IssuedKey, status: Status) {
    desk.execute(&format!("UPDATE keys SET status = '{}' WHERE id = '{}'", status.as_str(), key.id))
        .await
        .unwrap();
}

fn every_change(team: &TeamId, day: Day) -> Vec<BulkChange> {
    vec![
        BulkChange::Disable,
        BulkChange::Enable,
        BulkChange::Move(Some(team.clone())),
        BulkChange::Expire(Expiry::On(day)),
        BulkChange::Revoke { confirmed: None },
    ]
}

on_both!(
    fn every_act_comes_to_what_the_preview_says_in_every_state(desk: TestDesk) {
        use Verdict::{Already, Change, Not};
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        let day = Day::of(desk.now().plus_days(30), &at.org.zone);
        let table = [
            (Status::Active, [Change, Already, Change, Change, Change]),
            (Status::Disabled, [Already, Change, Change, Change, Change]),
            (Status::Expired, [Not, Not, Not, Not, Change]),
            (Status::Revoked, [Not, Not, Not, Not, Already]),
        ];
        for (status, expected) in table {
            for (n, (change, expected)) in every_change(&team.id, day).iter().zip(expected).enumerate() {
                let key = desk.create_key(&at, &format!("{}-{n}", status.as_str())).await;
                set_status(&desk, &key, status).await;
                let before = desk.show(&at, &key).await;
                let seen = preview(&desk, &at, &[&key.id], change).await;
                assert_eq!(seen[0].0, expected, "{status:?} {change:?}: {}", seen[0].1);
                let after = desk.show(&at, &key).await;
                assert_eq!((after.version, after.status), (before.version, before.status), "a preview wrote");
                let outcome = apply(&desk, &at, &[&key.id], change).await.unwrap();
                assert_eq!(outcome.rows[0].verdict, expected, "{status:?} {change:?}");
                let after = desk.show(&at, &key).await;
                assert_eq!(after.version != before.version, expected == Change, "{status:?} {change:?}");
                // Once more, nothing is left to change.
                let again = apply(&desk, &at, &[&key.id], change).await.unwrap();
                assert_ne!(again.rows[0].verdict, Change, "{status:?} {change:?}: {:?}", words(&again));
            }
        }
    }
);

on_both!(
    fn nobody_may_do_more_to_many_keys_than_to_one(desk: TestDesk) {
        let owner = desk.owner().await;
        let team = desk.team(&owner, "Crew").await;
        let (lead, member) =
            (desk.member(&owner, OrgRole::Member).await, desk.member(&owner, OrgRole::Member).await);
        desk.join(&owner, &team, true).await;
        desk.join(&lead, &team, true).await;
        desk.join(&member, &team, false).await;
        let in_team = |name: &str| {
            let mut form = form(name);
            form.team = team.id.to_string();
            form
        };
        let mut of_member = in_team("of-member");
        of_member.owner = member.caller.person.id.to_string();
        let theirs = desk.create(&owner, of_member).await.unwrap();
        let other = desk.create(&owner, in_team("other")).await.unwrap();
        let outside = desk.create_key(&owner, "outside").await;
        let all = [&theirs.id, &other.id, &outside.id];

        // A member disables their own key, learns whom to ask first, and does not see the others.
        let seen = preview(&desk, &member, &all, &BulkChange::Disable).await;
        assert_eq!(seen[0].0, Verdict::Change);
        assert!(seen[0].1.starts_with("Will be disabled; only "), "{}", seen[0].1);
        assert!(seen[0].1.contains(&lead.caller.person.name), "{}", seen[0].1);
        assert_eq!(seen[1].0, Verdict::Not);
        let outcome = apply(&desk, &member, &all, &BulkChange::Disable).await.unwrap();
        assert_eq!((outcome.count(Verdict::Change), outcome.count(Verdict::Not)), (1, 2));
        assert_eq!((outcome.rows[1].name.as_str(), outcome.rows[2].name.as_str()), ("", ""));
        // What they may do to no key is refused as a whole.
        for change in [BulkChange::Enable, BulkChange::Move(None), BulkChange::Expire(Expiry::Never)] {
            let refused = apply(&desk, &member, &all, &change).await;
            assert!(matches!(refused, Err(OpError::Forbidden)), "{change:?}: {refused:?}");
        }
        // An admin of the team reaches its keys only.
        let outcome = apply(&desk, &lead, &all, &BulkChange::Enable).await.unwrap();
        assert_eq!(
            outcome.rows.iter().map(|row| row.verdict).collect::<Vec<_>>(),
            [Verdict::Change, Verdict::Already, Verdict::Not]
        );
        // Their own key without a team they may revoke, and not edit.
        let mut own = form("of-lead");
        own.owner = lead.caller.person.id.to_string();
        let own = desk.create(&owner, own).await.unwrap();
        let seen = preview(&desk, &lead, &[&own.id], &BulkChange::Expire(Expiry::Never)).await;
        let whom = format!("you may not do this; ask {}", owner.caller.person.name);
        assert_eq!(seen, [(Verdict::Not, whom)]);
        let support = desk.platform(&owner, PlatformRole::Support).await;
        let refused = apply(&desk, &support, &all, &BulkChange::Disable).await;
        assert!(matches!(refused, Err(OpError::Forbidden)), "{refused:?}");
        let operator = desk.platform(&owner, PlatformRole::Operator).await;
        let refused = apply(&desk, &operator, &all, &BulkChange::Disable).await;
        assert!(matches!(refused, Err(OpError::NotFound)), "{refused:?}");
    }
);

on_both!(
    fn what_fails_for_one_key_changes_nothing_for_the_others(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        let in_team = |name: &str, team: &TeamId| KeyForm { team: team.to_string(), ..form(name) };
        desk.create(&at, in_team("ci-prod", &team.id)).await.unwrap();
        let keys = [
            desk.create_key(&at, "one").await,
            desk.create_key(&at, "CI-PROD").await,
            desk.create_key(&at, "two").await,
        ];
        let ids: Vec<&KeyId> = keys.iter().map(|key| &key.id).collect();
        let change = BulkChange::Move(Some(team.id.clone()));
        let clash = "A live key in this team is already named CI-PROD. Choose another name.";
        let seen = preview(&desk, &at, &ids, &change).await;
        assert_eq!((seen[0].1.as_str(), seen[1].1.as_str()), ("Moves from no team to Crew", clash));
        let outcome = apply(&desk, &at, &ids, &change).await.unwrap();
        assert_eq!(words(&outcome), ["Moved from no team to Crew", clash, "Moved from no team to Crew"]);
        assert_eq!(events(&desk, "key.edited").await, 2);
        let csv = String::from_utf8(outcome.csv()).unwrap();
        let line = format!("{},CI-PROD,,{},not done,{clash}\r\n", keys[1].id, at.caller.person.name);
        assert!(csv.contains(&line), "{csv}");

        // Of two with one name that go to one team, the preview says which one stays.
        let night = desk.team(&at, "Night").await;
        let first = desk.create(&at, in_team("twin", &night.id)).await.unwrap();
        let second = desk.create_key(&at, "Twin").await;
        let twins = [&first.id, &second.id];
        let clash_of_twins = clash.replace("CI-PROD", "Twin");
        let seen = preview(&desk, &at, &twins, &change).await;
        assert_eq!(seen[0], (Verdict::Change, "Moves from Night to Crew".into()));
        assert_eq!(seen[1], (Verdict::Not, clash_of_twins.clone()));
        let outcome = apply(&desk, &at, &twins, &change).await.unwrap();
        assert_eq!(words(&outcome), ["Moved from Night to Crew", &clash_of_twins]);

        // Sent twice, nothing is written twice.
        let again = apply(&desk, &at, &ids, &change).await.unwrap();
        assert_eq!(words(&again), ["Already in Crew", clash, "Already in Crew"]);
        assert_eq!(events(&desk, "key.edited").await, 3);
    }
);

on_both!(
    fn a_database_that_fails_in_the_middle_is_told_with_what_was_done(desk: TestDesk) {
        let at = desk.owner().await;
        let keys = [
            desk.create_key(&at, "a").await,
            desk.create_key(&at, "b").await,
            desk.create_key(&at, "c").await,
        ];
        let ids: Vec<&KeyId> = keys.iter().map(|key| &key.id).collect();
        // The second key's event cannot be written.
        desk.execute(&format!(
            "CREATE UNIQUE INDEX broken ON audit_events (subject_id) WHERE subject_id = '{}'",
            keys[1].id
        ))
        .await
        .unwrap();
        let (org, change) = (&at.org.slug, BulkChange::Disable);
        let (outcome, failed) = keys::apply(&desk, &at.caller, org, &picked(&ids), &change).await.unwrap();
        assert!(failed.is_some());
        assert_eq!(
            words(&outcome),
            [
                "Disabled",
                "the database did not answer. Look at this key before you try again.",
                "not tried, because the database did not answer"
            ]
        );
        for (key, status) in keys.iter().zip([Status::Disabled, Status::Active, Status::Active]) {
            assert_eq!(desk.show(&at, key).await.status, status);
        }
        assert_eq!(events(&desk, "key.disabled").await, 1);
    }
);

on_both!(
    fn two_at_once_change_each_key_once(desk: TestDesk) {
        let at = desk.owner().await;
        let mut issued = Vec::new();
        for n in 0..8 {
            issued.push(desk.create_key(&at, &format!("key-{n}")).await);
        }
        let there: Vec<&KeyId> = issued.iter().map(|key| &key.id).collect();
        let back: Vec<&KeyId> = there.iter().rev().copied().collect();
        let change = BulkChange::Revoke { confirmed: None };
        let (one, two) = tokio::join!(apply(&desk, &at, &there, &change), apply(&desk, &at, &back, &change));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.count(Verdict::Change) + two.count(Verdict::Change), 8);
        assert_eq!(one.count(Verdict::Already) + two.count(Verdict::Already), 8);
        assert_eq!(events(&desk, "key.revoked").await, 8);
        let already = one.rows.iter().chain(&two.rows).find(|row| row.verdict == Verdict::Already).unwrap();
        assert!(already.words.ends_with(&format!("by {}", at.caller.person.name)), "{}", already.words);
    }
);

on_both!(
    fn keys_in_use_are_revoked_with_their_number_and_many_with_a_recent_sign_in(desk: TestDesk) {
        let at = desk.owner().await;
        let keys = [desk.create_key(&at, "a").await, desk.create_key(&at, "b").await];
        let ids: Vec<&KeyId> = keys.iter().map(|key| &key.id).collect();
        desk.execute(&format!(
            "UPDATE keys SET last_used_at = {} WHERE id = '{}'",
            desk.now().ms() - 1_000,
            keys[0].id
        ))
        .await
        .unwrap();
        for confirmed in [None, Some(1), Some(3)] {
            let (field, sentence) = refused(apply(&desk, &at, &ids, &BulkChange::Revoke { confirmed }).await);
            assert_eq!(field, "count");
            assert_eq!(
                sentence,
                "1 of these keys was used in the last 24 hours. Type how many keys you revoke, 2, to confirm."
            );
        }
        desk.clock.advance(HOUR);
        let change = BulkChange::Revoke { confirmed: Some(2) };
        let late = apply(&desk, &at, &ids, &change).await;
        assert!(matches!(late, Err(OpError::ReauthRequired)), "{late:?}");
        assert_eq!(events(&desk, "key.revoked").await, 0);
        let fresh = At { caller: desk.caller(&at.caller.person.id).await, org: at.org.clone() };
        let outcome = apply(&desk, &fresh, &ids, &change).await.unwrap();
        assert_eq!(words(&outcome), ["Revoked", "Revoked"]);
        // One key needs neither.
        let one = desk.create_key(&at, "one").await;
        apply(&desk, &at, &[&one.id], &BulkChange::Disable).await.unwrap();
    }
);

on_both!(
    fn an_expiry_keeps_to_the_rules_and_to_the_version_that_was_shown(desk: TestDesk) {
        let at = desk.owner().await;
        let mut endless = form("endless");
        endless.expiry = "never".into();
        let key = desk.create(&at, endless).await.unwrap();
        let day = |ahead| Day::of(desk.now().plus_days(ahead), &at.org.zone);
        let past = BulkChange::Expire(Expiry::On(day(-1)));
        let (field, _) = refused(apply(&desk, &at, &[&key.id], &past).await);
        assert_eq!(field, "expiry");
        let asked = (BulkAct::Expire, Some(&past));
        let view = keys::preview(&desk, &at.caller, &at.org.slug, &picked(&[&key.id]), asked).await.unwrap();
        assert_eq!(view.errors[0].field, "expiry");

        let version = desk.show(&at, &key).await.version;
        let change = BulkChange::Expire(Expiry::On(day(30)));
        let shown = [Selected { id: key.id.clone(), version: Some(version) }];
        let to = day(30).start(&at.org.zone).date(&at.org.zone);
        let (outcome, _) = keys::apply(&desk, &at.caller, &at.org.slug, &shown, &change).await.unwrap();
        assert_eq!(words(&outcome), [format!("Expires {to} instead of never")]);
        let (outcome, _) = keys::apply(&desk, &at.caller, &at.org.slug, &shown, &change).await.unwrap();
        assert_eq!(words(&outcome), [format!("Already expires {to}")]);
        let never = BulkChange::Expire(Expiry::Never);
        let (outcome, _) = keys::apply(&desk, &at.caller, &at.org.slug, &shown, &never).await.unwrap();
        assert_eq!(words(&outcome), ["it was changed in the meantime. Look at it and try again."]);
    }
);

on_both!(
    fn rotations_are_offered_and_not_done_in_one_go(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "a").await;
        let rotated = desk.create_key(&at, "b").await;
        let from = keys::rotation(&desk, &at.caller, &at.org.slug, rotated.id.as_str()).await.unwrap();
        let (from, grace) = (from.secrets.current, keydesk_core::domain::rotation::GracePeriod::Hours(1));
        let place = (at.org.slug.as_str(), rotated.id.as_str());
        keys::rotate(&desk, &at.caller, place, from.id.as_str(), grace).await.unwrap();
        let seen = preview(&desk, &at, &[&key.id, &rotated.id], &BulkChange::Rotate).await;
        assert_eq!(seen[0], (Verdict::Change, "Gets a new secret".to_owned()));
        assert_eq!(seen[1].0, Verdict::Not);
        assert!(seen[1].1.contains(&from.hint()), "{}", seen[1].1);
        assert_eq!(refused(apply(&desk, &at, &[&key.id], &BulkChange::Rotate).await).0, "act");
    }
);

on_both!(
    fn a_suspended_organisation_only_takes_keys_out_of_use(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "a").await;
        desk.execute("UPDATE orgs SET suspended_at = 1").await.unwrap();
        let enable = apply(&desk, &at, &[&key.id], &BulkChange::Enable).await;
        assert!(matches!(enable, Err(OpError::Conflict(_))), "{enable:?}");
        let outcome = apply(&desk, &at, &[&key.id], &BulkChange::Disable).await.unwrap();
        assert_eq!(words(&outcome), ["Disabled"]);
    }
);
