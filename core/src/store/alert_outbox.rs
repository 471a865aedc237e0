//! The outbox: deliveries that are due are leased to one worker, and end as sent, tried again or given up. A worker that is
//! killed leaves leases that run out, so nothing is lost; what it had sent and not marked is sent once more.

use sqlx::AssertSqlSafe;

use super::alerts::{AlertRow, alert_columns, may_see};
use super::dialect::Dialect;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::alert::{Alert, Backoff, ChannelForm, Delivery, DeliveryState, Failure, Via as Way};
use crate::domain::ids::{ChannelId, DeliveryId, OrgId, PersonId};
use crate::domain::moment::{Moment, Zone};
use crate::domain::page::{Cursor, PAGE_ROWS, Page};

/// Longer than a worker begins attempts after it leased them, and one attempt.
const LEASE_MS: i64 = 120_000;
/// Deliveries that are leased together, and with them all others that are due for the people among them.
const MAX_LEASED: i64 = 500;
/// Of one channel, so that a slow one does not take all.
const MAX_OF_CHANNEL: i64 = 20;
/// A person gets one mail of an organisation in this time; what comes meanwhile is put together.
const MAIL_EVERY_MS: i64 = 60_000;

/// The log of what was sent, or is to be, to others than inboxes.
macro_rules! log {
    ($beyond:literal) => {
        concat!(
            "SELECT d.id, d.via, COALESCE(p.name, c.name, '') AS recipient, d.state, d.attempts, d.next_at, d.last_error,
                d.created_at, d.done_at, d.alert_id IS NULL AS is_test, COALESCE(a.id, '') AS alert_id,
                COALESCE(a.subject_kind, 'org') AS subject_kind, COALESCE(a.subject_id, '') AS subject_id,
                COALESCE(a.threshold, 0) AS threshold, COALESCE(a.facts, '') AS facts, COALESCE(a.created_at, 0) AS alert_at,
                COALESCE((SELECT k.name FROM keys k WHERE a.subject_kind = 'key' AND k.id = a.subject_id),
                    (SELECT t.name FROM teams t WHERE a.subject_kind = 'team' AND t.id = a.subject_id),
                    (SELECT p.name FROM providers p WHERE a.subject_kind = 'provider' AND p.id = a.subject_id),
                    (SELECT o.name FROM orgs o WHERE o.id = d.org_id)) AS subject_name
            FROM alert_deliveries d LEFT JOIN alerts a ON a.id = d.alert_id
            LEFT JOIN people p ON p.id = d.person_id LEFT JOIN alert_channels c ON c.id = d.channel_id
            WHERE d.org_id = $1 AND d.via <> 'inbox' AND COALESCE(a.kind, '') <> 'provider' AND ", $beyond
        )
    };
}

