//! A key that has expired gets a later expiry, for 30 days and not a millisecond longer.

use keydesk_core::admission::{AdmissionError, Presented, authenticate};
use keydesk_core::domain::expiry::{Expiry, ExtendKey};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::key::{EXTENDABLE_DAYS, Status};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::ops::keys::{self, IssuedKey};
use keydesk_core::ops::{OpError, upkeep};

use crate::support::*;

async fn accepted(desk: &TestDesk, issued: &IssuedKey) -> bool {
    let mut presented = Presented::default();
    presented.authorization(format!("Bearer {}", issued.secret.reveal()).as_bytes());
    match authenticate(desk, &presented, None).await {
        Ok(_) => true,
        Err(AdmissionError::Rejected(Rejection::Expired { .. } | Rejection::Revoked { .. }, _)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// A key that expires in a week, and that moment.
async fn short(desk: &TestDesk, at: &At, name: &str) -> (IssuedKey, Moment) {
    let mut form = form(name);
    form.expiry = "7".into();
    let issued = desk.create(at, form).await.unwrap();
    (issued, desk.now().plus_days(7))
}

async fn wish(desk: &TestDesk, at: &At, issued: &IssuedKey, expiry: Expiry) -> ExtendKey {
    let key = desk.show(at, issued).await;
    ExtendKey {
        org: at.org.slug.clone(),
        id: issued.id.to_string(),
        version: key.version,
        name: key.name,
        expiry,
    }
}

async fn extend(desk: &TestDesk, at: &At, issued: &IssuedKey, expiry: Expiry) -> Result<(), OpError> {
    let wish = wish(desk, at, issued, expiry).await;
    keys::extend(desk, &at.caller, &wish).await.map(|_| ())
}

fn says<T: std::fmt::Debug>(result: &Result<T, OpError>, words: &str) -> bool {
    matches!(result, Err(OpError::Conflict(sentence)) if sentence.contains(words))
}

on_both!(
    fn an_expired_key_works_again_at_once_and_keeps_everything(desk: TestDesk) {
        let at = desk.owner().await;
        for (name, swept) in [("marked", true), ("unmarked", false)] {
            let (key, ends) = short(&desk, &at, name).await;
            assert!(says(&extend(&desk, &at, &key, Expiry::Days(30)).await, "has not expired"));
            record(&desk, &desk.usage(&at, &key, 5_000_000, desk.now()).await).await.unwrap();
            desk.clock.set(ends.plus_ms(-1));
            assert!(accepted(&desk, &key).await);
            desk.clock.set(ends);
            assert!(!accepted(&desk, &key).await);
            if swept {
                upkeep::expire_keys(&desk).await.unwrap();
            }
            let before = desk.show(&at, &key).await;
            extend(&desk, &at, &key, Expiry::Days(30)).await.unwrap();
            assert!(accepted(&desk, &key).await);
            let after = desk.show(&at, &key).await;
            let end = Some(desk.now().plus_days(30));
            assert_eq!(
                (after.status, after.expires_at, after.version),
                (Status::Active, end, before.version + 1)
            );
            assert_eq!((after.budgets, after.month_spent), (before.budgets, before.month_spent));
            // The job that comes late marks nothing.
            assert_eq!(upkeep::expire_keys(&desk).await.unwrap(), 0);
            assert!(accepted(&desk, &key).await);
            // A second click.
            assert!(says(&extend(&desk, &at, &key, Expiry::Days(30)).await, "has not expired"));
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'key.extended'").await, 2);
    }
);

on_both!(
    fn it_is_final_to_the_millisecond(desk: TestDesk) {
        let at = desk.owner().await;
        for late in [false, true] {
            let (key, ends) = short(&desk, &at, if late { "late" } else { "in-time" }).await;
            let last = ends.plus_days(EXTENDABLE_DAYS);
            desk.clock.set(if late { last } else { last.plus_ms(-1) });
            upkeep::expire_keys(&desk).await.unwrap();
            assert_eq!(desk.show(&at, &key).await.extendable_until(desk.now()).is_some(), !late);
            let extended = extend(&desk, &at, &key, Expiry::Days(7)).await;
            if late {
                assert!(says(&extended, "more than 30 days ago"), "{extended:?}");
            } else {
                extended.unwrap();
            }
            assert_eq!(accepted(&desk, &key).await, !late);
        }
    }
);

on_both!(
    fn a_name_that_a_live_key_has_taken_must_be_another_one(desk: TestDesk) {
        let at = desk.owner().await;
        let (key, ends) = short(&desk, &at, "ci-prod").await;
        desk.clock.set(ends);
        upkeep::expire_keys(&desk).await.unwrap();
        desk.create_key(&at, "CI-prod").await;
        let (field, sentence) = refused(extend(&desk, &at, &key, Expiry::Days(30)).await);
        assert_eq!(field, "name");
        assert_eq!(sentence, "A live key without a team is already named ci-prod. Choose another name.");
        let mut other = wish(&desk, &at, &key, Expiry::Days(30)).await;
        other.name = "ci-prod-2".into();
        keys::extend(&desk, &at.caller, &other).await.unwrap();
        assert_eq!(desk.show(&at, &key).await.name, "ci-prod-2");
        assert_eq!(desk.search_names(&at, "ci-prod-2").await, ["ci-prod-2"]);
    }
);

on_both!(
    fn the_rules_of_the_organisation_hold(desk: TestDesk) {
        let at = desk.owner().await;
        let member = desk.member(&at, OrgRole::Member).await;
        let mut form = form("theirs");
        form.owner = member.caller.person.id.to_string();
        form.expiry = "7".into();
        let key = desk.create(&at, form).await.unwrap();
        desk.clock.set(desk.now().plus_days(7));
        // Its owner cannot edit it, so they cannot extend it either.
        let own = extend(&desk, &member, &key, Expiry::Days(7)).await;
        assert!(matches!(own, Err(OpError::Forbidden)), "{own:?}");
        let support = desk.platform(&at, PlatformRole::Support).await;
        let form = keys::extend_form(&desk, &support.caller, &at.org.slug, key.id.as_str()).await;
        assert!(matches!(form, Err(OpError::Forbidden)));

        assert_eq!(refused(extend(&desk, &at, &key, Expiry::Keep).await).0, "expiry");
        desk.execute("UPDATE orgs SET max_key_days = 10, max_keys_per_member = 1").await.unwrap();
        for expiry in [Expiry::Never, Expiry::Days(30)] {
            assert_eq!(refused(extend(&desk, &at, &key, expiry).await).0, "expiry");
        }
        let mut another = crate::support::form("another");
        another.owner = member.caller.person.id.to_string();
        another.expiry = "7".into();
        let at = At { caller: desk.caller(&at.caller.person.id).await, org: at.org.clone() };
        let another = desk.create(&at, another).await.unwrap();
        assert!(says(&extend(&desk, &at, &key, Expiry::Days(7)).await, "at most 1 live key"));
        desk.revoke(&at, &another, "another").await.unwrap();
        extend(&desk, &at, &key, Expiry::Days(7)).await.unwrap();
    }
);

on_both!(
    fn a_revocation_at_the_same_time_wins(desk: TestDesk) {
        let at = desk.owner().await;
        for n in 0..6 {
            let name = format!("key-{n}");
            let (key, ends) = short(&desk, &at, &name).await;
            desk.clock.set(ends);
            let wish = wish(&desk, &at, &key, Expiry::Days(30)).await;
            let (extended, revoked, swept) = tokio::join!(
                keys::extend(&desk, &at.caller, &wish),
                desk.revoke(&at, &key, &name),
                upkeep::expire_keys(&desk)
            );
            revoked.unwrap();
            swept.unwrap();
            assert_eq!(desk.show(&at, &key).await.status, Status::Revoked, "{extended:?}");
            assert!(!accepted(&desk, &key).await);
            assert!(says(&keys::extend(&desk, &at.caller, &wish).await, "revoked"));
        }
    }
);
