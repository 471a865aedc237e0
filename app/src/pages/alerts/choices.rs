//! What a person gets of an organisation's alerts, and on which way.

use keydesk_core::domain::alert::AlertKind;
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::forms::alert::ChoicesForm;
use keydesk_core::ops::alerts;
use leptos::prelude::*;

use super::choice_fields;
use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::mail::mailer;
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::sealed::Tone;
use crate::ui::field::TextField;
use crate::ui::notice::notice;

#[component]
pub fn ChoicesPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = alerts::choices(&desk, &caller, &slug).await?;
        let org = &view.context.org;
        let field_errors = field_errors();
        let form = typed::<ChoicesForm>().unwrap_or_else(|| ChoicesForm::of(&org.slug, &view.own));
        let thresholds =
            TextField::new("thresholds", "form[thresholds]", "Thresholds of budgets and balance, in percent")
                .help("Such as 50, 80, 95. Leave empty to use the organisation's.")
                .optional();
        let open = |kind: AlertKind| {
            let whose = if kind.is_of_org() { "As the organisation" } else { "As usual" };
            Some(format!("{whose}: {}", view.org.way(kind).label()))
        };
        let is_operator = caller.person.platform == PlatformRole::Operator;
        let kinds = AlertKind::ALL.into_iter().filter(move |kind| kind.is_of_org() || is_operator);
        let no_mail = mailer().is_none().then(|| {
            notice(Tone::Warn, "This installation sends no mail. Alerts are in your inbox only.".into())
        });
        let inside = view! {
            {choice_fields(&form, thresholds, kinds, open, &field_errors)}
            {save_or_cancel("Save", LocalPath::inbox(&org.slug))}
        };
        let org_settings = view.context.may(Action::SeeSettings, On::Org).then(|| {
            view! {
                <p class="muted">
                    "The defaults for people who have not chosen are in "
                    <a href=LocalPath::alert_settings(&org.slug)>"the organisation's alerts"</a> "."
                </p>
            }
        });
        let under = view! {
            <p class="muted">
                {format!("Alerts of {} about what you may see: ", org.name)}
                "your own keys, the teams that you administer and, for owners and admins, everything."
            </p>
        };
        let body = view! {
            <div class="stack roomy">
                {no_mail} {post_form("/api/alerts/choose", vec![("org", org.slug.clone())], inside)} {org_settings}
            </div>
        };
        Ok(Page::new("What you get", Width::Narrow)
            .crumb(LocalPath::inbox(&org.slug), "Inbox")
            .under(under)
            .in_org(&view.context, &caller, body))
    })
}
