//! Who is signed in. Only the SHA-256 of a cookie's value is stored, and an ended session keeps its row: saving one can
//! never bring it back, however late a slow request comes.

use super::people::{self, PersonRow};
use super::permit::compare;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{PersonId, SessionId};
use crate::domain::moment::Moment;
use crate::domain::person::Person;
use crate::domain::policy::{AccountPermit, Action, Authorized, Chain, OperatorPermit};
use crate::domain::session::OpenSession;

statements! {
    INSERT = "INSERT INTO sessions (hash, id, person_id, data, address, user_agent, created_at, seen_at, reauthenticated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7) ON CONFLICT (hash) DO NOTHING";
    LOAD = "SELECT s.data, s.seen_at FROM sessions s JOIN people p ON p.id = s.person_id
        WHERE s.hash = $1 AND s.ended_at IS NULL AND s.seen_at > $2 AND s.created_at > $3 AND p.disabled_at IS NULL";
    /// Whose session it is, read again for each request.
    WHO = "SELECT s.id AS session_id, s.reauthenticated_at, p.id, p.name, p.email, p.platform_role, p.theme, p.totp_since
        FROM sessions s JOIN people p ON p.id = s.person_id
        WHERE s.hash = $1 AND s.ended_at IS NULL AND p.disabled_at IS NULL";
    /// Also of one that is over.
    WHOSE = "SELECT person_id FROM sessions WHERE hash = $1";
    ADDRESSES = "SELECT address FROM sessions WHERE person_id = $1 ORDER BY created_at DESC LIMIT 100";
    /// The same by the session's id, for work that goes on after the request that began it.
    STILL = "SELECT p.id, p.name, p.email, p.platform_role, p.theme, p.totp_since
        FROM sessions s JOIN people p ON p.id = s.person_id
        WHERE s.id = $1 AND s.ended_at IS NULL AND p.disabled_at IS NULL";
    FRESHEN = "UPDATE sessions SET reauthenticated_at = $2 WHERE id = $1 AND ended_at IS NULL";
    SAVE = "UPDATE sessions SET data = $2 WHERE hash = $1 AND ended_at IS NULL";
    SEEN = "UPDATE sessions SET seen_at = $2 WHERE hash = $1 AND ended_at IS NULL AND seen_at < $2";
    END = "UPDATE sessions SET ended_at = $2, data = '{}' WHERE hash = $1 AND ended_at IS NULL";
    END_ALL = "UPDATE sessions SET ended_at = $2, data = '{}' WHERE person_id = $1 AND ended_at IS NULL";
    END_ONE = "UPDATE sessions SET ended_at = $3, data = '{}' WHERE id = $1 AND person_id = $2 AND ended_at IS NULL
        RETURNING user_agent, address";
    END_OTHERS = "UPDATE sessions SET ended_at = $3, data = '{}' WHERE person_id = $1 AND id <> $2 AND ended_at IS NULL";
    END_EVERY = "UPDATE sessions SET ended_at = $1, data = '{}' WHERE ended_at IS NULL";
    /// Newest first. No one has more than fit on a page, but by signing in again and again.
    LIST = "SELECT id, address, user_agent, created_at, seen_at FROM sessions
        WHERE person_id = $1 AND ended_at IS NULL AND seen_at > $2 AND created_at > $3
        ORDER BY created_at DESC, id DESC LIMIT 100";
    SWEEP = "DELETE FROM sessions WHERE created_at < $1";
}

/// What a new session is stored with.
pub struct NewSession<'a> {
    /// SHA-256 of the cookie's value.
    pub hash: &'a [u8],
    /// The session's id.
    pub id: &'a SessionId,
    /// The person's id.
    pub person: &'a PersonId,
    /// JSON.
    pub data: &'a str,
    /// The client's IP address at sign-in; empty when it is unknown.
    pub address: &'a str,
    /// The client's user agent at sign-in; empty when it sent none.
    pub user_agent: &'a str,
    /// The moment that stands for the password that was right.
    pub password_set_at: Moment,
}

/// Whether a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Its row is part of the transaction.
    Yes,
    /// The hash is taken: the caller draws another.
    IdTaken,
    /// The password was changed meanwhile, or the person disabled.
    Refused,
}

/// A session begins only while the password that was verified for it is still the person's: a person who sets another locks the
/// person's row too, and ends afterwards what began before.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, new: &NewSession<'_>, now: Moment) -> Result<Begun, StoreError> {
    if people::lock_password(tx, new.person).await? != Some(new.password_set_at) {
        return Ok(Begun::Refused);
    }
    let rows = changed!(
        tx,
        sqlx::query(INSERT)
            .bind(new.hash)
            .bind(new.id.as_str())
            .bind(new.person.as_str())
            .bind(new.data)
            .bind(new.address)
            .bind(new.user_agent)
            .bind(now.ms())
    )?;
    Ok(if rows == 1 { Begun::Yes } else { Begun::IdTaken })
}

/// The session's data and when it was last seen, if it still lives: seen after `idle_since`, begun after `begun_since`.
///
/// # Errors
/// When the database cannot be read.
pub async fn load(
    via: &mut impl Via,
    hash: &[u8],
    idle_since: Moment,
    begun_since: Moment,
) -> Result<Option<(String, Moment)>, StoreError> {
    let row: Option<(String, i64)> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, (String, i64)>(LOAD).bind(hash).bind(idle_since.ms()).bind(begun_since.ms())
    )?;
    Ok(row.map(|(data, seen)| (data, Moment::from_ms(seen))))
}