statements! {
    ANY_DUE = "SELECT 1 FROM alert_deliveries WHERE state IN ('pending', 'failed') AND next_at <= $1 AND leased_until <= $1
        AND via = $2 LIMIT 1";
    /// What else is due for the people who get a mail of this lease, so that it is one mail.
    LEASE_REST = "UPDATE alert_deliveries SET leased_until = $2, attempts = attempts + 1
        WHERE via = 'mail' AND state IN ('pending', 'failed') AND next_at <= $1 AND leased_until <= $1
            AND (person_id, org_id) IN (SELECT l.person_id, l.org_id FROM alert_deliveries l
                WHERE l.via = 'mail' AND l.state IN ('pending', 'failed') AND l.leased_until = $2)";
    LETTERS = concat!("SELECT d.id, d.org_id, d.person_id, p.email, o.slug, o.name AS org_name, o.zone, d.attempts, d.created_at,
            CASE WHEN p.disabled_at IS NULL AND ", may_see!("a.subject_kind", "a.subject_id"), " THEN 1 ELSE 0 END AS may_see, ",
            alert_columns!(), "
        FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id JOIN people p ON p.id = d.person_id
        JOIN orgs o ON o.id = d.org_id JOIN memberships m ON m.org_id = d.org_id AND m.person_id = d.person_id
        WHERE d.leased_until = $1 AND d.via = 'mail' AND d.state IN ('pending', 'failed') ORDER BY d.id");
    POSTS = "SELECT d.id, d.channel_id, c.org_id, o.slug, o.name AS org_name, o.zone, c.form, c.url, c.secret, c.removed_at, d.attempts,
            d.created_at
        FROM alert_deliveries d JOIN alert_channels c ON c.id = d.channel_id JOIN orgs o ON o.id = d.org_id
        WHERE d.leased_until = $1 AND d.via = 'webhook' AND d.state IN ('pending', 'failed') ORDER BY d.id";
    ALERT_OF = concat!("SELECT ", alert_columns!(), " FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id WHERE d.id = $1");
    /// What was sent stays so: a worker whose lease ran out may hear later than another one.
    DONE = "UPDATE alert_deliveries SET state = $2, done_at = $3, last_error = $4, leased_until = 0 WHERE id = $1 AND state <> 'sent'";
    AGAIN = "UPDATE alert_deliveries SET state = 'failed', next_at = $2, last_error = $3, leased_until = 0
        WHERE id = $1 AND state IN ('pending', 'failed')";
    /// Not tried: what else is due for this channel waits as long.
    POSTPONE = "UPDATE alert_deliveries SET next_at = $2, leased_until = 0 WHERE channel_id = $1 AND state IN ('pending', 'failed') AND next_at < $2";
    LOG = concat!(log!("d.id < $2"), " ORDER BY d.id DESC LIMIT $3");
    LOG_BACKWARDS = concat!(log!("d.id > $2"), " ORDER BY d.id LIMIT $3");
    LEASE_JOB = "INSERT INTO job_leases (name, node, leased_until) VALUES ($1, $2, $4)
        ON CONFLICT (name) DO UPDATE SET node = excluded.node, leased_until = excluded.leased_until
        WHERE job_leases.node = excluded.node OR job_leases.leased_until <= $3 OR job_leases.leased_until > $5";
    /// A job that is done once: its row says that it is.
    DONE_ONCE = "SELECT 1 FROM job_leases WHERE name = $1";
    DO_ONCE = "INSERT INTO job_leases (name, node, leased_until) VALUES ($1, '', $2) ON CONFLICT (name) DO NOTHING";
}

/// Leases what is due on one way, the oldest first: of a channel a few, of a person all or, where a mail was sent within the last minute,
/// nothing. The moment until which they are leased is also their mark.
fn lease_text(dialect: Dialect) -> String {
    let skip = match dialect {
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
    };
    format!(
        "UPDATE alert_deliveries SET leased_until = $2, attempts = attempts + 1 WHERE id IN (
            SELECT d.id FROM alert_deliveries d WHERE d.id IN (
                SELECT n.id FROM (SELECT due.id, due.via, due.next_at,
                        ROW_NUMBER() OVER (PARTITION BY due.via, due.channel_id ORDER BY due.next_at, due.id) AS number
                    FROM alert_deliveries due
                    WHERE due.via = $6 AND due.state IN ('pending', 'failed') AND due.next_at <= $1 AND due.leased_until <= $1
                    AND (due.via <> 'mail' OR NOT EXISTS (SELECT 1 FROM alert_deliveries s WHERE s.person_id = due.person_id
                        AND s.org_id = due.org_id AND s.via = 'mail' AND s.state = 'sent' AND s.done_at > $3 AND s.done_at <= $1))
                ) n WHERE n.via = 'mail' OR n.number <= $4 ORDER BY n.next_at, n.id LIMIT $5)
            AND d.state IN ('pending', 'failed') AND d.leased_until <= $1{skip})"
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![lease_text(dialect)]
}

/// Whether this node does the job until `until`: when no other has it. A lease from a clock far ahead does not count.
///
/// # Errors
/// When the database cannot be written.
pub async fn lease_job(
    tx: &mut Tx,
    name: &str,
    node: &str,
    now: Moment,
    until: Moment,
) -> Result<bool, StoreError> {
    let longest = until.plus_ms(until.ms() - now.ms());
    let rows = changed!(
        tx,
        sqlx::query(LEASE_JOB).bind(name).bind(node).bind(now.ms()).bind(until.ms()).bind(longest.ms())
    )?;
    Ok(rows == 1)
}

/// Whether this job, which is done once for all time, was done.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_done(via: &mut impl Via, name: &str) -> Result<bool, StoreError> {
    let row: Option<i32> = run!(via, fetch_optional, sqlx::query_scalar::<_, i32>(DONE_ONCE).bind(name))?;
    Ok(row.is_some())
}

/// Notes that this job is done for all time.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_done(tx: &mut Tx, name: &str, now: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(DO_ONCE).bind(name).bind(now.ms()))?;
    Ok(())
}

