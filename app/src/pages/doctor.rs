//! The key doctor: why a request fails, gate by gate, the answer that its client gets, and what to do. In an organisation,
//! for keys that the caller may see; and a public page for a holder's own secret, where an operator turned it on.

use keydesk_core::admission::Diagnosis;
use keydesk_core::domain::api_error::{ErrorContext, Stop};
use keydesk_core::domain::doctor::{
    Cause, Described, Facts, GateState, Header, KeyPlace, Remedy, causes, headers, steps,
};
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_format::{hint, looks_like_secret};
use keydesk_core::domain::limit_use::{HolderKind, LimitUse, Limited};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::route::Route;
use keydesk_core::forms::doctor::{DoctorForm, RequestFields, route_word};
use keydesk_core::ops::access::{Caller, OrgContext, own_orgs, read_org};
use keydesk_core::ops::doctor::{self, Examined, Patient};
use leptos::prelude::*;

use super::keys::contacts;
use super::{field_errors, notice_line, page, returned, title, typed};
use crate::ask::{
    base_url, caller, desk, doctor_settings, gateway_url, last_org, param, parts, query, request,
};
use crate::error::AppError;
use crate::key_status::status_badge;
use crate::layout::{Page, Width, post_button, post_form, solo};
use crate::path::LocalPath;
use crate::sealed::{self, DOCTOR, Tone};
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::facts::fact;
use crate::ui::field::{FieldErrors, TextField, lines_field, select_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::notice::notice;
use crate::ui::search::SearchBox;

#[component]
pub fn DoctorPage() -> impl IntoView {
    let slug = param("org");
    let picked = query("key").unwrap_or_default();
    let search = crate::ask::search();
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
        let verdict = match form.parse() {
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

struct Verdict {
    described: Described,
    sent: Vec<Header>,
    of_key: bool,
    examined: Examined,
}

impl Verdict {
    fn draw(&self, context: &OrgContext) -> AnyView {
        let (org, found) = (&context.org, &self.examined);
        let causes =
            causes_of(&self.described, &self.sent, &found.diagnosis, Some(&org.key_prefix), &org.zone);
        let causes = causes.iter().map(|cause| {
            let remedy = self.remedy(cause, context);
            cause_row(cause, remedy)
        });
        let which = found.key.as_ref().map(|key| {
            let last_four = found.diagnosis.key.as_ref().map_or(&key.last_four, |found| &found.last_four);
            view! {
                <p class="facts-line">
                    <a href=LocalPath::key(&org.slug, &key.id)>{key.name.clone()}</a>
                    <span class="hint">{hint(last_four)}</span>
                    {status_badge(key, found.now, &org.zone)}
                </p>
            }
        });
        let causes = causes.collect_view().into_any();
        drawn(&self.described, &self.sent, &found.diagnosis, self.of_key, which, causes, found.now)
    }

    /// The button for who may press it, or whom to ask.
    fn remedy(&self, cause: &Cause, context: &OrgContext) -> AnyView {
        let Some(key) = &self.examined.key else { return ().into_any() };
        let slug = &context.org.slug;
        let may = |action| context.may(action, On::Key(key.facts()));
        let live = key.is_live(self.examined.now);
        let link =
            |href: LocalPath, words: &'static str| view! { <a class="btn" href=href>{words}</a> }.into_any();
        let ask = || view! { <p class="muted">"Ask " {contacts(&self.examined.contacts)} "."</p> }.into_any();
        match cause.remedy {
            Remedy::Client => ().into_any(),
            Remedy::Enable if live && may(Action::EnableKey) => {
                let hidden = vec![("org", slug.clone()), ("id", key.id.to_string())];
                post_button("/api/keys/enable", hidden, "btn primary", "Enable key")
            }
            Remedy::EditKey if live && may(Action::EditKey) => {
                link(LocalPath::edit_key(slug, &key.id), "Edit key")
            }
            Remedy::Rotate if live && may(Action::RotateKey) => {
                link(LocalPath::rotate(slug, key.id.as_str()), "Rotate key")
            }
            Remedy::NewKey if context.may(Action::CreateKey, On::Org) => {
                link(LocalPath::keys(slug).with_id("new"), "Create key")
            }
            Remedy::EditTeam => {
                match key.team.as_ref().filter(|team| context.may(Action::EditTeam, On::Team(&team.id))) {
                    Some(team) => link(LocalPath::team(slug, &team.id).with_id("edit"), "Edit team"),
                    None => ask(),
                }
            }
            Remedy::EditOrg if context.may(Action::EditSettings, On::Org) => {
                link(LocalPath::settings(slug), "Settings")
            }
            // The advice says whom to ask.
            Remedy::Operator => ().into_any(),
            _ => ask(),
        }
    }
}

/// For a holder: what remains too, and no name of a person.
fn own_verdict(described: &Described, sent: &[Header], diagnosis: &Diagnosis, now: Moment) -> AnyView {
    let causes = causes_of(described, sent, diagnosis, None, &Zone::utc());
    let causes = causes.iter().map(|cause| cause_row(cause, ().into_any())).collect_view().into_any();
    // What a revoked key or a rotated secret has left is nobody's business: it may be in the wrong hands.
    let passes_live = match &diagnosis.stop {
        Some(Stop::Gate(rejection)) => rejection.gate() > Gate::Live,
        Some(Stop::NoTarget(_)) | None => true,
    };
    let left = diagnosis.key.as_ref().filter(|key| passes_live && !key.limits.is_empty()).map(|key| {
        let limits = key.limits.iter().map(|limit| fact(limit_name(limit), limit_left(limit))).collect_view();
        view! {
            <section class="stack">
                <h2>"What is left"</h2>
                <dl class="facts">{limits}</dl>
            </section>
        }
    });
    view! {
        {drawn(described, sent, diagnosis, false, None::<()>, causes, now)}
        {left}
    }
    .into_any()
}

fn limit_name(limit: &LimitUse) -> String {
    let whose = match limit.holder {
        HolderKind::Key => "Key",
        HolderKind::Team => "Team",
        HolderKind::Org => "Organisation",
    };
    let what = match limit.what {
        Limited::Budget(period) => format!("{} budget", period.as_str()),
        Limited::Balance => "balance".into(),
        Limited::Requests => "requests per minute".into(),
        Limited::Tokens => "tokens per minute".into(),
        Limited::Concurrent => "concurrent requests".into(),
    };
    format!("{whose}: {what}")
}

fn limit_left(limit: &LimitUse) -> String {
    match limit.what.is_money() {
        true => format!("{} of {}", Money::from_nanos(limit.remaining()), Money::from_nanos(limit.max)),
        false => format!("{} of {}", grouped(limit.remaining()), grouped(limit.max)),
    }
}

fn causes_of(
    described: &Described,
    sent: &[Header],
    diagnosis: &Diagnosis,
    key_prefix: Option<&str>,
    zone: &Zone,
) -> Vec<Cause> {
    let key = diagnosis.key.as_ref();
    causes(&Facts {
        request: described,
        sent,
        stop: diagnosis.stop.as_ref(),
        models: key.map_or(&[], |key| &key.models),
        out_of_scope_of: key.and_then(|key| key.out_of_scope_of),
        key_prefix,
        gateway_url: &gateway_url(),
        desk_url: &base_url(),
        zone,
    })
}

fn cause_row(cause: &Cause, remedy: AnyView) -> AnyView {
    view! {
        <li>
            {icon(Icon::Warn)}
            <div class="stack">
                <p>
                    <b>{cause.sentence.clone()}</b>
                    " "
                    {cause.advice.clone()}
                </p>
                {remedy}
            </div>
        </li>
    }
    .into_any()
}

/// The verdict: what happens, why, gate by gate, and the answer word for word.
fn drawn(
    described: &Described,
    sent: &[Header],
    diagnosis: &Diagnosis,
    of_key: bool,
    which: Option<impl IntoView + 'static>,
    causes: AnyView,
    now: Moment,
) -> AnyView {
    let stop = diagnosis.stop.as_ref();
    let rows = steps(stop, !of_key, described.route.is_some()).into_iter().map(|(label, state)| {
        let (sign, tone) = match state {
            GateState::Passed => (Icon::Check, BadgeTone::Good),
            GateState::Failed => (Icon::Bad, BadgeTone::Bad),
            GateState::NotReached => (Icon::Ban, BadgeTone::Idle),
            GateState::NotChecked => (Icon::Pause, BadgeTone::Idle),
        };
        view! {
            <li>
                {icon(sign)} <p class="words">{label}</p>
                {badge(tone, state.label().into(), String::new())}
            </li>
        }
    });
    let answer = match stop {
        Some(stop) => answer(described, sent, stop, now),
        None => {
            let words = match described.route {
                Some(_) => {
                    "The gateway passes this request on to the model’s provider. What the provider answers is not checked here."
                }
                None => "The gateway answers 200 with the list of models that the key can use.",
            };
            notice(Tone::Good, words.into())
        }
    };
    let size = described.route.map(|_| {
        format!(
            "Checked with {} input tokens and up to {} output tokens, as things are now. Nothing is reserved.",
            grouped(described.size.input),
            grouped(described.size.output)
        )
    });
    view! {
        <section class="card stack" id="verdict" aria-label="Result">
            {which}
            <ol class="history" id="causes">{causes}</ol>
            <h2>"Gates"</h2>
            <ol class="history" id="gates">{rows.collect_view()}</ol>
            {size.map(|words| view! { <p class="muted">{words}</p> })}
            <h2>"What the client gets"</h2>
            {answer}
        </section>
    }
    .into_any()
}

fn answer(described: &Described, sent: &[Header], stop: &Stop, now: Moment) -> AnyView {
    let context = ErrorContext {
        protocol: described.protocol(sent),
        base_url: gateway_url(),
        desk_url: doctor_settings().linked.then(base_url),
        request_id: Some("req_…".into()),
        from_browser: !described.origin.is_empty() || sent.iter().any(|header| header.name == "origin"),
        now,
    };
    let error = context.stopped(stop, &described.model);
    let headers: String =
        error.headers().into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body = serde_json::to_string_pretty(&error.body()).unwrap_or_default();
    let text = format!("HTTP {}\n{headers}\n{body}", error.status);
    view! {
        <div class="code">
            <pre tabindex="0" role="region" aria-label="Answer">
                <code>{text}</code>
            </pre>
        </div>
    }
    .into_any()
}

/// The key that was picked, or a search for one.
fn picker(
    context: &OrgContext,
    picked: Option<&Key>,
    found: Option<Vec<Key>>,
    search: &str,
    now: Moment,
) -> AnyView {
    let slug = context.org.slug.clone();
    let here = LocalPath::doctor(&slug);
    if let Some(key) = picked {
        return view! {
            <p>
                "Key: " <b>{key.name.clone()}</b> " " <span class="hint">{hint(&key.last_four)}</span> ". "
                <a href=here>"Choose another, or paste a secret"</a>
            </p>
        }
        .into_any();
    }
    let zone = context.org.zone.clone();
    let hits = found.map(|keys| {
        let none = keys.is_empty().then(|| view! { <p class="muted">"No key that you can see matches."</p> });
        let rows = keys.into_iter().map(|key| {
            let href = LocalPath::doctor(&slug).with_query(&format!("key={}", key.id));
            view! {
                <li>
                    {icon(Icon::Key)}
                    <p class="words">
                        <a href=href>{key.name.clone()}</a>
                        " "
                        <span class="hint">{hint(&key.last_four)}</span>
                    </p>
                    {status_badge(&key, now, &zone)}
                </li>
            }
        });
        view! { <ol class="history">{rows.collect_view()}</ol> {none} }
    });
    view! {
        <section class="stack">
            <h2>"Pick a key"</h2>
            <form class="search" role="search" method="get" action=here>
                {SearchBox { name: "q", placeholder: "Name, last four or key id", label: "Find a key", max: Some(200) }.draw(search.to_owned())}
            </form>
            {hits}
        </section>
    }
    .into_any()
}

/// What is asked about the request. A picked key needs no secret.
fn questions(action: &'static str, form: &DoctorForm, picked: bool) -> AnyView {
    let field_errors: FieldErrors = field_errors();
    let fields = &form.request;
    let routes = Route::ALL.into_iter().map(Some).chain([None]).map(|route| {
        let words =
            route.map_or_else(|| "GET /v1/models".into(), |route| format!("POST {}", route.path("MODEL")));
        (route_word(route).to_owned(), words)
    });
    let places = KeyPlace::ALL.map(|place| (place.as_str().to_owned(), place.label().to_owned()));
    let text = |field, name, label, help| TextField::new(field, name, label).help(help).optional();
    let secret = (!picked).then(|| {
        view! {
            {text("secret", "form[secret]", "Secret", "As it is in the client’s settings, with everything around it. It is checked, and neither stored nor logged.")
                .password("off")
                .draw(String::new(), &field_errors)}
            {lines_field(
                "raw",
                "form[raw]",
                "Headers as the client sends them",
                "In place of the secret, to see quotes, spaces and the word Bearer.",
                "Authorization: Bearer sk-…",
                String::new(),
                &field_errors,
            )}
        }
    });
    let open =
        ["address", "origin", "base", "input", "output"].iter().any(|field| field_errors.of(field).is_some())
            || fields.query().iter().any(|(name, _)| !matches!(*name, "route" | "model" | "place"));
    let number = |field, name, label| TextField::new(field, name, label).inputmode("numeric");
    let inside = view! {
        {secret}
        {select_field("route", "form[request][route]", "Route", "", routes.collect(), &fields.route, &field_errors)}
        {text("model", "form[request][model]", "Model", "As the client sends it.").draw(fields.model.clone(), &field_errors)}
        {select_field("place", "form[request][place]", "The key is sent as", "", places.into(), &fields.place, &field_errors)}
        <details class="more" open=open>
            <summary>{icon(Icon::Right)} "More about the client"</summary>
            <div class="stack">
                {text("base", "form[request][base]", "Base URL in the client", "As it is configured there.").draw(fields.base.clone(), &field_errors)}
                {text("address", "form[request][address]", "Client’s IP address", "For keys that are allowed from some addresses only.").draw(fields.address.clone(), &field_errors)}
                {text("origin", "form[request][origin]", "Origin", "If a browser sends the request.").draw(fields.origin.clone(), &field_errors)}
                {number("input", "form[request][input]", "Input tokens").draw(fields.input.clone(), &field_errors)}
                {number("output", "form[request][output]", "Output tokens at most").draw(fields.output.clone(), &field_errors)}
            </div>
        </details>
        <div class="actions">
            <button class="btn primary">"Explain"</button>
        </div>
    };
    let org = parts().filter(|_| !form.org.is_empty()).map(|_| ("org", form.org.clone()));
    let key = picked.then(|| ("key", form.key.clone()));
    let heading = if picked { "The request" } else { "The secret and the request" };
    view! {
        <section class="stack">
            <h2>{heading}</h2>
            {post_form(action, org.into_iter().chain(key).collect(), inside)}
        </section>
    }
    .into_any()
}
