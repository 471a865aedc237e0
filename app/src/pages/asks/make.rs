//! The forms that ask: for more of a budget that stops a key, and for a new key. Each says who answers.

use keydesk_core::domain::ask::BudgetHolder;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::person::Contact;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::ask::{AskForm, AskKeyForm, budget_word};
use keydesk_core::ops::asks::{self, AskKeyView, AskedBudget};
use leptos::prelude::*;

use super::{crumb, until_field};
use crate::ask::{caller, desk, param, query};
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::pages::keys::contacts;
use crate::pages::meters::meters;
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, field_error, select_field};

fn reason_field(value: String, field_errors: &FieldErrors) -> AnyView {
    TextField::new("reason", "form[reason]", "Reason")
        .help("What it is for. The person who answers reads it, and it is in the audit.")
        .draw(value, field_errors)
}

#[component]
pub fn AskForMorePage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = asks::budget_form(&desk, &caller, &slug, &id).await?;
        let (org, key, field_errors) = (&view.context.org, &view.key, field_errors());
        let word =
            |asked: &AskedBudget| budget_word(asked.budget.holder.kind(), asked.budget.used.budget.period);
        let sent = typed().unwrap_or_else(|| AskForm {
            budget: view.budgets.first().map(word).unwrap_or_default(),
            until: "reset".into(),
            ..AskForm::default()
        });
        let reset = view
            .budgets
            .iter()
            .any(|asked| asked.budget.used.budget.period != Period::Total)
            .then(|| ("reset", "Until the budget resets".to_owned()));
        let amount = UnitField {
            field: "amount",
            name: "form[amount]",
            label: "How much more",
            before: "$",
            ..Default::default()
        };
        let key_page = LocalPath::key(&org.slug, &key.id);
        let choices = view.budgets.iter().map(|asked| {
            let chosen = word(asked) == sent.budget;
            budget_choice(asked, word(asked), chosen, (view.now, &org.zone))
        });
        let inside = view! {
            <fieldset class="group" data-field="budget">
                <legend>"Budget"</legend>
                {choices.collect_view()}
                {field_error("budget", field_errors.of("budget"))}
            </fieldset>
            {amount.draw(sent.amount.clone(), &field_errors)}
            {until_field(
                reset,
                (&sent.until, &sent.until_on),
                (view.now, &org.zone),
                &field_errors,
            )}
            {reason_field(sent.reason.clone(), &field_errors)}
            {save_or_cancel("Send ask", key_page.clone())}
        };
        let hidden = vec![("org", org.slug.clone()), ("key", key.id.to_string())];
        let under =
            view! { <p class="muted">"More of a budget for a time. The budget itself stays as it is."</p> };
        Ok(Page::new(format!("Ask for more for {}", key.name), Width::Narrow)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(key_page, key.name.clone())
            .under(under)
            .in_org(&view.context, &caller, post_form("/api/asks/budget", hidden, inside)))
    })
}

/// One budget to choose: what is used of it, and who answers. While one is chosen that never resets, the style offers no
/// reset.
fn budget_choice(
    asked: &AskedBudget,
    word: String,
    chosen: bool,
    (now, zone): (keydesk_core::domain::moment::Moment, &Zone),
) -> impl IntoView + use<> {
    let (budget, name) = (&asked.budget, &asked.budget.holder_name);
    let summary = budget.used.budget.summary();
    let never_resets = budget.used.budget.period == Period::Total;
    let whose = match budget.holder {
        BudgetHolder::Key(_) => format!("This key’s budget of {summary}"),
        BudgetHolder::Team(_) => format!("{name}’s budget of {summary}, for all its keys together"),
        BudgetHolder::Org => format!("{name}’s budget of {summary}, for all keys together"),
    };
    view! {
        <label class="choice">
            <input
                type="radio"
                name="form[budget]"
                value=word
                checked=chosen
                data-never-resets=never_resets
            />
            <span>{whose}</span>
        </label>
        <div class="stack">
            {meters(std::slice::from_ref(&budget.used), now, zone)} {who_answers(&asked.contacts)}
        </div>
    }
}

/// "Lena Fischer (lena@northwind.example) can answer."
fn who_answers(people: &[Contact]) -> impl IntoView + use<> {
    view! { <p class="help">{contacts(people)} " can answer."</p> }
}

#[component]
pub fn AskForKeyPage() -> impl IntoView {
    let slug = param("org");
    let (name, team) = (query("name").unwrap_or_default(), query("team").unwrap_or_default());
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = asks::key_form(&desk, &caller, &slug).await?;
        let field_errors = field_errors();
        let sent = typed().unwrap_or_else(|| {
            let known = view.teams.iter().map(|asked| &asked.team).find(|known| known.id.as_str() == team);
            let team = known.or(view.teams.first().map(|asked| &asked.team));
            let team = team.map(|team| team.id.to_string()).unwrap_or_default();
            AskKeyForm { name, team, ..AskKeyForm::default() }
        });
        let name = TextField::new("name", "form[name]", "Name").help("What uses this key.").autofocus();
        let amount = UnitField {
            field: "amount",
            name: "form[amount]",
            label: "Monthly budget",
            before: "$",
            help: "Leave empty to use the organisation's usual budget.",
            optional: true,
            ..Default::default()
        };
        let mut teams: Vec<(String, String)> =
            view.teams.iter().map(|asked| (asked.team.id.to_string(), asked.team.name.clone())).collect();
        teams.push((String::new(), "No team".into()));
        let inside = view! {
            {name.draw(sent.name.clone(), &field_errors)}
            {select_field("team", "form[team]", "Team", "", teams, &sent.team, &field_errors)}
            {amount.draw(sent.amount.clone(), &field_errors)}
            {reason_field(sent.reason.clone(), &field_errors)}
            {answerers(&view)}
            {save_or_cancel("Send ask", LocalPath::asks(&slug))}
        };
        let (asks, words) = crumb(&slug);
        Ok(Page::new("Ask for a key", Width::Narrow).crumb(asks, words).in_org(
            &view.context,
            &caller,
            post_form("/api/asks/key", vec![("org", slug.clone())], inside),
        ))
    })
}

/// Who answers, team by team.
fn answerers(view: &AskKeyView) -> impl IntoView + use<> {
    let line = |name: String, people: &[Contact]| {
        view! { <li>{name} ": " {contacts(people)}</li> }
    };
    let teams = view.teams.iter().map(|asked| line(asked.team.name.clone(), &asked.contacts)).collect_view();
    view! {
        <div>
            <p class="label">"Who can answer"</p>
            <ul class="bullets">{teams} {line("No team".into(), &view.contacts)}</ul>
        </div>
    }
}
