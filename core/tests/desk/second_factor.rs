//! Codes from a device and recovery codes: each works once, in its time, after the password, for its person.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::person::Email;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::reauth::Reauth;
use keydesk_core::ops::OpError;
use keydesk_core::ops::access::{Caller, open_org};
use keydesk_core::ops::account::{PasswordForm, change_password};
use keydesk_core::ops::codes::Used;
use keydesk_core::ops::lane::{KnownDevice, SignInSource};
use keydesk_core::ops::reauthentication::reauthenticate;
use keydesk_core::ops::second_factor::{
    Attempt, CodeForm, StartForm, TurnOffForm, TurnOnForm, View, begin_attempt, finish_sign_in,
    owner_to_tell, renew_codes, show, start, turn_off, turn_off_lost, turn_on,
};
use keydesk_core::ops::sign_in::VerifiedPassword;
use totp_rs::{Algorithm, Builder, Secret};

use crate::account::{NEW_PASSWORD, prove_password};
use crate::support::*;

const STEP: i64 = 30_000;

/// What an authenticator app shows.
struct App(Vec<u8>);

impl App {
    fn code(&self, desk: &TestDesk) -> String {
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(30)
            .with_secret(self.0.clone())
            .build()
            .unwrap();
        totp.generate(desk.now().ms() as u64 / 1_000).to_string()
    }

    fn wrong(&self, desk: &TestDesk) -> String {
        let right: u32 = self.code(desk).parse().unwrap();
        format!("{:06}", (right + 500_001) % 1_000_000)
    }
}

fn reauth(password: &str, code: &str) -> Reauth {
    Reauth { password: Hidden::new(password), code: Hidden::new(code) }
}

fn code_form(code: &str) -> CodeForm {
    CodeForm { code: Hidden::new(code), recovery: Hidden::default() }
}

fn recovery_form(code: &str) -> CodeForm {
    CodeForm { code: Hidden::default(), recovery: Hidden::new(code) }
}

/// The app after the secret was shown, before it is turned on.
async fn set_up(desk: &TestDesk, caller: &Caller) -> App {
    start(desk, caller, &StartForm { reauth: reauth(PASSWORD, "") }).await.unwrap();
    let View::SettingUp { secret, url } = show(desk, caller).await.unwrap() else {
        panic!("nothing is set up")
    };
    assert!(url.starts_with("otpauth://totp/Keydesk:") && url.contains(&secret), "{url}");
    assert!(url.contains("issuer=Keydesk"));
    App(Secret::try_from_base32(&secret).unwrap().as_bytes().to_vec())
}

/// The owner with it turned on.
async fn with_second_factor(desk: &TestDesk) -> (At, App, Vec<String>) {
    let at = desk.owner().await;
    let app = set_up(desk, &at.caller).await;
    let form = TurnOnForm { code: Hidden::new(app.code(desk)), reauth: Reauth::default() };
    let codes = turn_on(desk, &at.caller, &form).await.unwrap();
    desk.clock.advance(2 * STEP);
    let caller = desk.caller(&at.caller.person.id).await;
    assert!(caller.person.second_factor);
    (At { caller, ..at }, app, codes)
}

async fn half_in(desk: &TestDesk) -> VerifiedPassword {
    let verified = prove_password(desk, OWNER_EMAIL, PASSWORD).await.unwrap();
    assert!(verified.second_factor);
    verified
}

async fn finish(desk: &TestDesk, verified: &VerifiedPassword, form: &CodeForm) -> Result<Used, OpError> {
    let attempt = begin_attempt(desk, verified).await.unwrap();
    finish_from(desk, verified, &attempt, form, &[]).await
}

async fn finish_from(
    desk: &keydesk_core::Desk,
    verified: &VerifiedPassword,
    attempt: &Attempt,
    form: &CodeForm,
    devices: &[KnownDevice],
) -> Result<Used, OpError> {
    let from = SignInSource { address: "192.0.2.1", request_id: "req_test", devices };
    finish_sign_in(desk, verified, attempt, form, &from).await
}

fn is_wrong(result: &Result<Used, OpError>) -> bool {
    matches!(result, Err(OpError::Invalid(errors)) if errors.len() == 1)
}

