//! The keys of a member who left: select some, choose an action. One form for one key and for many, with script and
//! without.

use keydesk_core::domain::key::Key;
use keydesk_core::domain::moment::Day;
use keydesk_core::forms::member::OffboardForm;
use keydesk_core::ops::offboarding::{self, OffboardingView};
use leptos::prelude::*;

use super::{crumbs, state_badge};
use crate::ask::{caller, desk, param};
use crate::key_status::status_badge as key_badge;
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::pages::keys::{key_hint, last_used};
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, field_error, help, on_page, select_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::when;

#[component]
pub fn OffboardingPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = offboarding::show(&desk, &caller, &slug, &id).await?;
        let field_errors = field_errors();
        let sent: OffboardForm = typed().unwrap_or_default();
        let (org, member) = (&view.context.org, &view.member);
        let member_page = LocalPath::member(&org.slug, &member.id).as_str().to_owned();
        let above = vec![crumbs(&org.slug), (member_page.clone(), member.name.clone())];
        let heading = view! {
            <span class="words">{format!("Keys of {}", member.name)}</span>
            {state_badge(member, &org.zone)}
        };
        let decided = match view.decided {
            0 => String::new(),
            1 => " You already decided to keep 1 more.".to_owned(),
            many => format!(" You already decided to keep {many} more."),
        };
        let under = format!("They still work. Reassign, expire or revoke them.{decided}");
        let under = (!view.keys.is_empty()).then(|| view! { <p class="muted">{under}</p> });
        let work = match view.keys.is_empty() {
            true => nothing_left(&view, member_page),
            false => {
                // One key needs no recent sign-in; for several, the form comes back and asks.
                let reauth = (sent.keys.len() > 1).then(|| reauth_fields(&caller, view.now, &field_errors));
                form(&view, &sent, &field_errors, reauth.into_any())
            }
        };
        let body = view! {
            {title(format!("Keys of {}", member.name))}
            {notice_line()}
            {page_head(above, heading.into_any(), under.into_any(), ().into_any())}
            {work}
        };
        let path = LocalPath::offboarding(&org.slug, &member.id).as_str().to_owned();
        Ok(framed(&view.context, &caller, &path, Width::Wide, body.into_any()))
    })
}

fn nothing_left(view: &OffboardingView, member_page: String) -> AnyView {
    let words = match view.decided {
        0 => format!("{} owns no live keys.", view.member.name),
        1 => "1 key is kept until it expires.".to_owned(),
        many => format!("{many} keys are kept until they expire."),
    };
    view! {
        <section class="empty">
            {icon(Icon::Check)} <h2>"No keys to decide about"</h2> <p>{words}</p>
            <div class="actions">
                <a class="btn" href=member_page>{format!("Go to {}", view.member.name)}</a>
            </div>
        </section>
    }
    .into_any()
}

fn form(view: &OffboardingView, sent: &OffboardForm, field_errors: &FieldErrors, reauth: AnyView) -> AnyView {
    let org = &view.context.org;
    let rows = view.keys.iter().map(|key| row(view, key, sent)).collect_view();
    let used = view.keys.iter().filter(|key| key.in_use(view.now)).count();
    view! {
        <form class="form" method="post" action="/api/members/decide" data-enhance>
            {on_page(here())}
            <input type="hidden" name="form[org]" value=org.slug.clone() />
            <input type="hidden" name="form[id]" value=view.member.id.to_string() />
            <div data-field="keys">
                <div class="table-wrap">
                    <table class="table">
                        <caption class="sr">"Live keys to decide about"</caption>
                        <thead>
                            <tr>
                                <th scope="col">
                                    "Select" " "
                                    <input type="checkbox" data-all aria-label="Select all keys" autocomplete="off" />
                                </th>
                                <th scope="col">"Key"</th>
                                <th scope="col">"Team"</th>
                                <th scope="col">"State"</th>
                                <th scope="col" class="num">"Spent this month"</th>
                                <th scope="col">"Last used"</th>
                                <th scope="col">"Expires"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
                {field_error("keys", field_errors.of("keys"))}
            </div>
            <div class="limited form">{reauth}</div>
            <fieldset class="stack decide">
                <legend>"Action"</legend>
                {acts(view, sent, field_errors, used)}
                {field_error("act", field_errors.of("act"))}
            </fieldset>
        </form>
    }
    .into_any()
}

