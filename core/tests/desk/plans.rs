//! What must be quick is answered from an index, whatever there is in the tables.

// sqlx here: it asks the databases for their plans.
use keydesk_core::domain::audit::EventKind;
use keydesk_core::domain::audit_filter::Group;
use keydesk_core::domain::ids::KeyId;
use keydesk_core::domain::page::Cursor;
use keydesk_core::store::audit_list::Wanted;
use keydesk_core::store::dialect::Dialect;
use keydesk_core::store::requests::RequestFilter;
use keydesk_core::store::{self, Db};
use sqlx::{AssertSqlSafe, Row};

use crate::support::*;

/// From which case on the names themselves are searched.
const SEARCHES_FROM: usize = 6;

/// One value for each parameter of a list, by its number.
struct Values<'a> {
    texts: [Option<&'a str>; 6],
    seq: Option<i64>,
    at: &'a TestDesk,
}

async fn plan_of_list(values: &Values<'_>, sql: &str) -> String {
    let now = values.at.now();
    macro_rules! explained {
        ($explain:literal, $pool:expr) => {{
            let mut query = sqlx::query(AssertSqlSafe(format!("{} {sql}", $explain)));
            for text in &values.texts {
                query = query.bind(text.map(ToOwned::to_owned));
            }
            query = query
                .bind(values.seq)
                .bind(now.ms())
                .bind(now.plus_days(7).ms())
                .bind(now.plus_days(-19).ms());
            query.fetch_all($pool).await.unwrap()
        }};
    }
    match &values.at.db {
        Db::Sqlite { readers, .. } => lines(explained!("EXPLAIN QUERY PLAN", readers), "detail"),
        Db::Postgres(pool) => lines(explained!("EXPLAIN", pool), "QUERY PLAN"),
    }
}

