//! Keys by words: what a search finds, in which order, and that it finds nothing of anyone else's. Each is asked in a small
//! list, which is read from end to end, and in one of thousands of keys, for which SQLite takes its index.

use keydesk_core::domain::key::Status;
use keydesk_core::domain::key_filter::{KeyFilter, Sort, StateFilter};
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::account::{self, NameForm};
use keydesk_core::ops::keys;
use keydesk_core::ops::support;
use keydesk_core::store;

use crate::support::*;

/// More keys than are read one by one.
const MANY: u32 = 5_100;

/// Names of the keys that a search lists, in its order.
async fn found(desk: &TestDesk, at: &At, text: &str) -> Vec<String> {
    desk.names(at, &KeyFilter { search: text.into(), ..everything() }).await
}

/// A key with a note, of a team, for some models.
fn key(name: &str, note: &str, team: &str, patterns: &str) -> KeyForm {
    let scope = if patterns.is_empty() { "every" } else { "listed" };
    KeyForm {
        note: note.into(),
        team: team.into(),
        scope: scope.into(),
        patterns: patterns.into(),
        ..form(name)
    }
}

async fn give(desk: &TestDesk, at: &At, key: &str, to: &At) {
    let (org, to) = (&at.org.id, &to.caller.person.id);
    let sql = format!("UPDATE keys SET owner_id = '{to}' WHERE org_id = '{org}' AND name = '{key}'");
    assert_eq!(desk.execute(&sql).await.unwrap(), 1);
}

on_both!(
    fn each_word_is_found_in_any_field_in_any_order(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Growth Ops").await;
        let chloe = desk.member(&at, OrgRole::Member).await;
        account::rename(&desk, &chloe.caller, &NameForm { name: "Chloé Durand".into() }).await.unwrap();
        desk.execute(&format!(
            "UPDATE people SET email = 'c.durand@growth.example' WHERE id = '{}'",
            chloe.caller.person.id
        ))
        .await
        .unwrap();
        desk.create(&at, key("SEO-Titles-Prod", "Weekly Änderungen", team.id.as_str(), "gpt-5\nClaude-*"))
            .await
            .unwrap();
        desk.create(&at, key("nightly", "", "", "")).await.unwrap();
        give(&desk, &at, "SEO-Titles-Prod", &chloe).await;
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
            }
            for text in [
                "titles",
                "seo prod",
                "prod seo",
                "-PROD",
                "weekly",
                "änder",
                "A\u{308}nder weekly",
                "chloé",
                "Durand",
                "c.durand@growth.example",
                "durand@",
                "growth ops",
                "ops titles",
                "claude-*",
                "gpt-5 seo",
                "growth durand titles weekly claude",
                "ti titles",
                "s chloe\u{301}",
                "seo-titles-prod",
            ] {
                assert_eq!(found(&desk, &at, text).await, ["SEO-Titles-Prod"], "{text} (many: {many})");
            }
            for text in ["titles nightly", "seo prox", "durand nightly", "gpt-6 seo", "chloe", "prod zz"] {
                assert_eq!(found(&desk, &at, text).await, Vec::<String>::new(), "{text} (many: {many})");
            }
            // Too short for the index: where a name begins.
            assert_eq!(found(&desk, &at, "se").await, ["SEO-Titles-Prod"]);
            assert_eq!(found(&desk, &at, "ti").await, Vec::<String>::new());
            assert_eq!(found(&desk, &at, "petrov night").await, ["nightly"]);
        }
    }
);

