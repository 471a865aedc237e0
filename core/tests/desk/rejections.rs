//! Refused requests of known keys: counted by the minute, shown to whoever may see the key, and gone after a month.

use keydesk_core::admission::{
    AdmissionError, KnownKey, Presented, RejectedRequest, Rejections, authenticate,
};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::requests;
use keydesk_core::ops::support::{LookupForm, LookupResult, lookup, search};
use keydesk_core::ops::{OpError, audit};
use keydesk_core::store::Unaudited;
use keydesk_core::store::rejections;

use crate::support::*;

/// One request with the secret; what is refused is noted as the gateway does it.
async fn knock(desk: &TestDesk, noted: &Rejections, secret: &str, from: &str) {
    let mut presented = Presented::default();
    presented.bare(secret.as_bytes());
    let address = Some(from.parse().unwrap());
    if let Err(AdmissionError::Rejected(rejection, Some(key))) = authenticate(desk, &presented, address).await
    {
        let request = RejectedRequest {
            route: "/v1/models",
            model: "",
            address: from.into(),
            request_id: "req_test".into(),
        };
        noted.note(&key, &rejection, &request, desk.now());
    }
}

async fn refused(desk: &TestDesk, at: &At, issued: &IssuedKey) -> Vec<(String, i64, String)> {
    let list = requests::of_key(desk, &at.caller, &at.org.slug, issued.id.as_str(), Default::default())
        .await
        .unwrap();
    list.page.rows.into_iter().map(|one| (one.words().unwrap(), one.times, one.address)).collect()
}

on_both!(
    fn a_flood_of_refused_requests_is_one_row_a_minute(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let fine = desk.create_key(&at, "fine").await;
        desk.disable(&at, &issued).await.unwrap();
        let noted = Rejections::default();
        for n in 0..100 {
            knock(&desk, &noted, issued.secret.reveal(), &format!("203.0.113.{n}")).await;
            knock(&desk, &noted, fine.secret.reveal(), "203.0.113.7").await;
        }
        noted.flush(&desk.db).await.unwrap();
        knock(&desk, &noted, issued.secret.reveal(), "203.0.113.200").await;
        noted.flush(&desk.db).await.unwrap();
        noted.flush(&desk.db).await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM rejections").await, 1);
        let disabled = || ("The key was disabled".to_owned(), 101, "203.0.113.200".to_owned());
        assert_eq!(refused(&desk, &at, &issued).await, [disabled()]);
        assert!(refused(&desk, &at, &fine).await.is_empty());

        desk.clock.advance(2 * MINUTE);
        desk.revoke(&at, &issued, "ci-prod").await.unwrap();
        knock(&desk, &noted, issued.secret.reveal(), "203.0.113.9").await;
        noted.flush(&desk.db).await.unwrap();
        let revoked = ("The key is revoked".to_owned(), 1, "203.0.113.9".to_owned());
        assert_eq!(refused(&desk, &at, &issued).await, [revoked, disabled()], "the newest first");

        let support = desk.platform(&at, PlatformRole::Support).await;
        assert_eq!(refused(&desk, &support, &issued).await.len(), 2);
        assert_eq!(
            desk.number(
                "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'support.accessed'"
            )
            .await,
            1
        );

        let mut tx = desk.db.write().await.unwrap();
        assert_eq!(rejections::sweep(&mut tx, desk.now().plus_ms(-MINUTE)).await.unwrap(), 1);
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        assert_eq!(refused(&desk, &at, &issued).await.len(), 1);
    }
);

on_both!(
    fn the_newest_request_stays_the_newest_when_an_older_one_is_written_later(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.disable(&at, &issued).await.unwrap();
        let (slow, fast) = (Rejections::default(), Rejections::default());
        knock(&desk, &slow, issued.secret.reveal(), "203.0.113.1").await;
        desk.clock.advance(5_000);
        knock(&desk, &fast, issued.secret.reveal(), "203.0.113.2").await;
        fast.flush(&desk.db).await.unwrap();
        slow.flush(&desk.db).await.unwrap();
        let newest = ("The key was disabled".to_owned(), 2, "203.0.113.2".to_owned());
        assert_eq!(refused(&desk, &at, &issued).await, [newest]);
    }
);

