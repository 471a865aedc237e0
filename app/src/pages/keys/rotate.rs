//! Rotating a key: the question before it, and while two secrets work, which of them is in use and how to go on.

use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::moment::{Day, Moment, Zone};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::rotation::{EndAdvice, KeySecret, KeySecrets, SecretEnd, after_first_use};
use keydesk_core::forms::rotation::{ExtendForm, GraceField, RotateForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::keys::{self, RotationView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::reauth::reauth_fields_as;
use crate::layout::{Page, Width, cancel_or_act, post_form};
use crate::lot::Lot;
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::sealed::Tone;
use crate::ui::field::{FieldErrors, UnitField, field_error, help};
use crate::ui::icon::{Icon, icon};
use crate::ui::notice::notice;
use crate::ui::when;

#[component]
pub fn RotateKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::rotation(&desk, &caller, &slug, &id).await?;
        let (org, key) = (&view.context.org, &view.key);
        let (title, body) = match &view.secrets.previous {
            None => (format!("Rotate {}", key.name), question(&view, &caller)),
            Some(previous) => (format!("Rotation of {}", key.name), progress(&view, previous, &caller)),
        };
        let lot = lot_of_page();
        let title = match lot.as_ref().map(|lot| lot.place(&key.id)).filter(|place| !place.is_empty()) {
            Some(place) => format!("{place}: {title}"),
            None => title,
        };
        let next = lot.and_then(|lot| lot.next(&org.slug, &key.id)).map(|next| {
            view! {
                <p class="actions end">
                    <a href=next>"Skip to the next key"</a>
                </p>
            }
        });
        let body = view! {
            {body}
            {next}
        };
        let width = if view.secrets.previous.is_some() { Width::Mid } else { Width::Narrow };
        Ok(Page::new(title, width)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(LocalPath::key(&org.slug, &key.id), key.name.clone())
            .in_org(&view.context, &caller, body))
    })
}

fn hidden(view: &RotationView, name: &'static str, secret: &KeySecret) -> Vec<(&'static str, String)> {
    vec![
        ("org", view.context.org.slug.clone()),
        ("id", view.key.id.to_string()),
        (name, secret.id.to_string()),
    ]
}

/// `ids` are those of password and code: the page of a rotation has several forms.
fn reauth(view: &RotationView, caller: &Caller, ids: (&'static str, &'static str)) -> Option<AnyView> {
    let another = view.key.owner.id != caller.person.id;
    another.then(|| reauth_fields_as(ids, caller, view.now, &field_errors()))
}

fn question(view: &RotationView, caller: &Caller) -> AnyView {
    let field_errors = field_errors();
    let lot = lot_of_page();
    let sent: RotateForm = typed().unwrap_or_else(|| RotateForm {
        grace: lot.as_ref().map(|lot| lot.grace.clone()).unwrap_or_default(),
        ..RotateForm::default()
    });
    let key_page = LocalPath::key(&view.context.org.slug, &view.key.id);
    let secrets = &view.secrets;
    let legend = format!("The current secret {} ends", secrets.current.hint());
    let inside = view! {
        {grace_choice(legend, &sent.grace, true, view, &field_errors)}
        {reauth(view, caller, ("reauth", "reauth_code"))}
        {cancel_or_act(key_page, "btn primary", "Rotate key")}
    };
    let mut hidden = hidden(view, "from", &secrets.current);
    hidden.extend(lot.map(|lot| ("of", lot.ids())));
    view! {
        <div class="stack roomy">
            <p>
                "The key gets a new secret, which is shown once. Its ID, limits, budgets, spend and history stay as they are."
            </p>
            {post_form("/api/keys/rotate", hidden, inside)}
        </div>
    }
    .into_any()
}

/// The keys that are rotated one after the other, this one among them.
fn lot_of_page() -> Option<Lot> {
    typed::<RotateForm>().as_ref().and_then(Lot::of_form).or_else(Lot::of_address)
}

