//! Ask for more or for a new key; grant, refuse, withdraw. Those who can answer get a mail, and so does the person who
//! asked when there is an answer.

use keydesk_core::domain::ask::{Ask, Wanted};
use keydesk_core::forms::ask::{AskForm, AskKeyForm, AskRef, GrantForm, RefuseForm};
use keydesk_core::forms::prefill::Prefill;
use keydesk_core::ops::access::OrgContext;
use keydesk_core::ops::asks::{self, Answered, Made};
use leptos::prelude::*;

use super::tell;
use crate::ask::{act, base_url, caller, desk};
use crate::error::AppError;
use crate::mail::asks::{AskNotice, send_answer, send_ask};
use crate::mail::mailer;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "asks/budget")]
pub async fn ask_for_budget(form: AskForm) -> Result<(), AppError> {
    act(async {
        let made = asks::ask_for_budget(&desk()?, &caller()?, &form.parse()?).await?;
        sent(&made).await
    })
    .await
}

#[server(endpoint = "asks/key")]
pub async fn ask_for_key(form: AskKeyForm) -> Result<(), AppError> {
    act(async {
        let made = asks::ask_for_key(&desk()?, &caller()?, &form.parse()?).await?;
        sent(&made).await
    })
    .await
}

fn notice<'a>(ask: &'a Ask, context: &'a OrgContext) -> AskNotice<'a> {
    let org = &context.org;
    let url = format!("{}{}", base_url(), LocalPath::ask(&org.slug, &ask.id).as_str());
    AskNotice { ask, org: &org.name, zone: &org.zone, url }
}

/// Mails those who can answer, and says who was informed or who to tell.
async fn sent(made: &Made) -> Result<LocalPath, AppError> {
    let Made { ask, context, people } = made;
    let informed = match mailer() {
        Some(mailer) => send_ask(&*mailer, &notice(ask, context), people).await,
        None => vec![],
    };
    let names: Vec<&str> = people.iter().take(3).map(|person| person.name.as_str()).collect();
    let sentence = match (informed.is_empty(), names.is_empty()) {
        (false, _) => format!("Your ask was sent. {} got an email.", informed.join(", ")),
        (true, false) => format!("Your ask is saved. No email was sent: tell {}.", names.join(" or ")),
        (true, true) => "Your ask is saved. No email was sent: tell your administrator.".to_owned(),
    };
    tell(Tone::Good, sentence)?;
    Ok(LocalPath::ask(&context.org.slug, &ask.id))
}

#[server(endpoint = "asks/grant")]
pub async fn grant_ask(form: GrantForm) -> Result<(), AppError> {
    act(async {
        let answered = asks::grant(&desk()?, &caller()?, &form.parse()?).await?;
        let (ask, org) = (&answered.ask, &answered.context.org);
        let informed = inform(&answered).await;
        match (&ask.wanted, &ask.grant) {
            (Wanted::Budget { key: (_, key), .. }, Some(grant)) => {
                let until = grant.until.last_day(&org.zone);
                let sentence = format!("Granted {} more for {key} until {until}. {informed}", grant.amount);
                tell(Tone::Good, sentence)?;
                Ok(LocalPath::ask(&org.slug, &ask.id))
            }
            _ => {
                let prefill = Prefill::of_ask(ask).unwrap_or_default();
                tell(Tone::Good, format!("Granted. Create the key now. {informed}"))?;
                Ok(LocalPath::new_key(&org.slug, &prefill))
            }
        }
    })
    .await
}

#[server(endpoint = "asks/refuse")]
pub async fn refuse_ask(form: RefuseForm) -> Result<(), AppError> {
    act(async {
        let why = form.parse()?;
        let answered = asks::refuse(&desk()?, &caller()?, (&form.org, &form.id), &why).await?;
        tell(Tone::Good, format!("Refused. {}", inform(&answered).await))?;
        Ok(LocalPath::asks(&form.org))
    })
    .await
}

#[server(endpoint = "asks/withdraw")]
pub async fn withdraw_ask(form: AskRef) -> Result<(), AppError> {
    act(async {
        asks::withdraw(&desk()?, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, "Your ask is withdrawn.")?;
        Ok(LocalPath::asks(&form.org))
    })
    .await
}

/// Mails the answer to the person who asked; says whether, or who to tell.
async fn inform(answered: &Answered) -> String {
    let Some(person) = &answered.person else { return String::new() };
    let informed = match mailer() {
        Some(mailer) => send_answer(&*mailer, &notice(&answered.ask, &answered.context), person).await,
        None => false,
    };
    let name = &person.name;
    if informed { format!("{name} got an email.") } else { format!("No email was sent: tell {name}.") }
}
