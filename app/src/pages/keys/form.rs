//! The form of a key: empty with sensible values for a new one, filled for an edit. Both are the same fields: what nearly
//! every key is given stands open, the rest is folded until one of it says something else than a new key would get.

use std::collections::BTreeSet;

use keydesk_core::domain::field_error::FieldError;
use keydesk_core::domain::ids::PersonId;
use keydesk_core::domain::key::{Key, KeySpec};
use keydesk_core::domain::numbers::days_words;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::key::{CreateForm, EditForm, KeyForm};
use keydesk_core::forms::parts::{LimitField, LimitFields};
use keydesk_core::forms::prefill::Prefill;
use keydesk_core::ops::keys::{self, FormView, TeamBounds};
use leptos::prelude::*;

use super::expiry_field::ExpiryField;
use super::summary::summary;
use crate::ask::{caller, desk, param, queries, query};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::pages::bounds::BoundFields;
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, field_error, lines_field, select_field};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn NewKeyPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let team = query("team").unwrap_or_default();
        let view = keys::blank(&desk, &caller, &slug, &team).await?;
        let source = match query("from") {
            Some(id) => Some(keys::settings_of(&desk, &caller, &slug, &id).await?),
            None => None,
        };
        let (form, of_link) = match typed::<CreateForm>() {
            Some(sent) => (sent.key, vec![]),
            None => filled_in(&view, source.as_ref(), &caller.person.id),
        };
        let bounds = keys::bounds_for(&desk, &view.context, &form.team).await?;
        let mut field_errors = field_errors();
        field_errors.0.extend(of_link);
        // A key for another person may need a recent sign-in; a key of one's own does not.
        let for_another = !["", caller.person.id.as_str()].contains(&form.owner.as_str());
        let reauth = for_another.then(|| reauth_fields(&caller, view.now, &field_errors));
        let org = &view.context.org;
        let fields = view! { {fields(&view, &form, bounds, &field_errors)} {reauth} }.into_any();
        let buttons = save_or_cancel("Create key", LocalPath::keys(&org.slug));
        let inside = two_columns(fields, summary(&view, &form), buttons);
        Ok(Page::new("Create key", Width::Wide)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .under(view! { <p class="muted">"The key is shown once, on the next page."</p> })
            .in_org(
                &view.context,
                &caller,
                post_form("/api/keys/create", vec![("org", org.slug.clone())], inside),
            ))
    })
}

#[component]
pub fn EditKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::edit_form(&desk, &caller, &slug, &id).await?;
        let spec = view.key.as_ref().map(Key::spec).unwrap_or_default();
        let mut form = KeyForm::of(&spec, &view.models);
        let mut was = serde_json::to_string(&form).unwrap_or_default();
        let mut version = view.key.as_ref().map(|key| key.version).unwrap_or_default();
        // After an edit conflict the form has the key's present values with this person's changes in them. After a
        // mistake it has what they typed, and the version that they saw.
        let merged = returned().and_then(|form| form.merged);
        if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            form = merged;
        } else if let Some(sent) = typed::<EditForm>() {
            (form, was, version) = (sent.key, sent.was, sent.version);
        }
        let bounds = keys::bounds_for(&desk, &view.context, &form.team).await?;
        let field_errors = field_errors();
        let org = &view.context.org;
        let name = view.key.as_ref().map(|key| key.name.clone()).unwrap_or_default();
        let key_page: String = LocalPath::keys(&org.slug).with_id(&id).into();
        let hidden = vec![
            ("org", org.slug.clone()),
            ("id", id.clone()),
            ("version", version.to_string()),
            ("was", was),
        ];
        let fields = fields(&view, &form, bounds, &field_errors);
        let buttons = save_or_cancel("Save changes", key_page.clone());
        let inside = two_columns(fields, summary(&view, &form), buttons);
        Ok(Page::new(format!("Edit {name}"), Width::Wide)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(key_page, name)
            .in_org(&view.context, &caller, post_form("/api/keys/edit", hidden, inside)))
    })
}

