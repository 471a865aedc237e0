//! The forms of pages: posted to an action, and drawn again on the page that they are on.

use leptos::prelude::*;

use crate::ask::here;
use crate::ui::field::on_page;

/// A form that the browser's script sends in the background. `hidden` values are sent as `form[name]`.
pub fn post_form(
    action: &'static str,
    hidden: Vec<(&'static str, String)>,
    body: impl IntoView + 'static,
) -> AnyView {
    post_form_on(here(), action, hidden, body)
}

/// `post_form` on a page whose address has a query.
pub fn post_form_on(
    page: String,
    action: &'static str,
    hidden: Vec<(&'static str, String)>,
    body: impl IntoView + 'static,
) -> AnyView {
    view! {
        <form class="form" method="post" action=action data-enhance>
            {on_page(page)}
            {hidden_fields(hidden)}
            {body}
        </form>
    }
    .into_any()
}

/// A form that is a single button.
pub fn post_button(
    action: &'static str,
    hidden: Vec<(&'static str, String)>,
    class: &'static str,
    words: impl IntoView + 'static,
) -> AnyView {
    view! {
        <form method="post" action=action data-enhance>
            {on_page(here())}
            {hidden_fields(hidden)}
            <button class=class>{words}</button>
        </form>
    }
    .into_any()
}

fn hidden_fields(values: Vec<(&'static str, String)>) -> impl IntoView {
    let field = |(name, value)| view! { <input type="hidden" name=format!("form[{name}]") value=value /> };
    values.into_iter().map(field).collect_view()
}

/// The buttons below a form's fields: what it does, and the way back. While the form is sent the first one says so.
pub fn save_or_cancel(save: &'static str, cancel: impl Into<String>) -> impl IntoView {
    let busy = match save.split(' ').next() {
        Some("Create") => Some("Creating…"),
        Some("Save") => Some("Saving…"),
        _ => None,
    };
    view! {
        <div class="actions">
            <button class="btn primary" data-busy=busy>{save}</button>
            <a class="btn quiet" href=cancel.into()>"Cancel"</a>
        </div>
    }
}

/// The buttons below a question, in the order of a form's; `class` is the look of the one that acts.
pub fn cancel_or_act(
    cancel: impl Into<String>,
    class: &'static str,
    act: impl IntoView + 'static,
) -> impl IntoView {
    view! {
        <div class="actions">
            <button class=class>{act}</button>
            <a class="btn quiet" href=cancel.into()>"Cancel"</a>
        </div>
    }
}
