//! The settings of an organisation: one form in sections, with a menu of them. A section is one function, and one line in
//! `SettingsPage`.

use keydesk_core::domain::org::{Overshoot, Unpriced};
use keydesk_core::domain::policy::{Action, MembersCreate, On};
use keydesk_core::domain::window::Period;
use keydesk_core::forms::parts;
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::orgs::{self, SettingsView};
use leptos::prelude::*;

use super::zones;
use crate::ask::{base_url, caller, desk, param};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Page, Width, post_form};
use crate::pages::meters::meters;
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, field_error, help};
use crate::ui::icon::{Icon, icon};
use crate::ui::limit_field::LimitField;

#[component]
pub fn SettingsPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = orgs::settings(&desk, &caller, &slug).await?;
        let mut form = SettingsForm::of(&view.settings);
        let present = form.clone();
        let mut was = serde_json::to_string(&form).unwrap_or_default();
        let mut version = view.context.org.version;
        // After an edit conflict the form has the present settings with this person's changes in them. After a mistake it
        // has what they typed, and the version that they saw.
        let merged = returned().and_then(|form| form.merged);
        if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            form = merged;
        } else if let Some(sent) = typed::<SaveForm>() {
            (form, was, version) = (sent.settings, sent.was, sent.version);
        }
        let field_errors = field_errors();
        let org = &view.context.org;
        let may_edit = view.context.may(Action::EditSettings, On::Org);
        // Shown when the form came back with the one change that needs it.
        let reauth = (form.second_factor != present.second_factor)
            .then(|| reauth_fields(&caller, view.now, &field_errors));
        let save = may_edit.then(|| {
            view! {
                <div class="actions stays">
                    <button class="btn primary" data-busy="Saving…">"Save settings"</button>
                </div>
            }
        });
        let sections = [
            identity(&view, &form, &field_errors),
            spend(&view, &form, &field_errors),
            new_keys(&form, &field_errors),
            rules(&form, &field_errors),
            rotation(&form, &field_errors),
            kept_requests(&view, &form, &field_errors),
            people(&form, &caller, &field_errors),
        ];
        let menu = menu(&view, &sections);
        let hidden = vec![("org", org.slug.clone()), ("version", version.to_string()), ("was", was)];
        let inside = view! {
            <fieldset class="form" disabled=!may_edit>
                {sections.map(Section::draw)}
                {reauth}
                {save}
            </fieldset>
        };
        let body = view! { <div class="sections">{menu} {post_form("/api/orgs/save", hidden, inside)}</div> };
        Ok(Page::new("Settings", Width::Wide).in_org(&view.context, &caller, body))
    })
}

/// A group of settings, which the menu leads to.
struct Section {
    /// The element's id.
    id: &'static str,
    /// Its name in the menu.
    name: &'static str,
    title: &'static str,
    fields: AnyView,
}

impl Section {
    fn draw(self) -> AnyView {
        view! {
            <fieldset class="group" id=self.id>
                <legend>{self.title}</legend>
                {self.fields}
            </fieldset>
        }
        .into_any()
    }
}

/// The sections of this page, and the other pages of settings that the caller may see.
fn menu(view: &SettingsView, sections: &[Section]) -> impl IntoView + use<> {
    let slug = &view.context.org.slug;
    let own = sections.iter().map(|section| (format!("#{}", section.id), section.name));
    let pages = [
        (Action::SeeSettings, LocalPath::alert_settings(slug), "Alerts"),
        (Action::SeeBalance, LocalPath::balance(slug), "Balance"),
        (Action::CheckSpend, LocalPath::spend_check(slug), "Check of spend"),
    ];
    let pages = pages.into_iter().filter(|(action, ..)| view.context.may(*action, On::Org));
    let pages = pages.map(|(_, path, name)| (path.into(), name));
    let items = own.chain(pages).map(|(href, name): (String, _)| {
        view! {
            <li>
                <a class="item" href=href>
                    {name}
                </a>
            </li>
        }
    });
    view! {
        <nav aria-label="Settings">
            <ul>{items.collect_view()}</ul>
        </nav>
    }
}

fn identity(view: &SettingsView, form: &SettingsForm, field_errors: &FieldErrors) -> Section {
    let slug = &view.context.org.slug;
    let name = TextField {
        field: "name",
        name: "form[settings][name]",
        label: "Name",
        help: "Shown at the top of every page and in invitations.",
        ..Default::default()
    };
    let address =
        TextField { field: "slug", name: "form[settings][slug]", label: "Address", ..Default::default() };
    let address_help = format!(
        "Its pages are at {}/{slug}. After a change, old links and bookmarks stop working. Keys keep working.",
        base_url()
    );
    let fields = view! {
        {name.draw(form.name.clone(), field_errors)}
        {address.draw_with(address_help, form.slug.clone(), field_errors)}
        {zone_field(view.windows.restart_words(), form.zone.clone(), field_errors)}
        {zones()}
    };
    Section { id: "general", name: "General", title: "General", fields: fields.into_any() }
}

