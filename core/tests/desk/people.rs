//! How people come in: set-up, signing in, reset links and sessions.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::{OrgId, PersonId, SessionId};
use keydesk_core::domain::link::{LinkKind, OneTimeLink};
use keydesk_core::domain::person::Email;
use keydesk_core::domain::policy::{Action, PlatformRole, test_permit};
use keydesk_core::ops::lane::{KnownDevice, SignInSource};
use keydesk_core::ops::setup::set_up;
use keydesk_core::ops::sign_in::{ResetForm, SignInForm, WRONG, check_password, reset_password};
use keydesk_core::ops::{OpError, links};
use keydesk_core::store::Unaudited;
use keydesk_core::store::people;
use keydesk_core::store::people::NewPerson;
use keydesk_core::store::sessions::{self, Begun, NewSession};

use crate::support::*;

const NEW_PASSWORD: &str = "walnut ferry 92 lantern";

async fn enter(desk: &TestDesk, email: &str, password: &str, network: &str) -> Result<PersonId, OpError> {
    enter_from(desk, email, password, network, &[]).await
}

async fn enter_from(
    desk: &TestDesk,
    email: &str,
    password: &str,
    network: &str,
    devices: &[KnownDevice],
) -> Result<PersonId, OpError> {
    let form = SignInForm { email: email.into(), password: Hidden::new(password), next: String::new() };
    let from = SignInSource { address: network, request_id: "req_test", devices };
    Ok(check_password(desk, &form, &from, "sign-in").await?.person)
}

fn is_wrong(result: &Result<PersonId, OpError>) -> bool {
    matches!(result, Err(OpError::Invalid(errors)) if errors.len() == 1
        && errors[0].field == "password" && errors[0].problem.sentence() == WRONG)
}

fn is_not_found<T>(result: &Result<T, OpError>) -> bool {
    matches!(result, Err(OpError::NotFound))
}

on_both!(
    fn a_set_up_link_works_once(desk: TestDesk) {
        let token = links::new_setup(&desk).await.unwrap().unwrap();
        assert!(is_not_found(&set_up(&desk, &setup_form("")).await));
        assert!(is_not_found(&set_up(&desk, &setup_form(&token[1..])).await));
        let weak = keydesk_core::ops::setup::SetupForm {
            password: Hidden::new("password1234567"),
            ..setup_form(&token)
        };
        assert_eq!(refused(set_up(&desk, &weak).await).0, "password");
        // Mistakes do not use the link up.
        let (person, org) = set_up(&desk, &setup_form(&token)).await.unwrap();
        assert_eq!(org.slug, "northwind");
        let caller = desk.caller(&person).await;
        assert_eq!(
            (caller.person.name.as_str(), caller.person.platform),
            ("Ana Petrov", PlatformRole::Operator)
        );
        assert!(is_not_found(&set_up(&desk, &setup_form(&token)).await));
        assert!(links::new_setup(&desk).await.unwrap().is_none());
        assert_eq!(desk.number("SELECT COUNT(*) FROM people").await, 1);
        assert!(!desk.dump().await.contains(&token));
    }
);