on_both!(
    fn it_is_turned_on_only_by_a_right_code_and_a_fresh_sign_in(desk: TestDesk) {
        let at = desk.owner().await;
        assert!(matches!(show(&desk, &at.caller).await.unwrap(), View::Off));
        let wrong = StartForm { reauth: reauth("not my password", "") };
        assert_eq!(refused(start(&desk, &at.caller, &wrong).await).0, "reauth");
        assert_eq!(refused(start(&desk, &at.caller, &StartForm::default()).await).0, "reauth");
        let early = TurnOnForm { code: Hidden::new("123456"), reauth: Reauth::default() };
        assert_eq!(refused(turn_on(&desk, &at.caller, &early).await).0, "code");

        let first = set_up(&desk, &at.caller).await;
        let app = set_up(&desk, &at.caller).await;
        assert_ne!(first.0, app.0, "each try has a secret of its own");
        for code in [first.code(&desk), app.wrong(&desk), String::new()] {
            let form = TurnOnForm { code: Hidden::new(code), reauth: Reauth::default() };
            assert_eq!(refused(turn_on(&desk, &at.caller, &form).await).0, "code");
        }
        assert!(!desk.caller(&at.caller.person.id).await.person.second_factor);
        assert!(!prove_password(&desk, OWNER_EMAIL, PASSWORD).await.unwrap().second_factor);

        desk.clock.advance(10 * MINUTE);
        let form = TurnOnForm { code: Hidden::new(app.code(&desk)), reauth: Reauth::default() };
        assert!(matches!(turn_on(&desk, &at.caller, &form).await, Err(OpError::ReauthRequired)));
        // To somebody who finds the page open, the secret is not shown.
        assert!(matches!(show(&desk, &at.caller).await.unwrap(), View::Off));
        let caller = desk.caller(&at.caller.person.id).await;
        let codes = turn_on(&desk, &caller, &form).await.unwrap();
        assert_eq!(codes.len(), 10);
        let again = turn_on(&desk, &caller, &form).await;
        assert!(matches!(again, Err(OpError::Conflict(_))));
        let caller = desk.caller(&at.caller.person.id).await;
        assert!(matches!(
            show(&desk, &caller).await.unwrap(),
            View::On { codes_left: 10, asked_by: None, .. }
        ));
        let restart = start(&desk, &caller, &StartForm { reauth: reauth(PASSWORD, "") }).await;
        assert!(matches!(restart, Err(OpError::Conflict(_))));

        // Neither the secret nor a recovery code is stored as it is.
        let dump = desk.dump().await.to_lowercase();
        let hex: String = app.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = Secret::from(app.0.clone()).to_base32().to_lowercase();
        for trace in [hex, text, codes[0].clone(), codes[0].replace('-', "")] {
            assert!(!dump.contains(&trace), "{trace}");
        }
        let kinds = desk.texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL ORDER BY seq").await;
        assert_eq!(kinds, ["org.created", "second_factor.on"]);
    }
);

on_both!(
    fn a_code_works_once_and_in_its_time(desk: TestDesk) {
        let (_, app, _) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let code = app.code(&desk);
        assert_eq!(finish(&desk, &verified, &code_form(&code)).await.unwrap(), Used::Code);
        assert!(is_wrong(&finish(&desk, &verified, &code_form(&code)).await), "the same code again");
        desk.clock.advance(STEP);
        assert!(is_wrong(&finish(&desk, &verified, &code_form(&code)).await), "again within its skew");
        let late = app.code(&desk);
        desk.clock.advance(2 * STEP);
        assert!(is_wrong(&finish(&desk, &verified, &code_form(&late)).await), "a minute late");
        let spaced = format!(" {} {} ", &app.code(&desk)[..3], &app.code(&desk)[3..]);
        assert_eq!(finish(&desk, &verified, &code_form(&spaced)).await.unwrap(), Used::Code);
        // A code from before the last one that was used is over too, also if nobody used it.
        desk.clock.advance(STEP);
        let skipped = app.code(&desk);
        desk.clock.advance(STEP);
        assert_eq!(finish(&desk, &verified, &code_form(&app.code(&desk))).await.unwrap(), Used::Code);
        assert!(is_wrong(&finish(&desk, &verified, &code_form(&skipped)).await));
    }
);

on_both!(
    fn of_two_with_the_same_code_at_the_same_moment_one_gets_in(desk: TestDesk) {
        let (_, app, codes) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        for form in [code_form(&app.code(&desk)), recovery_form(&codes[0])] {
            let mut tries = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (desk, verified, form) = (desk.clone(), verified.clone(), form.clone());
                tries.spawn(async move { finish(&desk, &verified, &form).await });
            }
            let results = tries.join_all().await;
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
            desk.clock.advance(HOUR);
        }
    }
);

