//! The form of a key: empty with sensible values for a new one, filled for an edit. Both are the same fields.

use keydesk_core::domain::key_form::{EXPIRY_PRESETS, KeyForm, NAME_MOST, NOTE_MOST};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::{Day, Zone};
use keydesk_core::domain::window::Period;
use keydesk_core::ops::keys::{self, CreateForm, EditForm, FormView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::pages::{here, mistakes, notice_line, page, returned, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{LimitField, Mistakes, TextField, help, lines_field, mistake, on_page, select_field};
use crate::ui::frame::{Width, framed, page_head};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn NewKeyPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let mut view = keys::blank(&desk, &caller, &slug).await?;
        if let Some(sent) = typed::<CreateForm>() {
            view.form = sent.key;
        }
        let mistakes = mistakes();
        let org = view.visit.org.clone();
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
                {fields(&view, &mistakes)}
                {summary(&view.form)}
                <div class="actions">
                    <button class="btn primary">"Create key"</button>
                    <a class="btn quiet" href=keys_page>"Cancel"</a>
                </div>
            </form>
        };
        let path = format!("/{}/keys/new", org.slug);
        Ok(framed(&view.visit, &caller, &path, Width::Narrow, body.into_any()))
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
        let mistakes = mistakes();
        let org = view.visit.org.clone();
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
                {fields(&view, &mistakes)}
                <div class="actions">
                    <button class="btn primary">"Save changes"</button>
                    <a class="btn quiet" href=key_page.clone()>"Cancel"</a>
                </div>
            </form>
        };
        Ok(framed(&view.visit, &caller, &format!("{key_page}/edit"), Width::Narrow, body.into_any()))
    })
}

/// What will be made, in one sentence. The browser's script keeps it true while the form is filled in; without script
/// it is not shown, because it could not follow.
fn summary(form: &KeyForm) -> impl IntoView + use<> {
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
    let expiry =
        EXPIRY_PRESETS.iter().find(|(value, _, _)| *value == form.expiry).map_or("", |(_, label, _)| label);
    view! {
        <p class="summary needs-script">
            "The key may use " <b data-says="models">{models}</b> ", spend " {money("month", "any amount")}
            " a month at " {said("rpm", "any number of")} " requests and " {said("tpm", "any number of")}
            " tokens per minute, " {said("parallel", "any number")} " at a time. It expires: "
            <b data-says="expiry">{expiry}</b> "."
        </p>
    }
}

fn fields(view: &FormView, mistakes: &Mistakes) -> AnyView {
    let form = &view.form;
    let name = TextField {
        field: "name",
        name: "form[key][name]",
        label: "Name",
        help: "What uses this key. Unique among the team's live keys.",
        most: Some(NAME_MOST),
        autofocus: view.key.is_none(),
        ..Default::default()
    };
    let note = TextField {
        field: "note",
        name: "form[key][note]",
        label: "Note",
        help: "Shown under the name in the list.",
        most: Some(NOTE_MOST),
        optional: true,
        ..Default::default()
    };
    let mut teams: Vec<(String, String)> =
        view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())).collect();
    if view.visit.standing.runs_org() || form.team.is_empty() {
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
        "Its admins can look after the key too.",
        teams,
        &form.team,
        mistakes,
    );
    view! {
        {name.draw(form.name.clone(), mistakes)}
        {note.draw(form.note.clone(), mistakes)}
        {team}
        <fieldset class="group">
            <legend>"What it may use"</legend>
            <p class="help">"Requests for anything else are refused with the reason."</p>
            {models(form, &view.models, mistakes)}
            {lines_field(
                "addresses",
                "form[key][addresses]",
                "Addresses",
                "One a line, as 203.0.113.7 or 203.0.113.0/24. Empty lets it be used from anywhere.",
                "",
                form.addresses.clone(),
                mistakes,
            )}
        </fieldset>
        <fieldset class="group">
            <legend>"What it may spend"</legend>
            <p class="help">"At a limit requests are refused, with the time it opens again."</p>
            {budgets(form, &view.visit.org.zone, mistakes)}
            {rates(form, mistakes)}
        </fieldset>
        <fieldset class="group">
            <legend>"How long"</legend>
            <p class="help">"An expired key is refused at once, and stays so."</p>
            {expiry(view, mistakes)}
        </fieldset>
    }
    .into_any()
}

