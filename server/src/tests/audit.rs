//! The audit over HTTP: its files, and what support leaves behind.

use super::support::{Fields, TestApp, TestRequest, TestResponse, Who, on_both};

fn rows(answer: &TestResponse) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(answer.text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect()
}

fn form<'a>(format: &'a str, more: Fields<'a>) -> Vec<(&'a str, &'a str)> {
    [&[("form[org]", "acme"), ("form[format]", format)], more].concat()
}

on_both! {
    async fn a_file_is_sent_as_one_and_parses(app: TestApp) {
        let cast = app.cast().await;
        let wild = app.key(&cast, "=HYPERLINK(\"http://evil.example\"),\"x\"").await;
        app.key(&cast, "plain").await;
        let owner = app.sign_in(Who::Owner).await;
        let csv = app.post(&owner, "audit/export", &form("csv", &[])).await;
        assert_eq!(csv.status, 200, "{}", csv.text);
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
        assert_eq!(csv.header("content-disposition"), "attachment; filename=\"audit-acme-2026-11-20.csv\"");
        assert_eq!(csv.header("x-content-type-options"), "nosniff");
        assert_eq!(csv.header("cache-control"), "no-store");
        // Ids and moments differ from run to run, and so does the made-up part of the wild name.
        let filters = [
            (r"\b(key|per|req)_[0-9a-z]+", "$1_ID"),
            (r"2026-\d\d-\d\dT[0-9:.]+Z", "TIME"),
            (r"\r\n", "\n"),
        ];
        insta::with_settings!({filters => filters}, { insta::assert_snapshot!("export_csv", csv.text) });
        let rows = rows(&csv);
        assert_eq!(rows.len(), 3, "{}", csv.text);
        assert!(rows.iter().all(|row| row.len() == 12));
        assert_eq!(rows[0][..3], ["number", "time", "person"]);
        assert_eq!((rows[1][6].as_str(), rows[2][6].as_str()), ("plain", format!("'{}", wild.name).as_str()));
        assert!(!csv.text.lines().any(|line| line.split(',').any(|cell| cell.starts_with('='))));

        let json = app.post(&owner, "audit/export", &form("jsonl", &[("form[key]", "plain")])).await;
        assert_eq!(json.header("content-type"), "application/x-ndjson");
        let filters = [(r"\b(key|per|req)_[0-9a-z]+", "$1_ID"), (r"2026-\d\d-\d\dT[0-9:.]+Z", "TIME")];
        insta::with_settings!({filters => filters}, { insta::assert_snapshot!("export_jsonl", json.text) });
        let lines: Vec<serde_json::Value> =
            json.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["sentence"], "Keydesk (test) created the key plain.");

        // Each of the two is in the audit, with its filter.
        let page = app.get(&owner, "/acme/audit?kind=audit.exported").await;
        assert!(page.text.contains("Owner exported the whole audit as CSV."), "{}", page.text);
        assert!(page.text.contains("Owner exported part of the audit (key plain) as JSON Lines."));
    }
}

on_both! {
    async fn an_export_is_taken_from_this_desk_only_and_says_what_is_wrong(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let events = || async { app.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL").await };
        let fields = form("csv", &[]);
        let elsewhere = TestRequest::form("audit/export", &fields).header("sec-fetch-site", "cross-site");
        assert_eq!(app.send(&owner, elsewhere).await.status, 403);
        assert_eq!(app.send(&owner, TestRequest::get("/api/audit/export?form[org]=acme")).await.status, 405);
        let wrong = app.post(&owner, "audit/export", &form("xml", &[])).await;
        assert_eq!((wrong.status, wrong.wrong_fields()), (422, vec!["format".to_owned()]));
        let unknown = app.post(&owner, "audit/export", &form("csv", &[("form[limit]", "1")])).await;
        assert_eq!(unknown.status, 400);
        assert_eq!(events().await, 0);

        // A browser without script gets pages: the list with the mistake, and the door for those who may not.
        let wrong = app.post_page(&owner, "/acme/audit", "audit/export", &form("csv", &[("form[from]", "soon")])).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.text.contains("Check the highlighted field"), "{}", wrong.text);
        let member = app.sign_in(Who::Member).await;
        let refused = app.post_page(&member, "/acme/audit", "audit/export", &fields).await;
        assert_eq!(refused.status, 403);
        assert!(refused.text.contains("You don't have permission"));
        assert_eq!(events().await, 0);
    }
}

on_both! {
    async fn a_large_export_arrives_whole(app: TestApp) {
        let cast = app.cast().await;
        for n in 0..1_100 {
            app.key(&cast, &format!("key {n}")).await;
        }
        let owner = app.sign_in(Who::Owner).await;
        let csv = app.post(&owner, "audit/export", &form("csv", &[])).await;
        let numbers: Vec<i64> = rows(&csv)[1..].iter().map(|row| row[0].parse().unwrap()).collect();
        assert_eq!(numbers, (1..=1_100).rev().collect::<Vec<i64>>());
    }
}

on_both! {
    async fn what_support_looks_at_stands_in_the_audit_and_nothing_is_fetched_ahead_for_it(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci-prod").await;
        let support = app.sign_in(Who::Support).await;
        let page = app.get(&support, &format!("/acme/keys/{}", key.id)).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("speculationrules"));
        app.get(&support, "/acme/keys?q=prod").await;
        app.post(&support, "keys/find", &[("form[org]", "acme"), ("form[q]", "ci")]).await;

        let owner = app.sign_in(Who::Owner).await;
        let page = app.get(&owner, "/acme/audit?kind=support.accessed").await;
        assert!(page.text.contains("speculationrules"));
        for sentence in ["Support (support) searched the keys for “prod”.", "Support (support) searched the keys for “ci”."] {
            assert!(page.text.contains(sentence), "{}", page.text);
        }
        assert!(page.text.contains("Support (support) viewed"));
    }
}