on_both!(
    fn a_recovery_code_works_once_and_is_told(desk: TestDesk) {
        let (at, _, codes) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let typed = codes[3].to_uppercase().replace('-', " ");
        let used = finish(&desk, &verified, &recovery_form(&typed)).await.unwrap();
        assert_eq!(used, Used::RecoveryCode { left: 9 });
        assert!(is_wrong(&finish(&desk, &verified, &recovery_form(&codes[3])).await));
        // In the field for the other kind it is taken too.
        assert_eq!(
            finish(&desk, &verified, &code_form(&codes[4])).await.unwrap(),
            Used::RecoveryCode { left: 8 }
        );
        let told = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'recovery_codes.used' ORDER BY seq";
        assert_eq!(desk.texts(told).await.len(), 2);

        let codes_before = codes;
        let codes = renew_codes(&desk, &at.caller).await.unwrap();
        assert_eq!(codes.len(), 10);
        assert!(is_wrong(&finish(&desk, &verified, &recovery_form(&codes_before[5])).await), "an older set");
        assert_eq!(
            finish(&desk, &verified, &recovery_form(&codes[5])).await.unwrap(),
            Used::RecoveryCode { left: 9 }
        );
        desk.clock.advance(10 * MINUTE);
        assert!(matches!(renew_codes(&desk, &at.caller).await, Err(OpError::ReauthRequired)));
    }
);

on_both!(
    fn five_wrong_codes_end_an_attempt_and_no_other(desk: TestDesk) {
        let (_, app, codes) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let (theirs, own) =
            (begin_attempt(&desk, &verified).await.unwrap(), begin_attempt(&desk, &verified).await.unwrap());
        let wrong = code_form(&app.wrong(&desk));
        for _ in 0..5 {
            assert!(is_wrong(&finish_from(&desk, &verified, &theirs, &wrong, &[]).await));
        }
        for form in [&wrong, &code_form(&app.code(&desk))] {
            let over = finish_from(&desk, &verified, &theirs, form, &[]).await;
            assert!(
                matches!(&over, Err(OpError::Conflict(sentence)) if sentence.contains("Sign in again")),
                "{over:?}"
            );
        }
        let right = code_form(&app.code(&desk));
        assert_eq!(finish_from(&desk, &verified, &own, &right, &[]).await.unwrap(), Used::Code);
        // A recovery code works in an attempt that is over.
        let used = finish_from(&desk, &verified, &theirs, &recovery_form(&codes[0]), &[]).await.unwrap();
        assert_eq!(used, Used::RecoveryCode { left: 9 });
    }
);

on_both!(
    fn who_knows_the_password_guesses_slowly_and_keeps_no_one_out(desk: TestDesk) {
        let (at, app, codes) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let devices = [KnownDevice { person: at.caller.person.id.clone(), id: at.caller.session.clone() }];
        let mut looked_at = 0;
        // A new attempt for each code, every five seconds, for an hour.
        for turn in 0..720 {
            looked_at += i32::from(is_wrong(&finish(&desk, &verified, &code_form(&app.wrong(&desk))).await));
            if turn % 120 == 60 {
                let own = begin_attempt(&desk, &verified).await.unwrap();
                let right = code_form(&app.code(&desk));
                assert_eq!(finish_from(&desk, &verified, &own, &right, &devices).await.unwrap(), Used::Code);
            }
            if turn == 400 {
                assert!(finish(&desk, &verified, &recovery_form(&codes[0])).await.is_ok());
            }
            desk.clock.advance(5_000);
        }
        assert!((60..=120).contains(&looked_at), "{looked_at} codes were looked at in an hour");
    }
);

on_both!(
    fn the_owner_is_told_of_wrong_codes_once_and_at_the_next_sign_in(desk: TestDesk) {
        let (at, app, _) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let person = &at.caller.person.id;
        for wrong in 1..=7 {
            assert!(is_wrong(&finish(&desk, &verified, &code_form(&app.wrong(&desk))).await));
            let told = owner_to_tell(&desk, person).await.unwrap().map(|owner| owner.email);
            assert_eq!(told, (wrong == 5).then(|| OWNER_EMAIL.to_owned()), "after {wrong}");
        }
        let own = begin_attempt(&desk, &verified).await.unwrap();
        assert_eq!(own.wrong_codes, 7);
        // A mistake of one's own is not among those before.
        assert!(is_wrong(&finish_from(&desk, &verified, &own, &code_form(&app.wrong(&desk)), &[]).await));
        assert!(finish_from(&desk, &verified, &own, &code_form(&app.code(&desk)), &[]).await.is_ok());
        assert_eq!(begin_attempt(&desk, &verified).await.unwrap().wrong_codes, 0);
    }
);