on_both!(
    fn rejections_of_one_minute_are_kept_for_each_model(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let noted = Rejections::default();
        let key = KnownKey { key: issued.id.clone(), org: at.org.id.clone() };
        let reject = |model: &str| {
            let rejection = Rejection::Model { last_four: "abcd".into(), model: model.into() };
            noted.note(&key, &rejection, &RejectedRequest::default(), desk.now());
        };
        let first = desk.now();
        reject("gpt-5");
        reject("o3");
        desk.clock.advance(10_000);
        reject("o3");
        noted.flush(&desk.db).await.unwrap();
        desk.clock.advance(10_000);
        reject("gpt-5");
        noted.flush(&desk.db).await.unwrap();
        desk.clock.advance(MINUTE);
        reject("o3");
        noted.flush(&desk.db).await.unwrap();

        let slug = &at.org.slug;
        let list =
            requests::of_key(&desk, &at.caller, slug, issued.id.as_str(), Default::default()).await.unwrap();
        let rows = &list.page.rows;
        let seen: Vec<_> =
            rows.iter().map(|one| (one.model.as_str(), one.times, one.first_at, one.at)).collect();
        let later = |ms| first.plus_ms(ms);
        assert_eq!(
            seen,
            [
                ("o3", 1, later(20_000 + MINUTE), later(20_000 + MINUTE)),
                ("gpt-5", 2, first, later(20_000)),
                ("o3", 2, first, later(10_000)),
            ]
        );
        assert!(rows.iter().all(|one| one.words().unwrap() == "The key may not use this model"));

        // A client that invents models adds a bounded number of rows, and no request is lost from the count.
        for n in 0..60 {
            reject(&format!("invented-{n}"));
            noted.flush(&desk.db).await.unwrap();
        }
        let minute = desk.now().ms() / MINUTE;
        let rows = desk.number(&format!("SELECT COUNT(*) FROM rejections WHERE minute = {minute}")).await;
        assert_eq!(rows, 21, "twenty models, and one row for all others");
        let times = format!("SELECT CAST(SUM(times) AS BIGINT) FROM rejections WHERE minute = {minute}");
        assert_eq!(desk.number(&times).await, 61);
    }
);

on_both!(
    fn rejections_that_cannot_be_written_now_wait_for_the_next_turn(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.disable(&at, &issued).await.unwrap();
        let noted = Rejections::default();
        knock(&desk, &noted, issued.secret.reveal(), "203.0.113.9").await;
        desk.execute("ALTER TABLE rejections RENAME TO away").await.unwrap();
        assert!(noted.flush(&desk.db).await.is_err());
        knock(&desk, &noted, issued.secret.reveal(), "203.0.113.9").await;
        desk.execute("ALTER TABLE away RENAME TO rejections").await.unwrap();
        noted.flush(&desk.db).await.unwrap();
        assert_eq!(refused(&desk, &at, &issued).await[0].1, 2);
    }
);

async fn look(desk: &TestDesk, at: &At, text: &str) -> Result<LookupResult, OpError> {
    lookup(desk, &at.caller, &LookupForm { q: Hidden::new(text) }).await
}

on_both!(
    fn support_finds_a_key_in_whatever_organisation_it_is(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Else & 100%", "UTC").await;
        let (ours, theirs) = (desk.create_key(&at, "ours").await, desk.create_key(&other, "theirs").await);
        let support = desk.platform(&at, PlatformRole::Support).await;
        for (issued, slug) in [(&ours, &at.org.slug), (&theirs, &other.org.slug)] {
            let secret = issued.secret.reveal();
            for text in [secret, issued.id.as_str()] {
                let Ok(LookupResult::Key { slug: found, id, secret: by }) = look(&desk, &support, text).await
                else {
                    panic!("not found");
                };
                assert_eq!((&found, &id), (slug, &issued.id));
                assert_eq!(by.is_some(), text == secret);
            }
            let last_four = &secret[secret.len() - 4..];
            assert!(matches!(look(&desk, &support, last_four).await, Ok(LookupResult::Text(_))));
            let found = search(&desk, &support.caller, last_four).await.unwrap();
            assert!(found.keys.iter().any(|hit| hit.key.id == issued.id));
        }
        let names = async |text: &str| -> Vec<String> {
            let found = search(&desk, &support.caller, text).await.unwrap();
            found.orgs.into_iter().map(|org| org.name).collect()
        };
        assert_eq!(names("north").await, ["Northwind"]);
        assert_eq!(names("100%").await, ["Else & 100%"]);
        assert_eq!(names("%").await, ["Else & 100%"], "signs are signs");
        assert_eq!(names("").await.len(), 2);

        // Each organisation was told once of its key, and once of the list that showed it.
        for org in [&at.org, &other.org] {
            let sql = format!(
                "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'support.accessed' AND org_id = '{}'",
                org.id
            );
            assert_eq!(desk.number(&sql).await, 2);
        }
        for secret in [ours.secret.reveal(), theirs.secret.reveal()] {
            assert!(!desk.dump().await.contains(secret));
        }
        assert!(audit::verify_all(&desk).await.unwrap().iter().all(|report| report.broken.is_none()));
    }
);

on_both!(
    fn nobody_else_looks_across_organisations_and_support_not_without_end(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        for who in [&at, &operator, &admin] {
            for text in [issued.secret.reveal(), issued.id.as_str(), "north"] {
                assert!(matches!(look(&desk, who, text).await, Err(OpError::NotFound)));
                assert!(matches!(search(&desk, &who.caller, text).await, Err(OpError::NotFound)));
            }
        }
        let support = desk.platform(&at, PlatformRole::Support).await;
        let mut answers = Vec::new();
        for _ in 0..61 {
            answers.push(look(&desk, &support, "key_00000000000000000000000000000000").await);
        }
        assert!(matches!(answers.pop(), Some(Err(OpError::TooMany { .. }))));
        assert!(answers.iter().all(|answer| matches!(answer, Ok(LookupResult::Nothing(_)))));
    }
);
