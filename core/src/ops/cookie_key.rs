//! The rotation of the cookie key, as far as the database is concerned: what it seals there is sealed with the new one. For the
//! command line.

use super::OpError;
use super::alerts::bound;
use super::orgs::OperatorActor;
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::policy::{Action, Chain};
use crate::store::{alert_channels, second_factor};

/// How much was sealed with the first key of the desk's vault; what no key opens stays as it is.
///
/// # Errors
/// When the database cannot be written.
pub async fn reseal(desk: &Desk, by: OperatorActor<'_>) -> Result<u64, OpError> {
    let object = Chain::Installation.id();
    let permit = by.operator_permit(Action::RotateCookieKey, object)?;
    let mut tx = desk.db.write().await?;
    let mut count = 0;
    for (person, sealed) in second_factor::every_sealed(&mut tx).await? {
        if let Some(new) = desk.vault.seal_anew(person.as_str(), desk.bytes(), &sealed) {
            count += second_factor::reseal(&mut tx, &permit, &person, (&sealed, &new)).await?;
        }
    }
    for channel in alert_channels::every_sealed(&mut tx).await? {
        let anew =
            |part: &str, sealed: &[u8]| desk.vault.seal_anew(&bound(&channel.id, part), desk.bytes(), sealed);
        let url = anew("url", &channel.url);
        let secret = channel.secret.as_deref().and_then(|secret| anew("secret", secret));
        if url.is_some() || secret.is_some() {
            let url = url.unwrap_or(channel.url);
            let secret = secret.or(channel.secret);
            count += alert_channels::reseal(&mut tx, &permit, &channel.id, (&url, secret.as_deref())).await?;
        }
    }
    let sealed = ChangeValue::Count(i64::try_from(count).unwrap_or(i64::MAX));
    let event = Event::new(EventKind::CookieKeyRotated, object, "this installation")
        .with([Change::added("resealed", sealed)]);
    tx.save(&permit, event, desk.now()).await?;
    Ok(count)
}