on_both!(
    fn of_many_who_use_a_set_up_link_one_becomes_the_owner(desk: TestDesk) {
        let token = links::new_setup(&desk).await.unwrap().unwrap();
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..5 {
            let (desk, token) = (desk.clone(), token.clone());
            let mut form = setup_form(&token);
            form.email = format!("ana{n}@example.com");
            form.org = format!("Northwind {n}");
            tries.spawn(async move { set_up(&desk, &form).await.is_ok() });
        }
        let mut made = 0;
        while let Some(done) = tries.join_next().await {
            made += i32::from(done.unwrap());
        }
        assert_eq!(made, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM orgs").await, 1);
    }
);

on_both!(
    fn a_set_up_link_ends_after_a_day_and_when_a_newer_one_is_made(desk: TestDesk) {
        let first = links::new_setup(&desk).await.unwrap().unwrap();
        let second = links::new_setup(&desk).await.unwrap().unwrap();
        assert!(is_not_found(&set_up(&desk, &setup_form(&first)).await));
        desk.clock.advance(DAY);
        assert!(is_not_found(&set_up(&desk, &setup_form(&second)).await));
        let third = links::new_setup(&desk).await.unwrap().unwrap();
        desk.clock.advance(DAY - 1);
        assert!(set_up(&desk, &setup_form(&third)).await.is_ok());
    }
);

on_both!(
    fn a_set_up_link_is_dead_once_there_is_somebody(desk: TestDesk) {
        let token = links::new_setup(&desk).await.unwrap().unwrap();
        let id = PersonId::new(desk.now(), desk.id_entropy());
        let email = Email::parse("first@example.com").unwrap();
        let new = NewPerson {
            id: &id,
            name: "First",
            email: &email,
            password_hash: "none",
            platform: PlatformRole::Operator,
        };
        let mut tx = desk.db.write().await.unwrap();
        let nowhere = OrgId::new(desk.now(), desk.id_entropy());
        let permit = test_permit(&nowhere, Action::SetUp, nowhere.as_str());
        people::insert_person(&mut tx, &permit, &new, desk.now()).await.unwrap();
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        assert!(is_not_found(&set_up(&desk, &setup_form(&token)).await));
        assert_eq!(desk.number("SELECT COUNT(*) FROM orgs").await, 0);
    }
);

on_both!(
    fn every_wrong_pair_gets_the_same_answer(desk: TestDesk) {
        let at = desk.owner().await;
        let person = enter(&desk, " ANA@Example.com ", PASSWORD, "net").await.unwrap();
        assert_eq!(person, at.caller.person.id);
        for (email, password) in [
            (OWNER_EMAIL, "wrong"),
            (OWNER_EMAIL, ""),
            (OWNER_EMAIL, "Umbrella kettle orchid 47"),
            ("nobody@example.com", PASSWORD),
            ("not an address", PASSWORD),
            ("", ""),
            ("ana\0@example.com", PASSWORD),
        ] {
            let result = enter(&desk, email, password, "net").await;
            assert!(is_wrong(&result), "{email:?}: {result:?}");
        }
        desk.execute("UPDATE people SET disabled_at = 1").await.unwrap();
        assert!(is_wrong(&enter(&desk, OWNER_EMAIL, PASSWORD, "net").await));
    }
);

on_both!(
    fn delays_begin_after_five_failures_and_end(desk: TestDesk) {
        desk.owner().await;
        for _ in 0..5 {
            assert!(is_wrong(&enter(&desk, OWNER_EMAIL, "wrong", "net").await));
        }
        // While it lasts, not even the right password is looked at; unknown addresses wait just as well.
        let waiting = enter(&desk, OWNER_EMAIL, PASSWORD, "net").await;
        assert!(matches!(waiting, Err(OpError::TooMany { retry_after_s: 1..=2 })), "{waiting:?}");
        // Elsewhere, the owner gets in.
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "another net").await.is_ok());
        for _ in 0..5 {
            assert!(is_wrong(&enter(&desk, "nobody@example.com", "wrong", "third net").await));
        }
        let unknown = enter(&desk, "nobody@example.com", "wrong", "third net").await;
        assert!(matches!(unknown, Err(OpError::TooMany { .. })));

        desk.clock.advance(1_000);
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "net").await.is_ok());
        // Success starts the count anew.
        assert!(is_wrong(&enter(&desk, OWNER_EMAIL, "wrong", "net").await));
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "net").await.is_ok());
    }
);

on_both!(
    fn delays_grow_to_a_minute_and_lock_nobody_out(desk: TestDesk) {
        desk.owner().await;
        let mut longest = 0;
        for _ in 0..16 {
            match enter(&desk, OWNER_EMAIL, "wrong", "net").await {
                Err(OpError::TooMany { retry_after_s }) => {
                    longest = longest.max(retry_after_s);
                    desk.clock.advance(retry_after_s * 1_000);
                    assert!(is_wrong(&enter(&desk, OWNER_EMAIL, "wrong", "net").await));
                }
                other => assert!(is_wrong(&other)),
            }
        }
        assert!((60..=61).contains(&longest), "{longest}");
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "home").await.is_ok());
        desk.clock.advance(MINUTE);
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "net").await.is_ok());
    }
);

