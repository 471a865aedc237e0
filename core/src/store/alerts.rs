//! Alerts, who gets them, the inbox, and what people want. Who may be told of a subject is one condition here, asked when an
//! alert is written, when its mail is sent and when an inbox is read: people lose sight of keys in between.

use std::collections::HashMap;

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::alert::{
    Alert, AlertKind, Choices, Crossed, Facts, OrgChoices, Subject, SubjectKind, Thresholds, Way,
};
use crate::domain::ids::{AlertId, ChannelId, DeliveryId, OrgId, PersonId};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::policy::{Action, Permit};

/// Whether the membership `m` may see a subject: owners and admins everything, others their own keys and the teams that they
/// administer with their keys; providers operators alone.
macro_rules! may_see {
    ($kind:literal, $id:literal) => {
        concat!(
            "m.disabled_at IS NULL AND (m.role IN ('owner', 'admin') OR ",
            $kind,
            " = 'provider' OR (",
            $kind,
            " = 'key' AND EXISTS (SELECT 1 FROM keys k WHERE k.id = ",
            $id,
            " AND k.org_id = m.org_id
                AND (k.owner_id = m.person_id OR EXISTS (SELECT 1 FROM team_members tm
                    WHERE tm.team_id = k.team_id AND tm.person_id = m.person_id AND tm.role = 'admin'))))
            OR (",
            $kind,
            " = 'team' AND EXISTS (SELECT 1 FROM team_members tm
                WHERE tm.team_id = ",
            $id,
            " AND tm.org_id = m.org_id AND tm.person_id = m.person_id AND tm.role = 'admin')))
            AND (",
            $kind,
            " <> 'provider' OR EXISTS (SELECT 1 FROM people op WHERE op.id = m.person_id AND op.platform_role = 'operator'))"
        )
    };
}
pub(super) use may_see;

/// The columns of `AlertRow`.
macro_rules! alert_columns {
    () => {
        "a.id AS alert_id, a.subject_kind, a.subject_id, a.threshold, a.facts, a.created_at AS alert_at,
        COALESCE((SELECT k.name FROM keys k WHERE a.subject_kind = 'key' AND k.id = a.subject_id),
            (SELECT t.name FROM teams t WHERE a.subject_kind = 'team' AND t.id = a.subject_id),
            (SELECT p.name FROM providers p WHERE a.subject_kind = 'provider' AND p.id = a.subject_id),
            (SELECT o.name FROM orgs o WHERE o.id = a.org_id)) AS subject_name"
    };
}
pub(super) use alert_columns;

/// `$6` empty is every kind, `$5` 1 is unread ones alone.
macro_rules! inbox {
    ($beyond:literal) => {
        concat!(
            "SELECT d.id, d.read_at, ",
            alert_columns!(),
            " FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id
            JOIN memberships m ON m.org_id = d.org_id AND m.person_id = d.person_id
            WHERE d.person_id = $1 AND d.org_id = $2 AND d.via = 'inbox' AND ",
            $beyond,
            " AND ($5 = 0 OR d.read_at IS NULL) AND (CAST($6 AS TEXT) = '' OR a.kind = $6) AND ",
            may_see!("a.subject_kind", "a.subject_id")
        )
    };
}

