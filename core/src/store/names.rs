//! The names of keys, teams and people that rows name by their ids, for lists and files of requests.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Via, run};
use crate::domain::ids::{OrgId, PersonId, TeamId};
use crate::domain::names::{Named, Names};

fn names_text(dialect: Dialect) -> String {
    let among = dialect.json_list("$2");
    format!(
        "SELECT id, name, team_id, owner_id FROM keys WHERE org_id = $1 AND id IN {among}
        UNION ALL SELECT id, name, NULL, NULL FROM teams WHERE org_id = $1 AND id IN {among}
        UNION ALL SELECT p.id, p.name, NULL, NULL FROM memberships m JOIN people p ON p.id = m.person_id
            WHERE m.org_id = $1 AND m.person_id IN {among}"
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![names_text(dialect)]
}

/// Those of the organisation that have one of these ids.
///
/// # Errors
/// When the database cannot be read.
pub async fn names(via: &mut impl Via, org: &OrgId, ids: &BTreeSet<String>) -> Result<Names, StoreError> {
    type Row = (String, String, Option<String>, Option<String>);
    if ids.is_empty() {
        return Ok(Names::default());
    }
    let text = names_text(Dialect::of(via));
    let list = serde_json::to_string(ids).unwrap_or_default();
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&list)
    )?;
    let read = |(id, name, team, owner): Row| {
        let team = team.as_deref().and_then(TeamId::parse);
        let owner = owner.as_deref().and_then(PersonId::parse);
        (id, Named { name, team, owner })
    };
    Ok(Names(rows.into_iter().map(read).collect::<BTreeMap<_, _>>()))
}
