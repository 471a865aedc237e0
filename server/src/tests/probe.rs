//! What a row of the table of routes is about, made for it alone.

use keydesk_core::domain::ids::PersonId;

use super::routes::{Given, Row};
use super::support::{Cast, TestApp, TestKey, Who};

/// The teams of all probes.
pub const ARCHIVE_PROBES: &str = "UPDATE teams SET archived_at = 1 WHERE name LIKE 'probe %'";

/// What this row is about, made for it: no other row has touched it.
pub async fn probe(app: &TestApp, cast: &Cast, row: &Row, n: usize, reset: &str) -> Given {
    let probe = format!("probe {n}");
    let key = app.key(cast, &probe).await;
    let mut given = Given::new(cast, &key, &format!("made-{n}"));
    given.set("reset", reset);
    let uses = |words: &str| row.sent.contains(&format!("<{words}>"));
    if uses("invitation") {
        given.set("invitation", app.invitation(cast, &format!("guest-{n}@nowhere.example")).await.0);
    }
    if uses("provider") {
        given.set("provider", app.provider(&probe).await);
    }
    if uses("request") {
        let request = format!("req_{n:032x}");
        app.execute(&format!(
            "INSERT INTO rejections (key_id, minute, gate, reason, model_id, org_id, times, first_at, last_at, route, address,
                request_id)
            VALUES ('{}', 1, 'model', 'model', 'o3', (SELECT org_id FROM keys WHERE id = '{0}'), 1, 60000, 60000, '', '', '{request}')",
            key.id
        ))
        .await;
        given.set("request", request);
    }
    if uses("coming price") {
        let price = format!("price_{n:032x}");
        app.execute(&format!(
            "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
            VALUES ('{price}', 'gpt-5', {}, 'operator', '', '{{\"input\":\"1\"}}', 0, '')",
            9_000_000_000_000_i64 + n as i64
        ))
        .await;
        given.set("coming price", price);
    }
    if uses("webhook") {
        let id = format!("chan_{n:032x}");
        app.execute(&format!(
            "INSERT INTO alert_channels (id, org_id, name, form, url, host, created_at)
            SELECT '{id}', '{}', '{probe}', 'slack', hash, 'hooks.example.com', 0 FROM key_secrets LIMIT 1",
            cast.org.id
        ))
        .await;
        given.set("webhook", id);
    }
    if uses("own price") {
        app.execute("UPDATE prices SET origin = 'operator' WHERE model_id = 'deepseek-chat'").await;
        given.set("own price", "deepseek-chat");
    }
    if uses("member") {
        given.set("member", app.mate(cast).await);
    }
    if uses("disabled member") {
        given.set("disabled member", disabled(app, cast, &key).await);
    }
    if uses("disabled key") {
        app.execute(&format!("UPDATE keys SET status = 'disabled' WHERE id = '{}'", key.id)).await;
    }
    if uses("expired key") {
        let set = "UPDATE keys SET status = 'expired', expires_at = created_at";
        app.execute(&format!("{set} WHERE id = '{}'", key.id)).await;
    }
    if uses("asked key") || uses("ask") {
        let (org, key, until) = (&cast.org.id, &key.id, app.state.desk.now().plus_days(30).ms());
        app.execute(&format!(
            "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount)
            VALUES ('key', '{key}', 'month', '{org}', 1000000000) ON CONFLICT DO NOTHING"
        ))
        .await;
        if uses("ask") {
            let (ask, person) = (format!("ask_{n:032x}"), cast.id(Who::KeyOwner));
            app.execute(&format!(
                "INSERT INTO asks (id, org_id, person_id, kind, key_id, holder_kind, holder_id, name, period, amount, until,
                    reason, state, asked_at, note)
                VALUES ('{ask}', '{org}', '{person}', 'budget', '{key}', 'key', '{key}', '', 'month', 5000000000, {until},
                    'Backfill', 'open', 1, '')"
            ))
            .await;
            given.set("ask", ask);
        }
    }
    if uses("reporting key") {
        let from = format!("FROM keys WHERE id = '{}'", key.id);
        app.execute(&format!(
            "INSERT INTO shadow_limits (holder_kind, holder_id, what, org_id, amount, created_at, created_by, requests_before)
            SELECT 'key', id, 'requests', org_id, 60, 1, '', 0 {from}"
        ))
        .await;
    }
    if uses("secret") {
        given.set("secret", app.secret_of(&key.id).await);
    }
    if uses("previous secret") {
        given.set("previous secret", app.secret_of(&key.id).await);
        app.rotate(cast, &key).await;
    }
    if uses("suspended org") {
        app.execute("UPDATE orgs SET suspended_at = 1 WHERE slug = 'acme'").await;
    }
    // A team of its own for each action on one, with the same people in it.
    if row.path.starts_with("teams/") {
        given.own_team(&app.another_team(cast, &probe).await);
    }
    if uses("archived team") {
        app.execute(ARCHIVE_PROBES).await;
    }
    given
}

/// A member of the cast's team who is disabled and owns the key.
async fn disabled(app: &TestApp, cast: &Cast, key: &TestKey) -> PersonId {
    let id = app.mate(cast).await;
    app.execute(&format!("UPDATE memberships SET disabled_at = 1 WHERE person_id = '{id}'")).await;
    app.execute(&format!("UPDATE keys SET owner_id = '{id}' WHERE id = '{}'", key.id)).await;
    id
}
