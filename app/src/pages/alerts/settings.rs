//! What an organisation sets about its alerts: thresholds and defaults, webhooks, and the log of what was sent.

use http::{HeaderValue, header};
use keydesk_core::domain::alert::{AlertKind, Channel, ChannelForm, Delivery, DeliveryState, Via};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::org::Org;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::forms::alert::{ChoicesForm, WebhookForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::alerts::{self, SettingsView};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::choice_fields;
use crate::ask::{self, caller, desk, param};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Page, Width, post_button, post_form};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, WebhookSecret};
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::code::copy_button;
use crate::ui::field::{FieldErrors, TextField, select_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Address, Column};
use crate::ui::when;

#[component]
pub fn AlertSettingsPage() -> impl IntoView {
    let slug = param("org");
    let at = ask::cursor();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = alerts::settings(&desk, &caller, &slug, at.as_ref()).await?;
        let org = &view.context.org;
        let path = LocalPath::alert_settings(&org.slug);
        let secret: Option<WebhookSecret> = sealed::take(ISSUED, path.as_str(), view.now);
        if secret.is_some()
            && let Some(response) = use_context::<ResponseOptions>()
        {
            // Neither stored nor compressed on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let errors = field_errors();
        let may_edit = view.context.may(Action::EditSettings, On::Org);
        let body = view! {
            <div class="stack roomy">
                {secret.map(secret_shown)} {defaults(&view, may_edit, &errors)}
                {webhooks(&view, &caller, may_edit, &errors)} {log(&view, &path)}
            </div>
        };
        Ok(Page::new("Alerts", Width::Mid).crumb(LocalPath::settings(&org.slug), "Settings").in_org(
            &view.context,
            &caller,
            body,
        ))
    })
}

fn secret_shown(shown: WebhookSecret) -> impl IntoView {
    view! {
        <section class="stack" data-once>
            <h2>{format!("Signing secret of {}", shown.name)}</h2>
            <div class="secret">
                <code id="secret">{shown.secret}</code>
                {copy_button("Copy secret", "primary", "secret".into())}
            </div>
            <p class="warn-line">
                {icon(Icon::Warn)}
                <span>
                    <b>"This is the only time it is shown."</b>
                    " Receivers compare each post's signature with it."
                </span>
            </p>
        </section>
    }
}

fn defaults(view: &SettingsView, may_edit: bool, errors: &FieldErrors) -> impl IntoView + use<> {
    let slug = &view.context.org.slug;
    let form = typed::<ChoicesForm>().unwrap_or_else(|| ChoicesForm::of_org(slug, &view.choices));
    let thresholds =
        TextField::new("thresholds", "form[thresholds]", "Thresholds of budgets and balance, in percent")
            .help("Such as 50, 80, 95. One alert each, for each day, week or month of a budget.");
    let inside = view! {
        <fieldset class="form" disabled=!may_edit>
            <legend class="sr">"What people get"</legend>
            {choice_fields(&form, thresholds, AlertKind::of_org(), |_| None, errors)}
            {may_edit
                .then(|| {
                    view! {
                        <div class="actions">
                            <button class="btn primary">"Save alerts"</button>
                        </div>
                    }
                })}
        </fieldset>
    };
    view! {
        <section class="card" aria-labelledby="what">
            <header>
                <h2 id="what">"What people get"</h2>
                <p>"Owners and admins get all alerts, team admins those of their teams, and owners of keys those of their keys. "
                <a href=LocalPath::alert_choices(slug)>"Everyone can choose for themselves"</a> "."</p>
            </header>
            {post_form("/api/alerts/save", vec![("org", slug.clone())], inside)}
        </section>
    }
}

fn webhooks(
    view: &SettingsView,
    caller: &Caller,
    may_edit: bool,
    errors: &FieldErrors,
) -> impl IntoView + use<> {
    let org = &view.context.org;
    let rows = view.channels.iter().map(|channel| webhook(org, channel, may_edit)).collect_view();
    let none = view
        .channels
        .is_empty()
        .then(|| view! { <p class="muted">"None yet. A webhook gets every alert that is not off."</p> });
    view! {
        <section class="card" aria-labelledby="webhooks">
            <header>
                <h2 id="webhooks">"Webhooks"</h2>
            </header>
            {none}
            <ul class="rows">{rows}</ul>
            {may_edit.then(|| add_webhook(org, caller, view.now, errors))}
        </section>
    }
}

