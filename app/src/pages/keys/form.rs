//! The form of a key: empty with sensible values for a new one, filled for an edit. Both are the same fields.

use keydesk_core::domain::moment::Day;
use keydesk_core::domain::numbers::days_words;
use keydesk_core::forms::key::{CreateForm, EditForm, MAX_NAME, MAX_NOTE, expiry_days};
use keydesk_core::ops::keys::{self, FormView, TeamBounds};
use leptos::prelude::*;

use crate::ask::{caller, desk, param, query};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::pages::bounds::BoundFields;
use crate::pages::{field_errors, here, notice_line, page, returned, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, field_error, help, lines_field, on_page, select_field};
use crate::ui::page_head::page_head;

#[component]
pub fn NewKeyPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let team = query("team").unwrap_or_default();
        let mut view = keys::blank(&desk, &caller, &slug, &team).await?;
        if let Some(sent) = typed::<CreateForm>() {
            view.form = sent.key;
        }
        let bounds = keys::bounds_for(&desk, &view.context, &view.form.team).await?;
        let field_errors = field_errors();
        // A key for somebody else may have to be proved; a key of one's own never.
        let for_another = !["", caller.person.id.as_str()].contains(&view.form.owner.as_str());
        let reauth = for_another.then(|| reauth_fields(&caller, view.now, &field_errors));
        let org = view.context.org.clone();
        let keys_page = LocalPath::keys(&org.slug).as_str().to_owned();
        let under = view! { <p class="muted">"The key is shown once, on the next page."</p> };
        let body = view! {
            {title("Create key")}
            {notice_line()}
            {page_head(
                vec![(keys_page.clone(), "Keys".into())],
                "Create key".into_any(),
                under.into_any(),
                ().into_any(),
            )}
            <form class="form" method="post" action="/api/keys/create" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                {fields(&view, bounds, &field_errors)}
                {reauth}
                {summary(&view)}
                <div class="actions">
                    <button class="btn primary">"Create key"</button>
                    <a class="btn quiet" href=keys_page>"Cancel"</a>
                </div>
            </form>
        };
        let path = format!("/{}/keys/new", org.slug);
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}

#[component]
pub fn EditKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let mut view = keys::edit_form(&desk, &caller, &slug, &id).await?;
        let mut was = serde_json::to_string(&view.form).unwrap_or_default();
        let mut version = view.key.as_ref().map(|key| key.version).unwrap_or_default();
        // After a clash the form holds the key as it stands with this person's changes. After a mistake it is what they
        // typed, still drawn from the version that they saw.
        let merged = returned().and_then(|form| form.merged);
        if let Some(form) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            view.form = form;
        } else if let Some(sent) = typed::<EditForm>() {
            (view.form, was, version) = (sent.key, sent.was, sent.version);
        }
        let bounds = keys::bounds_for(&desk, &view.context, &view.form.team).await?;
        let field_errors = field_errors();
        let org = view.context.org.clone();
        let name = view.key.as_ref().map(|key| key.name.clone()).unwrap_or_default();
        let key_page = format!("/{}/keys/{id}", org.slug);
        let crumbs = vec![
            (LocalPath::keys(&org.slug).as_str().to_owned(), "Keys".into()),
            (key_page.clone(), name.clone()),
        ];
        let body = view! {
            {title(format!("Edit {name}"))}
            {notice_line()}
            {page_head(crumbs, format!("Edit {name}").into_any(), ().into_any(), ().into_any())}
            <form class="form" method="post" action="/api/keys/edit" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                <input type="hidden" name="form[id]" value=id.clone() />
                <input type="hidden" name="form[version]" value=version.to_string() />
                <input type="hidden" name="form[was]" value=was />
                {fields(&view, bounds, &field_errors)}
                <div class="actions">
                    <button class="btn primary">"Save changes"</button>
                    <a class="btn quiet" href=key_page.clone()>"Cancel"</a>
                </div>
            </form>
        };
        Ok(framed(&view.context, &caller, &format!("{key_page}/edit"), Width::Narrow, body.into_any()))
    })
}

/// What will be made, in one sentence. The browser's script keeps it true while the form is filled in; without script
/// it is not shown, because it could not follow.
fn summary(view: &FormView) -> impl IntoView + use<> {
    let form = &view.form;
    let owner = view.owners.iter().find(|person| person.id.as_str() == form.owner);
    let owner = owner.map(|person| person.name.clone()).unwrap_or_default();
    let said = |from: &'static str, none: &'static str| {
        let (mode, value) = form.pair(from);
        let words = if mode == "none" { none.to_owned() } else { value.to_owned() };
        view! { <b data-says=from data-none=none>{words}</b> }
    };
    let money = |from: &'static str, none: &'static str| {
        let (mode, value) = form.pair(from);
        let words = if mode == "none" { none.to_owned() } else { format!("${value}") };
        view! { <b data-says=from data-none=none data-unit="$">{words}</b> }
    };
    let models = if form.scope == "every" {
        "every model".to_owned()
    } else {
        format!("{} models", form.models.len())
    };
    let expiry = match form.expiry.as_str() {
        "never" => "Never".to_owned(),
        days => days.parse().map(days_words).unwrap_or_default(),
    };
    view! {
        <p class="summary needs-script">
            "The key is " <b data-says="owner">{owner}</b> "’s. It may use " <b data-says="models">{models}</b> ", spend " {money("month", "any amount")}
            " a month at " {said("rpm", "any number of")} " requests and " {said("tpm", "any number of")}
            " tokens per minute, " {said("concurrent", "any number")} " at a time. It expires: "
            <b data-says="expiry">{expiry}</b> "."
        </p>
    }
}

