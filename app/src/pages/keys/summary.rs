//! What the form of a key makes, in one sentence beside it. The browser's script keeps it up to date while the form is
//! filled in; without script it is not shown, because it would be true only until something is changed.

use keydesk_core::forms::key::KeyForm;
use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::keys::FormView;
use leptos::prelude::*;

use super::expiry_field::expiry_words;

/// The sentence for the form as it is drawn.
pub(super) fn summary(view: &FormView, form: &KeyForm) -> impl IntoView + use<> {
    let owner = view.owners.iter().find(|person| person.id.as_str() == form.owner);
    let owner = owner.or_else(|| view.key.as_ref().map(|key| &key.owner));
    let owner = owner.map(|person| person.name.clone()).unwrap_or_default();
    let limit = |field: &'static str, limit: &LimitField, unit: &'static str, none: &'static str| {
        let words = if limit.mode == "none" { none.to_owned() } else { format!("{unit}{}", limit.value) };
        view! { <b data-says=field data-none=none data-unit=unit>{words}</b> }
    };
    let models = match (form.scope.as_str(), form.models.len()) {
        ("every", _) => "every model".to_owned(),
        (_, 1) => "1 model".to_owned(),
        (_, count) => format!("{count} models"),
    };
    let keep = view.key.as_ref().and_then(|key| key.expires_at);
    let expiry = expiry_words(&form.expiry, &form.expires_on, keep, (&view.context.org, view.now));
    view! {
        <p class="summary needs-script">
            "This key belongs to " <b data-says="owner">{owner}</b> ", can use "
            <b
                data-says="models"
                data-every="every model"
                data-one="model"
                data-many="models"
                data-more="and some patterns"
            >
                {models}
            </b> " and spend " {limit("month", &form.limits.month, "$", "any amount")} " a month, at "
            {limit("rpm", &form.limits.rpm, "", "any number of")} " requests and "
            {limit("tpm", &form.limits.tpm, "", "any number of")} " tokens per minute and "
            {limit("concurrent", &form.limits.concurrent, "", "any number of")} " concurrent requests. It "
            <b data-says="expiry">{expiry}</b> "."
        </p>
    }
}