/// When the previous secret ends. `before` is asked before the rotation, when all choices are open.
fn grace_choice(
    legend: String,
    sent: &GraceField,
    before: bool,
    view: &RotationView,
    field_errors: &FieldErrors,
) -> AnyView {
    let zone = &view.context.org.zone;
    let choice = |value: &'static str, label: &'static str, words: &'static str, reveals: bool| {
        view! {
            <label class="choice">
                <input
                    type="radio"
                    name="form[grace][mode]"
                    value=value
                    data-reveals=reveals
                    checked=sent.mode == value
                />
                <span>{label} <span class="help">{words}</span></span>
            </label>
        }
    };
    let hours = UnitField {
        field: "hours",
        name: "form[grace][hours]",
        label: "Hours after the first use",
        after: "hours",
        ..Default::default()
    };
    let after_use = (before || !view.secrets.current.is_used()).then(|| {
        view! {
            <div class="reveals">
                {choice("use", "After the first use of the new secret", "Until the new one is used, it keeps working.", true)}
                <div class="reveal limited">{hours.draw(sent.hours.clone(), field_errors)}</div>
            </div>
        }
    });
    let now = before.then(|| {
        choice("now", "Immediately", "Requests with it fail from now on. For a secret that leaked.", false)
    });
    let wrong = field_errors.of("grace");
    view! {
        <fieldset class="stack" data-field="grace">
            <legend>{legend}</legend>
            {choice("24", "In 24 hours", "Time to change the apps that use it.", false)}
            {choice("1", "In 1 hour", "", false)}
            {choice("168", "In 7 days", "", false)}
            {after_use}
            <div class="reveals">
                {choice("date", "On a date", "", true)}
                <div class="reveal limited">
                    <div class="field">
                        <label class="label" for="grace_date">"Last day"</label>
                        <input
                            class="input"
                            type="date"
                            id="grace_date"
                            name="form[grace][date]"
                            value=sent.date.clone()
                            min=Day::of(view.now, zone).to_string()
                            aria-describedby="grace_date-help"
                        />
                        {help("grace_date", format!("It works until the end of this day, {}.", zone.name()))}
                    </div>
                </div>
            </div>
            {now}
            {field_error("grace", wrong)}
        </fieldset>
    }
    .into_any()
}

fn progress(view: &RotationView, previous: &KeySecret, caller: &Caller) -> AnyView {
    let (now, zone, secrets) = (view.now, &view.context.org.zone, &view.secrets);
    let (tone, words) = advice(secrets, previous, now, zone);
    let safe = matches!(secrets.advice(now), Some(EndAdvice::Safe { .. }));
    let class = if safe { "btn primary" } else { "btn danger" };
    let end = view! {
        {reauth(view, caller, ("end_reauth", "end_reauth_code"))}
        <div class="actions">
            <button class=class>{format!("End {} now", previous.hint())}</button>
        </div>
    };
    view! {
        <div class="stack roomy">
            <div class="stack roomy" id="rotation" data-live>
                {notice(tone, words)}
                {table(secrets, previous, now, zone)}
                {post_form("/api/keys/end-secret", hidden(view, "secret", previous), end)}
                {lost(view, caller)}
            </div>
            {extend(view, previous, caller)}
            {undo(view, previous, caller)}
        </div>
    }
    .into_any()
}

/// In one sentence, whether the previous secret can be ended.
fn advice(secrets: &KeySecrets, previous: &KeySecret, now: Moment, zone: &Zone) -> (Tone, String) {
    let (new, old) = (secrets.current.hint(), previous.hint());
    match secrets.advice(now) {
        None | Some(EndAdvice::NewUnused) => {
            (Tone::Warn, format!("Don’t end {old} yet: no request has used the new secret {new}."))
        }
        Some(EndAdvice::StillUsed { at }) => (
            Tone::Warn,
            format!(
                "Don’t end {old} yet: it was used {}. Change the app that still uses it.",
                at.relative(now, zone)
            ),
        ),
        Some(EndAdvice::Safe { last: Some(at) }) => (
            Tone::Good,
            format!(
                "{old} is safe to end: it was last used {}, and {new} is in use.",
                at.relative(now, zone)
            ),
        ),
        Some(EndAdvice::Safe { last: None }) => {
            (Tone::Good, format!("{old} is safe to end: no request has used it, and {new} is in use."))
        }
    }
}

