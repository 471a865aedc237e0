//! The audit: read with filters, exported in chunks, and proved whole, whatever somebody does to its rows by hand.

use keydesk_core::domain::audit_filter::{AuditFilter, Kinds};
use keydesk_core::domain::audit_words::sentence;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::ops::OpError;
use keydesk_core::ops::audit::{self, Broken, ExportForm, KeysMeant};
use keydesk_core::store::Db;

use crate::support::submit;
use crate::support::*;

fn filter() -> AuditFilter {
    AuditFilter::default()
}

async fn said(desk: &TestDesk, at: &At, filter: &AuditFilter) -> Vec<String> {
    let view = audit::list(desk, &at.caller, &at.org.slug, filter).await.unwrap();
    view.page.rows.iter().map(|event| sentence(event, &view.context.org.zone)).collect()
}

on_both!(
    fn events_are_found_by_person_key_team_kind_and_day(desk: TestDesk) {
        let at = desk.owner().await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        let team = desk.team(&at, "Data").await;
        let ci = desk.create_key(&at, "ci-prod").await;
        desk.clock.advance(DAY);
        let web = desk
            .create(&admin, keydesk_core::forms::key::KeyForm { team: team.id.to_string(), ..form("web") })
            .await
            .unwrap();
        desk.clock.advance(DAY);
        desk.disable(&admin, &ci).await.unwrap();
        let bo = &admin.caller.person.name;
        let made_ci = "Ana Petrov created the key ci-prod.".to_owned();
        let made_web = format!("{bo} created the key web.");
        let off_ci = format!("{bo} disabled the key ci-prod.");
        let made_org = "Keydesk (set-up link) created the organisation Northwind.".to_owned();

        let all = [off_ci.clone(), made_web.clone(), made_ci.clone(), made_org.clone()];
        assert_eq!(said(&desk, &at, &filter()).await, all, "newest first");
        let person = |id: &str| AuditFilter { person: id.into(), ..filter() };
        let by_admin = person(admin.caller.person.id.as_str());
        assert_eq!(said(&desk, &at, &by_admin).await, [off_ci.clone(), made_web.clone()]);
        assert_eq!(said(&desk, &at, &person("system")).await, std::slice::from_ref(&made_org));
        for text in ["ci-prod", "CI-Prod ", ci.id.as_str()] {
            let of_ci = AuditFilter { key: text.into(), ..filter() };
            assert_eq!(said(&desk, &at, &of_ci).await, [off_ci.clone(), made_ci.clone()], "{text}");
        }
        let of_team = AuditFilter { team: Some(team.id.clone()), ..filter() };
        assert_eq!(said(&desk, &at, &of_team).await, std::slice::from_ref(&made_web));
        let kinds = |text: &str| AuditFilter { kinds: Kinds::parse(text), ..filter() };
        assert_eq!(said(&desk, &at, &kinds("keys")).await, all[..3]);
        assert_eq!(said(&desk, &at, &kinds("key.disabled")).await, std::slice::from_ref(&off_ci));
        let day = |text| Day::parse(text).unwrap();
        let days = AuditFilter { from: Some(day("2026-11-21")), to: Some(day("2026-11-21")), ..filter() };
        assert_eq!(said(&desk, &at, &days).await, std::slice::from_ref(&made_web));
        let both = AuditFilter { key: "ci-prod".into(), ..by_admin };
        assert_eq!(said(&desk, &at, &both).await, [off_ci]);

        let view = audit::list(&desk, &at.caller, &at.org.slug, &filter()).await.unwrap();
        assert_eq!(view.total, 4);
        assert!(view.there.contains(ci.id.as_str()) && view.there.contains(web.id.as_str()));
    }
);

