//! The audit: one row per change, in the change's own transaction, numbered without holes per organisation and chained
//! by hash. Rows are only ever added; the database itself refuses anything else.

use sha2::{Digest, Sha256};

use super::permit::compare;
use super::{StoreError, Via, changed, run, statements};
use crate::domain::audit::{Change, Event, EventKind, PastEvent};
use crate::domain::ids::OrgId;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Authority, Chain, Permit};

statements! {
    /// Takes the next number. The row lock (or SQLite's write lock) makes writers of one organisation queue here.
    NEXT = "INSERT INTO audit_heads (chain_id, seq, hash) VALUES ($1, 1, $2)
        ON CONFLICT (chain_id) DO UPDATE SET seq = audit_heads.seq + 1 RETURNING seq, hash";
    SET_HEAD = "UPDATE audit_heads SET hash = $2 WHERE chain_id = $1";
    INSERT = "INSERT INTO audit_events (chain_id, seq, at, actor_id, actor_name, kind, subject_id, subject_name,
            changes, address, request_id, previous_hash, hash, org_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    OF_SUBJECT = "SELECT seq, at, actor_id, actor_name, kind, subject_id, subject_name, changes, address, request_id
        FROM audit_events
        WHERE chain_id = $1 AND subject_id = $2 ORDER BY seq DESC LIMIT $3";
    /// Bounded by what one person can do in that time.
    RECENT_SUPPORT_ACCESS = "SELECT changes FROM audit_events WHERE chain_id = $1 AND at > $2 AND actor_id = $3 AND subject_id = $4
        AND kind = 'support.accessed' LIMIT 1000";
    HEAD = "SELECT seq, hash FROM audit_heads WHERE chain_id = $1";
    LINKS = "SELECT seq, at, actor_id, actor_name, kind, subject_id, subject_name, changes, address, request_id,
            previous_hash, hash
        FROM audit_events WHERE chain_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    ORGS = "SELECT id, slug FROM orgs ORDER BY slug";
}

/// Writes the event to each of the authority's chains.
pub(super) async fn append(
    via: &mut impl Via,
    authority: &Authority,
    event: &Event,
    now: Moment,
) -> Result<(), StoreError> {
    for chain in authority.chains() {
        append_to(via, chain, authority, event, now).await?;
    }
    Ok(())
}

async fn append_to(
    via: &mut impl Via,
    in_chain: &Chain,
    authority: &Authority,
    event: &Event,
    now: Moment,
) -> Result<(), StoreError> {
    let id = in_chain.id();
    let first: &[u8] = &[0; 32];
    let (seq, previous): (i64, Vec<u8>) =
        run!(&mut *via, fetch_one, sqlx::query_as::<_, (i64, Vec<u8>)>(NEXT).bind(id).bind(first))?;
    let changes = serde_json::to_string(&event.changes).unwrap_or_default();
    let hash = chain(
        &previous,
        &[
            id,
            &seq.to_string(),
            &now.ms().to_string(),
            authority.actor().id(),
            authority.actor().name(),
            event.kind.as_str(),
            &event.subject_id,
            &event.subject_name,
            &changes,
            authority.address(),
            authority.request_id(),
        ],
    );
    changed!(
        &mut *via,
        sqlx::query(INSERT)
            .bind(id)
            .bind(seq)
            .bind(now.ms())
            .bind(authority.actor().id())
            .bind(authority.actor().name())
            .bind(event.kind.as_str())
            .bind(&event.subject_id)
            .bind(&event.subject_name)
            .bind(&changes)
            .bind(authority.address())
            .bind(authority.request_id())
            .bind(&previous)
            .bind(&hash)
            .bind(in_chain.org().map(OrgId::as_str))
    )?;
    changed!(&mut *via, sqlx::query(SET_HEAD).bind(id).bind(&hash))?;
    Ok(())
}

/// Each part is hashed with its length before it, so that no two rows can read the same.
fn chain(previous: &[u8], parts: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(previous);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().to_vec()
}

/// The columns of an event as it is read back.
pub(super) const EVENT_COLUMNS: &str =
    "seq, at, actor_id, actor_name, kind, subject_id, subject_name, changes, address, request_id";

#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    seq: i64,
    at: i64,
    actor_id: String,
    actor_name: String,
    kind: String,
    subject_id: String,
    subject_name: String,
    changes: String,
    address: String,
    request_id: String,
}

