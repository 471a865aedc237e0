//! Alerts: the inbox, what a person gets, and what an organisation sets.

mod choices;
mod inbox;
mod settings;

pub use choices::ChoicesPage;
pub use inbox::InboxPage;
pub use settings::AlertSettingsPage;

use keydesk_core::domain::alert::{AlertKind, Way};
use keydesk_core::forms::alert::ChoicesForm;
use leptos::prelude::*;

use crate::ui::field::{FieldErrors, TextField, select_field};

/// The name that a kind's choice is sent as.
const fn field_name(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Budget => "form[budget]",
        AlertKind::Balance => "form[balance]",
        AlertKind::Expiry => "form[expiry]",
        AlertKind::Rotation => "form[rotation]",
        AlertKind::Rejections => "form[rejections]",
        AlertKind::Spike => "form[spike]",
        AlertKind::Provider => "form[provider]",
    }
}

/// Thresholds and one choice for each kind. `open` gives what an empty choice means, where it may be empty.
fn choice_fields(
    form: &ChoicesForm,
    thresholds: TextField,
    kinds: impl Iterator<Item = AlertKind>,
    open: impl Fn(AlertKind) -> Option<String>,
    field_errors: &FieldErrors,
) -> AnyView {
    let kinds = kinds
        .map(|kind| {
            let mut options: Vec<(String, String)> =
                Way::ALL.iter().map(|way| (way.as_str().to_owned(), way.label().to_owned())).collect();
            if let Some(words) = open(kind) {
                options.insert(0, (String::new(), words));
            }
            select_field(
                kind.as_str(),
                field_name(kind),
                kind.label(),
                kind.explanation(),
                options,
                form.way(kind),
                field_errors,
            )
        })
        .collect_view();
    view! {
        {thresholds.draw(form.thresholds.clone(), field_errors)}
        {kinds}
    }
    .into_any()
}
