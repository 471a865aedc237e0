//! What a process keeps of the configuration, and that no request is admitted by it after the answer to a change, at the
//! process that made the change and at every other one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keydesk_core::admission::{
    AdmissionError, LastUsed, ModelLookup, Node, Presented, Target, authenticate, further_providers,
    look_up_model, priced_model,
};
use keydesk_core::domain::bulk::{BulkChange, Selected};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::rotation::GracePeriod;
use keydesk_core::ops::keys::{self, IssuedKey};
use keydesk_core::ops::orgs::{self, OperatorActor};
use keydesk_core::ops::{teams, upkeep};
use keydesk_core::store::{Db, Unaudited, providers};
use tokio::task::JoinHandle;

use crate::meter_races::Seeded;
use crate::support::*;

/// Why a request with this secret is rejected; an empty text when it is let in.
async fn knock(desk: &TestDesk, issued: &IssuedKey) -> String {
    let mut presented = Presented::default();
    presented.bare(issued.secret.reveal().as_bytes());
    match authenticate(desk, &presented, Some("203.0.113.7".parse().unwrap())).await {
        Ok(context) => match context.admit_model("gpt-5") {
            Ok(()) => String::new(),
            Err(stop) => format!("{stop:?}"),
        },
        Err(AdmissionError::Rejected(rejection, _)) => format!("{rejection:?}"),
        Err(AdmissionError::Unavailable(error)) => panic!("{error}"),
    }
}

/// A desk that may keep what it reads.
async fn node(desk: &TestDesk) -> Node {
    let mut node = Node::new(desk);
    node.look(desk).await.unwrap();
    node
}

/// Another process on the same database.
async fn other(desk: &TestDesk, seed: u64) -> TestDesk {
    let database = TestDatabase { db: Db::open(&desk.url).await.unwrap(), url: desk.url.clone() };
    TestDesk::new(database, desk.now(), Arc::new(Seeded::new(seed)))
}

