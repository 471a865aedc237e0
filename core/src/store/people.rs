//! People, organisations, and what a person is in each. Standings are read again for each request, so a change
//! of role applies to the next one.

use sqlx::AssertSqlSafe;

use super::asks::team_admin_answers;
use super::dialect::Dialect;
use super::permit::compare;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{OrgId, PersonId};
use crate::domain::member::Membership;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::org::{Org, OrgName, OrgRules, Overshoot, Unpriced};
use crate::domain::person::{Email, Person, PersonName, fold};
use crate::domain::policy::{AccountPermit, Action, MembersCreate, OrgRole, Permit, PlatformRole};

statements! {
    COUNT_PEOPLE = "SELECT COUNT(*) FROM (SELECT 1 FROM people LIMIT 1) counted";
    INSERT_ORG = "INSERT INTO orgs (id, slug, name, name_folded, zone, key_prefix, model_scope, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'every', $7)";
    INSERT_PERSON = "INSERT INTO people (id, email, name, name_folded, password_hash, platform_role, theme, created_at, password_set_at)
        VALUES ($1, $2, $3, $7, $4, $5, 'system', $6, $6)";
    INSERT_MEMBER = "INSERT INTO memberships (org_id, person_id, role, created_at) VALUES ($1, $2, $3, $4)";
    HAS_EMAIL = "SELECT COUNT(*) FROM people WHERE email = $1";
    CREDENTIALS = "SELECT id, password_hash, password_set_at, totp_since FROM people WHERE email = $1 AND disabled_at IS NULL";
    /// Each password has a moment of its own, also when two are set within one millisecond.
    /// A second factor that a person with the old password began to set up is forgotten.
    SET_PASSWORD = "UPDATE people SET password_hash = $2,
            totp_secret = CASE WHEN totp_since IS NULL THEN NULL ELSE totp_secret END,
            password_set_at = CASE WHEN password_set_at >= $3 THEN password_set_at + 1 ELSE $3 END
        WHERE id = $1 RETURNING password_set_at";
    PASSWORD_SET_AT = "SELECT password_set_at FROM people WHERE id = $1 AND disabled_at IS NULL";
    RENAME = "UPDATE people SET name = $2, name_folded = $3 WHERE id = $1";
    PERSON = "SELECT id, name, email, platform_role, theme, totp_since FROM people WHERE id = $1 AND disabled_at IS NULL";
    SET_THEME = "UPDATE people SET theme = $2 WHERE id = $1";
    /// A person's place in one organisation: its row, and their role in it if they have one.
    /// With how many open asks of others the person may answer.
    PLACE = concat!("SELECT o.id, o.slug, o.name, o.zone, o.key_prefix, o.suspended_at, o.key_defaults, o.max_key_days,
            o.max_keys_per_member, o.members_create, o.second_factor, o.rotate_days, o.self_rotation, o.overshoot,
            o.unpriced, o.raw_days, o.raw_from, o.version, m.role,
            CASE WHEN m.role IS NULL THEN 0 ELSE (SELECT COUNT(*) FROM asks a WHERE a.org_id = o.id AND a.state = 'open'
                AND a.person_id <> $2 AND (m.role IN ('owner', 'admin') OR ", team_admin_answers!("$2"), ")) END AS open_asks
        FROM orgs o LEFT JOIN memberships m ON m.org_id = o.id AND m.person_id = $2 AND m.disabled_at IS NULL
        WHERE o.slug = $1");
    ORGS_OF = "SELECT o.slug, o.name FROM memberships m JOIN orgs o ON o.id = m.org_id
        WHERE m.person_id = $1 AND m.disabled_at IS NULL ORDER BY o.name, o.slug";
    /// Where a person belongs, and as what.
    MEMBERSHIPS_OF = "SELECT o.id, o.slug, o.name, o.second_factor, m.role FROM memberships m JOIN orgs o ON o.id = m.org_id
        WHERE m.person_id = $1 AND m.disabled_at IS NULL ORDER BY o.name, o.slug";
    ORGS_OF_WITH_ID = "SELECT o.id FROM memberships m JOIN orgs o ON o.id = m.org_id WHERE m.person_id = $1 AND m.removed_at IS NULL ORDER BY o.id";
    /// Those who may own a key: in the organisation, and not disabled in it or altogether.
    ACTIVE = "SELECT p.id, p.name FROM memberships m JOIN people p ON p.id = m.person_id
        WHERE m.org_id = $1 AND m.disabled_at IS NULL AND p.disabled_at IS NULL ORDER BY p.name, p.id LIMIT $2";
}

#[derive(sqlx::FromRow)]
pub(super) struct PersonRow {
    id: String,
    name: String,
    email: String,
    platform_role: String,
    theme: String,
    totp_since: Option<i64>,
}

impl TryFrom<PersonRow> for Person {
    type Error = StoreError;

    fn try_from(row: PersonRow) -> Result<Self, StoreError> {
        let platform = PlatformRole::parse(&row.platform_role);
        Ok(Person {
            id: person_id(&row.id)?,
            name: row.name,
            email: row.email,
            platform: platform.ok_or(StoreError::Unreadable { column: "people.platform_role" })?,
            theme: row.theme,
            second_factor: row.totp_since.is_some(),
        })
    }
}

/// # Errors
/// `StoreError` when the database fails.
pub async fn none_yet(via: &mut impl Via) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(COUNT_PEOPLE))?;
    Ok(count == 0)
}