on_both!(
    fn a_network_that_tries_many_accounts_waits_too(desk: TestDesk) {
        desk.owner().await;
        for n in 0..20 {
            assert!(is_wrong(&enter(&desk, &format!("person{n}@example.com"), "wrong", "crowd").await));
        }
        let waiting = enter(&desk, OWNER_EMAIL, PASSWORD, "crowd").await;
        assert!(matches!(waiting, Err(OpError::TooMany { .. })));
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "home").await.is_ok());
    }
);

fn device(desk: &TestDesk, person: &PersonId) -> KnownDevice {
    KnownDevice { person: person.clone(), id: SessionId::new(desk.now(), desk.id_entropy()) }
}

on_both!(
    fn whatever_comes_from_new_networks_a_known_device_or_network_gets_in(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let person = &at.caller.person.id;
        // A session that began at home, and is over.
        assert!(begin_at(&desk, person, b"old", "198.51.100.7").await);
        desk.execute("UPDATE sessions SET ended_at = 1").await.unwrap();
        let own = [device(&desk, &other.caller.person.id), device(&desk, person)];
        let (mut looked_at, mut let_in) = (0, 0);
        for second in 0..30 {
            for n in 0..40 {
                let network = format!("2001:db8:{second:x}:{n:x}::1");
                looked_at += i32::from(is_wrong(&enter(&desk, OWNER_EMAIL, "wrong", &network).await));
                if n % 20 == 10 {
                    let_in += i32::from(
                        enter_from(&desk, OWNER_EMAIL, PASSWORD, "2001:db8:ffff::1", &own).await.is_ok(),
                    );
                    let_in += i32::from(enter(&desk, OWNER_EMAIL, PASSWORD, "198.51.100.7").await.is_ok());
                }
                desk.clock.advance(25);
            }
        }
        assert_eq!(let_in, 120, "the owner is let in each time");
        // The account as a whole is still guessed at slowly, however many networks there are.
        assert!(looked_at <= 100 + 15 + 1, "{looked_at} guesses were looked at");
        let stranger = enter(&desk, OWNER_EMAIL, PASSWORD, "2001:db8:fffe::1").await;
        assert!(matches!(stranger, Err(OpError::TooMany { retry_after_s: ..=2 })), "{stranger:?}");
        // Another person's device is none of this one's.
        let theirs = [device(&desk, &other.caller.person.id)];
        let stranger = enter_from(&desk, OWNER_EMAIL, PASSWORD, "2001:db8:fffd::1", &theirs).await;
        assert!(matches!(stranger, Err(OpError::TooMany { .. })), "{stranger:?}");
    }
);

on_both!(
    fn a_known_device_is_bounded_by_itself_and_slows_no_one_else(desk: TestDesk) {
        let at = desk.owner().await;
        let stolen = [device(&desk, &at.caller.person.id)];
        let mut looked_at = 0;
        for _ in 0..200 {
            looked_at += i32::from(is_wrong(&enter_from(&desk, OWNER_EMAIL, "wrong", "net", &stolen).await));
            desk.clock.advance(250);
        }
        assert!((10..=20).contains(&looked_at), "{looked_at}");
        let waiting = enter_from(&desk, OWNER_EMAIL, PASSWORD, "net", &stolen).await;
        assert!(matches!(waiting, Err(OpError::TooMany { retry_after_s: ..=4 })), "{waiting:?}");
        assert!(enter(&desk, OWNER_EMAIL, PASSWORD, "net").await.is_ok());
        desk.clock.advance(4_000);
        assert!(enter_from(&desk, OWNER_EMAIL, PASSWORD, "net", &stolen).await.is_ok());
        // A crowded office does not keep it waiting either.
        for n in 0..20 {
            assert!(is_wrong(&enter(&desk, &format!("person{n}@example.com"), "wrong", "office").await));
        }
        assert!(matches!(enter(&desk, OWNER_EMAIL, PASSWORD, "office").await, Err(OpError::TooMany { .. })));
        assert!(enter_from(&desk, OWNER_EMAIL, PASSWORD, "office", &stolen).await.is_ok());
    }
);