on_both!(
    fn short_words_of_scripts_without_spaces_are_found_inside(desk: TestDesk) {
        let at = desk.owner().await;
        let sato = desk.member(&at, OrgRole::Member).await;
        account::rename(&desk, &sato.caller, &NameForm { name: "佐藤健".into() }).await.unwrap();
        desk.create(&at, key("東京翻訳サービス", "", "", "")).await.unwrap();
        desk.create(&at, key("京都 batch", "夜間 처리", "", "")).await.unwrap();
        desk.create(&at, key("ระบบไทย", "", "", "")).await.unwrap();
        desk.create(&at, key("deploy 🚀 eu", "", "", "")).await.unwrap();
        desk.create(&at, key("of sato", "", "", "")).await.unwrap();
        give(&desk, &at, "of sato", &sato).await;
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
            }
            for (text, names) in [
                ("翻", &["東京翻訳サービス"][..]),
                ("翻訳", &["東京翻訳サービス"]),
                ("訳翻", &[]),
                ("ビス", &["東京翻訳サービス"]),
                ("翻訳サービ", &["東京翻訳サービス"]),
                ("京", &["京都 batch", "東京翻訳サービス"]),
                ("京 夜", &["京都 batch"]),
                ("bat 京", &["京都 batch"]),
                ("처", &["京都 batch"]),
                ("ทย", &["ระบบไทย"]),
                ("🚀", &["deploy 🚀 eu"]),
                ("藤", &["of sato"]),
                ("佐藤", &["of sato"]),
                ("鬱", &[]),
                // The letters of a code are not found.
                ("agfof", &[]),
            ] {
                assert_eq!(desk.search_names(&at, text).await, names, "{text} (many: {many})");
            }
        }
    }
);

on_both!(
    fn what_is_typed_is_data(desk: TestDesk) {
        let at = desk.owner().await;
        let names = [
            "w-100%", "w-1000", "w_under", "wxunder", "w\\back", "w\"quote", "w*star", "w'tick", "w$1",
            "w~tilde",
        ];
        for name in names {
            desk.create_key(&at, name).await;
        }
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
            }
            for (text, name) in [
                ("100%", 0),
                ("-1000", 1),
                ("w_u", 2),
                ("w\\b", 4),
                ("w\"q", 5),
                ("w*s", 6),
                ("w't", 7),
                ("w$1", 8),
                ("w~t", 9),
            ] {
                assert_eq!(found(&desk, &at, text).await, [names[name]], "{text} (many: {many})");
            }
            for text in [
                "%%%",
                "___",
                "\"\"\"",
                "***",
                "w\0u",
                "\0\0\0",
                "OR NOT",
                "\" OR \"",
                "text:w",
                "NEAR(w u)",
                "{text}",
                "'; --",
                "\\\\\\",
                "w\u{fffd}x",
                "\n\n\n",
            ] {
                let hits = found(&desk, &at, text).await;
                assert!(hits.is_empty() || text.trim().is_empty(), "{text:?} found {hits:?}");
            }
            assert_eq!(found(&desk, &at, "1 2 3 4 5 6 7 8 9 10 w-1000").await, Vec::<String>::new());
            assert_eq!(found(&desk, &at, &format!("w-1000 {}", "w ".repeat(90))).await, ["w-1000"]);
        }
    }
);

on_both!(
    fn the_exact_name_comes_first_and_pages_keep_the_order(desk: TestDesk) {
        let at = desk.owner().await;
        let exact = desk.create_key(&at, "Bulk").await;
        desk.create_key(&at, "bulk-x").await;
        desk.create_key(&at, "a bulk").await;
        let four = desk.create_key(&at, "other").await;
        desk.execute(&format!("UPDATE key_secrets SET last_four = 'bulk' WHERE key_id = '{}'", four.id))
            .await
            .unwrap();
        desk.execute(&format!("UPDATE keys SET last_four = 'bulk' WHERE id = '{}'", four.id)).await.unwrap();
        assert_eq!(found(&desk, &at, "bulk").await, ["Bulk", "other", "bulk-x", "a bulk"]);
        // Among more than a search lists, the oldest is there if its name is the text.
        desk.seed_keys(&at, 1, MANY).await;
        let filter = KeyFilter { search: "bulk".into(), ..everything() };
        let view = keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
        assert_eq!((view.count, view.capped), (501, true));
        // Keys that are over are offered, too, and not counted.
        assert_eq!(view.ended, [(Status::Expired, None), (Status::Revoked, None)]);
        assert_eq!(view.page.rows[0].id, exact.id);
        assert_eq!(view.page.rows[1].id, four.id);
        let all = desk.names(&at, &filter).await;
        let mut distinct = all.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((all.len(), distinct.len()), (503, 503), "no key is lost or listed twice");
        let oldest = KeyFilter { sort: Sort::Created, descending: false, ..filter };
        assert_eq!(desk.names(&at, &oldest).await[0], "Bulk");
    }
);