/// Whether anything is due on this way: asked before a transaction that writes.
///
/// # Errors
/// When the database cannot be read.
pub async fn any_due(via: &mut impl Via, way: Way, now: Moment) -> Result<bool, StoreError> {
    let row: Option<i32> =
        run!(via, fetch_optional, sqlx::query_scalar::<_, i32>(ANY_DUE).bind(now.ms()).bind(way.as_str()))?;
    Ok(row.is_some())
}

/// Leases what is due on this way; the answer marks what was leased, and `jitter` tells it from another worker's of the same moment.
/// `None` when there is nothing.
///
/// # Errors
/// When the database cannot be written.
pub async fn lease(tx: &mut Tx, way: Way, jitter: u16, now: Moment) -> Result<Option<Moment>, StoreError> {
    let text = lease_text(Dialect::of(tx));
    let mark = now.plus_ms(LEASE_MS + i64::from(jitter));
    let rows = changed!(
        &mut *tx,
        sqlx::query(AssertSqlSafe(text.clone()))
            .bind(now.ms())
            .bind(mark.ms())
            .bind(now.plus_ms(-MAIL_EVERY_MS).ms())
            .bind(MAX_OF_CHANNEL)
            .bind(MAX_LEASED)
            .bind(way.as_str())
    )?;
    if way == Way::Mail && rows >= MAX_LEASED.unsigned_abs() {
        changed!(tx, sqlx::query(LEASE_REST).bind(now.ms()).bind(mark.ms()))?;
    }
    Ok((rows > 0).then_some(mark))
}

/// The organisation of a delivery, for links and words.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its id.
    pub org: OrgId,
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// The time zone of its moments.
    pub zone: Zone,
}

/// A delivery that is being tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: DeliveryId,
    /// This one among them.
    pub attempts: i64,
    /// When it was written.
    pub created_at: Moment,
}

/// An alert for one person by mail.
#[derive(Clone, Debug)]
pub struct MailDue {
    /// The delivery.
    pub attempt: Attempt,
    /// The organisation.
    pub place: Place,
    /// The person.
    pub person: PersonId,
    /// Where the mail goes.
    pub email: String,
    /// Whether the person may still see what it is about.
    pub may_see: bool,
    /// The alert.
    pub alert: Alert,
}

/// An alert, or a test, for one webhook.
#[derive(Clone)]
pub struct PostDue {
    /// The delivery.
    pub attempt: Attempt,
    /// The organisation.
    pub place: Place,
    /// The channel.
    pub channel: ChannelId,
    /// How it is written.
    pub form: ChannelForm,
    /// Its address, sealed for the channel.
    pub url: Vec<u8>,
    /// What it is signed with, sealed for the channel.
    pub secret: Option<Vec<u8>>,
    /// The channel was removed meanwhile.
    pub removed: bool,
    /// `None` is a test.
    pub alert: Option<Alert>,
}

#[derive(sqlx::FromRow)]
struct MailRow {
    id: String,
    org_id: String,
    person_id: String,
    email: String,
    slug: String,
    org_name: String,
    zone: String,
    attempts: i64,
    created_at: i64,
    may_see: i32,
    #[sqlx(flatten)]
    alert: AlertRow,
}

#[derive(sqlx::FromRow)]
struct PostRow {
    id: String,
    channel_id: String,
    org_id: String,
    slug: String,
    org_name: String,
    zone: String,
    form: String,
    url: Vec<u8>,
    secret: Option<Vec<u8>>,
    removed_at: Option<i64>,
    attempts: i64,
    created_at: i64,
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { column }
}

fn attempt(id: &str, attempts: i64, created_at: i64) -> Result<Attempt, StoreError> {
    let id = DeliveryId::parse(id).ok_or(unreadable("alert_deliveries.id"))?;
    Ok(Attempt { id, attempts, created_at: Moment::from_ms(created_at) })
}

fn place(org: &str, slug: String, name: String, zone: &str) -> Result<Place, StoreError> {
    let org = OrgId::parse(org).ok_or(unreadable("alert_deliveries.org_id"))?;
    Ok(Place { org, slug, name, zone: Zone::parse(zone).ok_or(unreadable("orgs.zone"))? })
}

/// The mails that were leased under this mark.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn letters(via: &mut impl Via, mark: Moment) -> Result<Vec<MailDue>, StoreError> {
    let rows: Vec<MailRow> = run!(via, fetch_all, sqlx::query_as::<_, MailRow>(LETTERS).bind(mark.ms()))?;
    let read = |row: MailRow| {
        Ok(MailDue {
            attempt: attempt(&row.id, row.attempts, row.created_at)?,
            place: place(&row.org_id, row.slug, row.org_name, &row.zone)?,
            person: PersonId::parse(&row.person_id).ok_or(unreadable("alert_deliveries.person_id"))?,
            email: row.email,
            may_see: row.may_see == 1,
            alert: row.alert.try_into()?,
        })
    };
    rows.into_iter().map(read).collect()
}

