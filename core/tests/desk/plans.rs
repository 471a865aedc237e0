//! What must be quick is answered from an index, whatever there is in the tables.

// sqlx here: it asks the databases for their plans.
use keydesk_core::domain::audit::EventKind;
use keydesk_core::domain::audit_filter::Group;
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::ids::{KeyId, RequestId};
use keydesk_core::domain::overview::ZoneTime;
use keydesk_core::domain::page::Cursor;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::request_filter::StatusFilter;
use keydesk_core::store::audit_list::Wanted;
use keydesk_core::store::dialect::Dialect;
use keydesk_core::store::requests::{RequestFilter, SeenBy};
use keydesk_core::store::{self, Db};
use sqlx::{AssertSqlSafe, Row};

use crate::support::*;

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
                .bind(now.plus_days(-19).ms())
                .bind(now.plus_days(-90).ms())
                .bind(now.plus_days(-4).ms())
                .bind(now.plus_days(-1).ms())
                .bind(None::<String>);
            query.fetch_all($pool).await.unwrap()
        }};
    }
    match &values.at.db {
        Db::Sqlite { readers, .. } => lines(explained!("EXPLAIN QUERY PLAN", readers), "detail"),
        Db::Postgres(pool, _) => lines(explained!("EXPLAIN", pool), "QUERY PLAN"),
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

pub fn dialect(desk: &TestDesk) -> Dialect {
    match &desk.db {
        Db::Sqlite { .. } => Dialect::Sqlite,
        Db::Postgres(..) => Dialect::Postgres,
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
        let not_other = ["AND k.status = ", "COUNT(*)", "NOT EXISTS"];
        let org = Some(at.org.id.as_str());
        let values =
            |name, four, value, seq| Values { texts: [org, None, None, name, four, value], seq, at: &desk };
        let found = match dialect {
            Dialect::Sqlite => "k.seq IN (SELECT value FROM json_each($4))",
            Dialect::Postgres => {
                "k.seq = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST($4 AS JSONB)))"
            }
        };
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
                "the list by age of the secret",
                find(&[live, whole_org, no_search, "ORDER BY k.secret_created_at"], &not_other),
                values(None, None, Some("2500"), Some(2_500)),
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
                "what a search found",
                find(&[live, found, "ORDER BY k.seq"], &not_other),
                values(Some("[7,8,9]"), None, Some("0"), Some(2_500)),
            ),
            (
                "what a search found, by name",
                find(&[live, found, "ORDER BY k.name_folded"], &not_other),
                values(Some("[7,8,9]"), None, Some("bulk 0002500"), Some(2_500)),
            ),
            (
                "what a search found, by last use",
                find(&[live, found, "ORDER BY COALESCE(k.last_used_at"], &not_other),
                values(Some("[7,8,9]"), None, Some("0"), Some(2_500)),
            ),
            (
                "found keys, by spend",
                find(&[live, found, "ORDER BY m.spent"], &not_other),
                values(Some("[7,8,9]"), None, Some("1000"), Some(2_500)),
            ),
            (
                "the list by spend, of keys that did not spend",
                find(&[live, whole_org, no_search, "NOT EXISTS (SELECT 1 FROM counters"], &not_other[..2]),
                values(None, None, Some("0"), Some(2_500)),
            ),
        ];
        for (what, texts, values) in &cases {
            for sql in texts {
                let plan = plan_of_list(values, sql).await;
                assert_indexed(what, &plan, &["k"]);
                // With an age of secrets, Postgres may begin at their index.
                if what.starts_with("what a search found") && !sql.contains("k.secret_created_at <=") {
                    let by_number = ["rowid=?", "seq=?)", "keys_pkey"].iter().any(|part| plan.contains(part));
                    assert!(by_number, "{what}:\n{plan}");
                }
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
    fn filters_and_their_counts_are_read_from_indexes(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        desk.seed_keys(&other, 10_001, 15_000).await;
        desk.seed_keys(&at, 1, 5_000).await;
        // A few are marked, and a few idle or without a limit.
        for sql in [
            "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                SELECT 'key', id, org_id, 'total', 0, CASE WHEN seq % 200 = 0 THEN 'near' ELSE 'reached' END FROM keys
                WHERE seq % 100 = 0",
            "UPDATE keys SET has_budget = 1, last_used_at = created_at WHERE seq % 100 <> 1",
            "UPDATE keys SET created_at = 1 WHERE seq % 100 = 1",
        ] {
            desk.execute(sql).await.unwrap();
        }
        desk.db.analyze().await.unwrap();
        let whole_org = "(CAST($2 AS TEXT) IS NULL OR TRUE)";
        let no_search = "(CAST($4 AS TEXT) IS NULL OR TRUE)";
        let org = Some(at.org.id.as_str());
        let texts = store::key_list::every_text(dialect(&desk));
        let mut seen = 0;
        for part in ["b.level = 'reached'", "b.level = 'near'", "k.has_budget = 0", "k.created_at) <= $8"] {
            for sql in texts.iter().filter(|text| {
                text.contains(part)
                    && text.contains(whole_org)
                    && text.contains(no_search)
                    && (text.contains("ORDER BY k.seq") || text.contains("COUNT(*)"))
                    && !text.contains("NOT EXISTS")
            }) {
                let texts = [org, None, None, None, None, Some("2500")];
                let plan = plan_of_list(&Values { texts, seq: Some(2_500), at: &desk }, sql).await;
                assert_indexed(part, &plan, &["k"]);
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} texts");
    }
);

on_both!(
    fn figures_are_read_from_sums_and_never_from_requests(desk: TestDesk) {
        let dialect = dialect(&desk);
        let of_orgs = store::installation::every_text(dialect);
        let keys_of_orgs = store::installation_keys::every_text(dialect).to_vec();
        let texts = [store::overview::every_text(dialect), of_orgs, keys_of_orgs].concat();
        assert!(texts.len() > 15);
        for text in texts {
            assert!(!text.contains("usage"), "{text}");
        }
    }
);

on_both!(
    fn the_chart_reads_the_days_of_candidates_and_not_of_everybody(desk: TestDesk) {
        if !matches!(desk.db, Db::Sqlite { .. }) {
            // Postgres has statistics by itself, and what it does with empty tables says nothing.
            return;
        }
        let texts = store::overview::every_text(dialect(&desk));
        let of_candidates = |text: &&String| text.contains("counters") && text.contains("rollups");
        let texts: Vec<&String> = texts.iter().filter(of_candidates).collect();
        assert_eq!(texts.len(), 2);
        for text in texts {
            let sql = [("$1", "'org'"), ("$2", "'2026-10-01'"), ("$3", "1"), ("$4", "2")]
                .into_iter()
                .fold(text.clone(), |sql, (parameter, value)| sql.replace(parameter, value));
            let plan = plan_of(&desk, &sql).await;
            assert!(
                plan.contains("SEARCH r USING PRIMARY KEY") && !plan.contains("rollups_by_bucket"),
                "{plan}"
            );
        }
    }
);

on_both!(
    fn sums_over_organisations_are_read_from_indexes(desk: TestDesk) {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 300).await;
        desk.seed_spend(&at, 40).await;
        for n in 0..20 {
            desk.other_org(&format!("Org {n}"), "Asia/Tokyo").await;
        }
        desk.db.analyze().await.unwrap();
        for text in store::installation::every_text(dialect(&desk)) {
            if !text.contains("rollups") {
                continue;
            }
            let sql = if text.contains("json") {
                text.replace("$1", &times(&desk)).replace("$2", "50")
            } else {
                text.replace("$1", "'2026-10-01'").replace("$2", "'2026-10-23'")
            };
            let plan = plan_of(&desk, &sql).await;
            for scan in ["Seq Scan on rollups", "SCAN r"] {
                assert!(!plan.lines().any(|line| line.contains(scan)), "{plan}");
            }
        }
    }
);

/// What time it is in the time zones of the tests' organisations, as a literal.
fn times(desk: &TestDesk) -> String {
    let time = |zone: &str| {
        let ZoneTime { zone, months: [this, last], starts, yesterday, .. } =
            ZoneTime::at(desk.now(), zone.to_owned());
        let starts = [starts.month, starts.week, starts.day].map(|start| start.ms());
        (zone, this, last, starts, yesterday.map(|start| start.ms()))
    };
    let all = ["Europe/Zurich", "UTC", "Asia/Tokyo"].map(time);
    format!("'{}'", serde_json::to_string(&all).unwrap())
}

on_both!(
    fn counts_over_organisations_are_read_from_indexes(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let third = desk.other_org("Third", "Asia/Tokyo").await;
        desk.seed_keys(&third, 20_001, 30_000).await;
        desk.seed_keys(&other, 10_001, 15_000).await;
        desk.seed_keys(&at, 1, 5_000).await;
        let team = desk.team(&at, "Crew").await;
        // A few are in each of the states.
        for sql in [
            format!("UPDATE keys SET team_id = '{}' WHERE org_id = '{}' AND seq % 50 = 0", team.id, at.org.id),
            "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                SELECT 'key', id, org_id, 'total', 0, CASE WHEN seq % 200 = 0 THEN 'near' ELSE 'reached' END FROM keys
                WHERE seq % 100 = 0"
                .into(),
            format!(
                "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                VALUES ('team', '{}', '{}', 'total', 0, 'reached')",
                team.id, at.org.id
            ),
            "UPDATE keys SET has_budget = 1, last_used_at = created_at WHERE seq % 100 <> 1".into(),
            "UPDATE keys SET created_at = 1 WHERE seq % 100 = 1".into(),
            "UPDATE keys SET rotate_days = 30 WHERE seq % 10 = 0".into(),
            "UPDATE orgs SET rotate_days = 90".into(),
            "UPDATE keys SET secret_created_at = secret_created_at - 34560000000 WHERE seq % 50 = 1".into(),
            format!("UPDATE keys SET expires_at = {} WHERE seq % 100 = 2", desk.now().plus_days(3).ms()),
        ] {
            desk.execute(&sql).await.unwrap();
        }
        desk.db.analyze().await.unwrap();
        let orgs = format!(r#"'["{}","{}"]'"#, at.org.id, other.org.id);
        for text in store::installation_keys::every_text(dialect(&desk)).iter().skip(1) {
            let sql = text
                .replace("$1", &times(&desk))
                .replace("$2", "'[]'")
                .replace("$3", "'[]'")
                .replace("$4", &desk.now().ms().to_string())
                .replace("$5", &desk.now().plus_days(7).ms().to_string())
                .replace("$6", &orgs);
            let plan = plan_of(&desk, &sql).await;
            for scan in ["Seq Scan on keys", "SCAN k"] {
                assert!(!plan.lines().any(|line| line.contains(scan)), "{sql}\n{plan}");
            }
            for index in
                ["keys_live_by_expiry", "keys_live_by_due", "keys_live_by_idle", "keys_live_unlimited"]
            {
                assert!(plan.contains(index), "{index} in\n{plan}");
            }
        }
    }
);

on_both!(
    fn keys_due_for_rotation_are_found_by_index(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        desk.seed_keys(&other, 10_001, 15_000).await;
        desk.seed_keys(&at, 1, 5_000).await;
        // A few are due by their own setting, a few by the organisation's.
        for sql in [
            "UPDATE orgs SET rotate_days = 90",
            "UPDATE keys SET rotate_days = 30 WHERE seq % 10 = 0",
            "UPDATE keys SET secret_created_at = secret_created_at - 8640000000 WHERE seq % 50 = 0",
            "UPDATE keys SET secret_created_at = secret_created_at - 34560000000 WHERE seq % 50 = 1",
        ] {
            desk.execute(sql).await.unwrap();
        }
        desk.db.analyze().await.unwrap();
        let now = desk.now();
        let day = 86_400_000;
        for (what, sql, index) in [
            (
                "due by their own setting",
                format!(
                    "SELECT k.seq FROM keys k WHERE k.org_id = '{}' AND k.status NOT IN ('expired', 'revoked')
                    AND k.rotate_days IS NOT NULL AND (k.secret_created_at + k.rotate_days * {day}) <= {}",
                    at.org.id,
                    now.ms()
                ),
                "keys_live_by_due",
            ),
            (
                "older than a year",
                format!(
                    "SELECT k.seq FROM keys k WHERE k.org_id = '{}' AND k.status NOT IN ('expired', 'revoked')
                    AND k.secret_created_at <= {}",
                    at.org.id,
                    now.plus_days(-365).ms()
                ),
                "keys_live_by_secret",
            ),
        ] {
            let plan = plan_of(&desk, &sql).await;
            assert!(plan.contains(index), "{what}:\n{plan}");
        }
        let whole_org = "(CAST($2 AS TEXT) IS NULL OR TRUE)";
        let org = Some(at.org.id.as_str());
        for sql in store::key_list::every_text(dialect(&desk)).iter().filter(|text| {
            text.contains("UNION ALL SELECT k.seq FROM keys k WHERE k.org_id = $1")
                && text.contains(whole_org)
                && text.contains("(CAST($4 AS TEXT) IS NULL OR TRUE)")
                && (text.contains("ORDER BY k.seq") || text.contains("COUNT(*)"))
                && !text.contains("NOT EXISTS")
        }) {
            let texts = [org, None, None, None, None, Some("2500")];
            let plan = plan_of_list(&Values { texts, seq: Some(2_500), at: &desk }, sql).await;
            assert_indexed("the list of due keys", &plan, &["k"]);
            assert!(plan.contains("keys_live_by_due"), "{plan}");
        }
    }
);

on_both!(
    fn keys_and_secrets_are_looked_up_by_index(desk: TestDesk) {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 5_000).await;
        let of_keys = |(name, text): &(&str, &str)| *name == "PLACE" && text.contains("key_secrets");
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
                Db::Postgres(pool, _) => lines(explained!("EXPLAIN", pool), "QUERY PLAN"),
            };
            assert_indexed(&what, &plan, &["k", "s"]);
        }
    }
);