on_both!(
    fn a_key_that_is_not_here_and_a_secret_find_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let other = desk.other_org("Elsewhere", "UTC").await;
        let theirs = desk.create_key(&other, "theirs").await;
        for (text, meant) in [
            ("nothing", KeysMeant::Unknown),
            ("theirs", KeysMeant::Unknown),
            (theirs.id.as_str(), KeysMeant::Unknown),
            (issued.secret.reveal(), KeysMeant::Secret),
            ("a\0b", KeysMeant::Unknown),
        ] {
            let filter = AuditFilter { key: text.into(), ..filter() };
            let view = audit::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
            assert_eq!((view.keys, view.page.rows.len()), (meant, 0));
        }
    }
);

on_both!(
    fn keys_of_one_name_are_shown_together(desk: TestDesk) {
        let at = desk.owner().await;
        let first = desk.create_key(&at, "ci-prod").await;
        desk.revoke(&at, &first, "ci-prod").await.unwrap();
        desk.create_key(&at, "ci-prod").await;
        let filter = AuditFilter { key: "ci-prod".into(), ..filter() };
        assert_eq!(said(&desk, &at, &filter).await.len(), 3);
    }
);

on_both!(
    fn pages_go_on_and_back_without_a_gap(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        for _ in 0..55 {
            desk.disable(&at, &issued).await.unwrap();
            desk.enable(&at, &issued).await.unwrap();
        }
        for kinds in ["", "keys", "key.disabled"] {
            let mut filter = AuditFilter { kinds: Kinds::parse(kinds), ..filter() };
            let mut there = Vec::new();
            let mut pages = Vec::new();
            loop {
                let page = audit::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap().page;
                let seqs: Vec<i64> = page.rows.iter().map(|event| event.seq).collect();
                there.extend(seqs.clone());
                pages.push(seqs);
                match page.next {
                    Some(next) => filter.page = Some(next),
                    None => {
                        filter.page = page.previous;
                        break;
                    }
                }
            }
            let expected: Vec<i64> = match kinds {
                "" => (1..=112).rev().collect(),
                "keys" => (2..=112).rev().collect(),
                _ => (1..=55).rev().map(|n| 2 * n + 1).collect(),
            };
            assert_eq!(there, expected, "{kinds}");
            let back = audit::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap().page;
            let back: Vec<i64> = back.rows.iter().map(|event| event.seq).collect();
            assert_eq!(back, pages[pages.len() - 2], "{kinds}");
        }
    }
);