fn fields(view: &FormView, bounds: Option<TeamBounds>, field_errors: &FieldErrors) -> AnyView {
    let form = &view.form;
    let name = TextField {
        field: "name",
        name: "form[key][name]",
        label: "Name",
        help: "What uses this key. Unique among the team's live keys.",
        max: Some(MAX_NAME),
        autofocus: view.key.is_none(),
        ..Default::default()
    };
    let note = TextField {
        field: "note",
        name: "form[key][note]",
        label: "Note",
        help: "Shown under the name in the list.",
        max: Some(MAX_NOTE),
        optional: true,
        ..Default::default()
    };
    let bounds = BoundFields {
        within: "form[key]",
        scope: &form.scope,
        models: &form.models,
        patterns: &form.patterns,
        pair: &|field| form.pair(field),
        bound: &|field| bounds.as_ref().and_then(|(team, bounds)| bounds.help(team, field)),
        every: "Whatever the organisation may use, now and later.",
        total: "Never resets. Raise it to let the key go on.",
    };
    let mut teams: Vec<(String, String)> =
        view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())).collect();
    if view.may_go_without_team || form.team.is_empty() {
        teams.insert(0, (String::new(), "No team".into()));
    }
    // The team it is in stays a choice, also when it is archived or not theirs.
    if let Some(team) = view.key.as_ref().and_then(|key| key.team.as_ref())
        && !view.teams.contains(team)
    {
        teams.push((team.id.to_string(), team.name.clone()));
    }
    let team = select_field(
        "team",
        "form[key][team]",
        "Team",
        "Its admins can look after the key too, and what it allows bounds the key.",
        teams,
        &form.team,
        field_errors,
    );
    let owner = owner(view, field_errors);
    view! {
        {name.draw(form.name.clone(), field_errors)}
        {note.draw(form.note.clone(), field_errors)}
        {team}
        {owner}
        <fieldset class="group">
            <legend>"What it may use"</legend>
            <p class="help">"Requests for anything else are refused with the reason."</p>
            {bounds.models(&view.models, field_errors)}
            {lines_field(
                "addresses",
                "form[key][addresses]",
                "Addresses",
                "One a line, as 203.0.113.7 or 203.0.113.0/24. Empty lets it be used from anywhere.",
                "",
                form.addresses.clone(),
                field_errors,
            )}
        </fieldset>
        <fieldset class="group">
            <legend>"What it may spend"</legend>
            <p class="help">"Checked at every request; a change holds from the next one on. At a limit requests are refused, with the time it opens again."</p>
            {bounds.budgets(&view.context.org.zone, field_errors)}
            {bounds.rates(field_errors)}
        </fieldset>
        <fieldset class="group">
            <legend>"How long"</legend>
            <p class="help">"An expired key is refused at once, and stays so."</p>
            {expiry(view, field_errors)}
        </fieldset>
    }
    .into_any()
}

/// Whose key it is. Who looks after nobody else's keys is its owner, and there is nothing to choose.
fn owner(view: &FormView, field_errors: &FieldErrors) -> AnyView {
    let mut owners: Vec<(String, String)> =
        view.owners.iter().map(|person| (person.id.to_string(), person.name.clone())).collect();
    // Who owns it stays a choice, also when they are not active any more or not the caller's to choose.
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
    let chosen =
        if view.form.owner.is_empty() { view.context.principal.person.as_str() } else { &view.form.owner };
    let words = "They see the key and may take it out of use.";
    select_field("owner", "form[key][owner]", "Owner", words, owners, chosen, field_errors)
}

fn expiry(view: &FormView, field_errors: &FieldErrors) -> AnyView {
    let (form, zone) = (&view.form, &view.context.org.zone);
    let choice = |value: String, label: String, reveals: bool| {
        let checked = form.expiry == value;
        view! {
            <label>
                <input
                    type="radio"
                    name="form[key][expiry]"
                    value=value
                    data-reveals=reveals
                    checked=checked
                />
                {label}
            </label>
        }
    };
    let principal = view.key.as_ref().and_then(|key| key.expires_at);
    let keep = principal.map(|_| choice("keep".into(), "As it is".into(), false));
    let (rules, defaults) = (&view.context.org.rules, &view.context.org.defaults);
    let offered = expiry_days(rules, defaults)
        .into_iter()
        .map(|days| choice(days.to_string(), days_words(days), false))
        .collect_view();
    // A key that never ends stays so, also where a new one may not.
    let never = rules.max_key_days.is_none() || view.key.is_some() && principal.is_none();
    let last = rules.max_key_days.map(|max| Day::of(view.now.plus_days(max), zone).to_string());
    let max = rules
        .max_key_days
        .map(|max| help("expiry_most", format!("Keys of this organisation end within {}.", days_words(max))));
    let stands = principal.map(|at| help("expiry", format!("As it is: {}.", at.exact(zone))));
    let first = Day::of(view.now, zone);
    let wrong = field_errors.of("expiry");
    view! {
        <div class="reveals" data-field="expiry">
            <div class="segmented" role="radiogroup" aria-label="Expires">
                {keep}
                {offered}
                {choice("date".into(), "On a date".into(), true)}
                {never.then(|| choice("never".into(), "Never".into(), false))}
            </div>
            {stands}
            {max}
            <div class="reveal">
                <div class="field">
                    <label class="label" for="expires_on">"Date"</label>
                    <span class="affix">
                        <input
                            class="input"
                            type="date"
                            id="expires_on"
                            name="form[key][expires_on]"
                            value=form.expires_on.clone()
                            min=first.to_string()
                            max=last
                            aria-describedby="expires_on-help"
                        />
                    </span>
                    {help("expires_on", format!("It works to the end of this day, {}.", zone.name()))}
                </div>
            </div>
            {field_error("expiry", wrong)}
        </div>
    }
    .into_any()
}
