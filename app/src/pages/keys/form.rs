//! The form of a key: empty with sensible values for a new one, filled for an edit. Both are the same fields.

use keydesk_core::domain::expiry::expiry_days;
use keydesk_core::domain::key::Key;
use keydesk_core::domain::moment::{Day, Moment};
use keydesk_core::domain::numbers::days_words;
use keydesk_core::domain::org::Org;
use keydesk_core::forms::key::{CreateForm, EditForm, KeyForm};
use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::keys::{self, FormView, TeamBounds};
use leptos::prelude::*;

use crate::ask::{caller, desk, param, query};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::pages::bounds::BoundFields;
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, field_error, help, lines_field, select_field};
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
        let form = typed::<CreateForm>().map(|sent| sent.key).unwrap_or_else(|| {
            let (org, person) = (&view.context.org, &caller.person.id);
            let team = view.team.as_ref().map(|(team, bounds)| (team, bounds));
            match &source {
                Some(spec) => KeyForm::duplicate(spec, &view.models, org, person, &view.teams),
                None => KeyForm::blank(&view.models, org, person, team),
            }
        });
        let bounds = keys::bounds_for(&desk, &view.context, &form.team).await?;
        let field_errors = field_errors();
        // A key for another person may need a recent sign-in; a key of one's own does not.
        let for_another = !["", caller.person.id.as_str()].contains(&form.owner.as_str());
        let reauth = for_another.then(|| reauth_fields(&caller, view.now, &field_errors));
        let org = &view.context.org;
        let inside = view! {
            {fields(&view, &form, bounds, &field_errors)}
            {reauth}
            {summary(&view, &form)}
            {save_or_cancel("Create key", LocalPath::keys(&org.slug))}
        };
        Ok(Page::new("Create key", Width::Narrow)
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
        let inside = view! {
            {fields(&view, &form, bounds, &field_errors)}
            {save_or_cancel("Save changes", key_page.clone())}
        };
        Ok(Page::new(format!("Edit {name}"), Width::Narrow)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(key_page, name)
            .in_org(&view.context, &caller, post_form("/api/keys/edit", hidden, inside)))
    })
}

/// What will be created, in one sentence. The browser's script keeps it up to date while the form is filled in; without
/// script it is not shown.
fn summary(view: &FormView, form: &KeyForm) -> impl IntoView + use<> {
    let owner = view.owners.iter().find(|person| person.id.as_str() == form.owner);
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
    let expiry = match form.expiry.as_str() {
        "never" => "never expires".to_owned(),
        days => days.parse().map(days_words).map_or(String::new(), |days| format!("expires after {days}")),
    };
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
            </b> " and spend " {limit("month", &form.limits.month, "$", "any amount")} " a month, at " {limit("rpm", &form.limits.rpm, "", "any number of")}
            " requests and " {limit("tpm", &form.limits.tpm, "", "any number of")} " tokens per minute and "
            {limit("concurrent", &form.limits.concurrent, "", "any number of")} " concurrent requests. It "
            <b data-says="expiry">{expiry}</b> "."
        </p>
    }
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
        {note.draw(form.note.clone(), field_errors)}
        {team(view, form, field_errors)}
        {owner(view, form, field_errors)}
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
            <legend>"Budget and rate limits"</legend>
            <p class="help">"Applies to every request. Changes take effect immediately. Over a limit, requests fail with an error that says when it resets."</p>
            {bounds.budgets(&view.context.org.zone, field_errors)}
            {bounds.rates(field_errors)}
        </fieldset>
        <fieldset class="group">
            <legend>"Expiration"</legend>
            <p class="help">"An expired key stops working. It can be extended for 30 days after that."</p>
            {expiry(view, form, field_errors)}
            {rotation(view, form, field_errors)}
        </fieldset>
    }
    .into_any()
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

/// Folded unless something is set, because few keys need a setting of their own.
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
    let open =
        chosen || !form.rotate_days.is_empty() || field_errors.of("rotate_days").is_some() || wrong.is_some();
    view! {
        <details class="more" open=open>
            <summary>{icon(Icon::Right)} "Rotation"</summary>
            <div class="form">
                {days.draw_with(help, form.rotate_days.clone(), field_errors)}
                <div class="field" data-field="self_rotation">
                    <label class="choice">
                        <input type="checkbox" name="form[key][self_rotation]" value="yes" checked=chosen />
                        <span>"May rotate itself" <span class="help">{itself}</span></span>
                    </label>
                    {field_error("self_rotation", wrong)}
                </div>
            </div>
        </details>
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

/// When a key expires.
pub(super) struct ExpiryField {
    /// The name that the choice is sent under.
    pub name: &'static str,
    /// The name that its day is sent under.
    pub date_name: &'static str,
    /// An expiry that may stay as it is.
    pub keep: Option<Moment>,
    /// Offers numbers of days from now.
    pub days: bool,
    /// Offers "Never" also where the organisation does not allow it to new keys.
    pub never: bool,
}

impl ExpiryField {
    /// `chosen` and `day` as they were sent.
    pub(super) fn draw(
        &self,
        (org, now): (&Org, Moment),
        (chosen, day): (&str, &str),
        field_errors: &FieldErrors,
    ) -> AnyView {
        let zone = &org.zone;
        // `words` go on with "It" in the summary; those of a date end with the date.
        let choice = |value: String, label: String, words: String| {
            let checked = chosen == value;
            let date = value == "date";
            view! {
                <label>
                    <input
                        type="radio"
                        name=self.name
                        value=value
                        data-reveals=date
                        data-words=words
                        data-words-from=date.then_some("expires_on")
                        checked=checked
                    />
                    {label}
                </label>
            }
        };
        let keep =
            self.keep.map(|at| choice("keep".into(), "Keep".into(), format!("expires {}", at.exact(zone))));
        let rules = &org.rules;
        let offered = if self.days { expiry_days(rules, &org.defaults) } else { vec![] };
        let offered = offered.into_iter().map(|days| {
            let label = days_words(days);
            let words = format!("expires after {label}");
            choice(days.to_string(), label, words)
        });
        let never = rules.max_key_days.is_none() || self.never;
        let last = rules.max_key_days.map(|max| Day::of(now.plus_days(max), zone).to_string());
        let max = rules.max_key_days.map(|max| {
            help(
                "max_expiry",
                format!("Keys in this organisation can't last longer than {}.", days_words(max)),
            )
        });
        let stands = self.keep.map(|at| help("expiry", format!("Keep: expires {}.", at.exact(zone))));
        let first = Day::of(now, zone);
        let wrong = field_errors.of("expiry");
        view! {
            <div class="reveals" data-field="expiry">
                <div class="segmented" role="radiogroup" aria-label="Expires">
                    {keep}
                    {offered.collect_view()}
                    {choice("date".into(), "On a date".into(), "expires on".into())}
                    {never.then(|| choice("never".into(), "Never".into(), "never expires".into()))}
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
                                name=self.date_name
                                value=day.to_owned()
                                min=first.to_string()
                                max=last
                                aria-describedby="expires_on-help"
                            />
                        </span>
                        {help("expires_on", format!("The key works until the end of this day, {}.", zone.name()))}
                    </div>
                </div>
                {field_error("expiry", wrong)}
            </div>
        }
        .into_any()
    }
}
