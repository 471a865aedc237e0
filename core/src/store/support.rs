//! Look-ups across organisations, for support alone: the only reads of keys here that name no organisation. Who may ask
//! is decided in `ops::support`, which also tells each organisation.

use std::cmp::Reverse;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, like_contains};
use super::keys::is_live;
use super::search;
use super::search_sql::Within;
use super::{StoreError, Via, run, statements};
use crate::domain::ids::KeyId;
use crate::domain::key::Status;
use crate::domain::search::folded;

/// How many keys a search lists; one more is read, to say so.
pub const MAX_HITS: usize = 20;
const MAX_ORGS: i64 = 50;

statements! {
    KEY_ANYWHERE = "SELECT o.slug, k.id, k.name, k.last_four
        FROM keys k JOIN orgs o ON o.id = k.org_id WHERE k.id = $1";
    ORGS_NAMED = "SELECT slug, name, suspended_at FROM orgs
        WHERE name_folded LIKE $1 ESCAPE '\\' OR slug LIKE $1 ESCAPE '\\' ORDER BY name_folded, slug LIMIT $2";
    ORGS_OF_EMAIL = "SELECT slug, name, suspended_at FROM orgs WHERE id IN (SELECT m.org_id FROM people p
            JOIN memberships m ON m.person_id = p.id AND m.removed_at IS NULL WHERE p.email LIKE $1 ESCAPE '\\')
        OR name_folded LIKE $1 ESCAPE '\\' ORDER BY name_folded, slug LIMIT $2";
}

/// A key with the slug of its organisation.
pub struct FoundKey {
    /// The slug of the key's organisation.
    pub slug: String,
    /// The key's id.
    pub id: KeyId,
    /// The key's name.
    pub name: String,
    /// Of the secret that it was found by, or of its newest one.
    pub last_four: String,
}

/// An organisation found by a part of its name or slug.
pub struct FoundOrg {
    /// The organisation's slug.
    pub slug: String,
    /// The organisation's name.
    pub name: String,
    /// Whether it is suspended.
    pub suspended: bool,
}

type KeyRow = (String, String, String, String);

fn read_key((slug, id, name, last_four): KeyRow) -> Result<FoundKey, StoreError> {
    let id = KeyId::parse(&id).ok_or(StoreError::Unreadable { column: "keys.id" })?;
    Ok(FoundKey { slug, id, name, last_four })
}

/// The key with this id; `None` when there is none.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn key(via: &mut impl Via, id: &KeyId) -> Result<Option<FoundKey>, StoreError> {
    let row: Option<KeyRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, KeyRow>(KEY_ANYWHERE).bind(id.as_str()))?;
    row.map(read_key).transpose()
}

fn keys_ending_text(dialect: Dialect) -> String {
    format!(
        "SELECT o.slug, k.id, k.name, s.last_four
        FROM key_secrets s JOIN keys k ON k.id = s.key_id JOIN orgs o ON o.id = k.org_id
        WHERE {some_case} ORDER BY k.seq DESC LIMIT $2",
        some_case = dialect.any_of("s.last_four", "$1"),
    )
}

/// Of the keys in the list `$1`: those with exactly the name `$3` first, then live ones, then the newest.
fn keys_found_text(dialect: Dialect) -> String {
    format!(
        "SELECT o.slug, k.id, k.name, k.last_four
        FROM keys k JOIN orgs o ON o.id = k.org_id WHERE {found}
        ORDER BY CASE WHEN k.name_folded = $3 THEN 0 ELSE 1 END, CASE WHEN {live} THEN 0 ELSE 1 END, k.seq DESC
        LIMIT $2",
        found = dialect.any_number_of("k.seq", "$1"),
        live = is_live!(),
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![keys_ending_text(dialect), keys_found_text(dialect)]
}

/// Keys with a secret that ends with one of these, the newest first.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn keys_ending(via: &mut impl Via, last_fours: &[String]) -> Result<Vec<FoundKey>, StoreError> {
    let list = serde_json::to_string(last_fours).unwrap_or_default();
    let text = keys_ending_text(Dialect::of(via));
    let rows: Vec<KeyRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, KeyRow>(AssertSqlSafe(text.clone())).bind(&list).bind(MAX_HITS as i64 + 1)
    )?;
    rows.into_iter().map(read_key).collect()
}

/// Keys of all organisations that a search finds: by name, note, model pattern, owner and team.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn keys_found(via: &mut impl Via, text: &str) -> Result<Vec<FoundKey>, StoreError> {
    let mut hits = search::find(via, &Within::default(), text, 5 * MAX_HITS, false).await?.keys;
    let over = |status| matches!(status, Status::Expired | Status::Revoked);
    hits.sort_by_key(|hit| (hit.rank < 3, over(hit.status), Reverse(hit.seq)));
    hits.truncate(MAX_HITS + 1);
    let list = serde_json::to_string(&hits.iter().map(|hit| hit.seq).collect::<Vec<_>>()).unwrap_or_default();
    let sql = keys_found_text(Dialect::of(via));
    let rows: Vec<KeyRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, KeyRow>(AssertSqlSafe(sql.clone()))
            .bind(&list)
            .bind(MAX_HITS as i64 + 1)
            .bind(folded(text))
    )?;
    rows.into_iter().map(read_key).collect()
}

/// By name, or with a member whose email address holds the text; an installation has few organisations, so that reading
/// their names costs nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn orgs_named(via: &mut impl Via, text: &str) -> Result<Vec<FoundOrg>, StoreError> {
    let pattern = like_contains(&folded(text));
    let statement = if text.contains('@') { ORGS_OF_EMAIL } else { ORGS_NAMED };
    let rows: Vec<(String, String, Option<i64>)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, Option<i64>)>(statement).bind(&pattern).bind(MAX_ORGS)
    )?;
    let read = |(slug, name, suspended): (String, String, Option<i64>)| FoundOrg {
        slug,
        name,
        suspended: suspended.is_some(),
    };
    Ok(rows.into_iter().map(read).collect())
}
