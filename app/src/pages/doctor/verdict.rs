//! What the doctor found: the causes with their remedies, the gates, and the answer word for word.

use keydesk_core::admission::Diagnosis;
use keydesk_core::domain::api_error::{ErrorContext, Stop, is_codex};
use keydesk_core::domain::doctor::{Cause, Described, GateState, Header, Remedy, steps};
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::limit_use::{HolderKind, LimitUse, Limited};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::org::Org;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::ops::access::OrgContext;
use keydesk_core::ops::doctor::{Examined, Urls, causes_of};
use leptos::prelude::*;

use crate::ask::{base_url, doctor_settings, gateway_url};
use crate::key_status::status_badge;
use crate::layout::post_button;
use crate::pages::keys::contacts;
use crate::path::LocalPath;
use crate::sealed::Tone;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::facts::fact;
use crate::ui::icon::{Icon, icon};
use crate::ui::notice::notice;

/// For people of an organisation.
pub struct Verdict {
    pub described: Described,
    pub sent: Vec<Header>,
    /// A key was picked, and no secret given.
    pub of_key: bool,
    pub examined: Examined,
}

impl Verdict {
    pub fn draw(&self, context: &OrgContext) -> AnyView {
        let (org, found) = (&context.org, &self.examined);
        let causes = causes(&self.described, &self.sent, &found.diagnosis, Some(org));
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
            Remedy::Extend if key.extendable_until(self.examined.now).is_some() && may(Action::EditKey) => {
                link(LocalPath::extend(slug, &key.id), "Extend key")
            }
            Remedy::Extend | Remedy::NewKey if context.may(Action::CreateKey, On::Org) => {
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
pub fn own_verdict(described: &Described, sent: &[Header], diagnosis: &Diagnosis, now: Moment) -> AnyView {
    let causes = causes(described, sent, diagnosis, None);
    let causes = causes.iter().map(|cause| cause_row(cause, ().into_any())).collect_view().into_any();
    // A revoked key or a rotated secret may be in the wrong hands.
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

fn causes(described: &Described, sent: &[Header], diagnosis: &Diagnosis, org: Option<&Org>) -> Vec<Cause> {
    let (gateway, desk) = (gateway_url(), base_url());
    causes_of(described, sent, diagnosis, org, Urls { gateway: &gateway, desk: &desk })
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
        Some(stop) => answer(described, (!of_key).then_some(sent), stop, now),
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

fn answer(described: &Described, sent: Option<&[Header]>, stop: &Stop, now: Moment) -> AnyView {
    let context = ErrorContext {
        protocol: described.protocol(sent),
        base_url: gateway_url(),
        desk_url: doctor_settings().linked.then(base_url),
        request_id: Some("req_…".into()),
        from_browser: !described.origin.is_empty()
            || sent.unwrap_or_default().iter().any(|header| header.name == "origin"),
        is_codex: sent
            .unwrap_or_default()
            .iter()
            .any(|header| header.name == "user-agent" && is_codex(&header.value)),
        now,
    };
    let error = context.stopped(stop, &described.model);
    let headers: String =
        error.headers().into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body = serde_json::to_string_pretty(&error.body()).unwrap_or_default();
    let text = format!("HTTP {}\n{headers}\n{body}", error.status);
    view! {
        <div class="code wraps">
            <pre tabindex="0" role="region" aria-label="Answer">
                <code>{text}</code>
            </pre>
        </div>
    }
    .into_any()
}