on_both!(
    fn the_second_step_counts_only_behind_the_first(desk: TestDesk) {
        let (at, app, _) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let before =
            VerifiedPassword { password_set_at: verified.password_set_at.plus_ms(-1), ..verified.clone() };
        let nobody = VerifiedPassword {
            person: keydesk_core::domain::ids::PersonId::new(desk.now(), [9; 10]),
            ..verified.clone()
        };
        for other in [before, nobody] {
            let result = finish(&desk, &other, &code_form(&app.code(&desk))).await;
            assert!(matches!(result, Err(OpError::NotFound)), "{result:?}");
        }
        // A password changed in between: the first step is worth nothing any more.
        let form = PasswordForm {
            current: Hidden::new(PASSWORD),
            code: Hidden::new(app.code(&desk)),
            password: Hidden::new(NEW_PASSWORD),
        };
        change_password(&desk, &at.caller, &form).await.unwrap();
        desk.clock.advance(2 * STEP);
        let late = finish(&desk, &verified, &code_form(&app.code(&desk))).await;
        assert!(matches!(late, Err(OpError::NotFound)), "{late:?}");
        desk.execute("UPDATE people SET disabled_at = 1").await.unwrap();
        assert!(prove_password(&desk, OWNER_EMAIL, NEW_PASSWORD).await.is_err());
    }
);

on_both!(
    fn a_fresh_proof_takes_the_code_too(desk: TestDesk) {
        let (at, app, codes) = with_second_factor(&desk).await;
        desk.clock.advance(10 * MINUTE);
        let stale = Caller { reauthenticated_at: desk.now().plus_ms(-10 * MINUTE), ..at.caller.clone() };
        for code in [String::new(), app.wrong(&desk), "not a code".into()] {
            assert_eq!(
                refused(reauthenticate(&desk, &stale, &reauth(PASSWORD, &code)).await).0,
                "reauth_code"
            );
        }
        assert_eq!(
            refused(reauthenticate(&desk, &stale, &reauth("wrong", &app.code(&desk))).await).0,
            "reauth"
        );
        assert!(
            !reauthenticate(&desk, &stale, &Reauth::default())
                .await
                .unwrap()
                .recently_authenticated(desk.now())
        );
        let code = app.code(&desk);
        assert!(
            reauthenticate(&desk, &stale, &reauth(PASSWORD, &code))
                .await
                .unwrap()
                .recently_authenticated(desk.now())
        );
        assert_eq!(refused(reauthenticate(&desk, &stale, &reauth(PASSWORD, &code)).await).0, "reauth_code");
        assert!(
            reauthenticate(&desk, &stale, &reauth(PASSWORD, &codes[0]))
                .await
                .unwrap()
                .recently_authenticated(desk.now())
        );
    }
);

on_both!(
    fn turning_it_off_takes_password_and_code_and_no_organisation_that_asks_for_it(desk: TestDesk) {
        let (at, app, codes) = with_second_factor(&desk).await;
        let off = |current: &str, code: &str| TurnOffForm {
            current: Hidden::new(current),
            code: Hidden::new(code),
        };
        assert_eq!(
            refused(turn_off(&desk, &at.caller, &off("not my password at all", "")).await).0,
            "current"
        );
        assert_eq!(refused(turn_off(&desk, &at.caller, &off(PASSWORD, "")).await).0, "code");
        assert_eq!(refused(turn_off(&desk, &at.caller, &off(PASSWORD, &app.wrong(&desk))).await).0, "code");

        desk.execute("UPDATE orgs SET second_factor = 'required'").await.unwrap();
        let asked = turn_off(&desk, &at.caller, &off(PASSWORD, &app.code(&desk))).await;
        assert!(
            matches!(&asked, Err(OpError::Conflict(sentence)) if sentence.contains(&at.org.name)),
            "{asked:?}"
        );
        let View::On { asked_by, .. } = show(&desk, &at.caller).await.unwrap() else { panic!("it is on") };
        assert_eq!(asked_by.as_deref(), Some(at.org.name.as_str()));
        desk.execute("UPDATE orgs SET second_factor = 'optional'").await.unwrap();

        turn_off(&desk, &at.caller, &off(PASSWORD, &app.code(&desk))).await.unwrap();
        assert!(!prove_password(&desk, OWNER_EMAIL, PASSWORD).await.unwrap().second_factor);
        assert_eq!(desk.texts("SELECT person_id FROM recovery_codes").await.len(), 0);
        let caller = desk.caller(&at.caller.person.id).await;
        assert!(matches!(renew_codes(&desk, &caller).await, Err(OpError::Conflict(_))));
        assert!(!codes.is_empty());
        let kinds = desk.texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL ORDER BY seq").await;
        assert_eq!(kinds, ["org.created", "second_factor.on", "second_factor.off"]);
    }
);

