//! `leaked` reads a text, tells whose secrets are in it, and takes their keys out of use.

use std::io::Write;
use std::process::Stdio;

use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::key_format;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::seed;

use super::support::{Place, Ran, both, seed_org};

const SECRET: &str = "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE";

/// An organisation with one key, whose secret is `SECRET`.
async fn with_key(place: &Place) {
    let now = Moment::from_ms(1_790_000_000_000);
    let desk = place.desk(now).await;
    let (org, caller) = seed_org(&desk).await;
    let spec =
        KeySpec { name: "ci-prod".into(), owner: Some(caller.person.id.clone()), ..KeySpec::default() };
    seed::create_key(&desk, &caller, &org.slug, &spec).await.unwrap();
    desk.db.close().await;
    let hash: String = key_format::read(SECRET)
        .unwrap()
        .hash()
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let hash = match &place.postgres {
        None => format!("X'{hash}'"),
        Some(_) => format!("'\\x{hash}'::bytea"),
    };
    place.tamper(&format!("UPDATE key_secrets SET hash = {hash}, last_four = 'ngPE'")).await;
}

fn leaked(place: &Place, options: &[&str], text: &str) -> Ran {
    let mut command = place.command(&["leaked"]);
    command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[tokio::test]
async fn leaked_secrets_are_told_and_stopped() {
    for place in both().await {
        with_key(&place).await;
        let other = "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPF";
        let text = format!("OPENAI_API_KEY=\"{SECRET}\"\nagain {SECRET}, and not {other}\n");
        let told = leaked(&place, &[], &text);
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(
            told.out.starts_with("sk-…ngPE\tworks\tacme\tno team\tci-prod\tAna Ruiz\tnever used"),
            "{told:?}"
        );
        assert_eq!(told.out.lines().count(), 1);
        assert!(told.err.contains("1 secret works."), "{told:?}");
        let status = "SELECT COUNT(*) FROM keys WHERE status = 'disabled'";
        assert_eq!(place.number(status).await, 0);

        let stopped = leaked(&place, &["--disable", "--found-at", "https://git.example/x"], &text);
        assert!(stopped.out.trim_end().ends_with("\tdisabled, tell Ana Ruiz"), "{stopped:?}");
        assert_eq!(place.number(status).await, 1);
        let again = leaked(&place, &["--revoke"], &text);
        assert!(again.out.contains("\tdisabled\t") && again.out.contains("\tnothing to do"), "{again:?}");
        for ran in [&told, &stopped, &again] {
            assert!(!ran.out.contains(&SECRET[8..40]) && !ran.err.contains(&SECRET[8..40]), "{ran:?}");
        }
        let nothing = leaked(&place, &[], "sk-…ngPE");
        assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), ""));
        assert!(nothing.err.contains("No secret was found"), "{nothing:?}");
        place.done(&["audit", "verify"]);
    }
}