/// The button of one action. It counts the keys once the form has come back with them.
fn button(act: &str, class: &'static str, sent: &OffboardForm) -> AnyView {
    let words = match sent.keys.len() {
        0 => format!("{act} selected keys"),
        1 => format!("{act} 1 key"),
        many => format!("{act} {many} keys"),
    };
    view! {
        <div class="actions">
            <button class=class>{words}</button>
        </div>
    }
    .into_any()
}

fn acts(view: &OffboardingView, sent: &OffboardForm, field_errors: &FieldErrors, used: usize) -> AnyView {
    let zone = &view.context.org.zone;
    let act = |value: &'static str, label: &'static str, words: &'static str| {
        let checked = sent.act == value || (sent.act.is_empty() && value == "reassign");
        view! {
            <label class="choice">
                <input type="radio" name="form[act]" value=value data-reveals checked=checked />
                <span>{label} <span class="help">{words}</span></span>
            </label>
        }
    };
    let mut people = vec![(String::new(), "Choose a member".to_owned())];
    people.extend(view.people.iter().map(|person| (person.id.to_string(), person.name.clone())));
    let wrong = field_errors.of("until");
    let count = TextField {
        field: "count",
        name: "form[count]",
        label: "Number of selected keys",
        help: "Required if one of them was used in the last day: something still depends on it.",
        optional: true,
        ..Default::default()
    };
    let warning = (used > 0).then(|| {
        let words = match used {
            1 => "One of these keys was used in the last day.".to_owned(),
            many => format!("{many} of these keys were used in the last day."),
        };
        view! { <p class="warn-line">{icon(Icon::Warn)} <span>{words}</span></p> }
    });
    view! {
        <div class="reveals" data-field="act">
            {act("reassign", "Reassign", "They get a new owner and keep working, with their history.")}
            <div class="reveal limited">
                {select_field("to", "form[to]", "New owner", "", people, &sent.to, field_errors)}
                {button("Reassign", "btn primary", sent)}
            </div>
        </div>
        <div class="reveals">
            {act("keep", "Keep until a date", "They keep working until this date, or until they expire, if sooner.")}
            <div class="reveal limited">
                <div class="field" data-field="until">
                    <label class="label" for="until">"Last day"</label>
                    <input
                        class="input"
                        type="date"
                        id="until"
                        name="form[until]"
                        value=sent.until.clone()
                        min=Day::of(view.now, zone).to_string()
                        aria-describedby="until-help"
                        aria-invalid=wrong.is_some().then_some("true")
                    />
                    {help("until", format!("Until the end of this day, {}.", zone.name()))}
                    {field_error("until", wrong)}
                </div>
                {button("Keep", "btn primary", sent)}
            </div>
        </div>
        <div class="reveals">
            {act("revoke", "Revoke", "Requests with these keys fail from now on. This can’t be undone.")}
            <div class="reveal limited">
                {warning} {count.draw(String::new(), field_errors)} {button("Revoke", "btn danger", sent)}
            </div>
        </div>
    }
    .into_any()
}

fn row(view: &OffboardingView, key: &Key, sent: &OffboardForm) -> impl IntoView + use<> {
    let (org, now) = (&view.context.org, view.now);
    let checked = sent.keys.iter().any(|id| id == key.id.as_str());
    let expires = match key.expires_at {
        Some(at) => when::date(at, &org.zone).into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    };
    let team = match &key.team {
        Some(team) => view! { <span class="clip">{team.name.clone()}</span> }.into_any(),
        None => view! { <span class="muted">"No team"</span> }.into_any(),
    };
    view! {
        <tr>
            <td data-label="Select">
                <input
                    type="checkbox"
                    name="form[keys][]"
                    value=key.id.to_string()
                    aria-label=format!("Select {}", key.name)
                    checked=checked
                />
            </td>
            <th scope="row">
                <a href=LocalPath::key(&org.slug, &key.id).as_str().to_owned()>{key.name.clone()}</a>
                <span class="sub">{key_hint(key)}</span>
            </th>
            <td data-label="Team">{team}</td>
            <td data-label="State">{key_badge(key, now, &org.zone)}</td>
            <td data-label="Spent this month" class="num">{key.month_spent.to_string()}</td>
            <td data-label="Last used" class="tight">{last_used(key, now, &org.zone)}</td>
            <td data-label="Expires" class="tight">{expires}</td>
        </tr>
    }
}