/// Adds an organisation with every model in its scope; its rules and key defaults are not written.
///
/// # Errors
/// `WrongPermit` when the permit does not create this organisation, `ConstraintViolation(Slug)` when another one has
/// the address; otherwise when the database cannot be written.
pub async fn insert_org(tx: &mut Tx, permit: &Permit, org: &Org, now: Moment) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::SetUp, Action::CreateOrg], org.id.as_str())?;
    changed!(
        tx,
        sqlx::query(INSERT_ORG)
            .bind(org.id.as_str())
            .bind(&org.slug)
            .bind(&org.name)
            .bind(fold(&org.name))
            .bind(org.zone.name())
            .bind(&org.key_prefix)
            .bind(now.ms())
    )?;
    Ok(())
}

/// What a new person starts with. The hash is argon2's text form.
pub struct NewPerson<'a> {
    /// The person's id.
    pub id: &'a PersonId,
    /// The person's name.
    pub name: &'a str,
    /// The address that the person signs in with.
    pub email: &'a Email,
    /// argon2's text form.
    pub password_hash: &'a str,
    /// The person's role in the installation.
    pub platform: PlatformRole,
}

/// Adds a person whose display follows the system's theme. The password counts as set at `now`.
///
/// # Errors
/// `WrongPermit` when the permit is neither for the set-up nor for this person to join, `ConstraintViolation(Email)`
/// when another person has the address; otherwise when the database cannot be written.
pub async fn insert_person(
    tx: &mut Tx,
    permit: &Permit,
    new: &NewPerson<'_>,
    now: Moment,
) -> Result<(), StoreError> {
    match permit.action() {
        // The event of a new organisation names its first owner.
        Action::SetUp => compare(permit, &[Action::SetUp], None)?,
        _ => tx.charge(permit, &[Action::Join], new.id.as_str())?,
    }
    changed!(
        tx,
        sqlx::query(INSERT_PERSON)
            .bind(new.id.as_str())
            .bind(new.email.as_str())
            .bind(new.name)
            .bind(new.password_hash)
            .bind(new.platform.as_str())
            .bind(now.ms())
            .bind(fold(new.name))
    )?;
    Ok(())
}

/// Makes a person a member of an organisation that the same permit creates.
///
/// # Errors
/// `WrongPermit` when the permit creates another organisation or none, `ConstraintViolation(Other)` when the person is
/// in it already; otherwise when the database cannot be written.
pub async fn insert_member(
    tx: &mut Tx,
    permit: &Permit,
    org: &OrgId,
    person: &PersonId,
    role: OrgRole,
    now: Moment,
) -> Result<(), StoreError> {
    compare(permit, &[Action::SetUp, Action::CreateOrg], Some(org.as_str()))?;
    changed!(
        tx,
        sqlx::query(INSERT_MEMBER)
            .bind(org.as_str())
            .bind(person.as_str())
            .bind(role.as_str())
            .bind(now.ms())
    )?;
    Ok(())
}

pub(super) fn person_id(text: &str) -> Result<PersonId, StoreError> {
    PersonId::parse(text).ok_or(StoreError::Unreadable { column: "people.id" })
}

/// What a person's sign-in is compared with.
pub struct Credentials {
    /// The person's id.
    pub person: PersonId,
    /// argon2's text form.
    pub password_hash: String,
    /// When the password was set; a session begins with this moment.
    pub password_set_at: Moment,
    /// Whether a code is required beside the password.
    pub second_factor: bool,
}

