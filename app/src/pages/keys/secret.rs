//! A secret that was found: whose it is, whether it works, where it is used, and what to do when it leaked.

use keydesk_core::domain::leak::{AddressUse, LEAK_DAYS, LeakAction, SecretState};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::rotation::{SecretEnd, after_first_use};
use keydesk_core::forms::leak::LeakForm;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::keys::{self, SecretView};
use leptos::prelude::*;

use super::contacts;
use crate::ask::{caller, desk, param};
use crate::key_status::{status_badge, status_reason};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Page, Width, cancel_or_act, post_form};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::sealed::Tone;
use crate::ui::facts::fact;
use crate::ui::field::field_error;
use crate::ui::notice::notice;
use crate::ui::when;

#[component]
pub fn SecretPage() -> impl IntoView {
    let (slug, id, secret) = (param("org"), param("id"), param("secret"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::secret(&desk, &caller, &slug, &id, &secret).await?;
        let (org, key) = (&view.context.org, &view.key);
        let (tone, words) = verdict(&view);
        let body = view! {
            <div class="stack roomy">
                {notice(tone, words)}
                {facts(&view)}
                {what_to_do(&view, &caller)}
            </div>
        };
        Ok(Page::new(format!("Secret {}", view.secret.hint()), Width::Narrow)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(LocalPath::key(&org.slug, &key.id), key.name.clone())
            .in_org(&view.context, &caller, body))
    })
}

/// In one sentence, whether requests with it pass.
fn verdict(view: &SecretView) -> (Tone, String) {
    let (key, zone, now) = (&view.key, &view.context.org.zone, view.now);
    let name = &key.name;
    match view.secret.state {
        SecretState::Ended(at) => {
            (Tone::Good, format!("A rotation of {name} replaced this secret. It ended {}.", at.exact(zone)))
        }
        _ if !view.works() => {
            (Tone::Good, format!("Requests with this secret fail. {}", status_reason(key, now, zone)))
        }
        SecretState::Current => (Tone::Warn, format!("This is the current secret of {name}, and it works.")),
        SecretState::Previous(SecretEnd::At(at)) => {
            (Tone::Warn, format!("This is the previous secret of {name}. It works until {}.", at.exact(zone)))
        }
        SecretState::Previous(SecretEnd::AfterFirstUse(ms)) => (
            Tone::Warn,
            format!("This is the previous secret of {name}. It works. End: {}.", after_first_use(ms)),
        ),
    }
}

fn facts(view: &SecretView) -> impl IntoView + use<> {
    let (org, key, secret, now) = (&view.context.org, &view.key, &view.secret, view.now);
    let zone = &org.zone;
    let name = view! {
        <a href=LocalPath::key(&org.slug, &key.id)>{key.name.clone()}</a>
        " "
        {status_badge(key, now, zone)}
    };
    let used =
        secret.last_used_at.map_or_else(|| "Never".into_any(), |at| when::ago(at, now, zone).into_any());
    let addresses = |list: &[AddressUse]| {
        let line = |one: &AddressUse| {
            let address = if one.address.is_empty() { "unknown".to_owned() } else { one.address.clone() };
            let requests = if one.requests == 1 { "request" } else { "requests" };
            view! {
                <li>
                    <code>{address}</code>
                    {format!(", {} {requests}, last ", grouped(one.requests))}
                    {when::ago(one.last_at, now, zone)}
                </li>
            }
        };
        match list {
            [] => "None".into_any(),
            list => view! { <ul>{list.iter().map(line).collect_view()}</ul> }.into_any(),
        }
    };
    let team = key.team.as_ref().map_or_else(|| "No team".to_owned(), |team| team.name.clone());
    view! {
        <section class="card">
            <dl class="facts">
                {fact("Key", name)} {fact("Organisation", org.name.clone())} {fact("Team", team)}
                {fact("Owner", key.owner.name.clone())} {fact("Last used", used)}
                {fact(format!("Requests, {LEAK_DAYS} days"), addresses(&secret.uses))}
                {fact(format!("Rejected, {LEAK_DAYS} days"), addresses(&secret.attempts))}
            </dl>
        </section>
    }
}

fn what_to_do(view: &SecretView, caller: &Caller) -> Option<AnyView> {
    if !view.works() && view.actions.is_empty() {
        return None;
    }
    let body = if view.actions.is_empty() {
        view! { <p>"If it leaked, tell " {contacts(&view.contacts)} " now."</p> }.into_any()
    } else {
        form(view, caller)
    };
    Some(
        view! {
            <section class="stack">
                <h2>"If this secret leaked"</h2>
                {body}
            </section>
        }
        .into_any(),
    )
}

fn form(view: &SecretView, caller: &Caller) -> AnyView {
    let (org, key) = (&view.context.org, &view.key);
    let field_errors = field_errors();
    let chosen = typed::<LeakForm>().and_then(|form| LeakAction::parse(&form.action));
    let chosen = chosen.or(view.actions.first().copied());
    let choices = view.actions.iter().map(|action| {
        let (label, words) = match action {
            LeakAction::Rotate => (
                "Rotate the key",
                "You get a new secret. This one ends immediately, and apps that use it fail until they have the new one.",
            ),
            LeakAction::EndSecret => {
                ("End this secret", "It ends immediately. The key’s other secret keeps working.")
            }
            LeakAction::Revoke => ("Revoke the key", "For a key that is not needed any more. This can’t be undone."),
        };
        view! {
            <label class="choice">
                <input
                    type="radio"
                    name="form[action]"
                    value=action.as_str()
                    checked=Some(*action) == chosen
                />
                <span>{label} <span class="help">{words}</span></span>
            </label>
        }
    });
    let choices = choices.collect_view();
    let another = key.owner.id != caller.person.id;
    let reauth = another.then(|| reauth_fields(caller, view.now, &field_errors));
    let names: Vec<&str> = view.contacts.iter().map(|contact| contact.name.as_str()).collect();
    let informed = (!names.is_empty()).then(|| {
        view! { <p class="muted">{format!("It is recorded in the audit, and {} will be informed.", names.join(", "))}</p> }
    });
    let hidden =
        vec![("org", org.slug.clone()), ("id", key.id.to_string()), ("secret", view.secret.id.to_string())];
    let inside = view! {
        <fieldset class="stack" data-field="action">
            <legend class="sr">"What to do"</legend>
            {choices}
            {field_error("action", field_errors.of("action"))}
        </fieldset>
        {reauth}
        {informed}
        {cancel_or_act(LocalPath::key(&org.slug, &key.id), "btn danger", "Stop this secret")}
    };
    post_form("/api/keys/report-leak", hidden, inside)
}
