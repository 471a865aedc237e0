//! A key that rotates itself: a program with its secret asks for a new one, where the key or its organisation allows it.
//!
//! The answer with the new secret may be lost on its way. A program that asks again with the secret it still has gets
//! another new one in place of the unseen one, as long as no request used that and the program itself made it.

use sha2::{Digest, Sha256};

use super::rotate::replace;
use crate::Desk;
use crate::admission::AuthContext;
use crate::domain::ids::SecretId;
use crate::domain::key::{Key, State};
use crate::domain::key_format::PlainSecret;
use crate::domain::moment::Moment;
use crate::domain::org::Org;
use crate::domain::policy::{Origin, permit_of_key};
use crate::domain::rotation::{GracePeriod, KeySecret, KeySecrets, SecretEnd};
use crate::ops::OpError;
use crate::store::{StoreError, Tx, admission, keys, orgs, secrets};

/// Between two rotations of a key by itself.
const INTERVAL_MS: i64 = 60_000;
/// Before the same request is repeated. The first use of a secret is known a second later at most.
const REPEAT_MS: i64 = 2_000;

/// What a key that rotated itself is told, once.
#[derive(Debug)]
pub struct SelfRotation {
    /// The new secret in plain text; the database keeps only its hash.
    pub secret: PlainSecret,
    /// When the previous one ends.
    pub previous_end: SecretEnd,
}

/// Why a key may not rotate itself now.
#[derive(Debug, thiserror::Error)]
pub enum SelfRotationRejected {
    /// Neither the key nor its organisation allows it.
    #[error("the key may not rotate itself")]
    NotAllowed {
        /// Names of people who can allow it; may be empty.
        contacts: Vec<String>,
    },
    /// Two secrets work, or the key does not any more; a sentence for its user.
    #[error("{0}")]
    Conflict(String),
    /// It was rotated a moment ago.
    #[error("rotated a moment ago")]
    TooSoon {
        /// Seconds until it may rotate itself again.
        retry_after_s: i64,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl From<OpError> for SelfRotationRejected {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Store(error) => SelfRotationRejected::Unavailable(error),
            OpError::Conflict(sentence) => SelfRotationRejected::Conflict(sentence),
            other => SelfRotationRejected::Conflict(other.to_string()),
        }
    }
}

/// Gives the key of an authenticated request a new secret. `repeat` is the request's `Idempotency-Key`, or empty: with the
/// same one a lost answer can be asked for again.
///
/// # Errors
/// `NotAllowed`, `Conflict`, `TooSoon`, or `Unavailable` when the database cannot be read or written.
pub async fn rotate_itself(
    desk: &Desk,
    context: &AuthContext,
    origin: Origin,
    repeat: &str,
    grace: GracePeriod,
) -> Result<SelfRotation, SelfRotationRejected> {
    let conflict = |sentence: &str| SelfRotationRejected::Conflict(sentence.to_owned());
    let mut tx = desk.db.write().await?;
    keys::lock(&mut tx, context.org(), context.key()).await?;
    let now = desk.now();
    let (key, org) = find(&mut tx, context).await?;
    let allowed = key.rotates_itself || org.rules.self_rotation;
    let Ok(permit) = permit_of_key(&org.id, (&key.id, &key.name), allowed, origin) else {
        let contacts = admission::contacts(&mut tx, &key.id).await?;
        return Err(SelfRotationRejected::NotAllowed { contacts });
    };
    // It passed the gates; since then it may have been taken out of use.
    match key.state(now) {
        State::Revoked
        | State::Expired { .. }
        | State::Disabled
        | State::OrgSuspended
        | State::TeamArchived => {
            return Err(conflict("This key was taken out of use in the meantime, so it was not rotated."));
        }
        _ => {}
    }
    let secrets = secrets::of_key(&mut tx, &org.id, &key.id, now).await?;
    let made_with = fingerprint(repeat);
    let (end, previous_end) = match rule(&secrets, context.secret(), &made_with, now)? {
        Rule::Rotate => {
            let end = grace.resolve(now, &org.zone);
            let end = end.map_err(|error| SelfRotationRejected::Conflict(error.to_string()))?;
            (end, end)
        }
        Rule::ReplaceUnseen(previous) => {
            let now = SecretEnd::At(now);
            (now, previous.end.unwrap_or(now))
        }
    };
    let current = (&secrets.current, end);
    let of = (&key, org.key_prefix.as_str());
    let secret = replace(desk, tx, &permit, of, current, Some(&made_with), now).await?;
    Ok(SelfRotation { secret, previous_end })
}

async fn find(tx: &mut Tx, context: &AuthContext) -> Result<(Key, Org), SelfRotationRejected> {
    let gone = || SelfRotationRejected::Conflict("This key does not exist any more.".into());
    let key = keys::find(tx, context.org(), context.key()).await?.ok_or_else(gone)?;
    let org = orgs::find_by_id(tx, context.org()).await?.ok_or_else(gone)?;
    Ok((key, org))
}

/// What a request may do, by the secret that it presents.
enum Rule<'a> {
    /// The only secret is replaced, and works for the grace period.
    Rotate,
    /// The current secret, which no one saw, is replaced and ends; this previous one keeps its end.
    ReplaceUnseen(&'a KeySecret),
}

fn rule<'a>(
    secrets: &'a KeySecrets,
    presented: &SecretId,
    made_with: &str,
    now: Moment,
) -> Result<Rule<'a>, SelfRotationRejected> {
    let current = &secrets.current;
    let by_itself = current.made_with.as_deref();
    let same = !made_with.is_empty() && by_itself == Some(made_with);
    let wait = if same { REPEAT_MS } else { INTERVAL_MS };
    let soon = current.created_at.plus_ms(wait).ms() - now.ms();
    let too_soon = (by_itself.is_some() && soon > 0)
        .then(|| SelfRotationRejected::TooSoon { retry_after_s: (soon + 999) / 1_000 });
    match &secrets.previous {
        None if *presented == current.id => too_soon.map_or(Ok(Rule::Rotate), Err),
        Some(previous) if *presented == previous.id => {
            if current.is_used() || by_itself != Some(made_with) {
                return Err(SelfRotationRejected::Conflict(format!(
                    "A rotation replaced this secret by {}. Change to that one.",
                    current.hint()
                )));
            }
            too_soon.map_or(Ok(Rule::ReplaceUnseen(previous)), Err)
        }
        Some(previous) if *presented == current.id => Err(SelfRotationRejected::Conflict(format!(
            "A rotation is in progress: the previous secret {} still works. Wait until it ends, or end it on the key's page.",
            previous.hint()
        ))),
        _ => Err(SelfRotationRejected::Conflict(format!(
            "A rotation replaced this secret by {}. Change to that one.",
            current.hint()
        ))),
    }
}

/// Whatever stands in the header, a secret among it, is stored as its hash only.
fn fingerprint(repeat: &str) -> String {
    if repeat.is_empty() {
        return String::new();
    }
    Sha256::digest(repeat.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
