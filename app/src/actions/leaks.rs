//! A leaked secret is ended, and the people who look after its key are informed.

use keydesk_core::forms::leak::LeakForm;
use keydesk_core::ops::keys::{self, HandledLeak};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::keys::show_once;
use super::tell;
use crate::ask::{act, base_url, caller, desk};
use crate::error::AppError;
use crate::mail::leaks::{LeakNotice, notify};
use crate::mail::mailer;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "keys/report-leak")]
pub async fn report_leak(form: LeakForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let key = (form.org.as_str(), form.id.as_str());
        let done = keys::report_leak(&desk, &caller, key, &form.secret, form.action()?).await?;
        let informed = tell_people(&form, &caller.person.name, &done).await;
        let secret = done.hint;
        tell(Tone::Good, format!("{secret} no longer works. {informed}"))?;
        Ok(match &done.issued {
            Some(issued) => show_once(&form.org, issued, desk.now()),
            None => LocalPath::key(&form.org, &done.id),
        })
    })
    .await
}

/// Mails them; says who was informed, or whom to tell.
async fn tell_people(form: &LeakForm, by: &str, done: &HandledLeak) -> String {
    let stopped = match done.issued {
        _ if form.action == "revoke" => "The key is revoked.",
        Some(_) => "The key has a new secret. Apps that use the key need it.",
        None => "The key's other secret keeps working.",
    };
    let url = format!("{}{}", base_url(), LocalPath::key(&form.org, &done.id).as_str());
    let notice = LeakNotice {
        by,
        key: &done.key,
        org: &done.org,
        hint: done.hint.clone(),
        found_at: String::new(),
        stopped,
        url,
    };
    let informed = match mailer() {
        Some(mailer) => notify(&*mailer, &notice, &done.people).await,
        None => vec![],
    };
    let names = |people: &[&str]| people.join(", ");
    let uninformed: Vec<&str> = done
        .people
        .iter()
        .map(|person| person.name.as_str())
        .filter(|name| !informed.iter().any(|informed| informed == name))
        .collect();
    let informed: Vec<&str> = informed.iter().map(String::as_str).collect();
    match (informed.as_slice(), uninformed.as_slice()) {
        ([], []) => String::new(),
        (informed, []) => format!("{} got an email.", names(informed)),
        ([], others) => format!("No email was sent: tell {}.", names(others)),
        (informed, others) => format!("{} got an email. Tell {}.", names(informed), names(others)),
    }
}