impl TryFrom<EventRow> for PastEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        Ok(PastEvent {
            seq: row.seq,
            at: Moment::from_ms(row.at),
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            kind: EventKind::parse(&row.kind)
                .ok_or(StoreError::Unreadable { column: "audit_events.kind" })?,
            subject_id: row.subject_id,
            subject_name: row.subject_name,
            changes: read_changes(&row.changes)?,
            address: row.address,
            request_id: row.request_id,
        })
    }
}

/// The newest events about one thing.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn of_subject(
    via: &mut impl Via,
    org: &OrgId,
    subject: &str,
    max: i64,
) -> Result<Vec<PastEvent>, StoreError> {
    let rows: Vec<EventRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, EventRow>(OF_SUBJECT).bind(org.as_str()).bind(subject).bind(max)
    )?;
    rows.into_iter().map(PastEvent::try_from).collect()
}

/// Number and hash of a chain's newest event, as its head says.
///
/// # Errors
/// When the database cannot be read.
pub async fn head(via: &mut impl Via, in_chain: &Chain) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    run!(via, fetch_optional, sqlx::query_as::<_, (i64, Vec<u8>)>(HEAD).bind(in_chain.id()))
}

/// One event as the chain sees it: its number, the two hashes that stand in it, and the one that its content makes.
pub struct Link {
    /// The event's number, counted from 1 in its chain.
    pub seq: i64,
    /// The hash of the event before it, as stored; 32 zero bytes in the first event.
    pub previous: Vec<u8>,
    /// Its own hash, as stored.
    pub hash: Vec<u8>,
    /// The hash computed from its content and `previous`; differs from `hash` when the event was altered.
    pub content: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
    #[sqlx(flatten)]
    event: EventRow,
}

/// The next events of the chain behind number `after`, oldest first. What cannot be read as an event is a link all the
/// same: its text is hashed as it stands.
///
/// # Errors
/// When the database cannot be read.
pub async fn links(
    via: &mut impl Via,
    in_chain: &Chain,
    after: i64,
    max: i64,
) -> Result<Vec<Link>, StoreError> {
    let rows: Vec<LinkRow> =
        run!(via, fetch_all, sqlx::query_as::<_, LinkRow>(LINKS).bind(in_chain.id()).bind(after).bind(max))?;
    let link = |row: LinkRow| {
        let event = row.event;
        let (seq, at) = (event.seq.to_string(), event.at.to_string());
        let parts: [&str; 11] = [
            in_chain.id(),
            &seq,
            &at,
            &event.actor_id,
            &event.actor_name,
            &event.kind,
            &event.subject_id,
            &event.subject_name,
            &event.changes,
            &event.address,
            &event.request_id,
        ];
        let content = chain(&row.previous_hash, &parts);
        Link { seq: event.seq, previous: row.previous_hash, hash: row.hash, content }
    };
    Ok(rows.into_iter().map(link).collect())
}

/// Id and slug of every organisation, for what goes through all audits.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn orgs(via: &mut impl Via) -> Result<Vec<(OrgId, String)>, StoreError> {
    let rows: Vec<(String, String)> = run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(ORGS))?;
    rows.into_iter()
        .map(|(id, slug)| Ok((OrgId::parse(&id).ok_or(StoreError::Unreadable { column: "orgs.id" })?, slug)))
        .collect()
}

/// What the permit's holder lately looked at of one thing, as support.
///
/// # Errors
/// `WrongPermit` when the permit is not for support's access; otherwise when the database or a value cannot be read.
pub async fn recent_support_access(
    via: &mut impl Via,
    permit: &Permit,
    subject: &str,
    since: Moment,
) -> Result<Vec<Vec<Change>>, StoreError> {
    compare(permit, &[Action::AccessAsSupport], None)?;
    let rows: Vec<String> = run!(
        via,
        fetch_all,
        sqlx::query_scalar::<_, String>(RECENT_SUPPORT_ACCESS)
            .bind(permit.org().as_str())
            .bind(since.ms())
            .bind(permit.actor().id())
            .bind(subject)
    )?;
    rows.iter().map(|changes| read_changes(changes)).collect()
}

fn read_changes(json: &str) -> Result<Vec<Change>, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Unreadable { column: "audit_events.changes" })
}
