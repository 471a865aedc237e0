//! The secrets of a key: which work, how they are used, and their rotation. Who changes them has locked the key
//! (`keys::lock`); an index allows no second current one. Plain secrets and their hashes are never read here.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{KeyId, OrgId, SecretId};
use crate::domain::key_format::SecretHash;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Permit};
use crate::domain::rotation::{KeySecret, KeySecrets, SecretEnd};

/// Billed requests since a rotation that are counted.
const MAX_COUNTED: i64 = 10_000;

/// When the secret `s` ends: at a moment, or so long after the first use of the key's current secret. NULL is no end yet.
macro_rules! end_of_secret {
    () => {
        "CASE WHEN s.grace_ms IS NULL THEN s.expires_at
            ELSE (SELECT c.first_used_at FROM key_secrets c WHERE c.key_id = s.key_id AND c.replaced_at IS NULL) + s.grace_ms END"
    };
}
pub(super) use end_of_secret;

statements! {
    OF_KEY = concat!("SELECT s.id, s.made_with, s.prefix, s.last_four, s.created_at, s.replaced_at, s.grace_ms, ", end_of_secret!(), " AS ends_at,
            s.first_used_at, s.last_used_at
        FROM key_secrets s WHERE s.org_id = $1 AND s.key_id = $2
            AND (s.replaced_at IS NULL OR COALESCE(", end_of_secret!(), ", 9007199254740991) > $3)");
    /// Of the newest requests, so that a busy key is no slower to look at.
    USES = "SELECT secret_id, address, COUNT(*), MAX(started_at) FROM (
            SELECT secret_id, address, started_at FROM usage WHERE key_id = $1 AND started_at >= $2
            ORDER BY started_at DESC LIMIT $3) newest
        GROUP BY secret_id, address ORDER BY 4 DESC, 2";
    /// What was to end after the first use of the secret that is now replaced ends at the moment that follows from it.
    SET_ENDS = "UPDATE key_secrets SET grace_ms = NULL, expires_at = grace_ms
            + (SELECT c.first_used_at FROM key_secrets c WHERE c.key_id = key_secrets.key_id AND c.replaced_at IS NULL)
        WHERE org_id = $1 AND key_id = $2 AND grace_ms IS NOT NULL AND EXISTS
            (SELECT 1 FROM key_secrets c WHERE c.key_id = $2 AND c.replaced_at IS NULL AND c.first_used_at IS NOT NULL)";
    REPLACE = "UPDATE key_secrets SET replaced_at = $4, expires_at = $5, grace_ms = $6
        WHERE org_id = $1 AND key_id = $2 AND id = $3 AND replaced_at IS NULL";
    INSERT = "INSERT INTO key_secrets (id, org_id, key_id, hash, prefix, last_four, created_at, made_with)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// The key's own columns are those of its current secret.
    SHOW = "UPDATE keys SET prefix = $3, last_four = $4, secret_created_at = $5 WHERE org_id = $1 AND id = $2";
    SET_END = concat!("UPDATE key_secrets AS s SET expires_at = $4, grace_ms = $5
        WHERE s.org_id = $1 AND s.key_id = $2 AND s.id = $3 AND s.replaced_at IS NOT NULL
            AND COALESCE(", end_of_secret!(), ", 9007199254740991) > $6");
    RESTORE = concat!("UPDATE key_secrets AS s SET replaced_at = NULL, expires_at = NULL, grace_ms = NULL
        WHERE s.org_id = $1 AND s.key_id = $2 AND s.id = $3 AND s.replaced_at IS NOT NULL
            AND COALESCE(", end_of_secret!(), ", 9007199254740991) > $4");
    /// The first use counts for the end of the secret before it.
    TOUCH = "UPDATE key_secrets SET first_used_at = COALESCE(first_used_at, $2), last_used_at = $3
        WHERE id = $1 AND COALESCE(last_used_at, 0) < $3";
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    made_with: Option<String>,
    prefix: String,
    last_four: String,
    created_at: i64,
    replaced_at: Option<i64>,
    grace_ms: Option<i64>,
    ends_at: Option<i64>,
    first_used_at: Option<i64>,
    last_used_at: Option<i64>,
}

/// The secrets of a key that work at `now`, whether or not the key does.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn of_key(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    now: Moment,
) -> Result<KeySecrets, StoreError> {
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(OF_KEY).bind(org.as_str()).bind(key.as_str()).bind(now.ms())
    )?;
    let since = rows.iter().find_map(|row| row.replaced_at.is_none().then_some(row.created_at));
    let mut current = None;
    let mut previous = None;
    for row in rows {
        match row.replaced_at {
            None => current = Some(read(row)?),
            Some(_) => previous = Some(read(row)?),
        }
    }
    let current = current.ok_or(unreadable("key_secrets.replaced_at"))?;
    let mut secrets = KeySecrets { current, previous, counted_all: true };
    // Only a rotation compares the two.
    if let (Some(since), Some(previous)) = (since, secrets.previous.as_mut()) {
        let uses: Vec<(String, String, i64, i64)> = run!(
            via,
            fetch_all,
            sqlx::query_as::<_, (String, String, i64, i64)>(USES)
                .bind(key.as_str())
                .bind(since)
                .bind(MAX_COUNTED)
        )?;
        secrets.counted_all = uses.iter().map(|(_, _, requests, _)| requests).sum::<i64>() < MAX_COUNTED;
        for (secret, address, requests, last) in uses {
            let used =
                [&mut secrets.current, &mut *previous].into_iter().find(|one| one.id.as_str() == secret);
            let Some(used) = used else { continue };
            used.requests += requests;
            used.last_used_at = used.last_used_at.max(Some(Moment::from_ms(last)));
            if !address.is_empty() {
                used.addresses.push(address);
            }
        }
    }
    Ok(secrets)
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { column }
}