fn table(secrets: &KeySecrets, previous: &KeySecret, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    let row = |which: &'static str, secret: &KeySecret| {
        let used = secret.last_used_at.map_or_else(
            || view! { <span class="muted">"Never"</span> }.into_any(),
            |at| when::ago(at, now, zone).into_any(),
        );
        let requests = grouped(secret.requests);
        let from = match secret.addresses.as_slice() {
            [] => "–".to_owned(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        let ends = match secret.end {
            None => view! { <span class="muted">"Current"</span> }.into_any(),
            Some(SecretEnd::At(at)) => when::ago(at, now, zone).into_any(),
            Some(SecretEnd::AfterFirstUse(ms)) => after_first_use(ms).into_any(),
        };
        view! {
            <tr>
                <th scope="row">
                    {which} " " <span class="hint">{secret.hint()}</span>
                </th>
                <td data-label="Last used" class="tight">{used}</td>
                <td data-label="Billed requests since" class="num">{requests}</td>
                <td data-label="From">{from}</td>
                <td data-label="Ends" class="tight">{ends}</td>
            </tr>
        }
    };
    let newest = (!secrets.counted_all)
        .then(|| view! { <p class="muted">"Counted among the newest 10,000 requests of this key."</p> });
    view! {
        <div class="table-wrap">
            <table class="table even">
                <caption class="sr">"Secrets of this key that work"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Secret"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col" class="num">"Billed requests since"</th>
                        <th scope="col">"From"</th>
                        <th scope="col">"Ends"</th>
                    </tr>
                </thead>
                <tbody>{row("New", &secrets.current)} {row("Previous", previous)}</tbody>
            </table>
        </div>
        {newest}
    }
}

/// The new secret can be made again while no request has used it: it was perhaps never seen.
fn lost(view: &RotationView, caller: &Caller) -> Option<AnyView> {
    let current = &view.secrets.current;
    (!current.is_used()).then(|| {
        let inside = view! {
            <input type="hidden" name="form[grace][mode]" value="now" />
            {reauth(view, caller, ("lost_reauth", "lost_reauth_code"))}
            <div class="actions">
                <button class="btn">"Replace " {hint(&current.last_four)}</button>
            </div>
        };
        view! {
            <section class="stack">
                <h2>"Lost the new secret?"</h2>
                <p class="muted">
                    "No request has used it, so another one can take its place. The previous secret keeps working."
                </p>
                {post_form("/api/keys/rotate", hidden(view, "from", current), inside)}
            </section>
        }
        .into_any()
    })
}

fn extend(view: &RotationView, previous: &KeySecret, caller: &Caller) -> AnyView {
    let field_errors = field_errors();
    // No choice is made for a person who shortens or extends it.
    let unset = GraceField { mode: String::new(), ..GraceField::default() };
    let sent = typed::<ExtendForm>().map_or(unset, |form| form.grace);
    let legend = format!("{} ends", previous.hint());
    let inside = view! {
        {grace_choice(legend, &sent, false, view, &field_errors)}
        {reauth(view, caller, ("extend_reauth", "extend_reauth_code"))}
        <div class="actions">
            <button class="btn">"Change the end"</button>
        </div>
    };
    let form = post_form("/api/keys/extend-secret", hidden(view, "secret", previous), inside);
    let open = field_errors.of("grace").is_some() || field_errors.of("hours").is_some();
    view! {
        <details class="more" open=open>
            <summary>{icon(Icon::Right)} "Change when the previous secret ends"</summary>
            {form}
        </details>
    }
    .into_any()
}

fn undo(view: &RotationView, previous: &KeySecret, caller: &Caller) -> AnyView {
    let inside = view! {
        {reauth(view, caller, ("undo_reauth", "undo_reauth_code"))}
        <div class="actions">
            <button class="btn danger-quiet">{format!("Go back to {}", previous.hint())}</button>
        </div>
    };
    view! {
        <details class="more">
            <summary>{icon(Icon::Right)} "Undo the rotation"</summary>
            <div class="stack">
                <p class="muted">"The new secret ends immediately, and requests with it fail."</p>
                {post_form("/api/keys/undo-rotation", hidden(view, "secret", previous), inside)}
            </div>
        </details>
    }
    .into_any()
}