fn webhook(org: &Org, channel: &Channel, may_edit: bool) -> impl IntoView + use<> {
    let fields = || vec![("org", org.slug.clone()), ("id", channel.id.to_string())];
    let named = |words: &str| format!(" {words} {}", channel.name);
    let buttons = may_edit.then(|| {
        let test = view! { "Send a test" <span class="sr">{named("to")}</span> };
        let remove = view! { "Remove" <span class="sr">{channel.name.clone()}</span> };
        view! {
            <div class="actions">
                {post_button("/api/alerts/test-webhook", fields(), "btn", test)}
                {post_button("/api/alerts/remove-webhook", fields(), "btn quiet", remove)}
            </div>
        }
    });
    view! {
        <li>
            <div>
                <h3>{channel.name.clone()}</h3>
                <p class="help">
                    {channel.form.label()} " · " {channel.host.clone()} " · added "
                    {when::date(channel.created_at, &org.zone)}
                </p>
            </div>
            {buttons}
        </li>
    }
}

fn add_webhook(org: &Org, caller: &Caller, now: Moment, errors: &FieldErrors) -> impl IntoView + use<> {
    let form = typed::<WebhookForm>()
        .unwrap_or_else(|| WebhookForm { form: ChannelForm::Slack.as_str().into(), ..Default::default() });
    let wrong = ["webhook_name", "webhook_form", "webhook_url", "reauth"]
        .iter()
        .any(|field| errors.of(field).is_some());
    let forms = [ChannelForm::Slack, ChannelForm::Signed]
        .map(|form| (form.as_str().to_owned(), form.label().to_owned()))
        .to_vec();
    let url = TextField::new("webhook_url", "form[url]", "Address")
        .help("It begins with https://. It is stored encrypted and not shown again.");
    let inside = view! {
        {TextField::new("webhook_name", "form[name]", "Webhook's name").draw(form.name, errors)}
        {select_field("webhook_form", "form[form]", "Form", "Slack's is {\"text\": …}. Signed JSON has every fact and a signature.", forms, &form.form, errors)}
        {url.draw(String::new(), errors)}
        {reauth_fields(caller, now, errors)}
        <div class="actions">
            <button class="btn primary">"Add webhook"</button>
        </div>
    };
    view! {
        <details class="more part" open=wrong>
            <summary>{icon(Icon::Right)} "Add a webhook"</summary>
            {post_form("/api/alerts/add-webhook", vec![("org", org.slug.clone())], inside)}
        </details>
    }
}

fn log(view: &SettingsView, path: &LocalPath) -> impl IntoView + use<> {
    let org = &view.context.org;
    let inside = if view.log.rows.is_empty() {
        view! { <p class="muted">"Nothing was sent yet."</p> }.into_any()
    } else {
        let columns =
            vec![Column::new("To"), Column::new("Alert"), Column::new("State"), Column::new("When")];
        let rows = view.log.rows.iter().map(|delivery| delivery_row(org, delivery, view.now)).collect_view();
        view! {
            {list::table(true, "What was sent by mail and webhook".into(), columns, rows)}
            {list::pages(&view.log, &Address::new(path.as_str(), []), None)}
        }
        .into_any()
    };
    view! {
        <section class="stack" aria-labelledby="log">
            <h2 id="log">"Delivery log"</h2>
            {inside}
        </section>
    }
}

fn delivery_row(org: &Org, delivery: &Delivery, now: Moment) -> impl IntoView + use<> {
    let way = match delivery.via {
        Via::Webhook => "Webhook",
        Via::Mail | Via::Inbox => "Mail",
    };
    let about = match &delivery.alert {
        None => "Test".into_any(),
        Some(alert) => {
            view! { <a href=LocalPath::of_alert(&org.slug, alert)>{alert.heading(&org.zone)}</a> }.into_any()
        }
    };
    let tone = match delivery.state {
        DeliveryState::Sent => BadgeTone::Good,
        DeliveryState::Pending => BadgeTone::Idle,
        DeliveryState::Failed => BadgeTone::Warn,
        DeliveryState::GivenUp => BadgeTone::Bad,
    };
    let why = delivery.failure.map(|failure| failure.sentence()).unwrap_or_default();
    let again = (delivery.state == DeliveryState::Failed).then(|| {
        format!("Attempt {}. Next {}.", delivery.attempts, delivery.next_at.relative(now, &org.zone))
    });
    let sub =
        [Some(why).filter(|why| !why.is_empty()), again].into_iter().flatten().collect::<Vec<_>>().join(" ");
    view! {
        <tr>
            <th scope="row">{delivery.to.clone()} <span class="sub">{way}</span></th>
            <td data-label="Alert" class="full">
                {about}
            </td>
            <td data-label="State" class="full">
                {badge(tone, delivery.state.label().into(), format!("Delivery {}", delivery.id))}
                {(!sub.is_empty()).then(|| view! { <span class="sub">{sub}</span> })}
            </td>
            <td data-label="When">{when::ago(delivery.done_at.unwrap_or(delivery.created_at), now, &org.zone)}</td>
        </tr>
    }
}