fn models(form: &KeyForm, catalogue: &[Model], mistakes: &Mistakes) -> AnyView {
    let mut provider = String::new();
    let boxes = catalogue
        .iter()
        .map(|model| {
            let head = (model.provider != provider).then(|| {
                provider.clone_from(&model.provider);
                view! { <p class="head">{model.provider.clone()}</p> }
            });
            let checked = form.models.contains(&model.id);
            view! {
                {head}
                <label class="choice">
                    <input type="checkbox" name="form[key][models][]" value=model.id.clone() checked=checked />
                    <span>{model.id.clone()}</span>
                </label>
            }
        })
        .collect_view();
    let every = form.scope == "every";
    let patterns_open = !form.patterns.is_empty() || mistakes.of("patterns").is_some();
    view! {
        <div class="reveals" data-field="models">
            <label class="choice">
                <input type="radio" name="form[key][scope]" value="listed" data-reveals checked=!every />
                <span>"Only these models"</span>
            </label>
            <div class="reveal">
                <div class="checks" role="group" aria-label="Models">
                    {boxes}
                </div>
                <details class="more" open=patterns_open>
                    <summary>{icon(Icon::Right)} "Also allow by pattern"</summary>
                    {lines_field(
                        "patterns",
                        "form[key][patterns]",
                        "Patterns",
                        "One a line; * stands for any characters. A pattern also lets in models that are added later.",
                        "claude-haiku-*",
                        form.patterns.clone(),
                        mistakes,
                    )}
                </details>
            </div>
            <label class="choice">
                <input type="radio" name="form[key][scope]" value="every" checked=every />
                <span>
                    "Every model, including new ones"
                    <span class="help">"Whatever the organisation may use, now and later."</span>
                </span>
            </label>
            {mistake("models", mistakes.of("models"))}
        </div>
    }
    .into_any()
}

fn budgets(form: &KeyForm, zone: &Zone, mistakes: &Mistakes) -> AnyView {
    let zone = zone.name().to_owned();
    let budget = |period: Period| {
        let (legend, resets) = match period {
            Period::Month => ("Monthly budget", format!("Resets on the 1st at 00:00, {zone}.")),
            Period::Week => ("Weekly budget", format!("Resets on Monday at 00:00, {zone}.")),
            Period::Day => ("Daily budget", format!("Resets at 00:00, {zone}.")),
            Period::Total => ("Budget in all", "Never resets. Raise it to let the key go on.".to_owned()),
        };
        LimitField {
            field: period.as_str(),
            legend,
            within: "form[key]",
            before: "$",
            after: "",
            help: resets,
        }
        .draw(form.pair(period.as_str()), mistakes)
    };
    let others = [Period::Day, Period::Week, Period::Total];
    let open = others
        .iter()
        .any(|period| form.pair(period.as_str()).0 == "limit" || mistakes.of(period.as_str()).is_some());
    view! {
        {budget(Period::Month)}
        <details class="more" open=open>
            <summary>{icon(Icon::Right)} "Also limit per day, per week or in all"</summary>
            <div class="form">{others.map(budget)}</div>
        </details>
    }
    .into_any()
}

fn rates(form: &KeyForm, mistakes: &Mistakes) -> AnyView {
    let rate = |field: &'static str, legend, after, help: &str| {
        LimitField { field, legend, within: "form[key]", before: "", after, help: help.to_owned() }
            .draw(form.pair(field), mistakes)
    };
    view! {
        {rate("rpm", "Requests", "per minute", "")}
        {rate("tpm", "Tokens", "per minute", "Input and output together. 10k and 1.5m are understood.")}
        {rate("parallel", "Parallel requests", "at a time", "How many may be under way at once.")}
    }
    .into_any()
}

fn expiry(view: &FormView, mistakes: &Mistakes) -> AnyView {
    let (form, zone) = (&view.form, &view.visit.org.zone);
    let choice = |value: &'static str, label: &'static str, reveals: bool| {
        view! {
            <label>
                <input
                    type="radio"
                    name="form[key][expiry]"
                    value=value
                    data-reveals=reveals
                    checked=form.expiry == value
                />
                {label}
            </label>
        }
    };
    let standing = view.key.as_ref().and_then(|key| key.expires_at);
    let keep = standing.map(|_| choice("keep", "As it is", false));
    let stands = standing.map(|at| help("expiry", format!("As it is: {}.", at.exact(zone))));
    let first = Day::of(view.now, zone);
    let wrong = mistakes.of("expiry");
    view! {
        <div class="reveals" data-field="expiry">
            <div class="segmented" role="radiogroup" aria-label="Expires">
                {keep}
                {EXPIRY_PRESETS.map(|(value, label, _)| choice(value, label, false))}
                {choice("date", "On a date", true)}
                {choice("never", "Never", false)}
            </div>
            {stands}
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
                            aria-describedby="expires_on-help"
                        />
                    </span>
                    {help("expires_on", format!("It works to the end of this day, {}.", zone.name()))}
                </div>
            </div>
            {mistake("expiry", wrong)}
        </div>
    }
    .into_any()
}
