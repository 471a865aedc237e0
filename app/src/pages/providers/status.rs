//! What is known of a connection: whether a model answered, where the API key is, and what the last test said.

use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::provider::{ListedProvider, Provider};
use keydesk_core::domain::provider_test::{ProviderTest, TestStep};
use leptos::prelude::*;

use crate::credentials;
use crate::layout::post_form;
use crate::provider_calls::opens;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::field::{FieldErrors, TextField};
use crate::ui::icon::{Icon, icon};
use crate::ui::when::ago;

/// Whether a model of it answered.
pub(super) fn state_badge(listed: &ListedProvider) -> AnyView {
    let (tone, word, why) = match (&listed.test, listed.provider.connected_at) {
        (Some(test), _) if test.ok => {
            (BadgeTone::Good, "Connected", format!("{} answered in the last test.", test.model))
        }
        (Some(_), _) => (BadgeTone::Bad, "Test failed", "No model answered in the last test.".into()),
        (None, Some(_)) => (
            BadgeTone::Idle,
            "Not tested",
            "It has answered clients. Its connection, as it is now, was not tested.".into(),
        ),
        (None, None) => {
            (BadgeTone::Warn, "Not tested", "It is saved. Whether it answers was not tested yet.".into())
        }
    };
    badge(tone, word.into(), why).into_any()
}

/// Where its API key is, and whether this process has it.
pub(super) fn credential_badge(provider: &Provider) -> AnyView {
    let variable = &provider.spec.credential_env;
    let (tone, word, why) = match (opens(provider), provider.spec.stored_key) {
        (Some(true), _) => {
            (BadgeTone::Good, "Stored", "The API key is stored here, encrypted. It is never shown.".into())
        }
        (Some(false), _) => (
            BadgeTone::Bad,
            "Cannot be opened",
            "It was encrypted with another key than this process has.".into(),
        ),
        (None, true) => (BadgeTone::Warn, "Missing", "No API key was pasted yet.".into()),
        (None, false) if credentials::is_set(variable) => {
            (BadgeTone::Good, "Set", format!("{variable} is set. Its value is never shown."))
        }
        (None, false) => (
            BadgeTone::Warn,
            "Not set",
            format!("{variable} is not set. Set it and restart Keydesk, or paste the API key here."),
        ),
    };
    badge(tone, word.into(), why).into_any()
}

/// `…a1B2`, the variable, or nothing.
pub(super) fn credential_words(provider: &Provider) -> String {
    match (&provider.sealed_key, provider.spec.stored_key) {
        (Some(key), true) => format!("…{}", key.last_four),
        (None, true) => String::new(),
        _ => provider.spec.credential_env.clone(),
    }
}

/// The API key of a provider, in a sentence.
pub(super) fn credential(provider: &Provider) -> AnyView {
    if !provider.spec.has_credential() {
        return view! { <p class="muted">"No API key is sent to this provider."</p> }.into_any();
    }
    let warn = |first: String, then: &'static str| {
        view! {
            <p class="warn-line">
                {icon(Icon::Warn)} <span>
                    <b>{first}</b>
                    {then}
                </span>
            </p>
        }
        .into_any()
    };
    let words = credential_words(provider);
    let badge = credential_badge(provider);
    match (opens(provider), provider.spec.stored_key) {
        (Some(true), _) => {
            view! { <p class="pairs">"Its API key ends with " <code>{words}</code> {badge}</p> }.into_any()
        }
        (Some(false), _) => warn(
            format!("The stored API key {words} cannot be opened."),
            " It was encrypted with another key than this process has. Requests to this provider fail until you paste it again under Connection, or give this process that key’s file.",
        ),
        (None, true) => warn(
            "No API key is stored.".into(),
            " Requests to this provider fail until you paste it under Connection.",
        ),
        (None, false) if credentials::is_set(&words) => {
            view! { <p class="pairs">"Its API key is in " <code>{words}</code> {badge}</p> }.into_any()
        }
        (None, false) => warn(
            format!("{words} is not set."),
            " Requests to this provider fail until you put its API key into this variable and restart Keydesk, or paste it under Connection.",
        ),
    }
}

/// The last test and the way to another one.
pub(super) fn test_section(
    listed: &ListedProvider,
    model: String,
    now: Moment,
    field_errors: &FieldErrors,
) -> AnyView {
    let result = match &listed.test {
        Some(test) => result(test, now),
        None => view! {
            <p class="muted">
                "It is saved, and not tested. A test lists its models and asks one of them for one token, which costs a fraction of a cent."
            </p>
        }
        .into_any(),
    };
    let failed = listed.test.as_ref().is_some_and(|test| !test.ok);
    let field = TextField::new("model", "form[model]", "Model to ask")
        .help("The provider’s name of it. Leave empty for one that it lists.")
        .optional();
    let named = failed || field_errors.of("model").is_some() || listed.provider.spec.address().names_model();
    let inside = view! {
        {named.then(|| field.draw(model, field_errors))}
        {(!named).then(|| view! { <input type="hidden" name="form[model]" value="" /> })}
        <div class="actions">
            <button class="btn" data-busy="Testing…">"Test connection"</button>
        </div>
    };
    let hidden = vec![("id", listed.provider.id.to_string())];
    view! {
        {result}
        {post_form("/api/providers/test", hidden, inside)}
    }
    .into_any()
}

fn result(test: &ProviderTest, now: Moment) -> AnyView {
    let steps = test.steps.iter().map(step).collect_view();
    let head = match test.ok {
        true => format!("{} answered. ", test.model),
        false => "No model answered. ".to_owned(),
    };
    view! {
        <p>
            <b>{head}</b>
            <span class="muted">"Tested " {ago(test.at, now, &Zone::utc())} "."</span>
        </p>
        <ul class="stack tried">{steps}</ul>
    }
    .into_any()
}

fn step(step: &TestStep) -> AnyView {
    let sign = if step.ok { Icon::Check } else { Icon::Bad };
    let status = step.status.map(|status| format!(" · {status}")).unwrap_or_default();
    let ms = step.ms.map(|ms| format!(" · {ms} ms")).unwrap_or_default();
    let answer = (!step.answer.is_empty()).then(|| view! { <p><code>{step.answer.clone()}</code></p> });
    view! {
        <li class=if step.ok { "" } else { "bad" }>
            {icon(sign)} <p>{step.sentence.clone()}</p>
            <p class="help"><code>{step.call.clone()}</code> {status} {ms}</p>
            {answer}
        </li>
    }
    .into_any()
}
