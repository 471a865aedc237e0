//! Alerts: what a person read and wants, what an organisation sets, and its webhooks.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::forms::alert::{ChoicesForm, ReadForm, WebhookForm, WebhookRef};
use keydesk_core::ops::alerts::{self, NewWebhook};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::tell;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, Tone, WebhookSecret};

#[server(endpoint = "alerts/read")]
pub async fn read_alerts(form: ReadForm) -> Result<(), AppError> {
    act(async {
        let count = alerts::mark_read(&desk()?, &caller()?, &form.org, &form.id).await?;
        if form.id.is_empty() {
            let words = match count {
                0 => "Nothing was unread.",
                _ => "All alerts are marked as read.",
            };
            tell(Tone::Good, words)?;
        }
        Ok(LocalPath::inbox(&form.org))
    })
    .await
}

#[server(endpoint = "alerts/choose")]
pub async fn choose_alerts(form: ChoicesForm) -> Result<(), AppError> {
    act(async {
        alerts::save_choices(&desk()?, &caller()?, &form.org, &form.parse()?).await?;
        tell(Tone::Good, "Saved. It applies to alerts from now on.")?;
        Ok(LocalPath::alert_choices(&form.org))
    })
    .await
}

#[server(endpoint = "alerts/save")]
pub async fn save_alerts(form: ChoicesForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        let changed = alerts::save_settings(&desk, &caller, &form.org, &form.parse_org()?).await?;
        tell(Tone::Good, if changed { "The alerts are saved." } else { "No changes to save." })?;
        Ok(LocalPath::alert_settings(&form.org))
    })
    .await
}

#[server(endpoint = "alerts/add-webhook")]
pub async fn add_webhook(form: WebhookForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let (name, kind, url) = form.parse()?;
        let new = NewWebhook { name, form: kind, url };
        let added = alerts::add_channel(&desk, &caller, &form.org, &new).await?;
        let page = LocalPath::alert_settings(&form.org);
        if let Some(secret) = &added.secret {
            let once = WebhookSecret { name: new.name.clone(), secret: Hidden::as_str(secret).to_owned() };
            sealed::send(ISSUED, page.as_str(), once, desk.now());
        }
        tell(Tone::Good, format!("The webhook {} is added. Send a test to see that it works.", new.name))?;
        Ok(page)
    })
    .await
}

#[server(endpoint = "alerts/remove-webhook")]
pub async fn remove_webhook(form: WebhookRef) -> Result<(), AppError> {
    act(async {
        let name = alerts::remove_channel(&desk()?, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, format!("The webhook {name} is removed."))?;
        Ok(LocalPath::alert_settings(&form.org))
    })
    .await
}

#[server(endpoint = "alerts/test-webhook")]
pub async fn test_webhook(form: WebhookRef) -> Result<(), AppError> {
    act(async {
        let name = alerts::test_channel(&desk()?, &caller()?, &form.org, &form.id).await?;
        let words = format!("A test is on its way to {name}. Reload in a few seconds: the delivery log says what became of it.");
        tell(Tone::Good, words)?;
        Ok(LocalPath::alert_settings(&form.org))
    })
    .await
}
