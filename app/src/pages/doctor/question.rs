//! What the doctor is asked: a key by search, or a secret, and the request.

use keydesk_core::domain::doctor::KeyPlace;
use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::route::Route;
use keydesk_core::forms::doctor::{DoctorForm, route_word};
use keydesk_core::ops::access::OrgContext;
use leptos::prelude::*;

use crate::key_status::status_badge;
use crate::layout::post_form;
use crate::pages::field_errors;
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, lines_field, select_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::search::SearchBox;

/// The key that was picked, or a search for one.
pub fn picker(
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
pub fn questions(action: &'static str, form: &DoctorForm, picked: bool) -> AnyView {
    let field_errors: FieldErrors = field_errors();
    // A secret that was pasted into another field is not shown again.
    let fields = &form.request.without_secrets();
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
    let org = (!form.org.is_empty()).then(|| ("org", form.org.clone()));
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
