//! Forms and addresses with anything in them: each is answered as a mistake of whoever sent it, never as one of the program.

use keydesk_test_support::fuzz::{field, inputs, near_text};
use proptest::prelude::*;
use proptest::sample::Index;

use super::routes::{actions, borrowed, fields_for};
use super::support::{Browser, TestApp, TestRequest, Who, on_both};

/// One change of a form's fields.
#[derive(Clone, Debug)]
enum Change {
    Value(Index, String),
    Name(Index, String),
    Again(Index),
    Without(Index),
    Added(String, String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (any::<Index>(), field()).prop_map(|(at, value)| Change::Value(at, value)),
        1 => (any::<Index>(), "[\\[\\]a-z0-9]{0,6}").prop_map(|(at, end)| Change::Name(at, end)),
        1 => any::<Index>().prop_map(Change::Again),
        1 => any::<Index>().prop_map(Change::Without),
        1 => (field(), field()).prop_map(|(name, value)| Change::Added(name, value)),
    ]
}

fn changed(mut fields: Vec<(String, String)>, changes: Vec<Change>) -> Vec<(String, String)> {
    for change in changes {
        let at = |index: Index| index.index(fields.len().max(1));
        match change {
            Change::Added(name, value) => fields.push((name, value)),
            _ if fields.is_empty() => {}
            Change::Value(index, value) => {
                let at = at(index);
                fields[at].1 = value;
            }
            Change::Name(index, end) => {
                let at = at(index);
                fields[at].0.push_str(&end);
            }
            Change::Again(index) => fields.push(fields[at(index)].clone()),
            Change::Without(index) => drop(fields.remove(at(index))),
        }
    }
    fields
}

on_both! {
    async fn no_form_is_answered_as_the_programs_fault(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "fuzzed").await;
        // What ends the session or the way in would leave nothing to send the next form with.
        let known: Vec<String> = actions().into_iter().filter(|action| !action.starts_with("session/")).collect();
        let people = [app.sign_in(Who::Owner).await, app.sign_in(Who::Operator).await, app.sign_in(Who::Support).await];
        let forms = (any::<Index>(), 0..3_usize, prop::collection::vec(change(), 1..4), any::<bool>());
        for (action, who, changes, script) in inputs(forms, 150) {
            let action = action.get(&known);
            let fields = changed(fields_for(action, &cast, &key, "fuzzed"), changes);
            let fields = borrowed(&fields);
            let answer = match script {
                true => app.post(&people[who], action, &fields).await,
                false => app.post_page(&people[who], "/acme/keys", action, &fields).await,
            };
            assert!(answer.status < 500, "{action}: {}\n{fields:?}\n{}", answer.status, answer.text);
        }
    }
}

on_both! {
    async fn no_bytes_in_place_of_a_form_are_answered_as_the_programs_fault(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let bodies = [
            "form%5Borg%5D=acme&form%5Bkey%5D%5Bname%5D=x&form%5Bkey%5D%5Blimits%5D%5Bday%5D%5Bmode%5D=limit",
            "form[org]=acme&form[keys][]=key_0&form[keys][1]=key_1&form[act]=revoke",
            "form[a][b][c][d][e][f][g]=1&form=2&form[]=3&[=4&]=5&form[[=6",
        ];
        for (body, action) in inputs((near_text(&bodies), prop::sample::select(actions())), 150) {
            if action.starts_with("session/") {
                continue;
            }
            let ask = TestRequest::form(&action, &[]).same_origin().header("accept", "application/json");
            let answer = app.send(&owner, ask.body(body.clone())).await;
            assert!(answer.status < 500, "{action}: {}\n{body:?}\n{}", answer.status, answer.text);
        }
    }
}

on_both! {
    async fn no_address_is_answered_as_the_programs_fault(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "fuzzed").await;
        let people = [
            Browser::default(), app.sign_in(Who::Owner).await, app.sign_in(Who::Operator).await, app.sign_in(Who::Support).await,
        ];
        let paths = vec![
            "/".to_owned(), "/sign-in".into(), "/acme/keys".into(), "/acme/keys/new".into(), "/acme/keys/bulk".into(),
            "/acme/audit".into(), "/acme/members".into(), "/acme/teams".into(), "/acme/doctor".into(), "/acme/live-test".into(),
            format!("/acme/keys/{}", key.id), format!("/acme/keys/{}/edit", key.id), "/operator".into(), "/operator/audit".into(),
            "/operator/models".into(), "/operator/models/show".into(), "/support".into(), "/support/ticket".into(), "/doctor".into(),
        ];
        let name = prop::sample::select(vec![
            "q", "page", "sort", "state", "team", "owner", "model", "from", "to", "kind", "key", "id", "act", "next", "group", "since",
        ]);
        let value = prop_oneof![
            field(),
            near_text(&["next~50~key_0193e2a47b1c7d3e9f001a2b3c4d5e6f~a name", "previous~1~7~", "2026-11-20", "-spend", "fuzzed 鍵"]),
        ];
        let asked = (prop::sample::select(paths), prop::collection::vec((name, value), 1..4), 0..4_usize);
        for (path, query, who) in inputs(asked, 150) {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
            // No address of HTTP is longer.
            if query.len() > 60_000 {
                continue;
            }
            let answer = app.get(&people[who], &format!("{path}?{query}")).await;
            assert!(answer.status < 500, "{path}?{query}: {}\n{}", answer.status, answer.text);
        }
    }
}