/// Looks all the time, as a serving process does.
fn looking(desk: &TestDesk, mut node: Node) -> JoinHandle<()> {
    let desk = desk.clone();
    tokio::spawn(async move {
        loop {
            node.look(&desk).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

async fn version(desk: &TestDesk) -> i64 {
    desk.number("SELECT version FROM config_version").await
}

/// Changes rows behind the back of the triggers, so that only what is read from the database shows it.
async fn secretly(desk: &TestDesk, table: &str, sql: &str) {
    match &desk.db {
        Db::Sqlite { .. } => {
            let trigger = format!("config_{table}_update");
            let text = format!("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = '{trigger}'");
            let made = desk.texts(&text).await.remove(0);
            desk.execute(&format!("DROP TRIGGER {trigger}; {sql}; {made}")).await.unwrap();
        }
        Db::Postgres(..) => {
            let disable = format!("ALTER TABLE {table} DISABLE TRIGGER config_{table}");
            let enable = format!("ALTER TABLE {table} ENABLE TRIGGER config_{table}");
            for sql in [&disable, sql, &enable] {
                desk.execute(sql).await.unwrap();
            }
        }
    }
}

on_both!(
    fn a_key_is_kept_while_there_is_a_lease_and_no_longer(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        assert_eq!(knock(&desk, &issued).await, "");
        assert_eq!(desk.key_cache.keys(), 0, "kept without a lease");
        let mut node = node(&desk).await;
        assert_eq!(knock(&desk, &issued).await, "");
        assert_eq!(desk.key_cache.keys(), 1);
        secretly(&desk, "keys", "UPDATE keys SET status = 'revoked'").await;
        assert_eq!(knock(&desk, &issued).await, "", "not from memory");
        desk.clock.skip(1_899);
        assert_eq!(knock(&desk, &issued).await, "", "not from memory");
        desk.clock.skip(1);
        assert!(knock(&desk, &issued).await.starts_with("Revoked"));
        // The row was never lost, so what is kept counts again.
        node.look(&desk).await.unwrap();
        assert_eq!(knock(&desk, &issued).await, "");
        node.leave(&desk).await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM gateway_nodes").await, 0);
        assert!(knock(&desk, &issued).await.starts_with("Revoked"));
        // What strangers send takes no room.
        node.look(&desk).await.unwrap();
        let unknown =
            keydesk_core::domain::key_format::PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(9));
        let mut presented = Presented::default();
        presented.bare(unknown.unwrap().reveal().as_bytes());
        let kept = desk.key_cache.keys();
        let rejected = authenticate(&desk, &presented, None).await;
        assert!(matches!(rejected, Err(AdmissionError::Rejected(Rejection::Unknown, None))));
        assert_eq!(desk.key_cache.keys(), kept);
    }
);

on_both!(
    fn every_change_applies_at_once_where_the_key_is_kept(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Search").await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut node = node(&desk).await;
        let is_warm = async || {
            assert_eq!(knock(&desk, &issued).await, "");
            assert!(desk.key_cache.keys() > 0);
        };

        is_warm().await;
        desk.disable(&at, &issued).await.unwrap();
        assert!(knock(&desk, &issued).await.starts_with("Disabled"));
        desk.enable(&at, &issued).await.unwrap();

        is_warm().await;
        orgs::suspend(&desk, OperatorActor::CommandLine, &at.org.slug, "a test").await.unwrap();
        assert_eq!(knock(&desk, &issued).await, "OrgSuspended");
        orgs::resume(&desk, OperatorActor::CommandLine, &at.org.slug, "").await.unwrap();

        is_warm().await;
        let mut form = desk.drawn(&at, &issued).await;
        form.key.scope = "listed".into();
        form.key.patterns = "claude-*".into();
        submit::edit_key(&desk, &at.caller, &form).await.unwrap();
        assert!(knock(&desk, &issued).await.contains("Model"));
        let mut form = desk.drawn(&at, &issued).await;
        form.key.scope = "every".into();
        form.key.addresses = "198.51.100.0/24".into();
        submit::edit_key(&desk, &at.caller, &form).await.unwrap();
        assert!(knock(&desk, &issued).await.starts_with("Address"));
        let mut form = desk.drawn(&at, &issued).await;
        form.key.addresses = String::new();
        form.key.team = team.id.to_string();
        submit::edit_key(&desk, &at.caller, &form).await.unwrap();

        is_warm().await;
        teams::archive(&desk, &at.caller, &at.org.slug, team.id.as_str()).await.unwrap();
        assert!(knock(&desk, &issued).await.starts_with("TeamArchived"));
        desk.execute("UPDATE teams SET archived_at = NULL").await.unwrap();
        node.look(&desk).await.unwrap();

        is_warm().await;
        let from = desk.secret_id(&issued).await;
        let place = (at.org.slug.as_str(), issued.id.as_str());
        let new = keys::rotate(&desk, &at.caller, place, from.as_str(), GracePeriod::None).await.unwrap();
        assert!(knock(&desk, &issued).await.starts_with("Retired"));
        assert_eq!(knock(&desk, &new).await, "");
        desk.revoke(&at, &new, "").await.unwrap();
        assert!(knock(&desk, &new).await.starts_with("Revoked"));
        // Time alone ends a key that is kept.
        let short = desk.create_key(&at, "short").await;
        let end = desk.now().plus_ms(HOUR);
        desk.execute(&format!("UPDATE keys SET expires_at = {} WHERE id = '{}'", end.ms(), short.id))
            .await
            .unwrap();
        assert_eq!(knock(&desk, &short).await, "");
        desk.clock.set(end);
        assert!(knock(&desk, &short).await.starts_with("Expired"));
    }
);

on_both!(
    fn a_change_is_answered_when_the_other_node_has_it(desk: TestDesk) {
        let at = desk.owner().await;
        let second = other(&desk, 7).await;
        let node = (node(&desk).await, node(&second).await);
        let looking = (looking(&desk, node.0), looking(&second, node.1));
        for round in 0..10 {
            let issued = desk.create_key(&at, &format!("key {round}")).await;
            for here in [&desk, &second] {
                assert_eq!(knock(here, &issued).await, "");
            }
            assert!(second.key_cache.keys() > 0);
            desk.revoke(&at, &issued, "").await.unwrap();
            for here in [&second, &desk] {
                assert!(knock(here, &issued).await.starts_with("Revoked"), "let in after the answer");
            }
        }
        looking.0.abort();
        looking.1.abort();
        second.db.close().await;
    }
);

on_both!(
    fn many_keys_are_waited_for_once_and_all_are_out_of_use_then(desk: TestDesk) {
        let at = desk.owner().await;
        let second = other(&desk, 7).await;
        let nodes = (node(&desk).await, node(&second).await);
        let looking = (looking(&desk, nodes.0), looking(&second, nodes.1));
        let mut all = Vec::new();
        for number in 0..5 {
            all.push(desk.create_key(&at, &format!("key {number}")).await);
        }
        for issued in &all {
            assert_eq!((knock(&desk, issued).await, knock(&second, issued).await), Default::default());
        }
        let selected: Vec<Selected> =
            all.iter().map(|issued| Selected { id: issued.id.clone(), version: None }).collect();
        let change = BulkChange::Disable;
        keys::apply(&desk, &at.caller, &at.org.slug, &selected, &change).await.unwrap();
        for issued in &all {
            assert!(knock(&second, issued).await.starts_with("Disabled"));
            assert!(knock(&desk, issued).await.starts_with("Disabled"));
        }
        looking.0.abort();
        looking.1.abort();
        second.db.close().await;
    }
);

on_both!(
    fn a_node_that_stands_still_is_waited_for_until_its_lease_is_over(desk: TestDesk) {
        let at = desk.owner().await;
        let (one, two) = (desk.create_key(&at, "one").await, desk.create_key(&at, "two").await);
        let second = other(&desk, 7).await;
        let began = Instant::now();
        let mut node = node(&second).await;
        assert_eq!((knock(&second, &one).await, knock(&second, &two).await), (String::new(), String::new()));
        desk.revoke(&at, &one, "").await.unwrap();
        // Its own clock has gone on for at least as long.
        assert!(began.elapsed() >= Duration::from_millis(1_900), "answered after {:?}", began.elapsed());
        second.clock.skip(began.elapsed().as_millis() as u64);
        assert!(knock(&second, &one).await.starts_with("Revoked"));
        // When it goes on, it finds what has changed before it uses anything that it kept.
        node.look(&second).await.unwrap();
        assert!(knock(&second, &one).await.starts_with("Revoked"));
        assert_eq!(knock(&second, &two).await, "");
        second.db.close().await;
    }
);

on_both!(
    fn a_node_whose_row_is_another_one_begins_anew_with_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut node = node(&desk).await;
        for lost in [
            "DELETE FROM gateway_nodes",
            // What a database looks like that lacks the last renewals, or the last changes.
            "UPDATE gateway_nodes SET turn = turn - 1",
            "UPDATE gateway_nodes SET token = 'another'",
            "UPDATE config_version SET version = version - 1",
        ] {
            secretly(&desk, "keys", "UPDATE keys SET status = 'active'").await;
            node.leave(&desk).await.unwrap();
            node.look(&desk).await.unwrap();
            assert_eq!(knock(&desk, &issued).await, "");
            secretly(&desk, "keys", "UPDATE keys SET status = 'revoked'").await;
            assert_eq!(knock(&desk, &issued).await, "", "not from memory");
            desk.execute(lost).await.unwrap();
            node.look(&desk).await.unwrap();
            assert!(knock(&desk, &issued).await.starts_with("Revoked"), "{lost}");
            assert_eq!(desk.number("SELECT COUNT(*) FROM gateway_nodes").await, 1, "{lost}");
        }
        desk.execute("INSERT INTO gateway_nodes (node_id, token, turn, seen_version, lease_until) VALUES ('dead', '', 1, 0, 1)").await.unwrap();
        upkeep::sweep_reservations(&desk).await.unwrap();
        assert_eq!(desk.texts("SELECT node_id FROM gateway_nodes WHERE node_id = 'dead'").await.len(), 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM gateway_nodes").await, 1);
    }
);

on_both!(
    fn models_prices_and_providers_are_kept_until_they_change(desk: TestDesk) {
        let (_, operator, all) = crate::failover::with(&desk, &["Alpha", "Beta"]).await;
        crate::failover::serve(&desk, &operator, &all, &[5]).await;
        let mut node = node(&desk).await;
        let found = async || match look_up_model(&desk, "gpt-5").await.unwrap() {
            ModelLookup::Routed(model, Target::Provider(provider)) => {
                let further = further_providers(&desk, &model, ProviderKind::OpenAi).await.unwrap();
                let further = further.into_iter().map(|(provider, _)| provider.spec.name.clone());
                (provider.spec.name.clone(), further.collect::<Vec<_>>(), model.price_words())
            }
            _ => panic!("not served"),
        };
        let first = found().await;
        assert_eq!((first.0.as_str(), &first.1[..]), ("Alpha", &["Beta".to_owned()][..]));
        secretly(&desk, "providers", "UPDATE providers SET name = name || ' 2'").await;
        assert_eq!(found().await, first, "not from memory");
        desk.execute("UPDATE providers SET name = name || '3'").await.unwrap();
        // No one waits for statements of another program; a process finds them at its next look.
        node.look(&desk).await.unwrap();
        let (name, further, price) = found().await;
        assert_eq!((name.as_str(), further[0].as_str()), ("Alpha 23", "Beta 23"));

        // A price that was set starts by itself, and one that starts now applies at once.
        let starts = desk.now().plus_ms(5_000);
        crate::prices::set(&desk, "gpt-5", "input=2, output=8", Some(starts)).await.unwrap();
        assert_eq!(found().await.2, price);
        desk.clock.set(starts.plus_ms(-1));
        assert_eq!(found().await.2, price);
        desk.clock.set(starts);
        assert_eq!(found().await.2, "input $2.00, output $8.00");
        desk.clock.advance(1);
        crate::prices::set(&desk, "gpt-5", "input=3", None).await.unwrap();
        assert_eq!(found().await.2, "input $3.00");
        for (at, words) in [(desk.now(), "input $3.00"), (starts, "input $2.00, output $8.00")] {
            for _ in 0..2 {
                assert_eq!(priced_model(&desk, "gpt-5", at).await.unwrap().price_words(), words);
            }
        }
        assert_eq!(priced_model(&desk, "gpt-5", starts.plus_ms(-1)).await.unwrap().price_words(), price);
    }
);

/// The columns of the views that admission reads, and where each comes from; `None` for what a row never changes.
fn sources(view: &str) -> Vec<(&'static str, Option<(&'static str, &'static str)>)> {
    let own = |table, columns: &[&'static str]| {
        columns.iter().map(|column| (*column, Some((table, *column)))).collect::<Vec<_>>()
    };
    match view {
        "gateway_keys_v1" => [
            own("key_secrets", &["hash", "last_four"]),
            own("keys", &["status", "status_at", "expires_at", "addresses"]),
            vec![
                ("secret_id", None),
                ("secret_expires_at", Some(("key_secrets", "expires_at"))),
                ("secret_expires_at", Some(("key_secrets", "grace_ms"))),
                ("secret_replaced_at", Some(("key_secrets", "replaced_at"))),
                ("key_id", Some(("key_secrets", "key_id"))),
                ("key_name", Some(("keys", "name"))),
                ("key_scope", Some(("keys", "model_scope"))),
                ("key_patterns", Some(("scopes", "pattern"))),
                ("org_id", None),
                ("org_name", Some(("orgs", "name"))),
                ("org_zone", Some(("orgs", "zone"))),
                ("org_suspended_at", Some(("orgs", "suspended_at"))),
                ("org_scope", Some(("orgs", "model_scope"))),
                ("org_patterns", Some(("scopes", "holder_kind"))),
                ("org_unpriced", Some(("orgs", "unpriced"))),
                ("team_id", Some(("keys", "team_id"))),
                ("team_name", Some(("teams", "name"))),
                ("team_archived_at", Some(("teams", "archived_at"))),
                ("team_scope", Some(("teams", "model_scope"))),
                ("team_patterns", Some(("scopes", "holder_id"))),
            ],
        ]
        .concat(),
        "gateway_models_v1" => [
            own("models", &["id", "provider", "upstream_name", "default_output_tokens", "provider_id"]),
            own("models", &["context_tokens", "max_output_tokens"]),
            own("providers", &["kind", "base_url", "credential_env", "connect_ms", "idle_ms", "whole_ms"]),
            vec![
                ("provider_name", Some(("providers", "name"))),
                ("input_price", Some(("prices", "tariff"))),
                ("output_price", Some(("prices", "starts_at"))),
                ("cached_price", Some(("prices", "withdrawn_at"))),
                ("price_id", Some(("prices", "model_id"))),
            ],
        ]
        .concat(),
        "gateway_providers_v1" => [
            own("providers", &["on_disconnect", "api_path", "query", "credential_header", "headers"]),
            own("providers", &["omitted", "stored_key"]),
            vec![("id", None)],
        ]
        .concat(),
        "gateway_model_providers_v1" => [
            own("model_providers", &["model_id", "provider_id", "weight", "upstream_name"]),
            own("providers", &["kind", "base_url", "credential_env", "connect_ms", "idle_ms", "whole_ms"]),
            own("providers", &["on_disconnect", "api_path", "query", "credential_header", "headers"]),
            own("providers", &["omitted", "stored_key"]),
            vec![("provider_name", Some(("providers", "name"))), ("is_first", Some(("models", "weight")))],
        ]
        .concat(),
        _ => panic!("{view}"),
    }
}

/// Read by admission, and in no view.
const BESIDES: [(&str, &[&str]); 9] = [
    ("keys", &["rpm", "tpm", "concurrent", "model_scope"]),
    ("teams", &["rpm", "tpm", "concurrent"]),
    ("orgs", &["overshoot", "balance_enforced_at", "spend_version"]),
    ("budgets", &["amount", "period", "holder_id"]),
    ("shadow_limits", &["amount", "what", "holder_id"]),
    ("models", &["retired_at"]),
    ("providers", &["retired_at"]),
    ("prices", &["origin", "source"]),
    ("provider_keys", &["sealed", "sealed_with", "last_four"]),
];

/// At least one row in each table that admission reads.
async fn with_every_table(desk: &TestDesk) -> (At, IssuedKey) {
    let (at, operator, all) = crate::failover::with(desk, &["Alpha", "Beta"]).await;
    crate::failover::serve(desk, &operator, &all, &[5]).await;
    let issued = crate::meter::open_key(desk, &at).await;
    let (org, key) = (&at.org.id, &issued.id);
    let bytes = match &desk.db {
        Db::Sqlite { .. } => "x'00'",
        Db::Postgres(..) => "'\\x00'::bytea",
    };
    for sql in [
        format!("INSERT INTO scopes VALUES ('key', '{key}', 'gpt-*', '{org}')"),
        format!("INSERT INTO budgets VALUES ('key', '{key}', 'month', '{org}', 5)"),
        format!("INSERT INTO shadow_limits VALUES ('key', '{key}', 'day', '{org}', 5, 1, '', 0)"),
        format!("INSERT INTO provider_keys VALUES ('{}', {bytes}, 'a', 'abcd', 1)", all[0].id),
    ] {
        desk.execute(&sql).await.unwrap();
    }
    (at, issued)
}

on_both!(
    fn whatever_admission_reads_raises_the_version(desk: TestDesk) {
        let (at, issued) = with_every_table(&desk).await;
        let mut columns: BTreeSet<_> = BESIDES
            .iter()
            .flat_map(|(table, columns)| columns.iter().map(move |column| (*table, *column)))
            .collect();
        for view in
            ["gateway_keys_v1", "gateway_models_v1", "gateway_providers_v1", "gateway_model_providers_v1"]
        {
            let names = match &desk.db {
                Db::Sqlite { .. } => format!("SELECT name FROM pragma_table_info('{view}')"),
                Db::Postgres(..) => {
                    format!(
                        "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{view}'"
                    )
                }
            };
            let names: BTreeSet<String> = desk.texts(&names).await.into_iter().collect();
            let known: BTreeSet<String> = sources(view).iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(names, known, "{view}: say where each column comes from, and give it a trigger");
            columns.extend(sources(view).into_iter().filter_map(|(_, source)| source));
        }
        for (table, column) in columns {
            let before = version(&desk).await;
            desk.execute(&format!("UPDATE {table} SET {column} = {column}")).await.unwrap();
            assert!(version(&desk).await > before, "{table}.{column}");
        }
        // Rows that come and go. Whose they are is known, or they concern all.
        let org = at.org.id.as_str();
        let until = START.ms() + HOUR;
        desk.execute(&format!(
            "INSERT INTO asks (id, org_id, person_id, kind, key_id, holder_kind, holder_id, name, period, amount, until, reason, state,
                asked_at, answered_at, note)
            VALUES ('ask_1', '{org}', '{}', 'budget', '{}', 'org', '{org}', '', 'month', 1, {until}, '', 'granted', 1, 1, '')",
            at.caller.person.id, issued.id
        ))
        .await
        .unwrap();
        let grant = format!(
            "INSERT INTO grants (id, org_id, holder_kind, holder_id, period, amount, starts_at, ends_at, granted_by, ask_id)
            VALUES ('grant_1', '{org}', 'org', '{org}', 'month', 1, 1, {until}, '{}', 'ask_1')",
            at.caller.person.id
        );
        let entry = |seq: i64| {
            format!(
                "INSERT INTO ledger (org_id, seq, at, kind, amount, note, actor_id, actor_name)
                VALUES ('{org}', {seq}, 1, 'credit', 1, '', '', '')"
            )
        };
        desk.execute("UPDATE orgs SET balance_enforced_at = 1").await.unwrap();
        let entered = entry(1);
        for (sql, whose) in [
            ("DELETE FROM scopes", org),
            ("DELETE FROM budgets", org),
            ("DELETE FROM shadow_limits", org),
            ("DELETE FROM provider_keys", ""),
            ("DELETE FROM model_providers", ""),
            (grant.as_str(), org),
            (entered.as_str(), org),
        ] {
            let before = version(&desk).await;
            desk.execute(sql).await.unwrap();
            let changed =
                desk.texts(&format!("SELECT org_id FROM config_changes WHERE version > {before}")).await;
            assert_eq!(changed, [whose], "{sql}");
        }
        desk.execute("UPDATE orgs SET balance_enforced_at = NULL").await.unwrap();
        let before = version(&desk).await;
        desk.execute(&entry(2)).await.unwrap();
        assert_eq!(version(&desk).await, before, "a balance that nothing reads");
    }
);

on_both!(
    fn what_requests_and_looks_write_leaves_the_version(desk: TestDesk) {
        let (at, issued) = with_every_table(&desk).await;
        let provider =
            providers::list(&mut desk.db.read().await.unwrap()).await.unwrap().remove(0).provider.id;
        let before = version(&desk).await;
        let usage = desk.usage(&at, &issued, 5, desk.now()).await;
        assert!(record(&desk, &usage).await.unwrap());
        let last_used = LastUsed::default();
        last_used.note(&issued.id, &desk.secret_id(&issued).await, desk.now());
        last_used.flush(&desk.db).await.unwrap();
        let mut tx = desk.db.write().await.unwrap();
        providers::mark_connected(&mut tx, &provider, desk.now()).await.unwrap();
        tx.save_unaudited(Unaudited::ProviderAnswered).await.unwrap();
        desk.signed_in(&at).await;
        upkeep::expire_keys(&desk).await.unwrap();
        upkeep::sweep_reservations(&desk).await.unwrap();
        assert_eq!(version(&desk).await, before);

        // But the first use of a new secret, where the end of the one before it depends on that.
        let from = desk.secret_id(&issued).await;
        let place = (at.org.slug.as_str(), issued.id.as_str());
        let grace = GracePeriod::HoursAfterFirstUse(2);
        let mut node = node(&desk).await;
        let new = keys::rotate(&desk, &at.caller, place, from.as_str(), grace).await.unwrap();
        assert_eq!(knock(&desk, &issued).await, "");
        let before = version(&desk).await;
        last_used.note(&new.id, &desk.secret_id(&new).await, desk.now());
        last_used.flush(&desk.db).await.unwrap();
        assert_eq!(version(&desk).await, before + 1);
        node.look(&desk).await.unwrap();
        desk.clock.advance(2 * HOUR);
        assert!(knock(&desk, &issued).await.starts_with("Retired"));
    }
);

on_both!(
    fn a_transaction_that_is_rolled_back_changes_nothing_and_others_wait_for_no_lock(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "twin").await;
        let before = (version(&desk).await, desk.dump().await);
        assert!(desk.create(&at, form("twin")).await.is_err());
        assert_eq!(before, (version(&desk).await, desk.dump().await));
        // Many who write at once, each to several tables: none is in another one's way for good.
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..12 {
            let (desk, at) = (desk.clone(), at.clone());
            writers.spawn(async move {
                for round in 0..3 {
                    let issued = desk.create_key(&at, &format!("key {writer}-{round}")).await;
                    desk.disable(&at, &issued).await.unwrap();
                }
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        let (after, changes) =
            (version(&desk).await, desk.numbers("SELECT version FROM config_changes").await);
        assert_eq!(changes.into_iter().max(), Some(after));
        if let Db::Postgres(..) = &desk.db {
            // A transaction is one version.
            assert_eq!(after - before.0, 12 * 3 * 2);
        }
    }
);