on_both!(
    fn a_short_password_goes_with_a_second_factor_and_does_not_stay_without(desk: TestDesk) {
        const SHORT: &str = "kVq7#xZ2";
        let (at, app, _) = with_second_factor(&desk).await;
        let form = |current: &str, password: &str| PasswordForm {
            current: Hidden::new(current),
            code: Hidden::new(app.code(&desk)),
            password: Hidden::new(password),
        };
        assert_eq!(
            refused(change_password(&desk, &at.caller, &form(PASSWORD, "kVq7#xZ")).await).0,
            "password"
        );
        assert_eq!(
            refused(change_password(&desk, &at.caller, &form(PASSWORD, "password1")).await).0,
            "password"
        );
        change_password(&desk, &at.caller, &form(PASSWORD, SHORT)).await.unwrap();
        desk.clock.advance(2 * STEP);
        let off = TurnOffForm { current: Hidden::new(SHORT), code: Hidden::new(app.code(&desk)) };
        assert!(matches!(turn_off(&desk, &at.caller, &off).await, Err(OpError::Conflict(_))));
        change_password(&desk, &at.caller, &form(SHORT, NEW_PASSWORD)).await.unwrap();
        desk.clock.advance(2 * STEP);
        let off = TurnOffForm { current: Hidden::new(NEW_PASSWORD), code: Hidden::new(app.code(&desk)) };
        turn_off(&desk, &at.caller, &off).await.unwrap();
    }
);

on_both!(
    fn an_organisation_that_asks_for_it_lets_owners_and_admins_in_with_it_only(desk: TestDesk) {
        let at = desk.owner().await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        let member = desk.member(&at, OrgRole::Member).await;
        desk.execute("UPDATE orgs SET second_factor = 'required'").await.unwrap();
        let may_enter = async |caller: &Caller| {
            let mut read = desk.db.read().await.unwrap();
            match open_org(&mut read, caller, &at.org.slug).await {
                Ok(_) => true,
                Err(OpError::SecondFactor { org }) if org == at.org.name => false,
                Err(other) => panic!("{other}"),
            }
        };
        assert!(!may_enter(&at.caller).await && !may_enter(&admin.caller).await);
        assert!(may_enter(&member.caller).await);
        let app = set_up(&desk, &at.caller).await;
        let form = TurnOnForm { code: Hidden::new(app.code(&desk)), reauth: Reauth::default() };
        turn_on(&desk, &at.caller, &form).await.unwrap();
        assert!(may_enter(&desk.caller(&at.caller.person.id).await).await);
    }
);

on_both!(
    fn with_another_cookie_key_only_recovery_codes_are_left(desk: TestDesk) {
        let (_, app, codes) = with_second_factor(&desk).await;
        let verified = half_in(&desk).await;
        let moved = keydesk_core::Desk::clone(&desk).with_vault(keydesk_core::Vault::derive(&[1; 64]));
        let code = code_form(&app.code(&desk));
        let attempt = begin_attempt(&desk, &verified).await.unwrap();
        let refused = finish_from(&moved, &verified, &attempt, &code, &[]).await;
        assert!(is_wrong(&refused));
        let form = recovery_form(&codes[0]);
        assert!(finish_from(&moved, &verified, &attempt, &form, &[]).await.is_ok());
        assert_eq!(finish(&desk, &verified, &code).await.unwrap(), Used::Code);
    }
);

on_both!(
    fn whoever_lost_device_and_codes_is_let_in_from_the_command_line(desk: TestDesk) {
        with_second_factor(&desk).await;
        let email = Email::parse(OWNER_EMAIL).unwrap();
        assert_eq!(turn_off_lost(&desk, &Email::parse("nobody@example.com").unwrap()).await.unwrap(), None);
        assert_eq!(turn_off_lost(&desk, &email).await.unwrap(), Some(true));
        assert_eq!(turn_off_lost(&desk, &email).await.unwrap(), Some(false));
        assert!(!prove_password(&desk, OWNER_EMAIL, PASSWORD).await.unwrap().second_factor);
        assert!(desk.texts("SELECT person_id FROM recovery_codes").await.is_empty(), "the codes are gone");
        let events = desk
            .texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL ORDER BY seq DESC LIMIT 1")
            .await;
        assert_eq!(events, ["second_factor.off"]);
    }
);