/// Whether a person signs in with this address, or did.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn has_email(via: &mut impl Via, email: &Email) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(HAS_EMAIL).bind(email.as_str()))?;
    Ok(count > 0)
}

/// The person with this address.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn credentials(via: &mut impl Via, email: &Email) -> Result<Option<Credentials>, StoreError> {
    type Row = (String, String, i64, Option<i64>);
    let row: Option<Row> =
        run!(via, fetch_optional, sqlx::query_as::<_, Row>(CREDENTIALS).bind(email.as_str()))?;
    row.map(|(id, password_hash, set_at, totp_since)| {
        Ok(Credentials {
            person: person_id(&id)?,
            password_hash,
            password_set_at: Moment::from_ms(set_at),
            second_factor: totp_since.is_some(),
        })
    })
    .transpose()
}

/// The one way in which a password is replaced. Gives the moment that stands for the new one.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the person is unknown or the database
/// cannot be written.
pub async fn set_password(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    password_hash: &str,
    now: Moment,
) -> Result<Moment, StoreError> {
    tx.charge(permit, &[Action::OwnAccount, Action::ResetPassword], person.as_str())?;
    let set_at: i64 = run!(
        tx,
        fetch_one,
        sqlx::query_scalar::<_, i64>(SET_PASSWORD).bind(person.as_str()).bind(password_hash).bind(now.ms())
    )?;
    Ok(Moment::from_ms(set_at))
}

/// When the person's password was set; `None` for an unknown or disabled person.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn password_set_at(via: &mut impl Via, person: &PersonId) -> Result<Option<Moment>, StoreError> {
    let at: Option<i64> =
        run!(via, fetch_optional, sqlx::query_scalar::<_, i64>(PASSWORD_SET_AT).bind(person.as_str()))?;
    Ok(at.map(Moment::from_ms))
}

/// Like `password_set_at`, and no one changes the person until the transaction ends.
///
/// # Errors
/// When the database cannot be read, or the row cannot be locked in time.
pub async fn lock_password(tx: &mut Tx, person: &PersonId) -> Result<Option<Moment>, StoreError> {
    let text = format!("{PASSWORD_SET_AT}{}", Dialect::of(tx).for_update());
    let at: Option<i64> = run!(
        tx,
        fetch_optional,
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(text.clone())).bind(person.as_str())
    )?;
    Ok(at.map(Moment::from_ms))
}

/// Their own name, everywhere at once.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn rename(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    name: &str,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    changed!(tx, sqlx::query(RENAME).bind(person.as_str()).bind(name).bind(fold(name)))?;
    Ok(())
}

/// # Errors
/// `StoreError` when the database fails.
pub async fn find(via: &mut impl Via, id: &PersonId) -> Result<Option<Person>, StoreError> {
    let row: Option<PersonRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, PersonRow>(PERSON).bind(id.as_str()))?;
    row.map(Person::try_from).transpose()
}

/// `theme` is one of the three words that the column's check lists.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_theme(tx: &mut Tx, person: &PersonId, theme: &str) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(SET_THEME).bind(person.as_str()).bind(theme))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
pub(super) struct OrgRow {
    id: String,
    slug: String,
    name: String,
    zone: String,
    key_prefix: String,
    suspended_at: Option<i64>,
    key_defaults: String,
    max_key_days: Option<i64>,
    max_keys_per_member: Option<i64>,
    members_create: String,
    second_factor: String,
    rotate_days: Option<i64>,
    self_rotation: String,
    overshoot: String,
    unpriced: String,
    raw_days: Option<i64>,
    raw_from: Option<String>,
    version: i64,
}

impl TryFrom<OrgRow> for Org {
    type Error = StoreError;

    fn try_from(row: OrgRow) -> Result<Self, StoreError> {
        let unreadable = |column| StoreError::Unreadable { column };
        Ok(Org {
            id: OrgId::parse(&row.id).ok_or(unreadable("orgs.id"))?,
            slug: row.slug,
            name: row.name,
            zone: read_zone(&row.zone)?,
            key_prefix: row.key_prefix,
            suspended: row.suspended_at.is_some(),
            rules: OrgRules {
                max_key_days: row.max_key_days,
                max_keys_per_member: row.max_keys_per_member,
                members_create: MembersCreate::parse(&row.members_create)
                    .ok_or(unreadable("orgs.members_create"))?,
                second_factor: row.second_factor == "required",
                rotate_days: row.rotate_days,
                self_rotation: row.self_rotation == "every_key",
                overshoot: Overshoot::parse(&row.overshoot).ok_or(unreadable("orgs.overshoot"))?,
                unpriced: Unpriced::parse(&row.unpriced).ok_or(unreadable("orgs.unpriced"))?,
                raw_days: row.raw_days,
            },
            defaults: serde_json::from_str(&row.key_defaults).map_err(|_| unreadable("orgs.key_defaults"))?,
            raw_from: row
                .raw_from
                .map(|day| Day::parse(&day).ok_or(unreadable("orgs.raw_from")))
                .transpose()?,
            version: row.version,
        })
    }
}