statements! {
    INSERT = "INSERT INTO alerts (id, org_id, kind, subject_kind, subject_id, crossing, threshold, facts, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (crossing, threshold) DO NOTHING";
    DELIVER = "INSERT INTO alert_deliveries (id, org_id, alert_id, via, person_id, channel_id, state, attempts, next_at, leased_until,
            last_error, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 0, '', $8)";
    RECIPIENTS = concat!("SELECT m.person_id, COALESCE(c.thresholds, ''), COALESCE(c.ways, '{}') FROM memberships m
        JOIN people p ON p.id = m.person_id AND p.disabled_at IS NULL
        LEFT JOIN alert_choices c ON c.org_id = m.org_id AND c.person_id = m.person_id
        WHERE m.org_id = $1 AND ", may_see!("CAST($2 AS TEXT)", "CAST($3 AS TEXT)"));
    /// Each operator with the organisation in whose inbox alerts about the installation are: the oldest one of theirs.
    OPERATORS = "SELECT p.id, MIN(m.org_id) FROM people p JOIN memberships m ON m.person_id = p.id AND m.disabled_at IS NULL
        JOIN orgs o ON o.id = m.org_id AND o.suspended_at IS NULL
        WHERE p.platform_role = 'operator' AND p.disabled_at IS NULL GROUP BY p.id";
    LIST = concat!(inbox!("d.id < $3"), " ORDER BY d.id DESC LIMIT $4");
    LIST_BACKWARDS = concat!(inbox!("d.id > $3"), " ORDER BY d.id LIMIT $4");
    UNREAD = concat!("SELECT COUNT(*) FROM (SELECT 1 FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id
        JOIN memberships m ON m.org_id = d.org_id AND m.person_id = d.person_id
        WHERE d.person_id = $1 AND d.org_id = $2 AND d.via = 'inbox' AND d.read_at IS NULL AND ",
        may_see!("a.subject_kind", "a.subject_id"), " LIMIT 100) counted");
    READ = "UPDATE alert_deliveries SET read_at = $4 WHERE id = $1 AND person_id = $2 AND org_id = $3 AND via = 'inbox' AND read_at IS NULL";
    READ_ALL = "UPDATE alert_deliveries SET read_at = $3 WHERE person_id = $1 AND org_id = $2 AND via = 'inbox' AND read_at IS NULL";
    CHOICES = "SELECT thresholds, ways FROM alert_choices WHERE org_id = $1 AND person_id = $2";
    CHOOSE = "INSERT INTO alert_choices (org_id, person_id, thresholds, ways) VALUES ($1, $2, $3, $4)
        ON CONFLICT (org_id, person_id) DO UPDATE SET thresholds = excluded.thresholds, ways = excluded.ways";
    /// The newest row of a total budget's crossing keeps it from being told again, so rows are kept for long.
    SWEEP_DELIVERIES = "DELETE FROM alert_deliveries WHERE created_at < $1";
    SWEEP = "DELETE FROM alerts WHERE created_at < $1 AND NOT EXISTS (SELECT 1 FROM alert_deliveries d WHERE d.alert_id = alerts.id)";
}

/// Writes the alert of a crossing; `None` when it is there already.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Tx,
    id: AlertId,
    crossed: &Crossed,
    now: Moment,
) -> Result<Option<AlertId>, StoreError> {
    let facts = serde_json::to_string(&crossed.facts).unwrap_or_default();
    let rows = changed!(
        tx,
        sqlx::query(INSERT)
            .bind(id.as_str())
            .bind(crossed.org.as_str())
            .bind(crossed.facts.kind().as_str())
            .bind(crossed.subject.kind.as_str())
            .bind(&crossed.subject.id)
            .bind(&crossed.crossing)
            .bind(crossed.threshold)
            .bind(facts)
            .bind(now.ms())
    )?;
    Ok((rows == 1).then_some(id))
}