on_both!(
    fn a_search_that_finds_more_than_it_lists_goes_on_for_the_wanted_state(desk: TestDesk) {
        let at = desk.owner().await;
        for many in [1_500, MANY] {
            desk.seed_keys(&at, if many == MANY { 1_501 } else { 1 }, many).await;
            desk.execute("UPDATE keys SET status = 'revoked' WHERE seq % 5 <> 0").await.unwrap();
            for (state, status) in
                [(StateFilter::Live, "active"), (StateFilter::Only(Status::Revoked), "revoked")]
            {
                let sql = format!("SELECT name FROM keys WHERE status = '{status}' ORDER BY seq DESC");
                let mut newest = desk.texts(&sql).await;
                let left_out = newest.len() > 500;
                let filter = KeyFilter { search: "bulk".into(), state, ..everything() };
                let view = keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
                assert_eq!((view.count, view.capped), (newest.len().min(501) as i64, left_out), "{status}");
                let offered = view.ended.iter().map(|(_, count)| *count).collect::<Vec<_>>();
                assert_eq!(offered, if state == StateFilter::Live { vec![None, None] } else { vec![] });
                newest.truncate(501);
                assert_eq!(desk.names(&at, &filter).await, newest, "{status} of {many}");
                let by_name = KeyFilter { sort: Sort::Name, descending: true, ..filter };
                assert_eq!(desk.names(&at, &by_name).await, newest, "by name, {status} of {many}");
            }
        }
    }
);

on_both!(
    fn a_narrowed_person_finds_their_own_keys_and_learns_of_no_other(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Platform").await;
        let member = desk.member(&at, OrgRole::Member).await;
        let admin = desk.member(&at, OrgRole::Member).await;
        desk.join(&admin, &team, true).await;
        desk.create_key(&at, "bulk of the member").await;
        give(&desk, &at, "bulk of the member", &member).await;
        desk.create(&at, key("bulk of the team", "", team.id.as_str(), "")).await.unwrap();
        desk.create(&at, key("bulk of the owner", "a secret note", "", "gpt-5")).await.unwrap();
        let (of_member, of_team) = (["bulk of the member"], ["bulk of the team"]);
        for many in [false, true] {
            if many {
                // More matching keys than a search lists, all of them newer and not theirs.
                desk.seed_keys(&at, 1, MANY).await;
            }
            for text in ["bulk", "bul the", "of bulk"] {
                assert_eq!(found(&desk, &member, text).await, of_member, "{text} (many: {many})");
                assert_eq!(found(&desk, &admin, text).await, of_team, "{text} (many: {many})");
            }
            for text in ["secret note", "gpt-5", "petrov", "ana@example.com", "bulk of the owner", "0000012"]
            {
                let filter = KeyFilter { search: text.into(), ..everything() };
                let view = keys::list(&desk, &member.caller, &at.org.slug, &filter).await.unwrap();
                assert_eq!(
                    (view.page.rows.len(), view.count, view.ended.len()),
                    (0, 0, 0),
                    "{text} (many: {many})"
                );
            }
            assert_eq!(found(&desk, &admin, "ana platform").await, of_team);
        }
        desk.execute("UPDATE keys SET status = 'revoked'").await.unwrap();
        let filter = KeyFilter { search: "bulk".into(), ..everything() };
        for who in [&member, &admin] {
            let view = keys::list(&desk, &who.caller, &at.org.slug, &filter).await.unwrap();
            assert_eq!(view.ended.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [Some(1)]);
        }
    }
);

