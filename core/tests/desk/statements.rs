//! No statement has a mistake that only one of the databases would notice, and only when it is first used.

// sqlx here: it prepares what the store would run.
use keydesk_core::store::dialect::Dialect;
use keydesk_core::store::{self, Db};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::support::{TestDesk, on_both};

async fn field_error(desk: &TestDesk, text: &str) -> Option<String> {
    let sql = AssertSqlSafe(text.to_owned()).into_sql_str();
    let prepared = match &desk.db {
        Db::Sqlite { writer, .. } => writer.prepare(sql).await.map(|_| ()),
        Db::Postgres(pool, _) => pool.prepare(sql).await.map(|_| ()),
    };
    prepared.err().map(|error| format!("{error}\n{text}"))
}

fn dialect(desk: &TestDesk) -> Dialect {
    match &desk.db {
        Db::Sqlite { .. } => Dialect::Sqlite,
        Db::Postgres(..) => Dialect::Postgres,
    }
}

on_both!(
    fn every_fixed_statement_prepares(desk: TestDesk) {
        let all = store::all_statements();
        assert!(all.len() > 50, "only {} statements", all.len());
        for (name, text) in all {
            assert_eq!(field_error(&desk, text).await, None, "{name}");
        }
    }
);

on_both!(
    fn every_composed_statement_prepares(desk: TestDesk) {
        let dialect = dialect(&desk);
        let lists = store::key_list::every_text(dialect);
        assert!(lists.len() > 300, "only {} lists", lists.len());
        let searches = store::key_list::every_search(dialect, "org_1", "per_1", desk.now());
        assert!(searches.len() > 100, "only {} searches", searches.len());
        let others = [
            searches.into_iter().map(|(_, text)| text).collect(),
            store::meter::every_text(dialect),
            store::alert_outbox::every_text(dialect),
            store::alert_sources::every_text(dialect),
            store::audit_list::every_text(dialect),
            store::keys::every_text(dialect),
            store::support::every_text(dialect),
            store::requests::every_text(dialect),
            store::names::every_text(dialect),
            store::rerating::every_text(dialect),
            store::rollups::every_text(dialect),
            store::bench_usage::every_text(dialect),
            store::past_usage::every_text(dialect),
            store::verify::every_text(dialect),
            store::repair::every_text(dialect),
            store::budget_marks::every_text(dialect),
            store::people::every_text(dialect),
            store::spend::every_text(dialect),
            store::report::every_text(dialect),
            crate::report::every_statement(dialect),
            store::teams::every_text(dialect),
            store::months::every_text(dialect),
            store::nodes::every_text(dialect),
            store::quotas::every_text(dialect),
            store::config_changes::every_text(dialect),
            store::members::every_text(dialect),
            store::orgs::every_text(),
            store::overview::every_text(dialect),
            store::installation::every_text(dialect),
            store::installation_keys::every_text(dialect).to_vec(),
            vec![store::keys::of_owner_text(dialect)],
        ]
        .concat();
        for text in lists.iter().chain(&others) {
            assert_eq!(field_error(&desk, text).await, None);
        }
    }
);