/// The form before anything is typed, filled in by the organisation, another key's settings and the page's address; and
/// what is wrong with the address.
fn filled_in(view: &FormView, source: Option<&KeySpec>, person: &PersonId) -> (KeyForm, Vec<FieldError>) {
    let org = &view.context.org;
    let team = view.team.as_ref().map(|(team, bounds)| (team, bounds));
    let form = match source {
        Some(spec) => KeyForm::duplicate(spec, &view.models, org, person, &view.teams),
        None => KeyForm::blank(&view.models, org, person, team).served_only(&view.models),
    };
    Prefill::of(queries()).fill(form, org, (&view.teams, &view.owners), &view.models)
}

fn fields(
    view: &FormView,
    form: &KeyForm,
    bounds: Option<TeamBounds>,
    field_errors: &FieldErrors,
) -> AnyView {
    let name = TextField {
        field: "name",
        name: "form[key][name]",
        label: "Name",
        help: "What uses this key. Unique among the live keys of its team.",
        autofocus: view.key.is_none(),
        ..Default::default()
    };
    let note = TextField {
        field: "note",
        name: "form[key][note]",
        label: "Note",
        help: "Shown below the name in lists.",
        optional: true,
        ..Default::default()
    };
    let open = unfolded(view, form, bounds.as_ref(), field_errors);
    let bounds = BoundFields {
        within: "form[key]",
        scope: &form.scope,
        models: &form.models,
        patterns: &form.patterns,
        limits: &form.limits,
        bound: &|field| bounds.as_ref().and_then(|(team, bounds)| bounds.help(team, field)),
        every: "All models of the organisation, now and later.",
        total: "Never resets. Raise it to keep using the key.",
    };
    view! {
        {name.draw(form.name.clone(), field_errors)}
        {team(view, form, field_errors)}
        {owner(view, form, field_errors)}
        {bounds.budget(Period::Month, &view.windows, field_errors)}
        <fieldset class="limit">
            <legend>"Expires"</legend>
            {expiry(view, form, field_errors)}
        </fieldset>
        <details class="more folded" open=open>
            <summary>{icon(Icon::Right)} "Limits and restrictions"</summary>
            <div class="form">
                {note.draw(form.note.clone(), field_errors)}
                <fieldset class="group">
                    <legend>"Models and access"</legend>
                    <p class="help">"Requests for other models or from other addresses fail with an error that says why."</p>
                    {bounds.models(&view.models, field_errors)}
                    {lines_field(
                        "addresses",
                        "form[key][addresses]",
                        "IP addresses",
                        "One IP address or range per line, e.g. 203.0.113.0/24. Leave empty to allow any.",
                        "",
                        form.addresses.clone(),
                        field_errors,
                    )}
                </fieldset>
                <fieldset class="group">
                    <legend>"Rate limits"</legend>
                    <p class="help">"Applies to every request. Changes take effect immediately. Over a limit, requests fail with an error that says when it resets."</p>
                    {bounds.rates(field_errors)}
                </fieldset>
                <fieldset class="group">
                    <legend>"Other budgets"</legend>
                    <p class="help">"They apply beside the monthly budget."</p>
                    {bounds.other_budgets(&view.windows, field_errors)}
                </fieldset>
                <fieldset class="group">
                    <legend>"Rotation"</legend>
                    {rotation(view, form, field_errors)}
                </fieldset>
            </div>
        </details>
    }
    .into_any()
}

/// The fields behind "Limits and restrictions".
const FOLDED: [&str; 12] = [
    "note",
    "models",
    "patterns",
    "addresses",
    "rpm",
    "tpm",
    "concurrent",
    "day",
    "week",
    "total",
    "rotate_days",
    "self_rotation",
];

/// Whether they are shown from the start: where one of them is wrong, or says something else than a new key would get in
/// the chosen team.
fn unfolded(
    view: &FormView,
    form: &KeyForm,
    bounds: Option<&TeamBounds>,
    field_errors: &FieldErrors,
) -> bool {
    let org = &view.context.org;
    let fresh = KeyForm::with_defaults(&view.models, &org.defaults, &org.rules);
    let fresh = match bounds {
        Some((_, bounds)) => fresh.narrowed(bounds, &view.models),
        None => fresh,
    };
    let fresh = fresh.served_only(&view.models);
    let as_new = |form: &KeyForm| {
        let limits = LimitFields { month: LimitField::default(), ..form.limits.clone() };
        let sorted = |models: &[String]| models.iter().cloned().collect::<BTreeSet<_>>();
        let models = if form.scope == "every" { BTreeSet::new() } else { sorted(&form.models) };
        let texts = [
            &form.note,
            &form.scope,
            &form.patterns,
            &form.addresses,
            &form.rotate_days,
            &form.self_rotation,
        ];
        (limits, models, texts.map(String::clone))
    };
    FOLDED.iter().any(|field| field_errors.of(field).is_some()) || as_new(form) != as_new(&fresh)
}

