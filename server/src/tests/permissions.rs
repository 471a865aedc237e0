//! Who may do what, as one table: every page and every action against every kind of caller. What is not in the table
//! fails the test, and so does what is in it and not in the program.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use keydesk_app::routes::App;
use keydesk_core::domain::ids::PersonId;
use keydesk_core::domain::person::Email;
use keydesk_core::ops::links;
use leptos_axum::generate_route_list_with_exclusions;

use super::support::{Ask, Browser, Cast, TestApp, TestKey, Who, actions, borrowed, fields_for, on_both};

/// The columns are `Who::ALL`: nobody, owner, admin, admin of the key's team, admin of another team, member who owns the
/// key, member who does not, support, operator without a membership, owner of another organisation.
///
/// 404 is not yours to see, 403 is yours to see but not to do. Anonymous pages go to the sign-in (303); 302 is a page's own
/// redirect. What is not suspended cannot be resumed (409). A search answers 200 and leads to the list where the key
/// is not theirs to see. A new key of the other team admin is refused beside its field (422): the team is not on their list.
const TABLE: &str = "
                                 nobody owner admin  lead other   own  else  supp  oper foreign
GET  /                              303   302   302   302   302   302   302   200   302   302
GET  /sign-in                       200   200   200   200   200   200   200   200   200   200
GET  /sign-in/code                  302   302   302   302   302   302   302   302   302   302
GET  /account                       303   200   200   200   200   200   200   200   200   200
GET  /account/password              303   200   200   200   200   200   200   200   200   200
GET  /account/sessions              303   200   200   200   200   200   200   200   200   200
GET  /account/second-factor         303   200   200   200   200   200   200   200   200   200
GET  /account/second-factor/codes   303   200   200   200   200   200   200   200   200   200
GET  /setup/{token}                 404   404   404   404   404   404   404   404   404   404
GET  /reset/{token}                 200   200   200   200   200   200   200   200   200   200
GET  /operator                      303   404   404   404   404   404   404   404   200   404
GET  /operator/new                  303   404   404   404   404   404   404   404   200   404
GET  /operator/models               303   404   404   404   404   404   404   404   200   404
GET  /operator/models/new           303   404   404   404   404   404   404   404   200   404
GET  /operator/models/edit          303   404   404   404   404   404   404   404   200   404
GET  /operator/models/retire        303   404   404   404   404   404   404   404   200   404
GET  /operator/providers            303   404   404   404   404   404   404   404   200   404
GET  /operator/providers/new        303   404   404   404   404   404   404   404   200   404
GET  /operator/providers/{id}       303   404   404   404   404   404   404   404   200   404
GET  /operator/providers/{id}/retire 303  404   404   404   404   404   404   404   200   404
GET  /operator/{org}/created        303   404   404   404   404   404   404   404   200   404
GET  /operator/{org}/suspend        303   404   404   404   404   404   404   404   200   404
GET  /operator/{org}/resume         303   404   404   404   404   404   404   404   409   404
GET  /support                       303   404   404   404   404   404   404   200   404   404
GET  /{org}                         303   302   302   302   302   302   302   302   404   404
GET  /{org}/settings                303   200   200   403   403   403   403   403   404   404
GET  /{org}/audit                   303   200   200   403   403   403   403   403   404   404
GET  /{org}/keys                    303   200   200   200   200   200   200   200   404   404
GET  /{org}/keys/new                303   200   200   200   200   403   403   403   404   404
GET  /{org}/keys/{id}               303   200   200   200   404   200   404   200   404   404
GET  /{org}/keys/{id}/issued        303   200   200   200   404   200   404   200   404   404
GET  /{org}/keys/{id}/edit          303   200   200   200   404   403   404   403   404   404
GET  /{org}/keys/{id}/revoke        303   200   200   200   404   200   404   403   404   404
GET  /invite/{token}                404   404   404   404   404   404   404   404   404   404
GET  /{org}/members                 303   200   200   200   200   403   403   200   404   404
GET  /{org}/members/invite          303   200   200   200   200   403   403   403   404   404
GET  /{org}/members/{id}            303   200   200   200   404   200   404   200   404   404
GET  /{org}/members/{id}/remove     303   200   200   403   404   403   404   403   404   404
GET  /{org}/members/{id}/keys       303   200   200   403   404   404   404   403   404   404
GET  /{org}/invitations/{id}/issued 303   200   200   200   404   404   404   403   404   404
GET  /{org}/leave                   303   200   200   200   200   200   200   403   404   404
POST support/look-up                401   404   404   404   404   404   404   200   404   404
POST audit/export                   401   200   200   403   403   403   403   403   404   404
GET  /{org}/teams                   303   200   200   200   200   200   200   200   404   404
GET  /{org}/teams/new               303   200   200   403   403   403   403   403   404   404
GET  /{org}/teams/{id}              303   200   200   200   404   200   200   200   404   404
GET  /{org}/teams/{id}/edit         303   200   200   403   404   403   403   403   404   404
GET  /{org}/teams/{id}/archive      303   200   200   403   404   403   403   403   404   404
GET  /{org}/teams/{id}/add          303   200   200   200   404   403   403   403   404   404
GET  /{org}/teams/{id}/people/{person} 303 200  200   200   404   403   403   403   404   404
POST keys/create                    401   200   200   200   422   403   403   403   404   404
POST keys/edit                      401   200   200   200   404   403   404   403   404   404
POST keys/disable                   401   200   200   200   404   200   404   403   404   404
POST keys/enable                    401   200   200   200   404   403   404   403   404   404
POST keys/revoke                    401   200   200   200   404   200   404   403   404   404
POST keys/search                    401   200   200   200   200   200   200   200   404   404
POST keys/find                      401   200   200   200   200   200   200   200   404   404
POST models/add                     401   404   404   404   404   404   404   404   200   404
POST models/save                    401   404   404   404   404   404   404   404   200   404
POST models/retire                  401   404   404   404   404   404   404   404   200   404
POST providers/add                  401   404   404   404   404   404   404   404   200   404
POST providers/save                 401   404   404   404   404   404   404   404   200   404
POST providers/route                401   404   404   404   404   404   404   404   200   404
POST providers/retire               401   404   404   404   404   404   404   404   200   404
POST orgs/save                      401   200   200   403   403   403   403   403   404   404
POST orgs/create                    401   404   404   404   404   404   404   404   200   404
POST orgs/suspend                   401   404   404   404   404   404   404   404   200   404
POST orgs/resume                    401   404   404   404   404   404   404   404   200   404
POST invitations/invite             401   200   200   200   422   403   403   403   404   404
POST invitations/resend             401   200   200   200   404   403   403   403   404   404
POST invitations/withdraw           401   200   200   200   404   403   403   403   404   404
POST invitations/accept             404   404   404   404   404   404   404   404   404   404
POST invitations/join               401   404   404   404   404   404   404   404   404   404
POST members/role                   401   200   200   403   404   404   404   403   404   404
POST members/disable                401   200   200   403   404   404   404   403   404   404
POST members/enable                 401   200   200   403   404   404   404   403   404   404
POST members/remove                 401   200   200   403   404   404   404   403   404   404
POST members/decide                 401   200   200   403   404   404   404   403   404   404
POST members/leave                  401   409   200   200   200   200   200   403   404   404
POST teams/create                   401   200   200   403   403   403   403   403   404   404
POST teams/edit                     401   200   200   403   404   403   403   403   404   404
POST teams/archive                  401   200   200   403   404   403   403   403   404   404
POST teams/restore                  401   200   200   404   404   404   404   403   404   404
POST teams/add                      401   200   200   200   404   403   403   403   404   404
POST teams/role                     401   200   200   200   404   403   403   403   404   404
POST teams/remove                   401   200   200   200   404   403   403   403   404   404
POST account/rename                 401   200   200   200   200   200   200   200   200   200
POST account/password               401   422   422   422   422   422   422   422   422   422
POST account/end-session            401   404   404   404   404   404   404   404   404   404
POST account/end-other-sessions     401   200   200   200   200   200   200   200   200   200
POST second-factor/start            401   200   200   200   200   200   200   200   200   200
POST second-factor/turn-on          401   422   422   422   422   422   422   422   422   422
POST second-factor/turn-off         401   409   409   409   409   409   409   409   409   409
POST second-factor/renew-codes      401   409   409   409   409   409   409   409   409   409
POST session/code                   401   401   401   401   401   401   401   401   401   401
POST session/setup                  404   404   404   404   404   404   404   404   404   404
POST session/reset                  404   404   404   404   404   404   404   404   404   404
POST session/theme                  401   200   200   200   200   200   200   200   200   200
POST session/sign-in                422   422   422   422   422   422   422   422   422   422
POST session/sign-out               401   200   200   200   200   200   200   200   200   200
";

