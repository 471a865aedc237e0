//! Organisations as a whole: their settings, and the installation's list of them. What somebody is in one is in `people`.

use super::dialect::like_contains;
use super::people::OrgRow;
use super::{StoreError, Tx, Via, changed, ledger, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::Moment;
use crate::domain::org::Org;
use crate::domain::person::fold;
use crate::domain::policy::{Action, Permit};
use crate::domain::settings::Settings;

statements! {
    /// The version stands in the condition: of two changes from one version, one changes no row.
    UPDATE = "UPDATE orgs SET slug = $3, name = $4, name_folded = $5, zone = $6, key_prefix = $7, key_defaults = $8,
            max_key_days = $9, max_keys_per_member = $10, members_create = $11, second_factor = $12, version = version + 1
        WHERE id = $1 AND version = $2";
    SUSPEND = "UPDATE orgs SET suspended_at = $2 WHERE id = $1 AND suspended_at IS NULL";
    RESUME = "UPDATE orgs SET suspended_at = NULL WHERE id = $1 AND suspended_at IS NOT NULL";
    FIND = "SELECT id, slug, name, zone, key_prefix, suspended_at, key_defaults, max_key_days, max_keys_per_member,
            members_create, second_factor, version FROM orgs WHERE slug = $1";
    /// In the order of names, from one on. There are few enough organisations for a search to walk their index.
    LIST_ON = "SELECT o.id, o.slug, o.name, o.name_folded, o.created_at, o.suspended_at,
            (SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE k.org_id = o.id AND k.status IN ('active', 'disabled')
                LIMIT 10001) live) AS live_keys,
            (SELECT COUNT(*) FROM memberships m WHERE m.org_id = o.id AND m.disabled_at IS NULL) AS people
        FROM orgs o
        WHERE (o.name_folded, o.id) > ($1, $2) AND (o.name_folded LIKE $3 ESCAPE '\\' OR o.slug LIKE $3 ESCAPE '\\')
            AND ($4 <> 'suspended' OR o.suspended_at IS NOT NULL)
        ORDER BY o.name_folded, o.id LIMIT $5";
    LIST_BACK = "SELECT o.id, o.slug, o.name, o.name_folded, o.created_at, o.suspended_at,
            (SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE k.org_id = o.id AND k.status IN ('active', 'disabled')
                LIMIT 10001) live) AS live_keys,
            (SELECT COUNT(*) FROM memberships m WHERE m.org_id = o.id AND m.disabled_at IS NULL) AS people
        FROM orgs o
        WHERE (o.name_folded, o.id) < ($1, $2) AND (o.name_folded LIKE $3 ESCAPE '\\' OR o.slug LIKE $3 ESCAPE '\\')
            AND ($4 <> 'suspended' OR o.suspended_at IS NOT NULL)
        ORDER BY o.name_folded DESC, o.id DESC LIMIT $5";
}

/// Writes the settings, if nobody changed them since `version`; says whether they were still at it.
///
/// # Errors
/// `ConstraintViolation(Slug)` when another organisation has the address.
pub async fn update(
    tx: &mut Tx,
    permit: &Permit,
    version: i64,
    settings: &Settings,
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
    )?;
    if rows != 1 {
        return Ok(false);
    }
    ledger::set_budgets(tx, permit.org(), &settings.budgets).await?;
    Ok(true)
}

/// Stops the organisation's keys and changes; says whether it was running until now.
pub async fn suspend(tx: &mut Tx, permit: &Permit, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::SuspendOrg], permit.org().as_str())?;
    let rows = changed!(tx, sqlx::query(SUSPEND).bind(permit.org().as_str()).bind(now.ms()))?;
    Ok(rows == 1)
}

/// Lets it go on; says whether it was suspended until now.
pub async fn resume(tx: &mut Tx, permit: &Permit) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ResumeOrg], permit.org().as_str())?;
    let rows = changed!(tx, sqlx::query(RESUME).bind(permit.org().as_str()))?;
    Ok(rows == 1)
}

/// By its address, for those who act on it from outside.
pub async fn find(via: &mut impl Via, slug: &str) -> Result<Option<Org>, StoreError> {
    let row: Option<OrgRow> = run!(via, fetch_optional, sqlx::query_as::<_, OrgRow>(FIND).bind(slug))?;
    row.map(Org::try_from).transpose()
}

/// An organisation in the installation's list.
#[derive(Clone, Debug)]
pub struct ListedOrg {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
    pub created_at: Moment,
    pub suspended_at: Option<Moment>,
    /// At most one more than `MAX_COUNT`.
    pub live_keys: i64,
    pub people: i64,
}

pub const PAGE_ROWS: usize = 50;
/// Further than this nobody counts.
pub const MAX_COUNT: i64 = 10_000;

/// Where a page of the list begins: just after this organisation, or just before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgCursor {
    pub backwards: bool,
    pub name_folded: String,
    pub id: String,
}

#[derive(Clone, Debug, Default)]
pub struct OrgFilter {
    /// Part of a name or of an address; empty is every one.
    pub search: String,
    pub suspended: bool,
    pub page: Option<OrgCursor>,
}

pub struct OrgPage {
    pub orgs: Vec<ListedOrg>,
    pub previous: Option<OrgCursor>,
    pub next: Option<OrgCursor>,
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    id: String,
    slug: String,
    name: String,
    name_folded: String,
    created_at: i64,
    suspended_at: Option<i64>,
    live_keys: i64,
    people: i64,
}

/// A page of the installation's organisations, by name.
pub async fn list(via: &mut impl Via, filter: &OrgFilter) -> Result<OrgPage, StoreError> {
    let backwards = filter.page.as_ref().is_some_and(|page| page.backwards);
    let (name, id) = filter.page.as_ref().map_or(("", ""), |page| (&page.name_folded, &page.id));
    let mut rows: Vec<ListedRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, ListedRow>(if backwards { LIST_BACK } else { LIST_ON })
            .bind(name)
            .bind(id)
            .bind(like_contains(&fold(&filter.search)))
            .bind(if filter.suspended { "suspended" } else { "all" })
            // One more than a page, so that it is known whether there is another.
            .bind(PAGE_ROWS as i64 + 1)
    )?;
    let more = rows.len() > PAGE_ROWS;
    rows.truncate(PAGE_ROWS);
    if backwards {
        rows.reverse();
    }
    let cursor = |row: Option<&ListedRow>, backwards: bool| {
        row.map(|row| OrgCursor { backwards, name_folded: row.name_folded.clone(), id: row.id.clone() })
    };
    let previous = if backwards { more } else { filter.page.is_some() };
    let next = if backwards { true } else { more };
    Ok(OrgPage {
        previous: cursor(rows.first(), true).filter(|_| previous),
        next: cursor(rows.last(), false).filter(|_| next),
        orgs: rows.into_iter().map(ListedOrg::try_from).collect::<Result<_, _>>()?,
    })
}

impl TryFrom<ListedRow> for ListedOrg {
    type Error = StoreError;

    fn try_from(row: ListedRow) -> Result<Self, StoreError> {
        Ok(ListedOrg {
            id: OrgId::parse(&row.id).ok_or(StoreError::Unreadable { column: "orgs.id" })?,
            slug: row.slug,
            name: row.name,
            created_at: Moment::from_ms(row.created_at),
            suspended_at: row.suspended_at.map(Moment::from_ms),
            live_keys: row.live_keys,
            people: row.people,
        })
    }
}