/// The two columns: the fields, and beside them what they make, with the buttons.
fn two_columns(fields: AnyView, summary: impl IntoView, buttons: impl IntoView) -> impl IntoView {
    view! {
        <div class="form">{fields}</div>
        <div class="beside">{summary} {buttons}</div>
    }
}

fn team(view: &FormView, form: &KeyForm, field_errors: &FieldErrors) -> AnyView {
    let mut teams: Vec<(String, String)> =
        view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())).collect();
    if view.may_go_without_team || form.team.is_empty() {
        teams.insert(0, (String::new(), "No team".into()));
    }
    // The key's own team stays a choice, also when it is archived or not one of the caller's.
    if let Some(team) = view.key.as_ref().and_then(|key| key.team.as_ref())
        && !view.teams.contains(team)
    {
        teams.push((team.id.to_string(), team.name.clone()));
    }
    select_field(
        "team",
        "form[key][team]",
        "Team",
        "Team admins can manage this key, and the team's limits apply to it.",
        teams,
        &form.team,
        field_errors,
    )
}

/// Who owns the key; plain text where the caller has no choice.
fn owner(view: &FormView, form: &KeyForm, field_errors: &FieldErrors) -> AnyView {
    let mut owners: Vec<(String, String)> =
        view.owners.iter().map(|person| (person.id.to_string(), person.name.clone())).collect();
    // The present owner stays a choice, also when they are not active or not one of the caller's people.
    if let Some(owner) = view.key.as_ref().map(|key| &key.owner)
        && !view.owners.contains(owner)
    {
        owners.push((owner.id.to_string(), owner.name.clone()));
    }
    if let [(_, only)] = owners.as_slice() {
        let (only, wrong) = (only.clone(), field_errors.of("owner"));
        return view! {
            <div class="field" data-field="owner">
                <p class="label">"Owner"</p>
                <p>{only}</p>
                {field_error("owner", wrong)}
            </div>
        }
        .into_any();
    }
    let chosen = if form.owner.is_empty() { view.context.principal.person().as_str() } else { &form.owner };
    let help = "The owner can see, disable and revoke the key.";
    select_field("owner", "form[key][owner]", "Owner", help, owners, chosen, field_errors)
}

fn rotation(view: &FormView, form: &KeyForm, field_errors: &FieldErrors) -> AnyView {
    let rules = &view.context.org.rules;
    let days = TextField {
        field: "rotate_days",
        name: "form[key][rotate_days]",
        label: "Due for rotation after, in days",
        inputmode: "numeric",
        optional: true,
        ..Default::default()
    };
    let by_org = match rules.rotate_days {
        Some(days) => format!("every {}", days_words(days)),
        None => "no reminder".to_owned(),
    };
    let help = format!(
        "From 1 to 3,650. Leave empty to use the organisation's setting: {by_org}. A key that is due keeps working."
    );
    let itself = match rules.self_rotation {
        true => "The organisation allows this for all keys.",
        false => "A program with its secret can replace it with a new one.",
    };
    let chosen = form.self_rotation == "yes";
    let wrong = field_errors.of("self_rotation");
    view! {
        {days.draw_with(help, form.rotate_days.clone(), field_errors)}
        <div class="field" data-field="self_rotation">
            <label class="choice">
                <input type="checkbox" name="form[key][self_rotation]" value="yes" checked=chosen />
                <span>"May rotate itself" <span class="help">{itself}</span></span>
            </label>
            {field_error("self_rotation", wrong)}
        </div>
    }
    .into_any()
}

fn expiry(view: &FormView, form: &KeyForm, field_errors: &FieldErrors) -> AnyView {
    let present = view.key.as_ref().map(|key| key.expires_at);
    let field = ExpiryField {
        name: "form[key][expiry]",
        date_name: "form[key][expires_on]",
        keep: present.flatten(),
        days: true,
        // A key that never expires may stay so, also where new keys have to expire.
        never: present == Some(None),
    };
    field.draw((&view.context.org, view.now), (&form.expiry, &form.expires_on), field_errors)
}
