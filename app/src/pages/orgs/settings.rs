//! The settings of an organisation: one form, in groups. What a change does beyond the page is said beside the field.

use keydesk_core::domain::org::MAX_ORG_NAME;
use keydesk_core::domain::person::MAX_SLUG;
use keydesk_core::domain::policy::{Action, MembersCreate, On};
use keydesk_core::domain::settings::Setting;
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::orgs::{self, SettingsView};
use leptos::prelude::*;

use super::zones;
use crate::ask::{base_url, caller, desk, param};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::pages::meters::meters;
use crate::pages::{field_errors, here, notice_line, page, returned, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, LimitField, TextField, field_error, help, on_page};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;

#[component]
pub fn SettingsPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let mut view = orgs::settings(&desk, &caller, &slug).await?;
        let principal = view.form.clone();
        let mut was = serde_json::to_string(&view.form).unwrap_or_default();
        let mut version = view.context.org.version;
        // After a clash the form holds the settings as they stand with this person's changes. After a mistake it is what
        // they typed, still drawn from the version that they saw.
        let merged = returned().and_then(|form| form.merged);
        if let Some(form) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            view.form = form;
        } else if let Some(sent) = typed::<SaveForm>() {
            (view.form, was, version) = (sent.settings, sent.was, sent.version);
        }
        let field_errors = field_errors();
        let org = &view.context.org;
        let may_edit = view.context.may(Action::EditSettings, On::Org);
        // Asked for when the form came back with the one change that needs it.
        let reauth = (view.form.second_factor != principal.second_factor)
            .then(|| reauth_fields(&caller, view.now, &field_errors));
        let save = may_edit.then(|| {
            view! {
                <div class="actions">
                    <button class="btn primary">"Save settings"</button>
                </div>
            }
        });
        let body = view! {
            {title("Settings")}
            {notice_line()}
            {page_head(vec![], "Settings".into_any(), ().into_any(), ().into_any())}
            <form method="post" action="/api/orgs/save" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                <input type="hidden" name="form[version]" value=version.to_string() />
                <input type="hidden" name="form[was]" value=was />
                <fieldset class="form" disabled=!may_edit>
                    {identity(&view.form, &org.slug, &field_errors)}
                    {spend(&view, &field_errors)}
                    {new_keys(&view.form, &field_errors)}
                    {rules(&view, &field_errors)}
                    {people(&view.form, &caller, &field_errors)}
                    {reauth}
                    {save}
                </fieldset>
            </form>
        };
        let path = LocalPath::settings(&org.slug);
        Ok(framed(&view.context, &caller, path.as_str(), Width::Narrow, body.into_any()))
    })
}

fn identity(form: &SettingsForm, slug: &str, field_errors: &FieldErrors) -> AnyView {
    let name = TextField {
        field: "name",
        name: "form[settings][name]",
        label: "Name",
        help: "Shown at the top of every page and in invitations.",
        max: Some(MAX_ORG_NAME),
        ..Default::default()
    };
    let address = TextField {
        field: "slug",
        name: "form[settings][slug]",
        label: "Address",
        max: Some(MAX_SLUG),
        ..Default::default()
    };
    let address_help = format!(
        "Its pages are at {}/{slug}. After a change the old addresses stop, and bookmarks and links with them; keys go on.",
        base_url()
    );
    view! {
        {name.draw(form.name.clone(), field_errors)}
        {address.draw_with(address_help, form.slug.clone(), field_errors)}
        {zone_field(form.zone.clone(), field_errors)}
        {zones()}
    }
    .into_any()
}

fn zone_field(value: String, field_errors: &FieldErrors) -> AnyView {
    let zone = TextField {
        field: "zone",
        name: "form[settings][zone]",
        label: "Time zone",
        help: "Budgets begin anew at midnight there, on Mondays and on the 1st. After a change the days, weeks and months that are running are counted again from their new start: what was spent in them until then is no longer counted against budgets. Charts keep the days they have.",
        list: "zones",
        ..Default::default()
    };
    zone.draw(value, field_errors)
}

fn limit(
    form: &SettingsForm,
    setting: Setting,
    legend: &'static str,
    units: (&'static str, &'static str),
    help: &str,
    field_errors: &FieldErrors,
) -> AnyView {
    LimitField {
        field: setting.as_str(),
        legend,
        within: "form[settings]",
        before: units.0,
        after: units.1,
        help: help.to_owned(),
    }
    .draw(form.pair(setting), field_errors)
}

