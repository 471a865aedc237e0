//! No write without a permit for its object, and no permitted write without its audit event.

use std::path::Path;

use keydesk_core::domain::audit::{Event, EventKind};
use keydesk_core::domain::policy::{Action, OrgRole, PlatformRole, test_permit};
use keydesk_core::ops::account::{self, NameForm};
use keydesk_core::ops::audit;
use keydesk_core::store::{StoreError, Unaudited, keys};

use crate::support::*;

/// Kinds of events in the installation's own chain, oldest first.
async fn installation(desk: &TestDesk) -> Vec<String> {
    desk.texts("SELECT kind FROM audit_events WHERE chain_id = 'installation' ORDER BY seq").await
}

on_both!(
    fn people_without_an_organisation_leave_a_trace_of_their_account(desk: TestDesk) {
        let at = desk.owner().await;
        for role in [PlatformRole::Support, PlatformRole::Operator] {
            let before = installation(&desk).await.len();
            let sam = desk.platform(&at, role).await.caller;
            account::rename(&desk, &sam, &NameForm { name: format!("Sam {role:?}") }).await.unwrap();
            assert_eq!(installation(&desk).await[before..], ["person.renamed"]);
        }
        let reports = audit::verify_all(&desk).await.unwrap();
        assert!(reports.iter().all(|report| report.broken.is_none()), "{reports:?}");
        assert_eq!(reports[0].name, "installation");
        assert!(reports[0].events >= 3);
    }
);

on_both!(
    fn a_member_is_recorded_in_their_organisation_and_not_in_the_installation(desk: TestDesk) {
        let at = desk.owner().await;
        let before = installation(&desk).await;
        let member = desk.member(&at, OrgRole::Member).await;
        account::rename(&desk, &member.caller, &NameForm { name: "Mia".into() }).await.unwrap();
        assert_eq!(installation(&desk).await, before);
        let count = format!(
            "SELECT COUNT(*) FROM audit_events WHERE org_id = '{}' AND kind = 'person.renamed'",
            at.org.id
        );
        assert_eq!(desk.number(&count).await, 1);
    }
);

on_both!(
    fn a_permit_for_one_key_does_not_revoke_another(desk: TestDesk) {
        let at = desk.owner().await;
        let (one, other) = (desk.create_key(&at, "one").await, desk.create_key(&at, "other").await);
        let permit = test_permit(&at.org.id, Action::RevokeKey, one.id.as_str());
        let mut tx = desk.db.write().await.unwrap();
        let wrong = keys::revoke(&mut tx, &permit, &other.id, desk.now()).await;
        assert!(matches!(wrong, Err(StoreError::WrongPermit(_))), "{wrong:?}");
        let edit = test_permit(&at.org.id, Action::EditKey, one.id.as_str());
        let wrong = keys::revoke(&mut tx, &edit, &one.id, desk.now()).await;
        assert!(matches!(wrong, Err(StoreError::WrongPermit(_))), "{wrong:?}");
        drop(tx);
        assert_eq!(desk.number("SELECT COUNT(*) FROM keys WHERE status = 'revoked'").await, 0);
    }
);

on_both!(
    fn a_forgotten_event_keeps_the_change_from_being_committed(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "one").await;
        let permit = test_permit(&at.org.id, Action::RevokeKey, key.id.as_str());
        let revoke = async || {
            let mut tx = desk.db.write().await.unwrap();
            assert!(keys::revoke(&mut tx, &permit, &key.id, desk.now()).await.unwrap());
            tx
        };
        let saved = revoke().await.save_unaudited(Unaudited::Usage).await;
        assert!(matches!(saved, Err(StoreError::Unaudited(_))), "{saved:?}");
        // An event of another kind, or about something else, does not do.
        let other_kind = Event::new(EventKind::KeyEdited, key.id.as_str(), "one");
        let saved = revoke().await.save(&permit, other_kind, desk.now()).await;
        assert!(matches!(saved, Err(StoreError::WrongPermit(_))), "{saved:?}");
        let other_key = Event::new(EventKind::KeyRevoked, "key_other", "one");
        let saved = revoke().await.save(&permit, other_key, desk.now()).await;
        assert!(matches!(saved, Err(StoreError::Unaudited(_))), "{saved:?}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM keys WHERE status = 'revoked'").await, 0);
        let event = Event::new(EventKind::KeyRevoked, key.id.as_str(), "one");
        revoke().await.save(&permit, event, desk.now()).await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM keys WHERE status = 'revoked'").await, 1);
    }
);

#[test]
fn what_is_committed_without_an_event_is_a_closed_list_with_reasons() {
    for unaudited in Unaudited::ALL {
        println!("{unaudited:?}: {}", unaudited.reason());
        assert!(!unaudited.reason().is_empty());
    }
}

/// Store functions that write and take no permit. Everything here is either for throttling, sessions, usage and upkeep,
/// or takes a lock; a new name has to be added on purpose.
const NEED_NO_PERMIT: &[&str] = &[
    "alert_outbox::failed",
    "alert_outbox::lease",
    "alert_outbox::lease_job",
    "alert_outbox::mark_done",
    "alert_outbox::sent",
    "alerts::choose",
    "alerts::deliver",
    "alerts::insert",
    "alerts::mark_read",
    "alerts::sweep",
    "budget_marks::renew",
    "budget_marks::renew_all",
    "invitations::take",
    "kept_forms::insert",
    "kept_forms::sweep",
    "keys::expire_due",
    "keys::lock",
    "keys::touch",
    "links::drop_unused",
    "links::insert",
    "links::lock_setups",
    "links::take",
    "members::lock_org",
    "meter::sweep",
    "models::lock_all",
    "nodes::sweep",
    "past_usage::insert",
    "people::lock_member",
    "people::lock_password",
    "people::set_theme",
    "provider_watch::count",
    "provider_watch::set_health",
    "providers::lock",
    "providers::lock_all",
    "providers::mark_connected",
    "rejections::record",
    "rejections::sweep",
    "retention::delete_some",
    "second_factor::count_wrong",
    "second_factor::forget_wrong",
    "second_factor::prepare",
    "second_factor::tell_wrong",
    "second_factor::use_step",
    "secrets::touch",
    "sessions::end",
    "sessions::insert",
    "sessions::mark_reauthenticated",
    "sessions::save",
    "sessions::seen",
    "sessions::sweep",
    "spend_checks::claim",
    "spend_checks::forget",
    "spend_checks::insert",
    "throttle::clear",
    "throttle::clear_account",
    "throttle::count",
    "throttle::lock",
    "throttle::sweep",
    "throttle::uncount",
];

#[test]
fn writes_that_need_no_permit_are_listed() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let mut found = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for part in text.split("pub async fn ").skip(1) {
            let (name, rest) = part.split_once('(').unwrap();
            let signature = rest.split_once('{').unwrap().0;
            if signature.contains("&mut Tx") && !signature.contains("permit: &") {
                found.push(format!("{file}::{name}"));
            }
        }
    }
    found.sort();
    for name in &found {
        println!("{name} needs no permit");
    }
    assert_eq!(found, NEED_NO_PERMIT);
}