fn read(row: Row) -> Result<KeySecret, StoreError> {
    let end = match (row.replaced_at, row.ends_at, row.grace_ms) {
        (None, ..) => None,
        (Some(_), Some(at), _) => Some(SecretEnd::At(Moment::from_ms(at))),
        (Some(_), None, Some(grace)) => Some(SecretEnd::AfterFirstUse(grace)),
        (Some(_), None, None) => return Err(unreadable("key_secrets.expires_at")),
    };
    Ok(KeySecret {
        id: SecretId::parse(&row.id).ok_or(unreadable("key_secrets.id"))?,
        prefix: row.prefix,
        last_four: row.last_four,
        created_at: Moment::from_ms(row.created_at),
        end,
        first_used_at: row.first_used_at.map(Moment::from_ms),
        last_used_at: row.last_used_at.map(Moment::from_ms),
        made_with: row.made_with,
        requests: 0,
        addresses: vec![],
    })
}

fn parts(end: SecretEnd) -> (Option<i64>, Option<i64>) {
    match end {
        SecretEnd::At(at) => (Some(at.ms()), None),
        SecretEnd::AfterFirstUse(ms) => (None, Some(ms)),
    }
}

/// The secret that takes the place of the current one.
pub struct NewSecret<'a> {
    /// The secret's id.
    pub id: &'a SecretId,
    /// SHA-256 of the secret.
    pub hash: &'a SecretHash,
    /// What it begins with, up to and with the last dash.
    pub prefix: &'a str,
    /// Its last four characters.
    pub last_four: &'a str,
    /// As `KeySecret::made_with`.
    pub made_with: Option<&'a str>,
}

/// Makes `new` the current secret of the key, and `from` a previous one until `end`; says whether `from` was the current
/// one until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn replace(
    tx: &mut Tx,
    permit: &Permit,
    key: &KeyId,
    (from, end): (&SecretId, SecretEnd),
    new: &NewSecret<'_>,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RotateKey], key.as_str())?;
    let org = permit.org().as_str();
    changed!(&mut *tx, sqlx::query(SET_ENDS).bind(org).bind(key.as_str()))?;
    if !retire(tx, org, key, from, end, now).await? {
        return Ok(false);
    }
    changed!(
        &mut *tx,
        sqlx::query(INSERT)
            .bind(new.id.as_str())
            .bind(org)
            .bind(key.as_str())
            .bind(new.hash.as_bytes().as_slice())
            .bind(new.prefix)
            .bind(new.last_four)
            .bind(now.ms())
            .bind(new.made_with)
    )?;
    show(tx, org, key, (new.prefix, new.last_four), now).await?;
    Ok(true)
}

async fn retire(
    tx: &mut Tx,
    org: &str,
    key: &KeyId,
    from: &SecretId,
    end: SecretEnd,
    now: Moment,
) -> Result<bool, StoreError> {
    let (expires_at, grace_ms) = parts(end);
    let rows = changed!(
        &mut *tx,
        sqlx::query(REPLACE)
            .bind(org)
            .bind(key.as_str())
            .bind(from.as_str())
            .bind(now.ms())
            .bind(expires_at)
            .bind(grace_ms)
    )?;
    Ok(rows == 1)
}

async fn show(
    tx: &mut Tx,
    org: &str,
    key: &KeyId,
    (prefix, last_four): (&str, &str),
    created_at: Moment,
) -> Result<(), StoreError> {
    changed!(
        tx,
        sqlx::query(SHOW).bind(org).bind(key.as_str()).bind(prefix).bind(last_four).bind(created_at.ms())
    )?;
    Ok(())
}

/// Gives a previous secret that still works another end; says whether it did still work.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn set_end(
    tx: &mut Tx,
    permit: &Permit,
    key: &KeyId,
    secret: &SecretId,
    end: SecretEnd,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RotateKey], key.as_str())?;
    let (expires_at, grace_ms) = parts(end);
    let rows = changed!(
        tx,
        sqlx::query(SET_END)
            .bind(permit.org().as_str())
            .bind(key.as_str())
            .bind(secret.as_str())
            .bind(expires_at)
            .bind(grace_ms)
            .bind(now.ms())
    )?;
    Ok(rows == 1)
}

/// Makes the previous secret the current one again, for good, and ends the current one; says whether they were these two
/// until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn undo(
    tx: &mut Tx,
    permit: &Permit,
    key: &KeyId,
    (current, previous): (&SecretId, &KeySecret),
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RotateKey], key.as_str())?;
    let org = permit.org().as_str();
    // Before the current one goes: whether the previous one works may depend on it.
    changed!(&mut *tx, sqlx::query(SET_ENDS).bind(org).bind(key.as_str()))?;
    if !retire(tx, org, key, current, SecretEnd::At(now), now).await? {
        return Ok(false);
    }
    let rows = changed!(
        &mut *tx,
        sqlx::query(RESTORE).bind(org).bind(key.as_str()).bind(previous.id.as_str()).bind(now.ms())
    )?;
    show(tx, org, key, (&previous.prefix, &previous.last_four), previous.created_at).await?;
    Ok(rows == 1)
}

/// First and last use, the last one forward only.
///
/// # Errors
/// When the database cannot be written.
pub async fn touch(tx: &mut Tx, secret: &SecretId, first: Moment, last: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(TOUCH).bind(secret.as_str()).bind(first.ms()).bind(last.ms()))?;
    Ok(())
}