#[derive(sqlx::FromRow)]
struct WhoRow {
    session_id: String,
    reauthenticated_at: i64,
    #[sqlx(flatten)]
    person: PersonRow,
}

/// The session's id, when its person last proved who they are, and the person.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn who(via: &mut impl Via, hash: &[u8]) -> Result<Option<(SessionId, Moment, Person)>, StoreError> {
    let row: Option<WhoRow> = run!(via, fetch_optional, sqlx::query_as::<_, WhoRow>(WHO).bind(hash))?;
    row.map(|row| {
        let id = SessionId::parse(&row.session_id).ok_or(StoreError::Unreadable { column: "sessions.id" })?;
        Ok((id, Moment::from_ms(row.reauthenticated_at), Person::try_from(row.person)?))
    })
    .transpose()
}

/// Whose session it is or was; its row stays for a month after it has ended.
///
/// # Errors
/// When the database cannot be read.
pub async fn whose(via: &mut impl Via, hash: &[u8]) -> Result<Option<PersonId>, StoreError> {
    let id: Option<String> = run!(via, fetch_optional, sqlx::query_scalar::<_, String>(WHOSE).bind(hash))?;
    Ok(id.and_then(|id| PersonId::parse(&id)))
}

/// Where the person's newest sessions began, also those that are over. `None` is a person who does not exist.
///
/// # Errors
/// When the database cannot be read.
pub async fn addresses_of(via: &mut impl Via, person: Option<&PersonId>) -> Result<Vec<String>, StoreError> {
    let person = person.map_or("", PersonId::as_str);
    run!(via, fetch_all, sqlx::query_scalar::<_, String>(ADDRESSES).bind(person))
}

/// The person of a session that has not ended.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn still(via: &mut impl Via, session: &SessionId) -> Result<Option<Person>, StoreError> {
    let row: Option<PersonRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, PersonRow>(STILL).bind(session.as_str()))?;
    row.map(Person::try_from).transpose()
}

/// The session's person has just proved again who they are.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_reauthenticated(tx: &mut Tx, session: &SessionId, now: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(FRESHEN).bind(session.as_str()).bind(now.ms()))?;
    Ok(())
}

/// Replaces the session's data (JSON); one that has ended is left as it is.
///
/// # Errors
/// When the database cannot be written.
pub async fn save(tx: &mut Tx, hash: &[u8], data: &str) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(SAVE).bind(hash).bind(data))?;
    Ok(())
}

/// Moves the time when the session was last seen, forward only; one that has ended is left as it is.
///
/// # Errors
/// When the database cannot be written.
pub async fn seen(tx: &mut Tx, hash: &[u8], now: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(SEEN).bind(hash).bind(now.ms()))?;
    Ok(())
}

/// Ends the session and empties its data; one that has ended is left as it is.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(tx: &mut Tx, hash: &[u8], now: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(END).bind(hash).bind(now.ms()))?;
    Ok(())
}

/// Ends every session of the person and empties their data.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn end_all(
    tx: &mut Tx,
    permit: &impl Authorized,
    person: &PersonId,
    now: Moment,
) -> Result<(), StoreError> {
    let actions = [Action::OwnAccount, Action::ResetPassword, Action::DisableMember, Action::RemoveMember];
    compare(permit, &actions, Some(person.as_str()))?;
    changed!(tx, sqlx::query(END_ALL).bind(person.as_str()).bind(now.ms()))?;
    Ok(())
}

/// Ends the sessions of every person and empties their data; answers how many.
///
/// # Errors
/// `WrongPermit` when the permit is for another action; otherwise when the database cannot be written.
pub async fn end_every(tx: &mut Tx, permit: &OperatorPermit, now: Moment) -> Result<u64, StoreError> {
    tx.charge(permit, &[Action::SignEveryoneOut], Chain::Installation.id())?;
    changed!(tx, sqlx::query(END_EVERY).bind(now.ms()))
}

/// Those that still live: seen after `idle_since`, begun after `begun_since`.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(
    via: &mut impl Via,
    person: &PersonId,
    idle_since: Moment,
    begun_since: Moment,
) -> Result<Vec<OpenSession>, StoreError> {
    type Row = (String, String, String, i64, i64);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(LIST).bind(person.as_str()).bind(idle_since.ms()).bind(begun_since.ms())
    )?;
    rows.into_iter()
        .map(|(id, address, user_agent, begun, seen)| {
            Ok(OpenSession {
                id: SessionId::parse(&id).ok_or(StoreError::Unreadable { column: "sessions.id" })?,
                address,
                user_agent,
                begun_at: Moment::from_ms(begun),
                seen_at: Moment::from_ms(seen),
            })
        })
        .collect()
}

/// Ends one session of the person; gives its user agent and address, or `None` when it is none of theirs or over.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn end_one(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    session: &SessionId,
    now: Moment,
) -> Result<Option<(String, String)>, StoreError> {
    tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    run!(
        tx,
        fetch_optional,
        sqlx::query_as::<_, (String, String)>(END_ONE)
            .bind(session.as_str())
            .bind(person.as_str())
            .bind(now.ms())
    )
}

/// How many were ended.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn end_others(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    kept: &SessionId,
    now: Moment,
) -> Result<u64, StoreError> {
    tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    changed!(tx, sqlx::query(END_OTHERS).bind(person.as_str()).bind(kept.as_str()).bind(now.ms()))
}

/// Forgets sessions so old that none of them can still be valid.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, begun_before: Moment) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(SWEEP).bind(begun_before.ms()))
}