/// One of a few, each with what it means.
fn choices(
    setting: Setting,
    label: &'static str,
    chosen: &str,
    choices: Vec<(&'static str, &'static str, &'static str)>,
    field_errors: &FieldErrors,
) -> AnyView {
    let field = setting.as_str();
    let name = format!("form[settings][{field}]");
    let items = choices
        .into_iter()
        .map(|(value, words, help)| {
            view! {
                <label class="choice">
                    <input type="radio" name=name.clone() value=value checked=value == chosen />
                    <span>{words} {(!help.is_empty()).then(|| view! { <span class="help">{help}</span> })}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="limit" data-field=field>
            <legend>{label}</legend>
            {items}
            {field_error(field, field_errors.of(field))}
        </fieldset>
    }
    .into_any()
}

/// What all keys may spend together, what they did, and the balance where one is kept.
fn spend(view: &SettingsView, field_errors: &FieldErrors) -> AnyView {
    let (form, org) = (&view.form, &view.context.org);
    let zone = org.zone.name();
    let spent = (!view.left.budgets.is_empty())
        .then(|| view! { <div class="meters">{meters(&view.left.budgets, view.now, &org.zone)}</div> });
    let balance = view.balance.is_kept().then(|| {
        let left = format!("The balance is {}. ", view.balance.left());
        let href = LocalPath::balance(&org.slug).as_str().to_owned();
        view! {
            <p>
                {left} <a href=href>"See what it is made of"</a>
            </p>
        }
    });
    let budget = |setting, legend, help: &str| limit(form, setting, legend, ("$", ""), help, field_errors);
    let others = [Setting::OrgWeek, Setting::OrgDay, Setting::OrgTotal];
    let open = others
        .iter()
        .any(|setting| form.pair(*setting).0 == "limit" || field_errors.of(setting.as_str()).is_some());
    view! {
        <fieldset class="group">
            <legend>"What all keys may spend"</legend>
            <p class="help">"Together, whatever their own budgets and their teams' are. When one of these is used up, every key of the organisation is refused from the next request on, until the budget begins anew or you raise it."</p>
            {spent}
            {balance}
            {budget(Setting::OrgMonth, "Spend per month", &format!("Resets on the 1st at 00:00, {zone}."))}
            <details class="more" open=open>
                <summary>{icon(Icon::Right)} "Also limit per day, per week or in all"</summary>
                <div class="form">
                    {budget(Setting::OrgDay, "Spend per day", &format!("Resets at 00:00, {zone}."))}
                    {budget(Setting::OrgWeek, "Spend per week", &format!("Resets on Monday at 00:00, {zone}."))}
                    {budget(Setting::OrgTotal, "Spend in all", "Never resets. Raise it to let the organisation go on.")}
                </div>
            </details>
        </fieldset>
    }
    .into_any()
}

fn new_keys(form: &SettingsForm, field_errors: &FieldErrors) -> AnyView {
    let prefix = TextField {
        field: "key_prefix",
        name: "form[settings][key_prefix]",
        label: "Key prefix",
        help: "What new keys begin with, such as sk-acme-. Keys that exist keep theirs.",
        max: Some(20),
        ..Default::default()
    };
    let models = choices(
        Setting::Models,
        "Models",
        &form.models,
        vec![
            (
                "today",
                "Today's models",
                "Each of them ticked; models that are added later are not among them.",
            ),
            ("every", "Every model, including new ones", ""),
        ],
        field_errors,
    );
    let limit = |setting, legend, units, help| limit(form, setting, legend, units, help, field_errors);
    view! {
        <fieldset class="group">
            <legend>"New keys"</legend>
            <p class="help">"What the form of a new key is filled in with. Whoever creates one can change all of it but the prefix."</p>
            {prefix.draw(form.key_prefix.clone(), field_errors)}
            {models}
            {limit(Setting::Month, "Monthly budget", ("$", ""), "")}
            {limit(Setting::Rpm, "Requests", ("", "per minute"), "")}
            {limit(Setting::Tpm, "Tokens", ("", "per minute"), "")}
            {limit(Setting::Concurrent, "Parallel requests", ("", "at a time"), "")}
            {limit(Setting::Days, "Expires after", ("", "days"), "")}
        </fieldset>
    }
    .into_any()
}

fn rules(view: &SettingsView, field_errors: &FieldErrors) -> AnyView {
    let form = &view.form;
    let limit = |setting, legend, units, help| limit(form, setting, legend, units, help, field_errors);
    let members_create = choices(
        Setting::MembersCreate,
        "Members may create keys for themselves",
        &form.members_create,
        vec![
            (MembersCreate::No.as_str(), "No", "Owners, admins and team admins create keys for them."),
            (MembersCreate::InTeams.as_str(), "In their teams", "Within what the team may use and spend."),
            (
                MembersCreate::Anywhere.as_str(),
                "Also without a team",
                "Bound by nothing but the two limits here.",
            ),
        ],
        field_errors,
    );
    view! {
        <fieldset class="group">
            <legend>"Rules for keys"</legend>
            <p class="help">"They hold for what is created or changed from now on. Keys that exist stay as they are."</p>
            {members_create}
            {limit(
                Setting::KeysPerMember,
                "Most live keys per member",
                ("", "keys"),
                "Owners and admins are not counted.",
            )}
            {limit(
                Setting::KeyDaysMost,
                "Longest lifetime of a key",
                ("", "days"),
                "With a limit, no key can be set to never expire.",
            )}
        </fieldset>
    }
    .into_any()
}

fn people(form: &SettingsForm, caller: &Caller, field_errors: &FieldErrors) -> AnyView {
    let second_factor = choices(
        Setting::SecondFactor,
        "Second factor of owners and admins",
        &form.second_factor,
        vec![
            ("optional", "Optional", ""),
            (
                "required",
                "Required",
                "Whoever has none sees nothing of the organisation until they turn theirs on.",
            ),
        ],
        field_errors,
    );
    let own = (!caller.person.second_factor).then(|| {
        view! {
            <p class="help">
                "You have none yourself yet, and need one before you can require it. "
                <a href="/account">"Turn yours on in your account"</a> "."
            </p>
        }
    });
    view! {
        <fieldset class="group">
            <legend>"Signing in"</legend>
            {help("signing-in", "A change here asks for your password when your last sign-in is more than ten minutes ago.")}
            {second_factor}
            {own}
        </fieldset>
    }
    .into_any()
}
