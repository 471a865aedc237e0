//! The webhooks of an organisation. Address and secret come and go sealed.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::alert::{Channel, ChannelForm};
use crate::domain::ids::{ChannelId, OrgId};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Chain, OperatorPermit, Permit};

statements! {
    INSERT = "INSERT INTO alert_channels (id, org_id, name, form, url, host, secret, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    REMOVE = "UPDATE alert_channels SET removed_at = $3 WHERE id = $1 AND org_id = $2 AND removed_at IS NULL";
    EVERY_SEALED = "SELECT id, url, secret FROM alert_channels WHERE removed_at IS NULL ORDER BY id";
    RESEAL = "UPDATE alert_channels SET url = $2, secret = $3 WHERE id = $1";
    LIST = "SELECT id, name, form, host, created_at FROM alert_channels WHERE org_id = $1 AND removed_at IS NULL ORDER BY id";
}

/// A channel that is yet to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewChannel<'a> {
    /// Its id.
    pub id: &'a ChannelId,
    /// The name that people gave it.
    pub name: &'a str,
    /// How it is written.
    pub form: ChannelForm,
    /// Its address, sealed.
    pub url: &'a [u8],
    /// Of the address.
    pub host: &'a str,
    /// What it is signed with, sealed.
    pub secret: Option<&'a [u8]>,
}

/// Adds a channel.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn insert(
    tx: &mut Tx,
    permit: &Permit,
    new: &NewChannel<'_>,
    now: Moment,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::EditSettings], permit.org().as_str())?;
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(new.id.as_str())
            .bind(permit.org().as_str())
            .bind(new.name)
            .bind(new.form.as_str())
            .bind(new.url)
            .bind(new.host)
            .bind(new.secret)
            .bind(now.ms())
    )?;
    Ok(())
}

/// Takes a channel out of use; says whether it was in use.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn remove(tx: &mut Tx, permit: &Permit, id: &ChannelId, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditSettings], permit.org().as_str())?;
    let rows =
        changed!(tx, sqlx::query(REMOVE).bind(id.as_str()).bind(permit.org().as_str()).bind(now.ms()))?;
    Ok(rows == 1)
}

/// What is sealed of a channel.
#[derive(Clone, Debug)]
pub struct SealedChannel {
    /// Its id.
    pub id: ChannelId,
    /// Its address, sealed.
    pub url: Vec<u8>,
    /// What it is signed with, sealed.
    pub secret: Option<Vec<u8>>,
}

/// The channels of all organisations.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn every_sealed(via: &mut impl Via) -> Result<Vec<SealedChannel>, StoreError> {
    type Row = (String, Vec<u8>, Option<Vec<u8>>);
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(EVERY_SEALED))?;
    let read = |(id, url, secret): Row| {
        let id = ChannelId::parse(&id).ok_or(StoreError::Unreadable { column: "alert_channels.id" })?;
        Ok(SealedChannel { id, url, secret })
    };
    rows.into_iter().map(read).collect()
}

/// Puts the same address and secret, sealed anew, in the place of what was read.
///
/// # Errors
/// `WrongPermit` when the permit is for another action; otherwise when the database cannot be written.
pub async fn reseal(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &ChannelId,
    (url, secret): (&[u8], Option<&[u8]>),
) -> Result<u64, StoreError> {
    tx.charge(permit, &[Action::RotateCookieKey], Chain::Installation.id())?;
    changed!(tx, sqlx::query(RESEAL).bind(id.as_str()).bind(url).bind(secret))
}

/// The channels in use, in the order in which they were added.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(via: &mut impl Via, org: &OrgId) -> Result<Vec<Channel>, StoreError> {
    type Row = (String, String, String, String, i64);
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(LIST).bind(org.as_str()))?;
    let unreadable = |column| StoreError::Unreadable { column };
    rows.into_iter()
        .map(|(id, name, form, host, created_at)| {
            Ok(Channel {
                id: ChannelId::parse(&id).ok_or(unreadable("alert_channels.id"))?,
                name,
                form: ChannelForm::parse(&form).ok_or(unreadable("alert_channels.form"))?,
                host,
                created_at: Moment::from_ms(created_at),
            })
        })
        .collect()
}