/// To whom or what a delivery goes.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// A person's inbox, where it is at once.
    Inbox(&'a PersonId),
    /// A person's mailbox.
    Mail(&'a PersonId),
    /// A webhook.
    Channel(&'a ChannelId),
}

/// Writes a delivery; without an alert it is a test.
///
/// # Errors
/// When the database cannot be written.
pub async fn deliver(
    tx: &mut Tx,
    (id, org): (&DeliveryId, &OrgId),
    alert: Option<&AlertId>,
    to: To<'_>,
    now: Moment,
) -> Result<(), StoreError> {
    let (via, person, channel, state) = match to {
        To::Inbox(person) => ("inbox", Some(person.as_str()), None, "sent"),
        To::Mail(person) => ("mail", Some(person.as_str()), None, "pending"),
        To::Channel(channel) => ("webhook", None, Some(channel.as_str()), "pending"),
    };
    changed!(
        tx,
        sqlx::query(DELIVER)
            .bind(id.as_str())
            .bind(org.as_str())
            .bind(alert.map(AlertId::as_str))
            .bind(via)
            .bind(person)
            .bind(channel)
            .bind(state)
            .bind(now.ms())
    )?;
    Ok(())
}

/// Who may be told of this subject, with what they chose.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn recipients(
    via: &mut impl Via,
    org: &OrgId,
    subject: &Subject,
) -> Result<Vec<(PersonId, Choices)>, StoreError> {
    let rows: Vec<(String, String, String)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, String)>(RECIPIENTS)
            .bind(org.as_str())
            .bind(subject.kind.as_str())
            .bind(&subject.id)
    )?;
    rows.into_iter()
        .map(|(person, thresholds, ways)| {
            let person =
                PersonId::parse(&person).ok_or(StoreError::Unreadable { column: "memberships.person_id" })?;
            Ok((person, choices_of(&thresholds, &ways)))
        })
        .collect()
}

/// Each operator who belongs to an organisation, with the one in whose inbox alerts about the installation are.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn operators(via: &mut impl Via) -> Result<Vec<(PersonId, OrgId)>, StoreError> {
    let rows: Vec<(String, String)> = run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(OPERATORS))?;
    let read = |(person, org): (String, String)| {
        let both = PersonId::parse(&person).zip(OrgId::parse(&org));
        both.ok_or(StoreError::Unreadable { column: "memberships" })
    };
    rows.into_iter().map(read).collect()
}

/// What cannot be read counts as not chosen: an alert too many is better than none.
fn choices_of(thresholds: &str, ways: &str) -> Choices {
    let ways: HashMap<String, String> = serde_json::from_str(ways).unwrap_or_default();
    let known = |(kind, way): (&String, &String)| Some((AlertKind::parse(kind)?, Way::parse(way)?));
    Choices { thresholds: Thresholds::parse(thresholds).ok(), ways: ways.iter().filter_map(known).collect() }
}

/// What the organisation chose for those who chose nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn org_choices(via: &mut impl Via, org: &OrgId) -> Result<OrgChoices, StoreError> {
    Ok(OrgChoices(find_choices(via, org, "").await?))
}

/// What a person chose.
///
/// # Errors
/// When the database cannot be read.
pub async fn choices(via: &mut impl Via, org: &OrgId, person: &PersonId) -> Result<Choices, StoreError> {
    find_choices(via, org, person.as_str()).await
}

async fn find_choices(via: &mut impl Via, org: &OrgId, person: &str) -> Result<Choices, StoreError> {
    let row: Option<(String, String)> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, (String, String)>(CHOICES).bind(org.as_str()).bind(person)
    )?;
    Ok(row.map(|(thresholds, ways)| choices_of(&thresholds, &ways)).unwrap_or_default())
}

/// Replaces what the organisation chose.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn choose_for_org(tx: &mut Tx, permit: &Permit, choices: &OrgChoices) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::EditSettings], permit.org().as_str())?;
    set_choices(tx, permit.org(), "", &choices.0).await
}

/// Replaces what a person chose for themselves.
///
/// # Errors
/// When the database cannot be written.
pub async fn choose(
    tx: &mut Tx,
    org: &OrgId,
    person: &PersonId,
    choices: &Choices,
) -> Result<(), StoreError> {
    set_choices(tx, org, person.as_str(), choices).await
}

async fn set_choices(tx: &mut Tx, org: &OrgId, person: &str, choices: &Choices) -> Result<(), StoreError> {
    let ways: HashMap<&str, &str> =
        choices.ways.iter().map(|(kind, way)| (kind.as_str(), way.as_str())).collect();
    changed!(
        tx,
        sqlx::query(CHOOSE)
            .bind(org.as_str())
            .bind(person)
            .bind(choices.thresholds.as_ref().map(ToString::to_string).unwrap_or_default())
            .bind(serde_json::to_string(&ways).unwrap_or_default())
    )?;
    Ok(())
}

