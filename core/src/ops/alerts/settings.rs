//! What an organisation sets about its alerts: thresholds, what people get who chose nothing, and webhooks. Its owners and
//! admins see and change it; the audit has each change. A webhook's address and its secret are sealed, each for its channel
//! and its use, so that none opens in another row.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::secret_search::count_webhook_test;
use crate::Desk;
use crate::domain::alert::{AlertKind, Channel, ChannelForm, Delivery, OrgChoices, WebhookUrl};
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::hidden::Hidden;
use crate::domain::ids::{ChannelId, DeliveryId};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Action, On};
use crate::store::alert_channels::NewChannel;
use crate::store::alerts::To;
use crate::store::{StoreError, Unaudited, alert_channels, alert_outbox, alerts};

/// Webhooks of one organisation.
const MAX_CHANNELS: usize = 10;

/// What a part of a channel is sealed for.
pub(in crate::ops) fn bound(channel: &ChannelId, part: &str) -> String {
    format!("{channel}/{part}")
}

/// What the settings of alerts are drawn from.
pub struct SettingsView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// What holds for who chose nothing.
    pub choices: OrgChoices,
    /// The webhooks in use.
    pub channels: Vec<Channel>,
    /// What was sent by mail and webhook, the newest first.
    pub log: Page<Delivery>,
    /// When it was read.
    pub now: Moment,
}

/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn settings(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    at: Option<&Cursor>,
) -> Result<SettingsView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::SeeSettings, On::Org)?;
    let org = &context.org.id;
    let choices = alerts::org_choices(&mut read, org).await?;
    let channels = alert_channels::list(&mut read, org).await?;
    let log = alert_outbox::log(&mut read, org, at).await?;
    Ok(SettingsView { context, choices, channels, log, now: desk.now() })
}

/// Replaces thresholds and defaults; says whether there was anything to change.
///
/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn save_settings(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    new: &OrgChoices,
) -> Result<bool, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let permit = context.permit(Action::EditSettings, On::Org)?;
    let old = alerts::org_choices(&mut tx, &context.org.id).await?;
    let changes = changes(&old, new);
    if changes.is_empty() {
        return Ok(false);
    }
    alerts::choose_for_org(&mut tx, &permit, new).await?;
    let event = Event::new(EventKind::AlertsEdited, context.org.id.as_str(), &context.org.name);
    tx.save(&permit, event.with(changes), now).await?;
    Ok(true)
}

fn changes(old: &OrgChoices, new: &OrgChoices) -> Vec<Change> {
    let text = |choices: &OrgChoices| ChangeValue::Text(choices.thresholds().to_string());
    let ways = |choices: &OrgChoices| {
        let way = |kind: AlertKind| format!("{}: {}", kind.label(), choices.way(kind).label());
        ChangeValue::List(AlertKind::of_org().map(way).collect())
    };
    let mut changes = Vec::new();
    if old.thresholds() != new.thresholds() {
        changes.push(Change::replaced("thresholds", text(old), text(new)));
    }
    if ways(old) != ways(new) {
        changes.push(Change::replaced("alerts", ways(old), ways(new)));
    }
    changes
}

/// A webhook as the form gives it.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// The name that people give it.
    pub name: String,
    /// How it is written.
    pub form: ChannelForm,
    /// Where it goes.
    pub url: WebhookUrl,
}

/// A webhook that was added.
pub struct AddedChannel {
    /// Its id.
    pub id: ChannelId,
    /// What its posts are signed with, shown this once.
    pub secret: Option<Hidden>,
}

/// Adds a webhook.
///
/// # Errors
/// `Forbidden` for who does not run the organisation; `ReauthRequired` when they did not prove lately who they are;
/// `Conflict` when there are too many.
pub async fn add_channel(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    new: &NewWebhook,
) -> Result<AddedChannel, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let permit = context.permit(Action::EditSettings, On::Org)?;
    caller.require_recent_auth(now)?;
    if alert_channels::list(&mut tx, &context.org.id).await?.len() >= MAX_CHANNELS {
        return Err(OpError::Conflict(format!(
            "There are {MAX_CHANNELS} webhooks already. Remove one that you don't need."
        )));
    }
    let id = ChannelId::new(now, desk.id_entropy());
    let secret = (new.form == ChannelForm::Signed).then(|| {
        let hex: String = desk.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        Hidden::new(format!("whsec_{hex}"))
    });
    let seal = |part: &str, text: &str| {
        let sealed = desk.vault.seal_for(&bound(&id, part), desk.bytes(), text.as_bytes());
        sealed.ok_or(StoreError::Unreadable { column: "alert_channels.url" })
    };
    let url = seal("url", &new.url.url)?;
    let sealed = secret.as_ref().map(|secret| seal("secret", secret.as_str())).transpose()?;
    let channel = NewChannel {
        id: &id,
        name: &new.name,
        form: new.form,
        url: &url,
        host: &new.url.host,
        secret: sealed.as_deref(),
    };
    alert_channels::insert(&mut tx, &permit, &channel, now).await?;
    let change = Change::added("webhook", format!("{} ({})", new.name, new.url.host).as_str());
    let event = Event::new(EventKind::WebhookAdded, context.org.id.as_str(), &context.org.name);
    tx.save(&permit, event.with(vec![change]), now).await?;
    Ok(AddedChannel { id, secret })
}

/// Removes a webhook; its name.
///
/// # Errors
/// `Forbidden` for who does not run the organisation; `NotFound` when it is gone.
pub async fn remove_channel(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let permit = context.permit(Action::EditSettings, On::Org)?;
    let channels = alert_channels::list(&mut tx, &context.org.id).await?;
    let channel = channels.into_iter().find(|one| one.id.as_str() == id).ok_or(OpError::NotFound)?;
    alert_channels::remove(&mut tx, &permit, &channel.id, now).await?;
    let change = Change::removed("webhook", format!("{} ({})", channel.name, channel.host).as_str());
    let event = Event::new(EventKind::WebhookRemoved, context.org.id.as_str(), &context.org.name);
    tx.save(&permit, event.with(vec![change]), now).await?;
    Ok(channel.name)
}

/// Sends a test to a webhook within seconds; its name. The delivery log says what became of it.
///
/// # Errors
/// `Forbidden` for who does not run the organisation; `NotFound` when it is gone; `TooMany` after five of one person in a minute.
pub async fn test_channel(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    context.permit(Action::EditSettings, On::Org)?;
    let channels = alert_channels::list(&mut tx, &context.org.id).await?;
    let channel = channels.into_iter().find(|one| one.id.as_str() == id).ok_or(OpError::NotFound)?;
    count_webhook_test(&mut tx, caller, now).await?;
    let delivery = DeliveryId::new(now, desk.id_entropy());
    let to = To::Channel(&channel.id);
    alerts::deliver(&mut tx, (&delivery, &context.org.id), None, to, now).await?;
    tx.save_unaudited(Unaudited::Alerts).await?;
    Ok(channel.name)
}
