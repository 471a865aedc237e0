//! Organisations as a whole: their settings, and the installation's list of them. What a person is in one is in `people`.

use sqlx::AssertSqlSafe;

use super::dialect::like_contains;
use super::keys::is_live;
use super::people::OrgRow;
use super::{StoreError, Tx, Via, changed, ledger, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::list_filter::OrgFilter;
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::{ListedOrg, MAX_KEYS_COUNTED, Org};
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::person::fold;
use crate::domain::policy::{Action, Permit};
use crate::domain::settings::Settings;

statements! {
    /// The version stands in the condition: of two changes from one version, one changes no row.
    UPDATE = "UPDATE orgs SET slug = $3, name = $4, name_folded = $5, zone = $6, key_prefix = $7, key_defaults = $8,
            max_key_days = $9, max_keys_per_member = $10, members_create = $11, second_factor = $12,
            rotate_days = $13, self_rotation = $14, overshoot = $15, unpriced = $16, raw_days = $17,
            zone_since = CASE WHEN zone = $6 THEN zone_since ELSE $18 END, version = version + 1
        WHERE id = $1 AND version = $2";
    SUSPEND = "UPDATE orgs SET suspended_at = $2 WHERE id = $1 AND suspended_at IS NULL";
    RESUME = "UPDATE orgs SET suspended_at = NULL WHERE id = $1 AND suspended_at IS NOT NULL";
    FIND = "SELECT id, slug, name, zone, key_prefix, suspended_at, key_defaults, max_key_days, max_keys_per_member,
            members_create, second_factor, rotate_days, self_rotation, overshoot, unpriced, raw_days, raw_from, version FROM orgs WHERE slug = $1";
    FIND_BY_ID = "SELECT id, slug, name, zone, key_prefix, suspended_at, key_defaults, max_key_days, max_keys_per_member,
            members_create, second_factor, rotate_days, self_rotation, overshoot, unpriced, raw_days, raw_from, version FROM orgs WHERE id = $1";
}

/// Writes the settings, if no one changed them since `version`; says whether they were still at it.
///
/// # Errors
/// `ConstraintViolation(Slug)` when another organisation has the address.
pub async fn update(
    tx: &mut Tx,
    permit: &Permit,
    version: i64,
    settings: &Settings,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditSettings], permit.org().as_str())?;
    let defaults = serde_json::to_string(&settings.defaults).unwrap_or_else(|_| "{}".into());
    let rows = changed!(
        &mut *tx,
        sqlx::query(UPDATE)
            .bind(permit.org().as_str())
            .bind(version)
            .bind(&settings.slug)
            .bind(&settings.name)
            .bind(fold(&settings.name))
            .bind(settings.zone.name())
            .bind(&settings.key_prefix)
            .bind(&defaults)
            .bind(settings.rules.max_key_days)
            .bind(settings.rules.max_keys_per_member)
            .bind(settings.rules.members_create.as_str())
            .bind(if settings.rules.second_factor { "required" } else { "optional" })
            .bind(settings.rules.rotate_days)
            .bind(if settings.rules.self_rotation { "every_key" } else { "by_key" })
            .bind(settings.rules.overshoot.as_str())
            .bind(settings.rules.unpriced.as_str())
            .bind(settings.rules.raw_days)
            .bind(now.ms())
    )?;
    if rows != 1 {
        return Ok(false);
    }
    ledger::set_budgets(tx, permit.org(), &settings.budgets).await?;
    Ok(true)
}

/// Stops the organisation's keys and changes; says whether it was running until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn suspend(tx: &mut Tx, permit: &Permit, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::SuspendOrg], permit.org().as_str())?;
    let rows = changed!(tx, sqlx::query(SUSPEND).bind(permit.org().as_str()).bind(now.ms()))?;
    Ok(rows == 1)
}

/// Lets it go on; says whether it was suspended until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn resume(tx: &mut Tx, permit: &Permit) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ResumeOrg], permit.org().as_str())?;
    let rows = changed!(tx, sqlx::query(RESUME).bind(permit.org().as_str()))?;
    Ok(rows == 1)
}

/// By its address, for those who act on it from outside.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find(via: &mut impl Via, slug: &str) -> Result<Option<Org>, StoreError> {
    let row: Option<OrgRow> = run!(via, fetch_optional, sqlx::query_as::<_, OrgRow>(FIND).bind(slug))?;
    row.map(Org::try_from).transpose()
}

/// By its id, for a key that acts on itself.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find_by_id(via: &mut impl Via, id: &OrgId) -> Result<Option<Org>, StoreError> {
    let row: Option<OrgRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, OrgRow>(FIND_BY_ID).bind(id.as_str()))?;
    row.map(Org::try_from).transpose()
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    id: String,
    slug: String,
    name: String,
    name_folded: String,
    zone: String,
    created_at: i64,
    suspended_at: Option<i64>,
    live_keys: i64,
    people: i64,
}

/// There are few enough organisations for a search to walk their index.
fn list_text(backwards: bool) -> String {
    let (beyond, way) = if backwards { ("<", "DESC") } else { (">", "ASC") };
    let (live, limit) = (is_live!(), MAX_KEYS_COUNTED + 1);
    format!(
        "SELECT o.id, o.slug, o.name, o.name_folded, o.zone, o.created_at, o.suspended_at,
            (SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE k.org_id = o.id AND {live} LIMIT {limit}) live) AS live_keys,
            (SELECT COUNT(*) FROM memberships m WHERE m.org_id = o.id AND m.disabled_at IS NULL) AS people
        FROM orgs o
        WHERE (CAST($2 AS TEXT) = '' OR (o.name_folded, o.id) {beyond} ($1, $2))
            AND (o.name_folded LIKE $3 ESCAPE '\\' OR o.slug LIKE $3 ESCAPE '\\')
            AND ($4 <> 'suspended' OR o.suspended_at IS NOT NULL)
        ORDER BY o.name_folded {way}, o.id {way} LIMIT $5"
    )
}

/// The texts that are put together, for the test that prepares them.
pub fn every_text() -> Vec<String> {
    [false, true].map(list_text).to_vec()
}

/// A page of the installation's organisations, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(via: &mut impl Via, filter: &OrgFilter) -> Result<Page<ListedOrg>, StoreError> {
    let at = filter.page.as_ref();
    let text = list_text(at.is_some_and(Cursor::backwards));
    let rows: Vec<ListedRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, ListedRow>(AssertSqlSafe(text.clone()))
            .bind(at.map_or("", Cursor::value))
            .bind(at.map_or("", Cursor::id))
            .bind(like_contains(&fold(&filter.search)))
            .bind(if filter.suspended { "suspended" } else { "all" })
            .bind(PAGE_ROWS as i64 + 1)
    )?;
    Page::read(rows, at, |row| (row.name_folded.clone(), row.id.clone())).try_map(ListedOrg::try_from)
}

impl TryFrom<ListedRow> for ListedOrg {
    type Error = StoreError;

    fn try_from(row: ListedRow) -> Result<Self, StoreError> {
        Ok(ListedOrg {
            id: OrgId::parse(&row.id).ok_or(StoreError::Unreadable { column: "orgs.id" })?,
            slug: row.slug,
            name: row.name,
            zone: Zone::parse(&row.zone).ok_or(StoreError::Unreadable { column: "orgs.zone" })?,
            created_at: Moment::from_ms(row.created_at),
            suspended_at: row.suspended_at.map(Moment::from_ms),
            live_keys: row.live_keys,
            people: row.people,
        })
    }
}