on_both!(
    fn other_organisations_are_never_found(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let team = desk.team(&other, "Their team").await;
        desk.create(&other, key("shared-name", "their note", team.id.as_str(), "gpt-5")).await.unwrap();
        desk.create(&at, key("shared-name", "our note", "", "gpt-5")).await.unwrap();
        // A person of both: their keys elsewhere stay elsewhere.
        desk.execute(&format!(
            "INSERT INTO memberships (org_id, person_id, role, created_at) VALUES ('{}', '{}', 'member', 1)",
            at.org.id, other.caller.person.id
        ))
        .await
        .unwrap();
        let name = other.caller.person.name.to_lowercase();
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
                desk.seed_keys(&other, MANY + 1, 2 * MANY).await;
            }
            for text in ["their", "their note", "team shared", &name] {
                assert_eq!(found(&desk, &at, text).await, Vec::<String>::new(), "{text} (many: {many})");
            }
            for text in ["shared", "note", "gpt-5", "shared-name"] {
                let filter = KeyFilter { search: text.into(), ..everything() };
                let rows = keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap().page.rows;
                assert_eq!(
                    rows.iter().map(|key| key.note.as_str()).collect::<Vec<_>>(),
                    ["our note"],
                    "{text}"
                );
            }
        }
    }
);

on_both!(
    fn what_a_key_is_found_by_follows_every_change(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Oldteam").await;
        let issued =
            desk.create(&at, key("oldname", "oldnote", team.id.as_str(), "oldmodel-*")).await.unwrap();
        let all = async |texts: &[&str]| {
            for text in texts {
                assert_eq!(found(&desk, &at, text).await.len(), 1, "{text}");
            }
        };
        let none = async |texts: &[&str]| {
            for text in texts {
                assert_eq!(found(&desk, &at, text).await.len(), 0, "{text}");
            }
        };
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
            }
            all(&["oldname", "oldnote", "oldteam", "oldmodel", "oldteam oldnote"]).await;
            let mut edit = desk.drawn(&at, &issued).await;
            edit.key.name = "newname".into();
            edit.key.note = "newnote".into();
            edit.key.patterns = "newmodel-*".into();
            submit::edit_key(&desk, &at.caller, &edit).await.unwrap();
            desk.execute(&format!(
                "UPDATE teams SET name = 'Newteam', name_folded = 'newteam' WHERE id = '{}'",
                team.id
            ))
            .await
            .unwrap();
            all(&["newname", "newnote", "newteam", "newmodel", "newteam newnote"]).await;
            none(&["oldname", "oldnote", "oldteam", "oldmodel"]).await;
            let mut edit = desk.drawn(&at, &issued).await;
            (edit.key.name, edit.key.note) = ("oldname".into(), "oldnote".into());
            edit.key.patterns = "oldmodel-*".into();
            submit::edit_key(&desk, &at.caller, &edit).await.unwrap();
            desk.execute(&format!(
                "UPDATE teams SET name = 'Oldteam', name_folded = 'oldteam' WHERE id = '{}'",
                team.id
            ))
            .await
            .unwrap();
        }
        account::rename(&desk, &at.caller, &NameForm { name: "Someone Quite New".into() }).await.unwrap();
        all(&["quite oldname"]).await;
        none(&["petrov"]).await;
        let mia = desk.member(&at, OrgRole::Member).await;
        account::rename(&desk, &mia.caller, &NameForm { name: "Mia Okafor".into() }).await.unwrap();
        none(&["okafor"]).await;
        give(&desk, &at, "oldname", &mia).await;
        all(&["okafor", "mia oldnote"]).await;
        none(&["quite oldname"]).await;
        let mut edit = desk.drawn(&at, &issued).await;
        edit.key.scope = "every".into();
        submit::edit_key(&desk, &at.caller, &edit).await.unwrap();
        none(&["oldmodel"]).await;
    }
);

on_both!(
    fn texts_that_a_migration_left_empty_are_made(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create(&at, key("Ärger", "NOTE É 日本", "", "gpt-5")).await.unwrap();
        desk.create(&at, key("plain", "", "", "")).await.unwrap();
        let texts = desk.texts("SELECT text FROM key_search ORDER BY seq").await;
        desk.execute("UPDATE key_search SET text = ''").await.unwrap();
        assert_eq!(desk.search_names(&at, "note").await, Vec::<String>::new());
        desk.db.migrate().await.unwrap();
        assert_eq!(desk.texts("SELECT text FROM key_search ORDER BY seq").await, texts);
        assert_eq!(desk.search_names(&at, "日 note gpt").await, ["Ärger"]);
        desk.execute("DELETE FROM key_search").await.unwrap();
        assert_eq!(desk.search_names(&at, "plain").await, Vec::<String>::new());
    }
);