on_both!(
    fn a_clock_that_ran_ahead_makes_no_wait_longer_than_its_rule(desk: TestDesk) {
        desk.owner().await;
        desk.clock.advance(300 * DAY);
        for _ in 0..40 {
            let _ = enter(&desk, OWNER_EMAIL, "wrong", "net").await;
            desk.clock.advance(10_000);
        }
        desk.clock.advance(-300 * DAY);
        for (what, network) in [("the same network", "net"), ("another one", "home")] {
            let first = enter(&desk, OWNER_EMAIL, PASSWORD, network).await;
            if let Err(OpError::TooMany { retry_after_s }) = first {
                assert!(retry_after_s <= 60, "{what}: {retry_after_s}");
                desk.clock.advance(retry_after_s * 1_000);
                assert!(enter(&desk, OWNER_EMAIL, PASSWORD, network).await.is_ok(), "{what}");
            }
        }
        // And a re-authentication from then is no younger than others.
        let at = desk.caller(&PersonId::parse(&desk.texts("SELECT id FROM people").await[0]).unwrap()).await;
        assert!(at.recently_authenticated(desk.now().plus_ms(-MINUTE)));
        assert!(!at.recently_authenticated(desk.now().plus_ms(-HOUR)));
    }
);

async fn begin(desk: &TestDesk, person: &PersonId, hash: &[u8]) -> bool {
    begin_at(desk, person, hash, "x").await
}

async fn begin_at(desk: &TestDesk, person: &PersonId, hash: &[u8], address: &str) -> bool {
    let id = SessionId::new(desk.now(), desk.id_entropy());
    let mut tx = desk.db.write().await.unwrap();
    let password_set_at = people::password_set_at(&mut tx, person).await.unwrap().unwrap();
    let new =
        NewSession { hash, id: &id, person, data: "{\"a\":1}", address, user_agent: "y", password_set_at };
    let begun = sessions::insert(&mut tx, &new, desk.now()).await.unwrap();
    tx.save_unaudited(Unaudited::Bench).await.unwrap();
    begun == Begun::Yes
}

/// With an idle limit of an hour and an absolute one of a day.
async fn lives(desk: &TestDesk, hash: &[u8]) -> bool {
    let (idle, begun) = (desk.now().plus_ms(-HOUR), desk.now().plus_ms(-DAY));
    sessions::load(&mut desk.db.read().await.unwrap(), hash, idle, begun).await.unwrap().is_some()
}

on_both!(
    fn a_reset_link_works_once_and_ends_every_session(desk: TestDesk) {
        let at = desk.owner().await;
        let person = &at.caller.person.id;
        let email = Email::parse(OWNER_EMAIL).unwrap();
        assert!(begin(&desk, person, b"one").await && begin(&desk, person, b"two").await);
        assert_eq!(
            links::new_reset(&desk, &Email::parse("nobody@example.com").unwrap()).await.unwrap(),
            None
        );
        let old = links::new_reset(&desk, &email).await.unwrap().unwrap();
        let token = links::new_reset(&desk, &email).await.unwrap().unwrap();
        let reset = async |token: &str, password: &str| {
            reset_password(&desk, &ResetForm { token: Hidden::new(token), password: Hidden::new(password) })
                .await
        };
        assert!(is_not_found(&reset(&old, NEW_PASSWORD).await));
        assert_eq!(refused(reset(&token, "short").await).0, "password");
        assert_eq!(refused(reset(&token, "ana petrov example").await).0, "password");
        assert!(lives(&desk, b"one").await);
        // A link for one thing is none for another.
        assert!(is_not_found(&set_up(&desk, &setup_form(&token)).await));
        assert_eq!(
            links::find(&desk, &token, LinkKind::Reset).await.unwrap(),
            Some(OneTimeLink { person: Some(person.clone()) })
        );

        for _ in 0..5 {
            assert!(is_wrong(&enter(&desk, OWNER_EMAIL, "wrong", "net").await));
        }
        reset(&token, NEW_PASSWORD).await.unwrap();
        assert!(!lives(&desk, b"one").await && !lives(&desk, b"two").await);
        // Nor does the account wait any longer.
        assert!(is_wrong(&enter(&desk, OWNER_EMAIL, PASSWORD, "net").await));
        assert_eq!(enter(&desk, OWNER_EMAIL, NEW_PASSWORD, "net").await.unwrap(), *person);
        assert!(is_not_found(&reset(&token, PASSWORD).await));
        assert_eq!(
            desk.texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL AND seq = 2").await,
            ["password.reset"]
        );
        assert!(!desk.dump().await.contains(&token));

        let late = links::new_reset(&desk, &email).await.unwrap().unwrap();
        desk.clock.advance(HOUR);
        assert!(is_not_found(&reset(&late, PASSWORD).await));
    }
);

