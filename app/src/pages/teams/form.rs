//! The form of a team: empty for a new one, filled in for an edit.

use keydesk_core::domain::team::TeamSpec;
use keydesk_core::forms::team::{CreateForm, EditForm, TeamForm};
use keydesk_core::ops::teams::{self, FormView};
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed};
use crate::pages::bounds::BoundFields;
use crate::pages::{field_errors, here, notice_line, page, returned, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, on_page};
use crate::ui::page_head::page_head;

#[component]
pub fn NewTeamPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::blank(&desk, &caller, &slug).await?;
        let form = typed::<CreateForm>().map(|sent| sent.team);
        let form = form.unwrap_or_else(|| TeamForm::of(&TeamSpec::default(), &view.models));
        let field_errors = field_errors();
        let body = view! {
            {title("Create team")}
            {notice_line()}
            {page_head(crumbs(&slug, None), "Create team".into_any(), ().into_any(), ().into_any())}
            <form class="form" method="post" action="/api/teams/create" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.clone() />
                {fields(&view, &form, &field_errors)}
                <div class="actions stays">
                    <button class="btn primary">"Create team"</button>
                    <a class="btn quiet" href=LocalPath::teams(&slug).as_str().to_owned()>
                        "Cancel"
                    </a>
                </div>
            </form>
        };
        let path = format!("/{slug}/teams/new");
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}

#[component]
pub fn EditTeamPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::edit_form(&desk, &caller, &slug, &id).await?;
        let spec = view.team.as_ref().map(|team| team.spec.clone()).unwrap_or_default();
        let mut form = TeamForm::of(&spec, &view.models);
        let mut was = serde_json::to_string(&form).unwrap_or_default();
        let mut version = view.team.as_ref().map(|team| team.version).unwrap_or_default();
        // After a conflict the form has the current team with this person's changes. After a mistake it has what they typed,
        // and the version that they started from.
        let merged = returned().and_then(|form| form.merged);
        if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            form = merged;
        } else if let Some(sent) = typed::<EditForm>() {
            (form, was, version) = (sent.team, sent.was, sent.version);
        }
        let field_errors = field_errors();
        let name = spec.name;
        let team_page = LocalPath::teams(&slug).with_id(&id).as_str().to_owned();
        let under = view! {
            <p class="muted">"Lower limits apply to new keys and edits. Existing keys above them don’t change; the team’s page lists them."</p>
        };
        let body = view! {
            {title(format!("Edit {name}"))}
            {notice_line()}
            {page_head(
                crumbs(&slug, view.team.as_ref()),
                format!("Edit {name}").into_any(),
                under.into_any(),
                ().into_any(),
            )}
            <form class="form" method="post" action="/api/teams/edit" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[id]" value=id.clone() />
                <input type="hidden" name="form[version]" value=version.to_string() />
                <input type="hidden" name="form[was]" value=was />
                {fields(&view, &form, &field_errors)}
                <div class="actions stays">
                    <button class="btn primary">"Save changes"</button>
                    <a class="btn quiet" href=team_page.clone()>
                        "Cancel"
                    </a>
                </div>
            </form>
        };
        Ok(framed(&view.context, &caller, &format!("{team_page}/edit"), Width::Narrow, body.into_any()))
    })
}

fn fields(view: &FormView, form: &TeamForm, field_errors: &FieldErrors) -> AnyView {
    let name = TextField {
        field: "name",
        name: "form[team][name]",
        label: "Name",
        help: "Must be unique in the organisation.",
        autofocus: view.team.is_none(),
        ..Default::default()
    };
    let bounds = BoundFields {
        within: "form[team]",
        scope: &form.scope,
        models: &form.models,
        patterns: &form.patterns,
        limits: &form.limits,
        bound: &|_| None,
        every: "All models, including those added later.",
        total: "Never resets. Raise it when the team needs more.",
    };
    view! {
        {name.draw(form.name.clone(), field_errors)}
        <fieldset class="group">
            <legend>"Models"</legend>
            <p class="help">"Keys of this team can use only these models."</p>
            {bounds.models(&view.models, field_errors)}
        </fieldset>
        <fieldset class="group">
            <legend>"Budget and rate limits"</legend>
            <p class="help">"Shared by all keys of the team, and the maximum for each of them. Applies to every request. Changes take effect immediately."</p>
            {bounds.budgets(&view.windows, field_errors)}
            {bounds.rates(field_errors)}
        </fieldset>
    }
    .into_any()
}