on_both!(
    fn only_owners_and_admins_read_and_export_the_audit(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Data").await;
        let lead = desk.member(&at, OrgRole::Member).await;
        desk.join(&lead, &team, true).await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let other = desk.other_org("Elsewhere", "UTC").await;
        let stranger = At { caller: other.caller.clone(), org: at.org.clone() };
        let before = desk.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL").await;
        for (who, hidden) in [(&lead, false), (&support, false), (&stranger, true)] {
            let form = ExportForm { org: at.org.slug.clone(), format: "csv".into(), ..ExportForm::default() };
            let listed = audit::list(&desk, &who.caller, &at.org.slug, &filter()).await.map(|_| ());
            let exported = audit::export(&desk, &who.caller, &form).await.map(|_| ());
            for result in [listed, exported] {
                match result {
                    Err(OpError::NotFound) => assert!(hidden),
                    Err(OpError::Forbidden) => assert!(!hidden),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL").await, before);
    }
);

on_both!(
    fn an_export_holds_what_the_filter_says_and_is_written_down(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.create_key(&at, "web").await;
        for _ in 0..300 {
            desk.disable(&at, &issued).await.unwrap();
            desk.enable(&at, &issued).await.unwrap();
        }
        let form = ExportForm {
            org: at.org.slug.clone(),
            format: "jsonl".into(),
            key: "ci-prod".into(),
            ..ExportForm::default()
        };
        let caller = desk.signed_in(&at).await;
        let mut export = audit::export(&desk, &caller, &form).await.unwrap();
        let mut events = Vec::new();
        loop {
            let chunk = export.next(&desk).await.unwrap();
            assert!(chunk.len() <= 500, "a chunk is bounded");
            if chunk.is_empty() {
                break;
            }
            events.extend(chunk);
        }
        assert_eq!(events.len(), 601);
        assert!(events.windows(2).all(|pair| pair[0].seq > pair[1].seq));
        assert_eq!(
            said(&desk, &at, &filter()).await[0],
            "Ana Petrov exported part of the audit (key ci-prod) as JSON Lines."
        );

        for (form, field) in [
            (ExportForm { format: "xml".into(), ..form.clone() }, "format"),
            (ExportForm { from: "yesterday".into(), ..form.clone() }, "from"),
            (ExportForm { kind: "everything".into(), ..form.clone() }, "kind"),
            (ExportForm { team: "Data".into(), ..form.clone() }, "team"),
        ] {
            assert_eq!(refused(audit::export(&desk, &at.caller, &form).await).0, field);
        }
    }
);

on_both!(
    fn an_export_ends_when_its_person_is_demoted_or_signs_out(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci").await;
        for _ in 0..300 {
            desk.disable(&at, &key).await.unwrap();
            desk.enable(&at, &key).await.unwrap();
        }
        let admin = desk.member(&at, OrgRole::Admin).await;
        let form = ExportForm { org: at.org.slug.clone(), format: "csv".into(), ..ExportForm::default() };
        let harms = [
            "UPDATE memberships SET role = 'member' WHERE role = 'admin'",
            "UPDATE sessions SET ended_at = 1",
        ];
        for (harm, forbidden) in harms.into_iter().zip(["demoted", "signed out"]) {
            let caller = desk.signed_in(&admin).await;
            let mut export = audit::export(&desk, &caller, &form).await.unwrap();
            assert_eq!(export.next(&desk).await.unwrap().len(), 500, "{forbidden}");
            desk.execute(harm).await.unwrap();
            let more = export.next(&desk).await;
            assert!(matches!(more, Err(OpError::Forbidden)), "{forbidden}: {more:?}");
            desk.execute("UPDATE memberships SET role = 'admin' WHERE role = 'member'").await.unwrap();
        }
    }
);

/// Takes the triggers away, as somebody with the database in their hands could.
async fn disarm(desk: &TestDesk) {
    let sql = match &desk.db {
        Db::Sqlite { .. } => "DROP TRIGGER audit_events_no_update; DROP TRIGGER audit_events_no_delete",
        Db::Postgres(..) => "DROP TRIGGER audit_events_no_change ON audit_events",
    };
    desk.execute(sql).await.unwrap();
}

/// Ten events of one organisation, and what `audit verify` finds after `sql`.
async fn found_after(desk: &TestDesk, sql: &[&str]) -> Option<Broken> {
    let at = desk.owner().await;
    let other = desk.other_org("Elsewhere", "UTC").await;
    for n in 0..9 {
        desk.create_key(&at, &format!("key {n}")).await;
        desk.create_key(&other, &format!("key {n}")).await;
    }
    let whole = audit::verify_all(desk).await.unwrap();
    assert_eq!(
        whole.iter().map(|report| report.events).collect::<Vec<_>>(),
        [1, 9, 10],
        "the installation, then each organisation"
    );
    assert!(whole.iter().all(|report| report.broken.is_none() && report.head.len() == 32));
    disarm(desk).await;
    for sql in sql {
        desk.execute(&sql.replace("$org", at.org.id.as_str())).await.unwrap();
    }
    let elsewhere = audit::verify(desk, &other.org.slug).await.unwrap().unwrap();
    assert_eq!(elsewhere.broken, None, "the other organisation's is as it was");
    let report = audit::verify(desk, &at.org.slug).await.unwrap().unwrap();
    let sentence = report.broken.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(sentence.is_empty() || sentence.contains(char::is_numeric), "{sentence}");
    report.broken
}

on_both!(
    fn an_altered_event_is_found(desk: TestDesk) {
        let sql = "UPDATE audit_events SET actor_name = 'Somebody else' WHERE org_id = '$org' AND seq = 4";
        assert_eq!(found_after(&desk, &[sql]).await, Some(Broken::Altered(4)));
    }
);

on_both!(
    fn an_event_that_was_moved_in_time_is_found(desk: TestDesk) {
        let sql = "UPDATE audit_events SET at = at - 1 WHERE org_id = '$org' AND seq = 10";
        assert_eq!(found_after(&desk, &[sql]).await, Some(Broken::Altered(10)));
    }
);

on_both!(
    fn a_deleted_event_is_found(desk: TestDesk) {
        let sql = "DELETE FROM audit_events WHERE org_id = '$org' AND seq = 4";
        assert_eq!(found_after(&desk, &[sql]).await, Some(Broken::Missing(4)));
    }
);

on_both!(
    fn a_deleted_event_is_found_also_when_those_after_it_are_renumbered(desk: TestDesk) {
        let sql = [
            "DELETE FROM audit_events WHERE org_id = '$org' AND seq = 4",
            "UPDATE audit_events SET seq = seq + 1000 WHERE org_id = '$org' AND seq > 4",
            "UPDATE audit_events SET seq = seq - 1001 WHERE org_id = '$org' AND seq > 1000",
        ];
        assert_eq!(found_after(&desk, &sql).await, Some(Broken::Unlinked(4)));
    }
);

on_both!(
    fn a_tail_that_was_cut_off_is_found(desk: TestDesk) {
        let sql = "DELETE FROM audit_events WHERE org_id = '$org' AND seq > 7";
        assert_eq!(found_after(&desk, &[sql]).await, Some(Broken::CutOff(7, 10)));
    }
);

on_both!(
    fn a_tail_that_was_cut_off_is_found_also_when_the_heads_number_follows(desk: TestDesk) {
        let sql = [
            "DELETE FROM audit_events WHERE org_id = '$org' AND seq > 7",
            "UPDATE audit_heads SET seq = 7 WHERE chain_id = '$org'",
        ];
        assert_eq!(found_after(&desk, &sql).await, Some(Broken::OtherHead(7)));
    }
);

on_both!(
    fn two_exchanged_events_are_found(desk: TestDesk) {
        let sql = [
            "UPDATE audit_events SET seq = 1000 WHERE org_id = '$org' AND seq = 4",
            "UPDATE audit_events SET seq = 4 WHERE org_id = '$org' AND seq = 5",
            "UPDATE audit_events SET seq = 5 WHERE org_id = '$org' AND seq = 1000",
        ];
        assert_eq!(found_after(&desk, &sql).await, Some(Broken::Unlinked(4)));
    }
);

on_both!(
    fn a_head_that_was_taken_away_is_found(desk: TestDesk) {
        let sql = "DELETE FROM audit_heads WHERE chain_id = '$org'";
        assert_eq!(found_after(&desk, &[sql]).await, Some(Broken::NoHead(10)));
    }
);

on_both!(
    fn an_organisation_that_is_not_there_has_no_report(desk: TestDesk) {
        desk.owner().await;
        assert_eq!(audit::verify(&desk, "nowhere").await.unwrap(), None);
    }
);

on_both!(
    fn a_chain_is_whole_while_it_grows(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let writing = tokio::spawn({
            let (desk, at) = (desk.clone(), at.clone());
            async move {
                for _ in 0..40 {
                    submit::disable_key(&desk, &at.caller, &key_ref(&at, &issued)).await.unwrap();
                    submit::enable_key(&desk, &at.caller, &key_ref(&at, &issued)).await.unwrap();
                }
            }
        });
        while !writing.is_finished() {
            let report = audit::verify(&desk, &at.org.slug).await.unwrap().unwrap();
            assert_eq!(report.broken, None, "{report:?}");
        }
        writing.await.unwrap();
        let whole = audit::verify(&desk, &at.org.slug).await.unwrap().unwrap();
        assert_eq!((whole.events, whole.broken), (82, None));
    }
);
