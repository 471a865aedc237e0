//! One's own account: the name, the password, the sessions, and what the organisations are told of them.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::{PersonId, SessionId};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::person::Email;
use keydesk_core::domain::policy::{Action, OrgRole, test_permit};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::account::{
    NameForm, PasswordForm, SessionForm, SessionLife, change_password, end_other_sessions, end_session,
    list_sessions, rename, show,
};
use keydesk_core::ops::lane::SignInSource;
use keydesk_core::ops::sign_in::{ResetForm, SignInForm, VerifiedPassword, check_password, reset_password};
use keydesk_core::ops::{OpError, links};
use keydesk_core::store::people;
use keydesk_core::store::sessions::{self, Begun, NewSession};

use crate::support::*;

pub const NEW_PASSWORD: &str = "walnut ferry 92 lantern";
const LIFE: SessionLife = SessionLife { idle_ms: HOUR, whole_ms: DAY };
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A session with that password behind it.
async fn begin(desk: &TestDesk, person: &PersonId, password_set_at: Moment) -> (Begun, SessionId) {
    let id = SessionId::new(desk.now(), desk.id_entropy());
    let new = NewSession {
        hash: id.as_str().as_bytes(),
        id: &id,
        person,
        data: "{}",
        address: "192.0.2.1",
        user_agent: FIREFOX,
        password_set_at,
    };
    let mut tx = desk.db.write().await.unwrap();
    let begun = sessions::insert(&mut tx, &new, desk.now()).await.unwrap();
    tx.save_without_events().await.unwrap();
    (begun, id)
}

async fn open(desk: &TestDesk, caller: &Caller) -> Vec<SessionId> {
    let (sessions, _) = list_sessions(desk, caller, LIFE).await.unwrap();
    sessions.into_iter().map(|session| session.id).collect()
}

/// The caller with `count` sessions; the first one asks.
async fn with_sessions(desk: &TestDesk, at: &At, count: usize) -> (Caller, Vec<SessionId>) {
    let person = &at.caller.person.id;
    let set_at = people::password_set_at(&mut desk.db.read().await.unwrap(), person).await.unwrap().unwrap();
    let mut ids = Vec::new();
    for _ in 0..count {
        let (begun, id) = begin(desk, person, set_at).await;
        assert_eq!(begun, Begun::Yes);
        ids.push(id);
    }
    (Caller { session: ids[0].clone(), ..at.caller.clone() }, ids)
}

pub async fn prove_password(
    desk: &TestDesk,
    email: &str,
    password: &str,
) -> Result<VerifiedPassword, OpError> {
    let form = SignInForm { email: email.into(), password: Hidden::new(password), next: String::new() };
    let from = SignInSource { address: "192.0.2.1", ..Default::default() };
    check_password(desk, &form, &from, "sign-in").await
}

fn change(current: &str, password: &str) -> PasswordForm {
    PasswordForm { current: Hidden::new(current), code: Hidden::default(), password: Hidden::new(password) }
}

on_both!(
    fn a_new_password_needs_the_present_one_and_ends_every_other_session(desk: TestDesk) {
        let at = desk.owner().await;
        let (caller, ids) = with_sessions(&desk, &at, 3).await;
        desk.clock.advance(HOUR / 2);
        let before = prove_password(&desk, OWNER_EMAIL, PASSWORD).await.unwrap();

        for (form, field) in [
            (change("not the present one", NEW_PASSWORD), "current"),
            (change("", NEW_PASSWORD), "current"),
            (change(PASSWORD, "short"), "password"),
            (change(PASSWORD, "passwordpassword"), "password"),
            (change(PASSWORD, "ana petrov example"), "password"),
            (change(PASSWORD, PASSWORD), "password"),
        ] {
            assert_eq!(refused(change_password(&desk, &caller, &form).await).0, field);
        }
        assert_eq!(open(&desk, &caller).await.len(), 3);

        let verified = change_password(&desk, &caller, &change(PASSWORD, NEW_PASSWORD)).await.unwrap();
        assert_eq!(verified.person, caller.person.id);
        assert_eq!(open(&desk, &caller).await, []);
        assert!(prove_password(&desk, OWNER_EMAIL, PASSWORD).await.is_err());
        assert_eq!(prove_password(&desk, OWNER_EMAIL, NEW_PASSWORD).await.unwrap(), verified);
        // The old password, right a moment before, begins nothing any more; the new one does.
        assert_eq!(begin(&desk, &caller.person.id, before.password_set_at).await.0, Begun::Refused);
        assert_eq!(begin(&desk, &caller.person.id, verified.password_set_at).await.0, Begun::Yes);
        assert!(!ids.is_empty());
        let told = desk.texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL ORDER BY seq").await;
        assert_eq!(told.last().unwrap(), "password.changed");
        let dump = desk.dump().await;
        assert!(!dump.contains(NEW_PASSWORD) && !dump.contains(PASSWORD));
    }
);

on_both!(
    fn wrong_present_passwords_are_counted_as_at_the_sign_in(desk: TestDesk) {
        let at = desk.owner().await;
        for _ in 0..5 {
            let form = change("not the present one", NEW_PASSWORD);
            assert_eq!(refused(change_password(&desk, &at.caller, &form).await).0, "current");
        }
        let late = change_password(&desk, &at.caller, &change(PASSWORD, NEW_PASSWORD)).await;
        assert!(matches!(late, Err(OpError::TooMany { .. })));
    }
);