fn zone_field(help: String, value: String, field_errors: &FieldErrors) -> AnyView {
    let zone = TextField {
        field: "zone",
        name: "form[settings][zone]",
        label: "Time zone",
        list: "zones",
        ..Default::default()
    };
    zone.draw_with(help, value, field_errors)
}

fn limit(
    (field, value): (&'static str, &parts::LimitField),
    legend: &'static str,
    units: (&'static str, &'static str),
    help: &str,
    field_errors: &FieldErrors,
) -> AnyView {
    LimitField {
        field,
        legend,
        name: format!("form[settings][{field}]"),
        before: units.0,
        after: units.1,
        help: help.to_owned(),
        below: None,
    }
    .draw(value, field_errors)
}

/// A choice of a few values: value, label and help of each.
fn choices(
    field: &'static str,
    label: &'static str,
    chosen: &str,
    choices: Vec<(&'static str, &'static str, &'static str)>,
    field_errors: &FieldErrors,
) -> AnyView {
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

/// The budgets of all keys together, what was spent of them, and the balance where there is one.
fn spend(view: &SettingsView, form: &SettingsForm, field_errors: &FieldErrors) -> Section {
    let org = &view.context.org;
    let spent = (!view.left.budgets.is_empty())
        .then(|| view! { <div class="meters">{meters(&view.left.budgets, view.now, &org.zone)}</div> });
    let balance = view.balance.is_kept().then(|| {
        let left = format!("The prepaid balance is {}. ", view.balance.left());
        let href = LocalPath::balance(&org.slug).as_str().to_owned();
        view! {
            <p>
                {left} <a href=href>"View the balance"</a>
            </p>
        }
    });
    let budget = |field, legend, help: &str| limit(field, legend, ("$", ""), help, field_errors);
    let month = ("org_month", &form.org_month);
    let [day, week, total] =
        [("org_day", &form.org_day), ("org_week", &form.org_week), ("org_total", &form.org_total)];
    let open =
        [day, week, total].iter().any(|(field, limit)| limit.is_limit() || field_errors.of(field).is_some());
    let overshoot = choices(
        "overshoot",
        "Spend beyond any budget",
        &form.overshoot,
        vec![
            (
                Overshoot::None.as_str(),
                "Never more than the budget",
                "A request passes only if the most that it can cost is left.",
            ),
            (
                Overshoot::OneRequest.as_str(),
                "Up to one request more",
                "A request passes if its likely cost is left; a budget can be passed by what one request costs.",
            ),
        ],
        field_errors,
    );
    let unpriced = choices(
        "unpriced",
        "Requests without a price",
        &form.unpriced,
        vec![
            (
                Unpriced::Refuse.as_str(),
                "Refuse",
                "What a request uses must have a price, so that its budgets count all of it.",
            ),
            (
                Unpriced::Allow.as_str(),
                "Allow",
                "They pass and are marked \"not priced\"; budgets count only what has a price. A model without any price stays closed to keys with a budget.",
            ),
        ],
        field_errors,
    );
    let fields = view! {
            <p class="help">"All keys share these budgets, besides their own and their teams'. When one is used up, requests with any key of the organisation fail until it resets or you raise it."</p>
            {spent}
            {balance}
            {budget(month, "Spend per month", &view.windows.words(Period::Month))}
            <details class="more" open=open>
                <summary>{icon(Icon::Right)} "Add a daily, weekly or total limit"</summary>
                <div class="form">
                    {budget(day, "Spend per day", &view.windows.words(Period::Day))}
                    {budget(week, "Spend per week", &view.windows.words(Period::Week))}
                    {budget(total, "Total spend", &format!("{} Never resets. Raise it to keep using the keys.", view.windows.words(Period::Total)))}
                </div>
            </details>
            {overshoot}
            {unpriced}
    };
    Section { id: "budgets", name: "Budgets", title: "Budget for all keys", fields: fields.into_any() }
}

fn new_keys(form: &SettingsForm, field_errors: &FieldErrors) -> Section {
    let prefix = TextField {
        field: "key_prefix",
        name: "form[settings][key_prefix]",
        label: "Key prefix",
        help: "New keys start with this, such as sk-acme-. Existing keys don't change.",
        ..Default::default()
    };
    let models = choices(
        "models",
        "Models",
        &form.models,
        vec![
            ("today", "Today's models", "All current models, selected. New models are not included."),
            ("every", "Every model, including new ones", ""),
        ],
        field_errors,
    );
    let limit = |field, legend, units, help| limit(field, legend, units, help, field_errors);
    let fields = view! {
            <p class="help">"The starting values of the Create key form. All but the prefix can be changed there."</p>
            {prefix.draw(form.key_prefix.clone(), field_errors)}
            {models}
            {limit(("month", &form.month), "Monthly budget", ("$", ""), "")}
            {limit(("rpm", &form.rpm), "Requests", ("", "per minute"), "")}
            {limit(("tpm", &form.tpm), "Tokens", ("", "per minute"), "")}
            {limit(("concurrent", &form.concurrent), "Concurrent requests", ("", "at a time"), "")}
            {limit(("days", &form.days), "Expires after", ("", "days"), "")}
    };
    Section { id: "new-keys", name: "New keys", title: "New keys", fields: fields.into_any() }
}

fn rules(form: &SettingsForm, field_errors: &FieldErrors) -> Section {
    let limit = |field, legend, units, help| limit(field, legend, units, help, field_errors);
    let members_create = choices(
        "members_create",
        "Members can create keys for themselves",
        &form.members_create,
        vec![
            (MembersCreate::No.as_str(), "No", "Owners, admins and team admins create keys for them."),
            (MembersCreate::InTeams.as_str(), "In their teams", "The team's limits apply."),
            (MembersCreate::Anywhere.as_str(), "Also without a team", "Only the two limits below apply."),
        ],
        field_errors,
    );
    let fields = view! {
            <p class="help">"Applies to new keys and edits. Existing keys don't change."</p>
            {members_create}
            {limit(
                ("max_keys_per_member", &form.max_keys_per_member),
                "Maximum live keys per member",
                ("", "keys"),
                "Doesn't apply to owners and admins.",
            )}
            {limit(
                ("max_key_days", &form.max_key_days),
                "Maximum lifetime of a key",
                ("", "days"),
                "With a limit, every new key must have an expiration date.",
            )}
    };
    Section { id: "rules", name: "Rules", title: "Rules for keys", fields: fields.into_any() }
}

fn rotation(form: &SettingsForm, field_errors: &FieldErrors) -> Section {
    let days = TextField {
        field: "rotate_days",
        name: "form[settings][rotate_days]",
        label: "Keys are due for rotation after, in days",
        help: "From 1 to 3,650, such as 90. Leave empty for no reminder. Keys with a setting of their own keep it. A key that is due keeps working.",
        inputmode: "numeric",
        optional: true,
        ..Default::default()
    };
    let self_rotation = choices(
        "self_rotation",
        "Keys can rotate themselves",
        &form.self_rotation,
        vec![
            ("by_key", "If the key's settings allow it", ""),
            ("every_key", "All keys", "A program with a key's secret can replace it with a new one."),
        ],
        field_errors,
    );
    let fields = view! {
            {days.draw(form.rotate_days.clone(), field_errors)}
            {self_rotation}
    };
    Section { id: "rotation", name: "Rotation", title: "Rotation", fields: fields.into_any() }
}

/// How long single requests are kept, and whether what is added up from them is right.
fn kept_requests(view: &SettingsView, form: &SettingsForm, field_errors: &FieldErrors) -> Section {
    let org = &view.context.org;
    let help = "Then each request's own line is deleted. What keys, teams and people spent by hour, day and month stays.";
    let already = org.raw_from.map(|day| {
        let words = format!("Requests before {} are no longer kept.", day.start(&org.zone).date(&org.zone));
        view! { <p class="help">{words}</p> }
    });
    let href = LocalPath::spend_check(&org.slug).as_str().to_owned();
    let fields = view! {
        {limit(("raw_days", &form.raw_days), "Keep single requests for", ("", "days"), help, field_errors)}
        {already}
        <p>"Totals are compared with the requests every night. " <a href=href>"View the checks"</a></p>
    };
    Section { id: "requests", name: "Single requests", title: "Single requests", fields: fields.into_any() }
}

fn people(form: &SettingsForm, caller: &Caller, field_errors: &FieldErrors) -> Section {
    let second_factor = choices(
        "second_factor",
        "Two-factor authentication (2FA) for owners and admins",
        &form.second_factor,
        vec![
            ("optional", "Optional", ""),
            ("required", "Required", "Owners and admins without 2FA are locked out until they turn it on."),
        ],
        field_errors,
    );
    let own = (!caller.person.second_factor).then(|| {
        view! {
            <p class="help">
                "Before you can require 2FA, turn it on yourself "
                <a href="/account">"in your account"</a> "."
            </p>
        }
    });
    let fields = view! {
            {help("signing-in", "Changing this asks for your password if you signed in more than ten minutes ago.")}
            {second_factor}
            {own}
    };
    Section { id: "security", name: "Security", title: "Signing in", fields: fields.into_any() }
}