#[derive(sqlx::FromRow)]
struct PlaceRow {
    role: Option<String>,
    open_asks: i64,
    #[sqlx(flatten)]
    org: OrgRow,
}

/// The organisation with this slug, the person's role in it if they have one, and how many open asks of others they may
/// answer.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn org_and_role(
    via: &mut impl Via,
    slug: &str,
    person: &PersonId,
) -> Result<Option<(Org, Option<OrgRole>, i64)>, StoreError> {
    let row: Option<PlaceRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, PlaceRow>(PLACE).bind(slug).bind(person.as_str()))?;
    row.map(|row| {
        let role = row
            .role
            .map(|role| OrgRole::parse(&role).ok_or(StoreError::Unreadable { column: "memberships.role" }))
            .transpose()?;
        Ok((Org::try_from(row.org)?, role, row.open_asks))
    })
    .transpose()
}

pub(super) fn read_zone(name: &str) -> Result<Zone, StoreError> {
    Zone::parse(name).ok_or(StoreError::Unreadable { column: "orgs.zone" })
}

/// The organisations that the person belongs to, by name.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn orgs_of(via: &mut impl Via, person: &PersonId) -> Result<Vec<OrgName>, StoreError> {
    let rows: Vec<(String, String)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(ORGS_OF).bind(person.as_str()))?;
    Ok(rows.into_iter().map(|(slug, name)| OrgName { slug, name }).collect())
}

/// # Errors
/// `StoreError` when the database fails.
pub async fn memberships_of(via: &mut impl Via, person: &PersonId) -> Result<Vec<Membership>, StoreError> {
    type Row = (String, String, String, String, String);
    let rows: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(MEMBERSHIPS_OF).bind(person.as_str()))?;
    rows.into_iter()
        .map(|(id, slug, name, second_factor, role)| {
            Ok(Membership {
                id: OrgId::parse(&id).ok_or(StoreError::Unreadable { column: "orgs.id" })?,
                slug,
                name,
                role: OrgRole::parse(&role).ok_or(StoreError::Unreadable { column: "memberships.role" })?,
                second_factor: second_factor == "required",
            })
        })
        .collect()
}

/// # Errors
/// `StoreError` when the database fails.
pub async fn org_ids_of(via: &mut impl Via, person: &PersonId) -> Result<Vec<OrgId>, StoreError> {
    let ids: Vec<String> =
        run!(via, fetch_all, sqlx::query_scalar::<_, String>(ORGS_OF_WITH_ID).bind(person.as_str()))?;
    ids.iter().map(|id| OrgId::parse(id).ok_or(StoreError::Unreadable { column: "orgs.id" })).collect()
}

/// Who is active in the organisation, by name, at most so many.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn active(via: &mut impl Via, org: &OrgId, max: i64) -> Result<Vec<PersonName>, StoreError> {
    let rows: Vec<(String, String)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(ACTIVE).bind(org.as_str()).bind(max))?;
    rows.into_iter().map(read_name).collect()
}

/// Lets no other caller change this membership, or count the keys that go with it, until the transaction ends.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn lock_member(tx: &mut Tx, org: &OrgId, person: &PersonId) -> Result<(), StoreError> {
    let text = lock_member_text(Dialect::of(tx));
    run!(
        tx,
        fetch_optional,
        sqlx::query_scalar::<_, String>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(person.as_str())
    )?;
    Ok(())
}

fn lock_member_text(dialect: Dialect) -> String {
    format!("SELECT role FROM memberships WHERE org_id = $1 AND person_id = $2{}", dialect.for_update())
}

/// The text that differs between the databases, for the test that prepares it.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![lock_member_text(dialect)]
}

pub(super) fn read_name((id, name): (String, String)) -> Result<PersonName, StoreError> {
    Ok(PersonName { id: person_id(&id)?, name })
}