on_both!(
    fn a_password_set_within_the_same_millisecond_is_another_one(desk: TestDesk) {
        let at = desk.owner().await;
        let before = prove_password(&desk, OWNER_EMAIL, PASSWORD).await.unwrap();
        let after = change_password(&desk, &at.caller, &change(PASSWORD, NEW_PASSWORD)).await.unwrap();
        assert!(after.password_set_at > before.password_set_at);
        assert_eq!(begin(&desk, &before.person, before.password_set_at).await.0, Begun::Refused);
    }
);

on_both!(
    /// Whoever had verified the old password just before: either the reset ends their session, or it never begins.
    fn no_session_outlives_a_reset_that_happens_while_it_begins(desk: TestDesk) {
        let at = desk.owner().await;
        let email = Email::parse(OWNER_EMAIL).unwrap();
        let mut password = PASSWORD;
        for round in 0..6 {
            let verified = prove_password(&desk, OWNER_EMAIL, password).await.unwrap();
            password = if round % 2 == 0 { NEW_PASSWORD } else { PASSWORD };
            let token = links::new_reset(&desk, &email).await.unwrap().unwrap();
            let form = ResetForm { token: Hidden::new(token), password: Hidden::new(password) };
            let mut begins = tokio::task::JoinSet::new();
            for n in 0..24_u64 {
                let (desk, verified) = (desk.clone(), verified.clone());
                begins.spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(n * 6)).await;
                    begin(&desk, &verified.person, verified.password_set_at).await.0
                });
            }
            reset_password(&desk, &form).await.unwrap();
            let mut refused = 0;
            while let Some(begun) = begins.join_next().await {
                refused += usize::from(begun.unwrap() == Begun::Refused);
            }
            assert_eq!(open(&desk, &at.caller).await, [], "round {round}: {refused} were refused");
        }
    }
);

on_both!(
    fn sessions_are_listed_and_ended_by_their_person_alone(desk: TestDesk) {
        let at = desk.owner().await;
        let (caller, ids) = with_sessions(&desk, &at, 4).await;
        let other = desk.other_org("Other", "UTC").await;
        let (stranger, strange) = with_sessions(&desk, &other, 2).await;

        let (list, _) = list_sessions(&desk, &caller, LIFE).await.unwrap();
        assert_eq!(list.len(), 4);
        assert!(list.iter().all(|session| session.user_agent == FIREFOX && session.address == "192.0.2.1"));
        assert_eq!(show(&desk, &caller, LIFE).await.unwrap().sessions, 4);

        for id in [strange[1].as_str(), "ses_0", "", &SessionId::new(desk.now(), [9; 10]).to_string()] {
            let form = SessionForm { id: id.into() };
            assert!(matches!(end_session(&desk, &caller, &form).await, Err(OpError::NotFound)), "{id}");
        }
        let one = SessionForm { id: ids[2].to_string() };
        assert_eq!(end_session(&desk, &caller, &one).await.unwrap(), "Firefox on Linux");
        assert!(
            matches!(end_session(&desk, &caller, &one).await, Err(OpError::NotFound)),
            "it ended already"
        );
        assert_eq!(open(&desk, &caller).await.len(), 3);

        assert_eq!(end_other_sessions(&desk, &caller).await.unwrap(), 2);
        assert_eq!(open(&desk, &caller).await, [ids[0].clone()]);
        assert_eq!(open(&desk, &stranger).await.len(), 2);
        // A slow request of an ended one saves late and is seen.
        let mut tx = desk.db.write().await.unwrap();
        sessions::save(&mut tx, ids[2].as_str().as_bytes(), "{}").await.unwrap();
        sessions::seen(&mut tx, ids[2].as_str().as_bytes(), desk.now().plus_ms(1)).await.unwrap();
        tx.save_without_events().await.unwrap();
        assert_eq!(open(&desk, &caller).await, [ids[0].clone()]);

        let told = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'sessions.ended' ORDER BY seq";
        let told = desk.texts(told).await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("Firefox on Linux, 192.0.2.1"), "{told:?}");
        assert_eq!(end_other_sessions(&desk, &caller).await.unwrap(), 0);
        assert_eq!(
            desk.texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL AND kind = 'sessions.ended'")
                .await
                .len(),
            2
        );
    }
);

on_both!(
    fn sessions_that_are_over_by_the_clock_are_not_listed(desk: TestDesk) {
        let at = desk.owner().await;
        let (caller, _) = with_sessions(&desk, &at, 2).await;
        desk.clock.advance(HOUR - 1);
        assert_eq!(open(&desk, &caller).await.len(), 2);
        desk.clock.advance(1);
        assert_eq!(open(&desk, &caller).await, []);
    }
);

on_both!(
    fn a_new_name_is_told_to_every_organisation_of_the_person(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let mut tx = desk.db.write().await.unwrap();
        let (person, now) = (&at.caller.person.id, desk.now());
        let permit = test_permit(&other.org.id, Action::SetUp, other.org.id.as_str());
        people::insert_member(&mut tx, &permit, &other.org.id, person, OrgRole::Member, now).await.unwrap();
        tx.save_without_events().await.unwrap();

        let name = |name: &str| NameForm { name: name.into() };
        for wrong in ["", "  ", "Ana\u{202e}", &"x".repeat(101)] {
            assert_eq!(refused(rename(&desk, &at.caller, &name(wrong)).await).0, "name");
        }
        rename(&desk, &at.caller, &name(&at.caller.person.name)).await.unwrap();
        rename(&desk, &at.caller, &name(" Ana Maria ")).await.unwrap();
        assert_eq!(desk.caller(person).await.person.name, "Ana Maria");
        let told = desk
            .texts("SELECT org_id FROM audit_events WHERE org_id IS NOT NULL AND kind = 'person.renamed'")
            .await;
        assert_eq!(told.len(), 2);
        assert!(told.contains(&at.org.id.to_string()) && told.contains(&other.org.id.to_string()));
    }
);