/// The columns of `alert_columns!`.
#[derive(sqlx::FromRow)]
pub(super) struct AlertRow {
    alert_id: String,
    subject_kind: String,
    subject_id: String,
    subject_name: String,
    threshold: i64,
    facts: String,
    alert_at: i64,
}

impl TryFrom<AlertRow> for Alert {
    type Error = StoreError;

    fn try_from(row: AlertRow) -> Result<Self, StoreError> {
        let unreadable = |column| StoreError::Unreadable { column };
        let facts: Facts = serde_json::from_str(&row.facts).map_err(|_| unreadable("alerts.facts"))?;
        Ok(Alert {
            id: AlertId::parse(&row.alert_id).ok_or(unreadable("alerts.id"))?,
            subject: Subject {
                kind: SubjectKind::parse(&row.subject_kind).ok_or(unreadable("alerts.subject_kind"))?,
                id: row.subject_id,
                name: row.subject_name,
            },
            threshold: row.threshold,
            facts,
            at: Moment::from_ms(row.alert_at),
        })
    }
}

/// One entry of a person's inbox.
#[derive(Clone, Debug)]
pub struct InboxEntry {
    /// By which it is marked as read.
    pub id: DeliveryId,
    /// The alert.
    pub alert: Alert,
    /// When the person read it.
    pub read_at: Option<Moment>,
}

#[derive(sqlx::FromRow)]
struct InboxRow {
    id: String,
    read_at: Option<i64>,
    #[sqlx(flatten)]
    alert: AlertRow,
}

/// A page of a person's inbox, the newest first.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn inbox(
    via: &mut impl Via,
    (org, person): (&OrgId, &PersonId),
    (unread, kind): (bool, Option<AlertKind>),
    at: Option<&Cursor>,
) -> Result<Page<InboxEntry>, StoreError> {
    let backwards = at.is_some_and(Cursor::backwards);
    let text = if backwards { LIST_BACKWARDS } else { LIST };
    let from = at.map_or("~", Cursor::id);
    let rows: Vec<InboxRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, InboxRow>(text)
            .bind(person.as_str())
            .bind(org.as_str())
            .bind(from)
            .bind(PAGE_ROWS as i64 + 1)
            .bind(i64::from(unread))
            .bind(kind.map_or("", AlertKind::as_str))
    )?;
    Page::read(rows, at, |row| (String::new(), row.id.clone())).try_map(|row| {
        Ok(InboxEntry {
            id: DeliveryId::parse(&row.id).ok_or(StoreError::Unreadable { column: "alert_deliveries.id" })?,
            alert: row.alert.try_into()?,
            read_at: row.read_at.map(Moment::from_ms),
        })
    })
}

/// How many entries of the inbox are unread, counted to 100.
///
/// # Errors
/// When the database cannot be read.
pub async fn unread(via: &mut impl Via, org: &OrgId, person: &PersonId) -> Result<i64, StoreError> {
    run!(via, fetch_one, sqlx::query_scalar::<_, i64>(UNREAD).bind(person.as_str()).bind(org.as_str()))
}

/// Marks one entry of the person's inbox as read, or all; says how many were not.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_read(
    tx: &mut Tx,
    (org, person): (&OrgId, &PersonId),
    one: Option<&DeliveryId>,
    now: Moment,
) -> Result<u64, StoreError> {
    match one {
        Some(id) => changed!(
            tx,
            sqlx::query(READ).bind(id.as_str()).bind(person.as_str()).bind(org.as_str()).bind(now.ms())
        ),
        None => {
            changed!(tx, sqlx::query(READ_ALL).bind(person.as_str()).bind(org.as_str()).bind(now.ms()))
        }
    }
}

/// Deletes alerts that are older than `before`, with their deliveries.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, before: Moment) -> Result<(), StoreError> {
    changed!(&mut *tx, sqlx::query(SWEEP_DELIVERIES).bind(before.ms()))?;
    changed!(&mut *tx, sqlx::query(SWEEP).bind(before.ms()))?;
    Ok(())
}
