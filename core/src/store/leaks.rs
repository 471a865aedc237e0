//! Secrets that someone found: by their hash across organisations, and with how they were used. Who may ask is decided
//! in `ops::keys` and `ops::leaks`.

use super::secrets::end_of_secret;
use super::{StoreError, Via, run, statements};
use crate::domain::ids::{KeyId, OrgId, SecretId};
use crate::domain::key_format::SecretHash;
use crate::domain::leak::{AddressUse, FoundSecret, LEAK_DAYS, SecretState};
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::rotation::SecretEnd;

/// Of the newest requests of a key, so that a busy key is no slower to look at.
const MAX_READ: i64 = 10_000;
const MAX_ADDRESSES: i64 = 20;

statements! {
    PLACE = "SELECT s.org_id, o.slug, o.name, s.key_id, s.id FROM key_secrets s JOIN orgs o ON o.id = s.org_id WHERE s.hash = $1";
    SECRET = concat!("SELECT s.last_four, s.replaced_at, s.grace_ms, ", end_of_secret!(), " AS ends_at, s.last_used_at
        FROM key_secrets s WHERE s.org_id = $1 AND s.key_id = $2 AND s.id = $3");
    USES = "SELECT address, COUNT(*), MAX(started_at) FROM (
            SELECT secret_id, address, started_at FROM usage WHERE key_id = $1 AND started_at >= $3
            ORDER BY started_at DESC LIMIT $4) newest
        WHERE secret_id = $2 GROUP BY address ORDER BY 3 DESC, 1 LIMIT $5";
    /// A key with another end than its secret's has one secret that is asked about; counts do not tell secrets apart.
    ATTEMPTS = "SELECT address, CAST(SUM(times) AS BIGINT), MAX(last_at) FROM rejections
        WHERE org_id = $1 AND key_id = $2 AND minute >= $3 AND reason IN ('retired', 'revoked', 'disabled', 'expired')
        GROUP BY address ORDER BY 3 DESC, 1 LIMIT $4";
    OWNER = "SELECT p.name, p.email FROM keys k
        JOIN memberships m ON m.org_id = k.org_id AND m.person_id = k.owner_id AND m.disabled_at IS NULL
        JOIN people p ON p.id = k.owner_id AND p.disabled_at IS NULL
        WHERE k.org_id = $1 AND k.id = $2";
}

/// Where a secret belongs.
#[derive(Clone, Debug)]
pub struct SecretPlace {
    /// The organisation's id.
    pub org: OrgId,
    /// The organisation's slug.
    pub slug: String,
    /// The organisation's name.
    pub org_name: String,
    /// The key's id.
    pub key: KeyId,
    /// The secret's id.
    pub secret: SecretId,
}

/// Where the secret with this hash belongs; `None` when it is unknown.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn place(via: &mut impl Via, hash: &SecretHash) -> Result<Option<SecretPlace>, StoreError> {
    type Row = (String, String, String, String, String);
    let row: Option<Row> =
        run!(via, fetch_optional, sqlx::query_as::<_, Row>(PLACE).bind(hash.as_bytes().as_slice()))?;
    row.map(|(org, slug, org_name, key, secret)| {
        Ok(SecretPlace {
            org: OrgId::parse(&org).ok_or(unreadable("key_secrets.org_id"))?,
            slug,
            org_name,
            key: KeyId::parse(&key).ok_or(unreadable("key_secrets.key_id"))?,
            secret: SecretId::parse(&secret).ok_or(unreadable("key_secrets.id"))?,
        })
    })
    .transpose()
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { column }
}

/// A secret of a key, whether or not it works; `None` when the key has no such secret.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn secret(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    id: &SecretId,
    now: Moment,
) -> Result<Option<FoundSecret>, StoreError> {
    type Row = (String, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
    let row: Option<Row> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, Row>(SECRET).bind(org.as_str()).bind(key.as_str()).bind(id.as_str())
    )?;
    let Some((last_four, replaced_at, grace_ms, ends_at, last_used_at)) = row else { return Ok(None) };
    let state = match (replaced_at, ends_at, grace_ms) {
        (None, ..) => SecretState::Current,
        (Some(_), Some(at), _) if at <= now.ms() => SecretState::Ended(Moment::from_ms(at)),
        (Some(_), Some(at), _) => SecretState::Previous(SecretEnd::At(Moment::from_ms(at))),
        (Some(_), None, Some(grace)) => SecretState::Previous(SecretEnd::AfterFirstUse(grace)),
        (Some(_), None, None) => return Err(unreadable("key_secrets.expires_at")),
    };
    let since = now.plus_days(-LEAK_DAYS);
    let uses = addresses(run!(
        via,
        fetch_all,
        sqlx::query_as::<_, AddressRow>(USES)
            .bind(key.as_str())
            .bind(id.as_str())
            .bind(since.ms())
            .bind(MAX_READ)
            .bind(MAX_ADDRESSES)
    )?);
    let attempts = addresses(run!(
        via,
        fetch_all,
        sqlx::query_as::<_, AddressRow>(ATTEMPTS)
            .bind(org.as_str())
            .bind(key.as_str())
            .bind(since.ms().div_euclid(60_000))
            .bind(MAX_ADDRESSES)
    )?);
    let last_used_at = last_used_at.map(Moment::from_ms);
    Ok(Some(FoundSecret { id: id.clone(), last_four, state, last_used_at, uses, attempts }))
}

type AddressRow = (String, i64, i64);

fn addresses(rows: Vec<AddressRow>) -> Vec<AddressUse> {
    let read = |(address, requests, last): AddressRow| AddressUse {
        address,
        requests,
        last_at: Moment::from_ms(last),
    };
    rows.into_iter().map(read).collect()
}

/// The owner of a key; `None` when they are not an active member any more.
///
/// # Errors
/// When the database cannot be read.
pub async fn owner(via: &mut impl Via, org: &OrgId, key: &KeyId) -> Result<Option<Contact>, StoreError> {
    let row: Option<(String, String)> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, (String, String)>(OWNER).bind(org.as_str()).bind(key.as_str())
    )?;
    Ok(row.map(|(name, email)| Contact { name, email }))
}