on_both!(
    fn ended_keys_that_match_are_counted_beside_live_ones(desk: TestDesk) {
        let at = desk.owner().await;
        for name in ["copy-live", "copy-gone", "copy-old", "copy-older"] {
            desk.create_key(&at, name).await;
        }
        desk.execute("UPDATE keys SET status = 'revoked' WHERE name = 'copy-gone'").await.unwrap();
        desk.execute("UPDATE keys SET status = 'expired' WHERE name LIKE 'copy-old%'").await.unwrap();
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
            }
            let filter = KeyFilter { search: "copy petrov".into(), ..everything() };
            let view = keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
            assert_eq!(view.page.rows.len(), 1);
            let ended: Vec<_> = view.ended.iter().map(|(status, count)| (status.as_str(), *count)).collect();
            assert_eq!(ended, [("expired", Some(2)), ("revoked", Some(1))]);
            let revoked = KeyFilter { state: StateFilter::Only(view.ended[1].0), ..filter };
            assert_eq!(desk.names(&at, &revoked).await, ["copy-gone"]);
        }
    }
);

on_both!(
    fn support_finds_keys_of_all_organisations_by_the_same_words(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let team = desk.team(&other, "Réseau").await;
        desk.create(&other, key("seo-titles", "weekly run", team.id.as_str(), "mistral-*")).await.unwrap();
        desk.create(&at, key("seo", "", "", "")).await.unwrap();
        desk.create(&at, key("seo-gone", "", "", "")).await.unwrap();
        desk.create(&at, key("翻訳", "", "", "")).await.unwrap();
        desk.execute("UPDATE keys SET status = 'revoked' WHERE name = 'seo-gone'").await.unwrap();
        let sam = desk.platform(&at, PlatformRole::Support).await;
        for many in [false, true] {
            if many {
                desk.seed_keys(&at, 1, MANY).await;
            }
            let find = async |text: &str| {
                let view = support::search(&desk, &sam.caller, text).await.unwrap();
                let orgs: Vec<String> = view.orgs.into_iter().map(|org| org.slug).collect();
                (view.keys.into_iter().map(|hit| hit.key.name).collect::<Vec<_>>(), orgs)
            };
            for text in ["titles seo", "weekly", "réseau", "RÉSEAU run", "mistral", "reseau\u{301}"] {
                let expected: &[&str] = if text.starts_with("reseau") { &[] } else { &["seo-titles"] };
                assert_eq!(find(text).await.0, expected, "{text}");
            }
            assert_eq!(find("seo").await.0, ["seo", "seo-titles", "seo-gone"], "exact, live, ended");
            assert_eq!(find("訳").await.0, ["翻訳"]);
            let (keys, orgs) = find(&other.caller.person.email).await;
            assert_eq!((keys, orgs), (vec!["seo-titles".to_owned()], vec!["other".to_owned()]));
            assert_eq!(find("nothing@nowhere.example").await, (vec![], vec![]));
        }
    }
);

on_both!(
    fn the_searches_of_an_organisation_name_it(desk: TestDesk) {
        let dialect = dialect(&desk);
        let texts = store::key_list::every_search(dialect, "org_1", "per_1", desk.now());
        for (what, text) in texts.iter().filter(|(what, _)| !what.starts_with("every organisation")) {
            assert!(text.contains("s.org_id = 'org_1'"), "{what}: {text}");
        }
    }
);

fn dialect(desk: &TestDesk) -> store::dialect::Dialect {
    match &desk.db {
        store::Db::Sqlite { .. } => store::dialect::Dialect::Sqlite,
        store::Db::Postgres(..) => store::dialect::Dialect::Postgres,
    }
}