on_both!(
    fn an_ended_session_does_not_come_back(desk: TestDesk) {
        let at = desk.owner().await;
        let person = &at.caller.person.id;
        assert!(begin(&desk, person, b"hash").await);
        let mut tx = desk.db.write().await.unwrap();
        sessions::end(&mut tx, b"hash", desk.now()).await.unwrap();
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        assert!(!lives(&desk, b"hash").await);
        // A slow request that still holds it saves and is seen.
        let mut tx = desk.db.write().await.unwrap();
        sessions::save(&mut tx, b"hash", "{\"late\":1}").await.unwrap();
        sessions::seen(&mut tx, b"hash", desk.now().plus_ms(1)).await.unwrap();
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        assert!(!lives(&desk, b"hash").await);
        assert_eq!(desk.texts("SELECT data FROM sessions").await, ["{}"]);
        assert!(!begin(&desk, person, b"hash").await, "the hash of an ended session was given out again");
        assert!(!lives(&desk, b"hash").await);
    }
);

on_both!(
    fn sessions_end_when_idle_and_in_any_case(desk: TestDesk) {
        let at = desk.owner().await;
        assert!(begin(&desk, &at.caller.person.id, b"hash").await);
        desk.clock.advance(HOUR - 1);
        assert!(lives(&desk, b"hash").await);
        desk.clock.advance(1);
        assert!(!lives(&desk, b"hash").await);
        desk.clock.advance(-1);
        // Kept awake, it still ends a day after it began.
        while desk.now() < START.plus_ms(DAY - 1) {
            let mut tx = desk.db.write().await.unwrap();
            sessions::seen(&mut tx, b"hash", desk.now()).await.unwrap();
            tx.save_unaudited(Unaudited::Bench).await.unwrap();
            assert!(lives(&desk, b"hash").await);
            let left = START.plus_ms(DAY - 1).ms() - desk.now().ms();
            desk.clock.advance(left.min(HOUR / 2));
        }
        assert!(lives(&desk, b"hash").await);
        desk.clock.advance(1);
        assert!(!lives(&desk, b"hash").await);
    }
);

on_both!(
    fn a_taken_session_hash_is_not_given_out_and_changes_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        assert!(begin(&desk, &at.caller.person.id, b"hash").await);
        let other = desk.other_org("Other", "UTC").await;
        assert!(!begin(&desk, &other.caller.person.id, b"hash").await);
        assert_eq!(desk.texts("SELECT person_id FROM sessions").await, [at.caller.person.id.as_str()]);
    }
);

on_both!(
    fn a_disabled_person_has_no_session(desk: TestDesk) {
        let at = desk.owner().await;
        assert!(begin(&desk, &at.caller.person.id, b"hash").await);
        desk.execute("UPDATE people SET disabled_at = 1").await.unwrap();
        assert!(!lives(&desk, b"hash").await);
    }
);