/// The webhooks that were leased under this mark.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn posts(via: &mut impl Via, mark: Moment) -> Result<Vec<PostDue>, StoreError> {
    let rows: Vec<PostRow> = run!(via, fetch_all, sqlx::query_as::<_, PostRow>(POSTS).bind(mark.ms()))?;
    let mut due = Vec::new();
    for row in rows {
        let alert: Option<AlertRow> =
            run!(via, fetch_optional, sqlx::query_as::<_, AlertRow>(ALERT_OF).bind(&row.id))?;
        due.push(PostDue {
            attempt: attempt(&row.id, row.attempts, row.created_at)?,
            place: place(&row.org_id, row.slug, row.org_name, &row.zone)?,
            channel: ChannelId::parse(&row.channel_id).ok_or(unreadable("alert_deliveries.channel_id"))?,
            form: ChannelForm::parse(&row.form).ok_or(unreadable("alert_channels.form"))?,
            url: row.url,
            secret: row.secret,
            removed: row.removed_at.is_some(),
            alert: alert.map(Alert::try_from).transpose()?,
        });
    }
    Ok(due)
}

/// Marks a delivery as sent.
///
/// # Errors
/// When the database cannot be written.
pub async fn sent(tx: &mut Tx, id: &DeliveryId, now: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(DONE).bind(id.as_str()).bind("sent").bind(now.ms()).bind(""))?;
    Ok(())
}

/// Marks a delivery as tried in vain: it is tried again later, or given up after a day or where trying changes nothing. What
/// else is due for the same channel waits as long.
///
/// # Errors
/// When the database cannot be written.
pub async fn failed(
    tx: &mut Tx,
    attempt: &Attempt,
    channel: Option<&ChannelId>,
    failure: Failure,
    now: Moment,
) -> Result<(), StoreError> {
    let (id, code) = (attempt.id.as_str(), failure.code());
    let next = now.plus_ms(Backoff::wait_ms(attempt.attempts));
    if failure.is_final() || now >= attempt.created_at.plus_ms(Backoff::GIVE_UP_MS) {
        changed!(&mut *tx, sqlx::query(DONE).bind(id).bind("given_up").bind(now.ms()).bind(code))?;
        return Ok(());
    }
    changed!(&mut *tx, sqlx::query(AGAIN).bind(id).bind(next.ms()).bind(code))?;
    if let Some(channel) = channel {
        changed!(tx, sqlx::query(POSTPONE).bind(channel.as_str()).bind(next.ms()))?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct LogRow {
    id: String,
    via: String,
    recipient: String,
    state: String,
    attempts: i64,
    next_at: i64,
    last_error: String,
    created_at: i64,
    done_at: Option<i64>,
    is_test: bool,
    #[sqlx(flatten)]
    alert: AlertRow,
}

/// A page of what was sent by mail and webhook, or is to be, the newest first.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn log(via: &mut impl Via, org: &OrgId, at: Option<&Cursor>) -> Result<Page<Delivery>, StoreError> {
    let text = if at.is_some_and(Cursor::backwards) { LOG_BACKWARDS } else { LOG };
    let rows: Vec<LogRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, LogRow>(text)
            .bind(org.as_str())
            .bind(at.map_or("~", Cursor::id))
            .bind(PAGE_ROWS as i64 + 1)
    )?;
    Page::read(rows, at, |row| (String::new(), row.id.clone())).try_map(|row| {
        Ok(Delivery {
            id: DeliveryId::parse(&row.id).ok_or(unreadable("alert_deliveries.id"))?,
            via: Way::parse(&row.via).ok_or(unreadable("alert_deliveries.via"))?,
            to: row.recipient,
            alert: if row.is_test { None } else { Some(row.alert.try_into()?) },
            state: DeliveryState::parse(&row.state).ok_or(unreadable("alert_deliveries.state"))?,
            attempts: row.attempts,
            next_at: Moment::from_ms(row.next_at),
            failure: Failure::parse(&row.last_error),
            created_at: Moment::from_ms(row.created_at),
            done_at: row.done_at.map(Moment::from_ms),
        })
    })
}
