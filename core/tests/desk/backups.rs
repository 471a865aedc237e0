//! What belongs to a backup: a copy of a database in use, what a check of it finds, and that everyone is signed out.

use std::sync::atomic::{AtomicBool, Ordering};

use keydesk_core::domain::link::LinkKind;
use keydesk_core::domain::person::Email;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::invitation::InviteForm;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{OpError, backups, invitations, links};
use keydesk_core::store::{DatabaseUrl, Db, backup};
use keydesk_core::{Desk, Vault};

use crate::support::*;

on_both!(
    fn the_last_backup_is_remembered(desk: TestDesk) {
        assert_eq!(backups::last(&desk).await.unwrap(), None);
        backups::record(&desk).await.unwrap();
        desk.clock.advance(HOUR);
        backups::record(&desk).await.unwrap();
        assert_eq!(backups::last(&desk).await.unwrap(), Some(START.plus_ms(HOUR)));
        assert_eq!(desk.number("SELECT COUNT(*) FROM last_backup").await, 1);
    }
);

on_both!(
    fn everyone_is_signed_out_and_no_link_works_any_more(desk: TestDesk) {
        let at = desk.owner().await;
        let member = desk.member(&at, OrgRole::Member).await;
        desk.signed_in(&at).await;
        desk.signed_in(&member).await;
        let email = Email::parse(OWNER_EMAIL).unwrap();
        let reset = links::new_reset(&desk, &email).await.unwrap().unwrap();
        let form = InviteForm {
            org: at.org.slug.clone(),
            email: "ben@example.com".into(),
            role: "member".into(),
            ..Default::default()
        };
        let issued =
            invitations::invite(&desk, &at.caller, &at.org.slug, &form.parse().unwrap()).await.unwrap();
        let open = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL";
        let sessions = desk.number(open).await;
        assert!(sessions >= 2);

        let ended = backups::sign_everyone_out(&desk, OperatorActor::CommandLine).await.unwrap();
        assert_eq!(ended, backups::SignedOut { sessions: sessions as u64, links: 2 });
        assert_eq!(desk.number(open).await, 0);
        assert!(links::find(&desk, &reset, LinkKind::Reset).await.unwrap().is_none());
        assert!(invitations::find(&desk, issued.token.as_str()).await.unwrap().is_none());
        // Who may invite sends it again.
        let again = invitations::resend(&desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        assert!(invitations::find(&desk, again.token.as_str()).await.unwrap().is_some());
        let kinds =
            desk.texts("SELECT kind FROM audit_events WHERE chain_id = 'installation' ORDER BY seq").await;
        assert_eq!(kinds.last().unwrap(), "everyone.signed_out");
        assert_eq!(backups::check(&desk).await.unwrap().findings, Vec::<String>::new());
    }
);

on_both!(
    fn an_operator_does_not_sign_everyone_out_from_a_page(desk: TestDesk) {
        let at = desk.owner().await;
        let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
        let done = backups::sign_everyone_out(&desk, OperatorActor::Operator(&operator)).await;
        assert!(matches!(done, Err(OpError::NotFound | OpError::Forbidden)), "{done:?}");
    }
);

on_both!(
    fn a_check_names_what_does_not_verify(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        for cost in 0..20 {
            let usage = desk.usage(&at, &key, 1_000 + cost, desk.now()).await;
            assert!(record(&desk, &usage).await.unwrap());
        }
        let checked = backups::check(&desk).await.unwrap();
        assert_eq!((checked.orgs, checked.requests, checked.findings.len()), (1, 20, 0));
        assert!(checked.events >= 2);
        desk.execute("UPDATE counters SET spent = spent + 1 WHERE holder_kind = 'org' AND period = 'total'")
            .await
            .unwrap();
        desk.execute("UPDATE audit_heads SET seq = seq + 1 WHERE chain_id <> 'installation'").await.unwrap();
        let findings = backups::check(&desk).await.unwrap().findings;
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(
            findings[0].starts_with(&format!("The audit of {} is broken: ", at.org.slug)),
            "{findings:?}"
        );
        assert_eq!(findings[1], format!("The spend of {} does not add up.", at.org.slug));
    }
);

on_both!(
    fn second_factors_of_another_key_are_counted(desk: TestDesk) {
        let at = desk.owner().await;
        let sealed = desk.vault.seal(&at.caller.person.id, [1; 12], b"twenty bytes of it..").unwrap();
        let id = &at.caller.person.id;
        let bytes = match &desk.db {
            Db::Sqlite { .. } => format!("X'{}'", hex(&sealed)),
            Db::Postgres(..) => format!("'\\x{}'", hex(&sealed)),
        };
        let with_factor =
            format!("UPDATE people SET totp_since = 1, totp_secret = {bytes} WHERE id = '{id}'");
        desk.execute(&with_factor).await.unwrap();
        assert_eq!(backups::unopened(&desk).await.unwrap().second_factors, 0);
        let other = Desk::clone(&desk).with_vault(Vault::derive(&[9; 64]));
        assert_eq!(backups::unopened(&other).await.unwrap().second_factors, 1);
    }
);

/// Copies are made while requests are settled, keys created and sessions begun: each is a state that was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_database_in_use_is_whole() {
    on_sqlite(|desk: TestDesk| async move {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        let over = AtomicBool::new(false);
        let folder = tempfile::tempdir().unwrap();
        let writing = async {
            let mut written = 0_u32;
            while !over.load(Ordering::Relaxed) {
                let usage = desk.usage(&at, &key, 1_000, desk.now()).await;
                assert!(record(&desk, &usage).await.unwrap());
                written += 1;
                if written.is_multiple_of(20) {
                    desk.create_key(&at, &format!("key {written}")).await;
                }
            }
            written
        };
        let copying = async {
            let mut requests = Vec::new();
            for n in 0..5 {
                let before = desk.number("SELECT COUNT(*) FROM usage").await;
                let path = folder.path().join(format!("copy {n}"));
                backup::copy_sqlite(desk.file.as_deref().unwrap(), &path).await.unwrap();
                let after = desk.number("SELECT COUNT(*) FROM usage").await;
                requests.push((path, before, after));
            }
            over.store(true, Ordering::Relaxed);
            requests
        };
        let (written, copies) = tokio::join!(writing, copying);
        assert!(written > 5, "{written}");
        for (path, before, after) in copies {
            let db = Db::open_readonly(&DatabaseUrl::Sqlite(path.clone())).await.unwrap();
            assert_eq!(backup::damage(&db).await.unwrap(), Vec::<String>::new());
            let copy = Desk::new(db, desk.clock.clone(), desk.random.clone());
            let checked = backups::check(&copy).await.unwrap();
            assert_eq!(checked.findings, Vec::<String>::new());
            assert!((before..=after).contains(&checked.requests), "{before} {} {after}", checked.requests);
            copy.db.close().await;
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5, "a copy is one file");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_found() {
    on_sqlite(|desk: TestDesk| async move {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 500).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        backup::copy_sqlite(desk.file.as_deref().unwrap(), &path).await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // A few pages in the middle, as a torn copy has them.
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 3 * 4096].fill(0);
        std::fs::write(&path, bytes).unwrap();
        let db = Db::open_readonly(&DatabaseUrl::Sqlite(path)).await.unwrap();
        let damage = backup::damage(&db).await;
        assert!(!damage.as_ref().is_ok_and(Vec::is_empty), "{damage:?}");
        db.close().await;
    })
    .await;
}
