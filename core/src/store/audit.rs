//! The audit: one row per change, in the change's own transaction, numbered without holes per organisation and chained
//! by hash. Rows are only ever added; the database itself refuses anything else.

use sha2::{Digest, Sha256};

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::audit::{Change, Event, EventKind, PastEvent};
use crate::domain::ids::OrgId;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Permit};

statements! {
    /// Takes the next number. The row lock (or SQLite's write lock) makes writers of one organisation queue here.
    NEXT = "INSERT INTO audit_heads (org_id, seq, hash) VALUES ($1, 1, $2)
        ON CONFLICT (org_id) DO UPDATE SET seq = audit_heads.seq + 1 RETURNING seq, hash";
    SET_HEAD = "UPDATE audit_heads SET hash = $2 WHERE org_id = $1";
    INSERT = "INSERT INTO audit_events (org_id, seq, at, actor_id, actor_name, kind, subject_id, subject_name,
            changes, address, request_id, previous_hash, hash)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    OF_SUBJECT = "SELECT at, actor_name, kind, subject_name, changes FROM audit_events
        WHERE org_id = $1 AND subject_id = $2 ORDER BY seq DESC LIMIT $3";
    /// Bounded by what one person can do in that time.
    LOOKS_SINCE = "SELECT changes FROM audit_events WHERE org_id = $1 AND at > $2 AND actor_id = $3 AND subject_id = $4
        AND kind = 'support.looked' LIMIT 1000";
}

pub(super) async fn append(
    tx: &mut Tx,
    permit: &Permit,
    event: &Event,
    now: Moment,
) -> Result<(), StoreError> {
    let org = permit.org().as_str();
    let first: &[u8] = &[0; 32];
    let (seq, previous): (i64, Vec<u8>) =
        run!(&mut *tx, fetch_one, sqlx::query_as::<_, (i64, Vec<u8>)>(NEXT).bind(org).bind(first))?;
    let changes = serde_json::to_string(&event.changes).unwrap_or_default();
    let hash = chain(
        &previous,
        &[
            org,
            &seq.to_string(),
            &now.ms().to_string(),
            permit.actor().id(),
            permit.actor().name(),
            event.kind.as_str(),
            &event.subject_id,
            &event.subject_name,
            &changes,
            permit.address(),
            permit.request_id(),
        ],
    );
    changed!(
        &mut *tx,
        sqlx::query(INSERT)
            .bind(org)
            .bind(seq)
            .bind(now.ms())
            .bind(permit.actor().id())
            .bind(permit.actor().name())
            .bind(event.kind.as_str())
            .bind(&event.subject_id)
            .bind(&event.subject_name)
            .bind(&changes)
            .bind(permit.address())
            .bind(permit.request_id())
            .bind(&previous)
            .bind(&hash)
    )?;
    changed!(&mut *tx, sqlx::query(SET_HEAD).bind(org).bind(&hash))?;
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

/// The newest events about one thing.
pub async fn of_subject(
    via: &mut impl Via,
    org: &OrgId,
    subject: &str,
    most: i64,
) -> Result<Vec<PastEvent>, StoreError> {
    type Row = (i64, String, String, String, String);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(OF_SUBJECT).bind(org.as_str()).bind(subject).bind(most)
    )?;
    rows.into_iter()
        .map(|(at, actor_name, kind, subject_name, changes)| {
            Ok(PastEvent {
                at: Moment::from_ms(at),
                actor_name,
                kind: EventKind::parse(&kind)
                    .ok_or(StoreError::Unreadable { column: "audit_events.kind" })?,
                subject_name,
                changes: read_changes(&changes)?,
            })
        })
        .collect()
}

/// What the permit's holder lately looked at of one thing, as support.
pub async fn looks_since(
    tx: &mut Tx,
    permit: &Permit,
    subject: &str,
    since: Moment,
) -> Result<Vec<Vec<Change>>, StoreError> {
    permit.must_be(&[Action::LookIn]);
    let rows: Vec<String> = run!(
        tx,
        fetch_all,
        sqlx::query_scalar::<_, String>(LOOKS_SINCE)
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
