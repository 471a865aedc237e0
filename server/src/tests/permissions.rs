//! Who may do what: the table of `routes.rs`, every page and every action against every kind of caller. What is not in the
//! table fails the test, and so does what is in it and not in the program.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use keydesk_app::routes::App;
use keydesk_core::domain::person::Email;
use keydesk_core::ops::links;
use leptos_axum::generate_route_list_with_exclusions;

use crate::http::spend;

use super::probe::{ARCHIVE_PROBES, probe};
use super::routes::{Row, actions, borrowed, rows};
use super::support::{Browser, Cast, TestApp, TestRequest, Who, on_both};

/// What a program serves to browsers and no page or action is: it answers everybody alike.
const OPEN: [(&str, u16); 3] = [("/healthz", 200), ("/readyz", 200), ("/pkg/000000000000/keydesk.css", 404)];

/// What is posted like an action and answered with a file.
const FILES: [&str; 3] = ["audit/export", "requests/export", "requests/export-log"];

/// What is a file at an address of its own.
const DOWNLOADS: [&str; 2] = [spend::TABLE, spend::FOCUS];

#[tokio::test]
async fn the_table_has_every_page_and_every_action_and_nothing_else() {
    let apart = leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path.to_owned()).collect();
    let pages = generate_route_list_with_exclusions(App, Some(apart));
    let mut there: BTreeSet<String> = pages
        .iter()
        .map(|page| page.path())
        // The routes that are apart are listed too.
        .filter(|path| !path.starts_with("/api/"))
        .map(|path| format!("GET {path}"))
        .collect();
    there.extend(actions().iter().map(|action| format!("POST {action}")));
    there.extend(FILES.map(|action| format!("POST {action}")));
    there.extend(DOWNLOADS.map(|path| format!("GET {path}")));
    let listed: BTreeSet<String> = rows().iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&there).collect();
    assert!(missing.is_empty(), "say in routes.rs who may use: {missing:?}");
    assert!(stale.is_empty(), "routes.rs lists what is not there any more: {stale:?}");
    assert!(there.len() >= 23, "the walk found too little: {there:?}");
}

/// What the row answers.
async fn status(app: &TestApp, cast: &Cast, browser: &Browser, row: &Row, n: usize, reset: &str) -> u16 {
    let given = probe(app, cast, row, n, reset).await;
    if row.method == "GET" {
        return app.get(browser, &given.address(row)).await.status;
    }
    let status = app.post(browser, row.path, &borrowed(&given.form(row.sent))).await.status;
    // The next row finds the organisation as it was.
    app.execute(ARCHIVE_PROBES).await;
    app.execute("UPDATE orgs SET suspended_at = NULL WHERE slug = 'acme'").await;
    if row.path == "members/leave" {
        app.bring_back().await;
    }
    status
}

on_both! {
    async fn everybody_gets_what_the_table_says(app: TestApp) {
        let cast = app.cast().await;
        let email = Email::parse(&Who::Member.email()).unwrap();
        let reset = links::new_reset(&app.state.desk, &email).await.unwrap().unwrap();
        let rows = rows();
        let mut got = vec![Vec::new(); rows.len()];
        let mut n = 0;
        for who in Who::ALL {
            let browser = app.sign_in(who).await;
            for (row, got) in rows.iter().zip(&mut got) {
                n += 1;
                got.push(status(&app, &cast, &browser, row, n, &reset).await);
            }
        }
        let same = rows.iter().zip(&got).all(|(row, got)| row.expected == *got);
        assert!(same, "{}", drawn(&rows, &got));

        for (path, expected) in OPEN {
            let answer = app.ask(TestRequest::get(path)).await;
            assert_eq!(answer.status, expected, "{path}");
            assert!(answer.cookies().is_empty(), "{path}");
        }
    }
}

/// The table as it came out, with what was expected beside what differs.
fn drawn(rows: &[Row], got: &[Vec<u16>]) -> String {
    let mut text = String::from("who may do what came out differently (got!expected):\n");
    let _ = write!(text, "{:<34}", "");
    for who in Who::ALL {
        let _ = write!(text, "{:>15}", format!("{who:?}"));
    }
    for (row, got) in rows.iter().zip(got) {
        let _ = write!(text, "\n{:<5}{:<29}", row.method, row.path);
        for (expected, got) in row.expected.iter().zip(got) {
            let cell = if expected == got { got.to_string() } else { format!("{got}!{expected}") };
            let _ = write!(text, "{cell:>15}");
        }
    }
    text
}