on_both!(
    fn support_finds_keys_of_all_organisations_by_index(desk: TestDesk) {
        let at = desk.owner().await;
        desk.seed_keys(&at, 1, 5_000).await;
        let texts = store::support::every_text(dialect(&desk));
        for (what, text, value) in
            [("last four", &texts[0], r#"["aB3d","AB3d"]"#), ("what was found", &texts[1], "[7,8,9]")]
        {
            let sql = text.replace("$1", &format!("'{value}'")).replace("$2", "50").replace("$3", "'bulk'");
            assert_indexed(what, &plan_of(&desk, &sql).await, &["k", "s"]);
        }
    }
);

on_both!(
    fn searches_take_their_indexes_in_one_organisation_and_across_all(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        // Among a few thousand rows a search may as well read them all; among many it must not.
        desk.seed_keys(&other, 5_001, 60_000).await;
        desk.seed_keys(&at, 1, 5_000).await;
        let person = at.caller.person.id.as_str();
        for (what, sql) in
            store::key_list::every_search(dialect(&desk), at.org.id.as_str(), person, desk.now())
        {
            let plan = plan_of(&desk, &sql).await;
            assert_indexed(&what, &plan, &["k", "s", "x", "f"]);
            assert!(!plan.contains("Seq Scan on key_search"), "{what}:\n{plan}");
            if what.contains("from the index") {
                let index = match dialect(&desk) {
                    Dialect::Sqlite => "VIRTUAL TABLE INDEX",
                    // A few keys that a person sees may be read one by one.
                    Dialect::Postgres if what.contains("organisation") => "key_search_text",
                    Dialect::Postgres => "key_search_",
                };
                assert!(plan.contains(index), "{what}:\n{plan}");
            }
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
        let key = Some(std::slice::from_ref(&ours.id));
        let window = RequestFilter { since: Some(now.plus_ms(-900_000)), until: Some(now), ..all };
        let cases = [
            ("a key", RequestFilter { keys: key, ..all }, "by_key"),
            (
                "a key's model",
                RequestFilter { keys: key, model: Some("gpt-5"), ..all },
                "by_key|pkey|by_model",
            ),
            ("a key around a moment", RequestFilter { keys: key, ..window }, "by_key"),
            ("an organisation", all, "by_org"),
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
                    let scans = [format!("Seq Scan on {table} "), format!("SCAN {table}\n")];
                    assert!(!scans.iter().any(|scan| plan.contains(scan)), "{what}:\n{plan}");
                }
            }
        }
        let not_priced = RequestFilter { keys: key, not_priced: true, ..all };
        let sql = store::requests::example(dialect(&desk), &at.org.id, &not_priced, None);
        let plan = plan_of(&desk, &sql).await;
        assert!(plan.contains("usage_by_key_not_priced"), "{plan}");
        // Each filter through an index of its own: the parts in their order, usage first.
        let crew = desk.team(&at, "Crew").await;
        let member = desk.member(&at, OrgRole::Member).await;
        let (me, mine) = (&member.caller.person.id, std::slice::from_ref(&crew.id));
        desk.execute(
            "INSERT INTO usage_tags (request_id, tag, org_id, at)
            SELECT request_id, 'user=' || (started_at / 1000 % 50), org_id, started_at FROM usage",
        )
        .await
        .unwrap();
        desk.db.analyze().await.unwrap();
        let request = RequestId::new(now, desk.id_entropy());
        let status = |status| RequestFilter { status: Some(status), ..all };
        let cases: [(RequestFilter<'_>, &[&str]); 12] = [
            (RequestFilter { team: Some(&crew.id), ..all }, &["usage_by_team", "rejections_by_team"]),
            (RequestFilter { owner: Some(me), ..all }, &["usage_by_owner", "rejections_by_owner"]),
            (RequestFilter { model: Some("o4"), ..all }, &["usage_by_model", "rejections_by_model"]),
            (RequestFilter { address: Some("::1"), ..all }, &["usage_by_address", "rejections_by_address"]),
            (status(StatusFilter::Failed), &["usage_failed", "rejections_by_gate"]),
            (status(StatusFilter::Exactly(502)), &["usage_failed"]),
            (status(StatusFilter::Rejected), &["rejections_by_org"]),
            (RequestFilter { gate: Some(Gate::Budget), ..all }, &["rejections_by_gate"]),
            (RequestFilter { not_priced: true, ..all }, &["usage_not_priced"]),
            (RequestFilter { tag: Some("user=1"), ..all }, &["usage_tags_by_tag"]),
            (RequestFilter { request: Some(&request), ..all }, &["rejections_by_request"]),
            (
                RequestFilter { seen_by: Some(SeenBy { person: me, teams: mine }), ..all },
                &["usage_by_owner", "usage_by_team", "rejections_by_owner", "rejections_by_team"],
            ),
        ];
        for (of, indexes) in cases {
            let plan = plan_of(&desk, &store::requests::example(dialect(&desk), &at.org.id, &of, None)).await;
            // Postgres may know a better one from its statistics.
            for index in indexes.iter().filter(|_| matches!(desk.db, Db::Sqlite { .. })) {
                assert!(plan.contains(index), "{index} for {of:?}:\n{plan}");
            }
            let scans =
                ["Seq Scan on usage ", "Seq Scan on rejections ", "SCAN usage\n", "SCAN rejections\n"];
            assert!(!scans.iter().any(|scan| plan.contains(scan)), "{of:?}:\n{plan}");
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
pub async fn plan_of(desk: &TestDesk, sql: &str) -> String {
    match &desk.db {
        Db::Sqlite { readers, .. } => {
            let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            lines(query.fetch_all(readers).await.unwrap(), "detail")
        }
        Db::Postgres(pool, _) => {
            let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN {sql}")));
            lines(query.fetch_all(pool).await.unwrap(), "QUERY PLAN")
        }
    }
}