fn lines<R: Row>(rows: Vec<R>, column: &'static str) -> String
where
    for<'r> String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    &'static str: sqlx::ColumnIndex<R>,
{
    rows.iter().map(|row| row.get::<String, _>(column)).collect::<Vec<_>>().join("\n")
}

/// Whether keys or secrets are read from first to last. `aliases` are theirs in the statement; tables of a few people
/// and teams may be read whole.
#[track_caller]
fn assert_indexed(what: &str, plan: &str, aliases: &[&str]) {
    for line in plan.lines().filter(|line| !line.contains("USING")) {
        let scan = aliases.iter().chain(&["keys", "key_secrets"]).any(|name| {
            line.split_whitespace().collect::<Vec<_>>().windows(2).any(|pair| pair == ["SCAN", name])
        });
        let scan = scan || line.contains("Seq Scan on keys") || line.contains("Seq Scan on key_secrets");
        assert!(!scan, "{what} looks at every row:\n{plan}");
    }
}

fn dialect(desk: &TestDesk) -> Dialect {
    match &desk.db {
        Db::Sqlite { .. } => Dialect::Sqlite,
        Db::Postgres(_) => Dialect::Postgres,
    }
}

on_both!(
    fn lists_are_read_from_their_indexes(desk: TestDesk) {
        let at = desk.owner().await;
        let member = desk.member(&at, keydesk_core::domain::policy::OrgRole::Member).await;
        // Where all keys are of one organisation, reading its list from the table itself costs the same.
        let other = desk.other_org("Other", "UTC").await;
        desk.seed_keys(&other, 10_001, 15_000).await;
        desk.seed_keys(&at, 1, 5_000).await;
        let dialect = dialect(&desk);
        let texts = store::key_list::every_text(dialect);
        let live = "AND k.status NOT IN ('expired', 'revoked')";
        // Which of the texts: what it holds, and what it does not.
        let find = |has: &[&str], has_not: &[&str]| -> Vec<&String> {
            let found: Vec<&String> = texts
                .iter()
                .filter(|text| has.iter().all(|part| text.contains(part)))
                .filter(|text| !has_not.iter().any(|part| text.contains(part)))
                .collect();
            assert!(!found.is_empty(), "no text has {has:?}");
            found
        };
        let whole_org = "(CAST($2 AS TEXT) IS NULL OR TRUE)";
        let no_search = "(CAST($4 AS TEXT) IS NULL OR TRUE)";
        let inside = match dialect {
            Dialect::Sqlite => "MATCH $4",
            Dialect::Postgres => "LIKE $4",
        };
        let not_other = ["AND k.status = ", "COUNT(*)", "NOT EXISTS"];
        let org = Some(at.org.id.as_str());
        let values =
            |name, four, value, seq| Values { texts: [org, None, None, name, four, value], seq, at: &desk };
        let needle = dialect.name_needle("0001234");
        let cases = [
            (
                "the default list",
                find(&[live, whole_org, no_search, "ORDER BY k.seq"], &not_other),
                values(None, None, Some("2500"), Some(2_500)),
            ),
            (
                "the list by name",
                find(&[live, whole_org, no_search, "ORDER BY k.name_folded"], &not_other),
                values(None, None, Some("bulk 0002500"), Some(2_500)),
            ),
            (
                "the list by last use",
                find(&[live, whole_org, no_search, "ORDER BY COALESCE(k.last_used_at"], &not_other),
                values(None, None, Some("0"), Some(2_500)),
            ),
            (
                "the list by expiry",
                find(&[live, whole_org, no_search, "ORDER BY COALESCE(k.expires_at"], &not_other),
                values(None, None, Some("9007199254740991"), Some(2_500)),
            ),
            (
                "the list by spend, of keys that spent",
                find(&[live, whole_org, no_search, "ORDER BY m.spent"], &not_other),
                values(None, None, Some("1000"), Some(2_500)),
            ),
            (
                "the beginning of a name",
                find(&[live, whole_org, "k.name_folded >= $4", "ORDER BY k.name_folded"], &not_other),
                values(Some("bu"), Some("bu\u{10ffff}"), Some("bulk 0002500"), Some(2_500)),
            ),
            (
                "part of a name",
                find(&[live, whole_org, inside, "(CAST($5 AS TEXT)", "ORDER BY k.seq"], &not_other),
                values(Some(&needle), None, Some("2500"), Some(2_500)),
            ),
            (
                "part of a name or last four",
                find(&[live, whole_org, inside, "AND last_four ", "ORDER BY k.seq"], &not_other),
                values(Some(&needle), Some(r#"["1234"]"#), Some("2500"), Some(2_500)),
            ),
            (
                "the list by spend, of keys that did not spend",
                find(&[live, whole_org, no_search, "NOT EXISTS (SELECT 1 FROM counters"], &not_other[..2]),
                values(None, None, Some("0"), Some(2_500)),
            ),
        ];
        for (at_case, (what, found, values)) in cases.iter().enumerate() {
            if at_case == SEARCHES_FROM {
                // Among a few thousand rows a search may as well read them all; among many it must not.
                desk.seed_keys(&other, 15_001, 60_000).await;
            }
            for sql in found {
                assert_indexed(what, &plan_of_list(values, sql).await, &["k"]);
            }
        }
        // A member's own list, in an organisation of thousands.
        let person = Some(member.caller.person.id.as_str());
        let own = find(&[live, "k.owner_id = $2", no_search, "ORDER BY k.seq"], &not_other);
        for sql in own {
            let team = Some("team_00000000000000000000000000000000");
            let values =
                Values { texts: [org, person, team, None, None, Some("2500")], seq: Some(2_500), at: &desk };
            assert_indexed("a member's list", &plan_of_list(&values, sql).await, &["k"]);
        }
    }
);

on_both!(
    fn keys_and_secrets_are_looked_up_by_index(desk: TestDesk) {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 5_000).await;
        let of_keys = |(name, text): &(&str, &str)| *name == "BY_HASH" && text.contains("key_secrets");
        let by_hash = store::all_statements().into_iter().find(of_keys).unwrap().1;
        let last_four =
            "SELECT key_id FROM key_secrets WHERE org_id = $2 AND last_four = 'aB3d' AND hash <> $1";
        let mut texts =
            vec![("by hash".to_owned(), by_hash.to_owned()), ("by last four".to_owned(), last_four.into())];
        let by_secret = store::all_statements().into_iter().find(|(name, _)| *name == "BY_SECRET").unwrap().1;
        texts.push(("admission".into(), by_secret.to_owned()));
        for (what, sql) in texts {
            let (hash, org) = (b"bulk1234".to_vec(), at.org.id.to_string());
            let second = sql.contains("$2");
            macro_rules! explained {
                ($explain:literal, $pool:expr) => {{
                    let query = sqlx::query(AssertSqlSafe(format!("{} {sql}", $explain))).bind(hash);
                    let query = if second { query.bind(org) } else { query };
                    query.fetch_all($pool).await.unwrap()
                }};
            }
            let plan = match &desk.db {
                Db::Sqlite { readers, .. } => lines(explained!("EXPLAIN QUERY PLAN", readers), "detail"),
                Db::Postgres(pool) => lines(explained!("EXPLAIN", pool), "QUERY PLAN"),
            };
            assert_indexed(&what, &plan, &["k", "s"]);
        }
    }
);

on_both!(
    fn support_finds_keys_of_all_organisations_by_index(desk: TestDesk) {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 5_000).await;
        let needle = dialect(&desk).name_needle("bulk 04999");
        let texts = store::support::every_text(dialect(&desk));
        for (what, text, value) in
            [("last four", &texts[0], r#"["aB3d","AB3d"]"#), ("a name", &texts[1], &needle)]
        {
            let sql = text.replace("$1", &format!("'{value}'")).replace("$2", "50");
            assert_indexed(what, &plan_of(&desk, &sql).await, &["k", "s"]);
        }
    }
);

on_both!(
    fn the_audit_is_read_from_its_indexes_by_whatever_narrows_it(desk: TestDesk) {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 200).await;
        let key = |n: u32| KeyId::parse(&format!("key_{n:032}").replacen("key_0", "key_1", 1)).unwrap();
        let team = desk.team(&at, "Data").await;
        desk.seed_events(&at, 20_000).await;
        let moment = |days| Some(desk.now().plus_days(days));
        let actor = Some("per_rare".to_owned());
        let cases = [
            ("everything", Wanted::default(), "PRIMARY|autoindex|audit_events_pkey"),
            ("a person", Wanted { actor: actor.clone(), ..Wanted::default() }, "audit_events_by_actor"),
            ("a key", Wanted { keys: Some(vec![key(7)]), ..Wanted::default() }, "audit_events_by_subject"),
            (
                "keys of one name",
                Wanted { keys: Some(vec![key(7), key(8)]), ..Wanted::default() },
                "audit_events_by_subject",
            ),
            (
                "a team",
                Wanted { team: Some(team.id.clone()), ..Wanted::default() },
                "audit_events_by_subject",
            ),
            (
                "a rare kind",
                Wanted { kinds: vec![EventKind::KeyKept], ..Wanted::default() },
                "audit_events_by_kind",
            ),
            (
                "a group of kinds",
                Wanted { kinds: Group::Teams.kinds().collect(), ..Wanted::default() },
                "audit_events_by_kind",
            ),
            (
                "a few days long ago",
                Wanted { from: moment(-2), until: moment(-1), ..Wanted::default() },
                "audit_events_by_time",
            ),
        ];
        for (what, wanted, index) in cases {
            for page in [None, Cursor::parse("next~0~15000~"), Cursor::parse("previous~0~5000~")] {
                let sql = store::audit_list::example(dialect(&desk), &at.org.id, &wanted, page.as_ref());
                let plan = plan_of(&desk, &sql).await;
                assert!(index.split('|').any(|name| plan.contains(name)), "{what} ({page:?}):\n{plan}");
                assert!(!plan.contains("Seq Scan on audit_events"), "{what}:\n{plan}");
            }
        }
    }
);

on_both!(
    fn requests_are_read_from_their_indexes(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let (ours, theirs) = (desk.create_key(&at, "ours").await, desk.create_key(&other, "theirs").await);
        for (who, issued, count) in [(&at, &ours, 4_000), (&other, &theirs, 12_000)] {
            desk.seed_requests(who, issued, count).await;
        }
        let now = desk.now();
        let all = RequestFilter::default();
        let window = RequestFilter { since: Some(now.plus_ms(-900_000)), until: Some(now), ..all };
        let cases = [
            ("a key", RequestFilter { key: Some(&ours.id), ..all }, "by_key"),
            (
                "a key's model",
                RequestFilter { key: Some(&ours.id), model: Some("gpt-5"), ..all },
                "by_key|pkey",
            ),
            ("a key around a moment", RequestFilter { key: Some(&ours.id), ..window }, "by_key"),
            ("an organisation", all, "by_org"),
            ("an organisation's status", RequestFilter { status: Some(403), ..all }, "by_org"),
            ("an organisation around a moment", window, "by_org"),
        ];
        let middle = now.plus_ms(-2_000_000).ms();
        for (what, of, index) in cases {
            for page in [None, Some(format!("next~0~{middle}~r")), Some(format!("previous~0~{middle}~r"))] {
                let page = page.and_then(|text| Cursor::parse(&text));
                let sql = store::requests::example(dialect(&desk), &at.org.id, &of, page.as_ref());
                let plan = plan_of(&desk, &sql).await;
                for table in ["usage", "rejections"] {
                    let used = index.split('|').any(|index| plan.contains(&format!("{table}_{index}")));
                    assert!(used, "{what} ({page:?}):\n{plan}");
                    let scans = [format!("Seq Scan on {table}"), format!("SCAN {table}\n")];
                    assert!(!scans.iter().any(|scan| plan.contains(scan)), "{what}:\n{plan}");
                }
            }
        }
        for (name, sql) in store::all_statements() {
            if !["FIND", "FIND_ANYWHERE"].contains(&name) || !sql.contains("FROM rejections") {
                continue;
            }
            let sql = sql.replace("$1", "'req_7'").replace("$2", &format!("'{}'", at.org.id));
            let plan = plan_of(&desk, &sql).await;
            assert!(plan.contains("rejections_by_request"), "{name}:\n{plan}");
            assert!(
                ["usage_pkey", "sqlite_autoindex_usage_1"].iter().any(|key| plan.contains(key)),
                "{name}:\n{plan}"
            );
        }
    }
);

/// The plan of a statement without parameters.
async fn plan_of(desk: &TestDesk, sql: &str) -> String {
    match &desk.db {
        Db::Sqlite { readers, .. } => {
            let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            lines(query.fetch_all(readers).await.unwrap(), "detail")
        }
        Db::Postgres(pool) => {
            let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN {sql}")));
            lines(query.fetch_all(pool).await.unwrap(), "QUERY PLAN")
        }
    }
}
