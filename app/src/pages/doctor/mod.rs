//! The key doctor: why a request fails, gate by gate, the answer that its client gets, and what to do. In an organisation,
//! for keys that the caller may see; and a public page for a holder's own secret, where an operator turned it on.

mod question;
mod verdict;

use keydesk_core::domain::doctor::{Described, Header, headers};
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::moment::Moment;
use keydesk_core::forms::doctor::{DoctorForm, RequestFields};
use keydesk_core::ops::access::{Caller, own_orgs, read_org};
use keydesk_core::ops::doctor::{self, Patient};
use leptos::prelude::*;

use self::question::{picker, questions};
use self::verdict::{Verdict, own_verdict};
use super::{notice_line, page, returned, title, typed};
use crate::ask::{self, caller, desk, doctor_settings, last_org, param, query, request};
use crate::error::AppError;
use crate::layout::{Page, Width, solo};
use crate::path::LocalPath;
use crate::sealed::{self, DOCTOR, Tone};
use crate::ui::notice::notice;

#[component]
pub fn DoctorPage() -> impl IntoView {
    let slug = param("org");
    let picked = query("key").unwrap_or_default();
    let search = ask::search();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let context = read_org(&desk, &caller, &slug).await?;
        let asked = asked(LocalPath::doctor(&slug).as_str(), desk.now());
        let form = asked.clone().or_else(typed).unwrap_or_else(|| DoctorForm {
            org: slug.clone(),
            key: picked.clone(),
            request: RequestFields::of_query(query),
            ..DoctorForm::default()
        });
        let key = match form.key.is_empty() {
            true => None,
            false => Some(doctor::find_picked(&desk, &caller, &slug, &form.key).await?),
        };
        // A key alone is examined as far as gates without a model go.
        let mut examined = form.clone();
        if key.is_some() && form.request.model.is_empty() {
            examined.request.route.clear();
        }
        let verdict = match examined.parse() {
            Ok(described) if asked.is_some() || (key.is_some() && returned().is_none()) => {
                let sent = sent(&form, &described);
                let patient = match form.is_of_key() {
                    true => Patient::Key(&form.key),
                    false => Patient::Sender(&sent),
                };
                let examined = doctor::examine(&desk, &caller, &context, patient, &described).await?;
                Some(Verdict { described, sent, of_key: form.is_of_key(), examined }.draw(&context))
            }
            _ => None,
        };
        let found = match search.is_empty() {
            true => None,
            false => Some(doctor::find_keys(&desk, &caller, &slug, &search).await?),
        };
        let body = view! {
            <div class="stack roomy">
                {gate_notice()}
                {verdict}
                {picker(&context, key.as_ref(), found, &search, desk.now())}
                {questions("/api/doctor/examine", &form, key.is_some())}
            </div>
        };
        Ok(Page::new("Key doctor", Width::Mid)
            .crumb(LocalPath::keys(&slug), "Keys")
            .under(view! { <p class="muted">"Why a request with a key fails, and what to do."</p> })
            .in_org(&context, &caller, body))
    })
}

#[component]
pub fn OwnKeyPage() -> impl IntoView {
    page(async move {
        let desk = desk()?;
        if let Ok(caller) = caller()
            && let Some(path) = own_organisation(&caller).await?
        {
            leptos_axum::redirect(path.as_str());
            return Ok(().into_any());
        }
        let public = doctor_settings().public;
        let asked = asked(LocalPath::own_doctor().as_str(), desk.now()).filter(|_| public);
        let verdict = match asked.as_ref().map(DoctorForm::parse) {
            Some(Ok(described)) => {
                let form = asked.clone().unwrap_or_default();
                let address = described.address.or_else(|| request().address.parse().ok());
                let described = Described { address, ..described };
                let sent = sent(&form, &described);
                let diagnosis = doctor::examine_own(&desk, &sent, &described).await?;
                Some(own_verdict(&described, &sent, &diagnosis, desk.now()))
            }
            _ => None,
        };
        let form = asked.or_else(typed).unwrap_or_default();
        let questions = public.then(|| questions("/api/doctor/examine-own", &form, false));
        let body = view! {
            {title("Key doctor")}
            <h1>"Key doctor"</h1>
            {notice_line()}
            <div class="stack roomy">
                <p class="muted">
                    {if public {
                        "Why a request with your key fails. Your key is checked and not stored."
                    } else {
                        "Sign in as a member of an organisation to see why a request with its key fails."
                    }}
                </p>
                {gate_notice()} {verdict} {questions}
            </div>
        };
        Ok(solo(body.into_any(), None))
    })
}

/// The doctor of the caller's organisation, with what the address asks; `None` when they have no organisation.
async fn own_organisation(caller: &Caller) -> Result<Option<LocalPath>, AppError> {
    let orgs = own_orgs(&desk()?, caller).await?;
    let last = last_org().and_then(|slug| orgs.iter().find(|org| org.slug == slug));
    let query = ["gate", "request"].into_iter().filter_map(|name| Some((name, query(name)?)));
    let query: Vec<_> = query.filter(|(_, value)| !looks_like_secret(value)).collect();
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    Ok(last.or(orgs.first()).map(|org| LocalPath::doctor(&org.slug).with_query(&query)))
}

/// What was just asked, from the cookie that the action sealed.
fn asked(path: &str, now: Moment) -> Option<DoctorForm> {
    // A form that came back was not sealed.
    if returned().is_some() { None } else { sealed::take(DOCTOR, path, now) }
}

fn sent(form: &DoctorForm, described: &Described) -> Vec<Header> {
    headers(described.place, form.secret.as_str(), form.raw.as_str())
}

/// What a rejection's link asks about.
fn gate_notice() -> Option<AnyView> {
    let gate = Gate::parse(&query("gate")?)?;
    let request = query("request").and_then(|text| RequestId::parse(&text));
    let request = request.map(|id| format!(" of request {id}")).unwrap_or_default();
    let sentence = format!(
        "The answer{request} came from gate {}: {}. {}",
        gate.number(),
        gate.label(),
        gate.explanation()
    );
    Some(notice(Tone::Warn, sentence))
}