struct Row {
    method: &'static str,
    path: &'static str,
    expected: Vec<u16>,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.starts_with("GET") || line.starts_with("POST"));
    let read = |line: &'static str| {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let expected: Vec<u16> = words.map(|word| word.parse().unwrap()).collect();
        assert_eq!(expected.len(), Who::ALL.len(), "{line}");
        Row { method, path, expected }
    };
    lines.map(read).collect()
}

/// What a program serves to browsers and no page or action is: it answers everybody alike.
const OPEN: [(&str, u16); 3] = [("/healthz", 200), ("/readyz", 200), ("/pkg/000000000000/keydesk.css", 404)];

/// What is posted like an action and answered with a file.
const FILES: [&str; 1] = ["audit/export"];

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
    let listed: BTreeSet<String> = rows().iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&there).collect();
    assert!(missing.is_empty(), "say in permissions.rs who may use: {missing:?}");
    assert!(stale.is_empty(), "permissions.rs lists what is not there any more: {stale:?}");
    assert!(there.len() >= 23, "the walk found too little: {there:?}");
}

/// What the row asks, of a key that nobody has touched yet.
async fn status(app: &TestApp, cast: &Cast, browser: &Browser, row: &Row, n: usize, reset: &str) -> u16 {
    let key = app.key(cast, &format!("probe {n}")).await;
    if row.path.contains("/members/{id}") {
        let id = match row.path.ends_with("/keys") {
            true => out(app, cast, &key).await,
            false => cast.id(Who::KeyOwner),
        };
        let path = row.path.replace("{org}", &cast.org.slug).replace("{id}", id.as_str());
        return app.get(browser, &path).await.status;
    }
    if row.path.starts_with("/{org}/invitations/") {
        let (id, _) = app.invitation(cast, &format!("guest-{n}@nowhere.example")).await;
        let path = row.path.replace("{org}", &cast.org.slug).replace("{id}", id.as_str());
        return app.get(browser, &path).await.status;
    }
    if row.path.starts_with("/operator/providers/{id}") {
        let path = row.path.replace("{id}", app.provider(&format!("probe {n}")).await.as_str());
        return app.get(browser, &path).await.status;
    }
    if row.path.starts_with("/operator/models/") {
        return app.get(browser, &format!("{}?id=gpt-5", row.path)).await.status;
    }
    if row.method == "GET" {
        let token = if row.path.starts_with("/reset/") { reset } else { "0123456789abcdef" };
        let id = if row.path.starts_with("/{org}/teams/") { cast.team.id.as_str() } else { key.id.as_str() };
        let path = row
            .path
            .replace("{org}", &cast.org.slug)
            .replace("{id}", id)
            .replace("{person}", cast.id(Who::KeyOwner).as_str())
            .replace("{token}", token);
        return app.get(browser, &path).await.status;
    }
    if row.path == "orgs/resume" {
        app.execute("UPDATE orgs SET suspended_at = 1 WHERE slug = 'acme'").await;
    }
    if row.path == "keys/enable" {
        app.execute(&format!("UPDATE keys SET status = 'disabled' WHERE id = '{}'", key.id)).await;
    }
    // A team of its own for each act on one, with the same people in it.
    let mut cast = cast.clone();
    if row.path.starts_with("teams/") {
        cast.team = app.team(&cast, &format!("probe {n}")).await;
    }
    if row.path == "teams/restore" {
        app.execute(&format!("UPDATE teams SET archived_at = 1 WHERE id = '{}'", cast.team.id)).await;
    }
    let mut fields = fields_for(row.path, &cast, &key, &format!("made-{n}"));
    let on = match row.path {
        "invitations/resend" | "invitations/withdraw" => {
            Some(app.invitation(&cast, &format!("guest-{n}@nowhere.example")).await.0.to_string())
        }
        "members/role" | "members/disable" | "members/remove" => Some(app.mate(&cast).await.to_string()),
        "providers/save" | "providers/route" | "providers/retire" => {
            Some(app.provider(&format!("probe {n}")).await.to_string())
        }
        "members/enable" | "members/decide" => Some(out(app, &cast, &key).await.to_string()),
        _ => None,
    };
    if let (Some(on), Some(id)) = (on, fields.iter_mut().find(|(name, _)| name == "form[id]")) {
        id.1 = on;
    }
    let status = app.post(browser, row.path, &borrowed(&fields)).await.status;
    if row.path.starts_with("teams/") {
        // Nobody is anything in it any more.
        app.execute(&format!("UPDATE teams SET archived_at = 1 WHERE id = '{}'", cast.team.id)).await;
    }
    // The next row finds the organisation as it was.
    app.execute("UPDATE orgs SET suspended_at = NULL WHERE slug = 'acme'").await;
    if row.path == "members/leave" {
        app.bring_back().await;
    }
    status
}

/// Somebody of the cast's team who is disabled and owns the key.
async fn out(app: &TestApp, cast: &Cast, key: &TestKey) -> PersonId {
    let id = app.mate(cast).await;
    app.execute(&format!("UPDATE memberships SET disabled_at = 1 WHERE person_id = '{id}'")).await;
    app.execute(&format!("UPDATE keys SET owner_id = '{id}' WHERE id = '{}'", key.id)).await;
    id
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
            let answer = app.ask(Ask::get(path)).await;
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
