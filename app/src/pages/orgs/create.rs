//! A new organisation, and the one page that shows its owner's invitation link.

use http::{HeaderValue, header};
use keydesk_core::forms::org::NewOrgForm;
use keydesk_core::ops::access::own_orgs;
use keydesk_core::ops::orgs::{self, OperatorActor};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::zones;
use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, OwnerLink};
use crate::ui::code::shown_once;
use crate::ui::field::TextField;

#[component]
pub fn NewOrgPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        orgs::may_create(&desk, &OperatorActor::Operator(&caller))?;
        let own = own_orgs(&desk, &caller).await?;
        let field_errors = field_errors();
        let form = typed().unwrap_or_else(|| NewOrgForm { zone: "UTC".into(), ..Default::default() });
        let name = TextField::new("name", "form[name]", "Name").autofocus();
        let address = TextField::new("slug", "form[slug]", "Address")
            .help("The first part of its pages' URLs. Leave empty to derive it from the name: Acme Corp becomes /acme-corp.")
            .optional();
        let zone = TextField::new("zone", "form[zone]", "Time zone")
            .help("Budgets reset at midnight in this time zone. The owner can change it.")
            .list("zones");
        let email = TextField::new("email", "form[email]", "Owner's email")
            .email()
            .help("A person who already signs in with this email becomes the owner immediately. Otherwise the next page shows an invitation link for them.");
        let inside = view! {
            {name.draw(form.name, &field_errors)} {address.draw(form.slug, &field_errors)}
            {zone.draw(form.zone, &field_errors)} {zones()} {email.draw(form.email, &field_errors)}
            {save_or_cancel("Create organisation", LocalPath::operator())}
        };
        Ok(Page::new("Create organisation", Width::Narrow)
            .crumb(LocalPath::operator(), "Organisations")
            .apart(&own, &caller, post_form("/api/orgs/create", vec![], inside)))
    })
}

#[component]
pub fn OrgCreatedPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = orgs::created(&desk, &caller, &slug).await?;
        let path = LocalPath::org_created(&view.org.slug);
        let issued: Option<OwnerLink> = sealed::take(ISSUED, path.as_str(), desk.now());
        if let Some(response) = use_context::<ResponseOptions>() {
            // Neither stored nor transformed on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let inside = match issued.filter(|issued| issued.slug == view.org.slug) {
            Some(OwnerLink { link, email, .. }) => {
                let advice = format!(
                    " Send it to {email}. The person who opens it becomes the owner of {}. It works once, for seven days.",
                    view.org.name
                );
                view! { <div data-once>{shown_once("The owner's link", "Copy link", link, advice)}</div> }.into_any()
            }
            None => view! { <p>"The owner's link was shown once, when the organisation was created, and is not stored."</p> }
                .into_any(),
        };
        let body = view! {
            <div class="stack roomy">
                {inside}
                <div class="actions">
                    <a class="btn" href=LocalPath::operator()>"Go to Organisations"</a>
                </div>
            </div>
        };
        Ok(Page::new("Organisation created", Width::Mid)
            .crumb(LocalPath::operator(), "Organisations")
            .heading(format!("{} is created", view.org.name))
            .path(LocalPath::operator())
            .apart(&view.own, &caller, body))
    })
}
