//! The page that people land on: what an organisation spent and will spend, what needs a look, who grew. Each line leads to
//! its next step.

use keydesk_core::domain::key_filter::StateFilter;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::{grouped, grouped_to};
use keydesk_core::domain::overview::{By, Grown};
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::domain::report::{Dimension, Preset, ReportQuery, change};
use keydesk_core::ops::keys::MAX_OFFERED;
use keydesk_core::ops::limits;
use keydesk_core::ops::overview::{self, OverviewView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param, query};
use crate::layout::{Page, Width};
use crate::pages::first_steps::{first_steps, nothing_served};
use crate::pages::page;
use crate::pages::spend::href;
use crate::path::LocalPath;
use crate::ui::chart::{Bucket, Series, StackedChart};
use crate::ui::list::{self, Address};
use crate::ui::meter::Meter;
use crate::ui::tiles::{Tile, tiles};

#[component]
pub fn OverviewPage() -> impl IntoView {
    let slug = param("org");
    let by = query("by").and_then(|text| By::parse(&text)).unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = overview::of_org(&desk, &caller, &slug, by).await?;
        let stops = match view.begun.is_none() && view.context.may(Action::SeeSettings, On::Org) {
            true => limits::of_org(&desk, &caller, &slug).await?.line(),
            false => None,
        };
        let operates = caller.person.platform == PlatformRole::Operator;
        let under = match view.narrowed {
            true => {
                view! { <p class="muted">"Your keys, and those of teams that you administer."</p> }.into_any()
            }
            false => ().into_any(),
        };
        let body = match &view.begun {
            Some(begun) => first_steps(&view.context, *begun, operates, true),
            None => view! {
                {nothing_served(view.served, operates)}
                {money(&view, stops)}
                {looks(&view)}
                {chart(&view, by)}
                {grown(&view)}
            }
            .into_any(),
        };
        let path = LocalPath::overview(&slug);
        Ok(Page::new("Overview", Width::Wide).under(under).path(path.as_str().to_owned()).in_org(
            &view.context,
            &caller,
            body,
        ))
    })
}

/// `stops`: what stops the organisation's requests next, where something can.
fn money(view: &OverviewView, stops: Option<String>) -> AnyView {
    let (month, slug) = (&view.month, &view.context.org.slug);
    let first = view.days.last().map(|today| today.short()).unwrap_or_default();
    let spent = view.budget.as_ref().map(|used| {
        let percent = month.spent.percent_of(used.limit());
        let of = format!("of {}", used.limit());
        Meter { percent, used: format!("{percent} %"), of }.thin()
    });
    // Nothing where there is nothing to compare with.
    let more =
        (month.before > Money::ZERO).then(|| format!("{} this month", change(month.spent, month.before)));
    let over = view.budget.as_ref().filter(|used| month.forecast > used.limit());
    let over = over.map(|used| format!("more than the budget of {}", used.limit()));
    let raise = (over.is_some() && view.context.may(Action::EditSettings, On::Org)).then(|| {
        let budgets = format!("{}#budgets", LocalPath::settings(slug).as_str());
        view! { <dd><a href=budgets>"Change the budget"</a></dd> }
    });
    let left = view.balance.map(|left| {
        let ledger = view.context.may(Action::SeeBalance, On::Org).then(|| {
            view! { <dd><a href=LocalPath::balance(slug)>"View the balance"</a></dd> }
        });
        view! { <div><dt>"Balance"</dt><dd class="amount">{left.to_string()}</dd>{ledger}</div> }
    });
    let report = |preset: Preset, words: &'static str| {
        view.context.may(Action::SeeSpend, On::Org).then(|| {
            let to = href(slug, &ReportQuery { preset, ..ReportQuery::default() });
            view! { <dd><a href=to>{words}</a></dd> }
        })
    };
    view! {
        <section class="card overview" aria-labelledby="this-month">
            <header>
                <h2 id="this-month">"This month"</h2>
                {stops.map(|line| view! { <p data-next-stop>{line}</p> })}
            </header>
            <dl class="tiles">
                <div>
                    <dt>"Spent until today, "{first}</dt>
                    <dd class="amount">{month.spent.to_string()}</dd>
                    {spent.map(|bar| view! { <dd>{bar}</dd> })}
                    {report(Preset::ThisMonth, "This month by model")}
                </div>
                <div>
                    <dt>"Last month to the same day"</dt>
                    <dd class="amount">{month.before.to_string()}</dd>
                    {more.map(|words| view! { <dd><span class="muted">{words}</span></dd> })}
                    {report(Preset::LastMonth, "Last month by model")}
                </div>
                <div>
                    <dt>"Forecast to the end of the month"</dt>
                    <dd class=if over.is_some() { "amount bad" } else { "amount" }>{month.forecast.to_string()}</dd>
                    <dd><span class="muted">{over.unwrap_or_else(|| "if each day is like the last seven".into())}</span></dd>
                    {raise}
                </div>
                <div>
                    <dt>"Requests"</dt>
                    <dd class="amount">{grouped(month.requests)}</dd>
                    <dd><a href=LocalPath::requests(slug)>"All requests"</a></dd>
                </div>
                {left}
            </dl>
        </section>
    }
    .into_any()
}

/// How many keys need a look, each number leading to them.
fn looks(view: &OverviewView) -> AnyView {
    let keys = |state: StateFilter| {
        LocalPath::keys(&view.context.org.slug).with_query(&format!("state={}", state.as_str())).into()
    };
    let figures = look_tiles(|state| view.counts.of(state), keys);
    view! { <h2 class="over">"Keys"</h2> {figures} }.into_any()
}

/// The figures of keys that need a look: how many there are in a state, and where that leads.
pub(super) fn look_tiles(count: impl Fn(StateFilter) -> i64, to: impl Fn(StateFilter) -> String) -> AnyView {
    let tile = |state: StateFilter| {
        let (name, bad) = match state {
            StateFilter::Stopped | StateFilter::NearLimit => (state.label(), true),
            StateFilter::Expiring => ("Expiring in 7 days", true),
            StateFilter::Idle => ("Idle for 90 days", false),
            _ => (state.label(), false),
        };
        let count = count(state);
        Tile::new(name, grouped_to(count, MAX_OFFERED), to(state)).marked(bad && count > 0)
    };
    tiles("Keys that need a look", StateFilter::LOOKS.map(tile).into())
}

fn chart(view: &OverviewView, by: By) -> AnyView {
    let slug = &view.context.org.slug;
    let name = |part: &overview::ChartPart| match (by, part.name.is_empty()) {
        (By::Team, true) => "No team".to_owned(),
        (_, true) => part.id.clone(),
        (_, false) => part.name.clone(),
    };
    let parts = view.parts.iter().map(|part| (name(part), part.days.as_slice()));
    let rest_name = if by == By::Team && view.parts.len() < 5 { "No team" } else { "Other" };
    let label = match by {
        By::Team => "Spend per day by team",
        By::Model => "Spend per day by model",
        By::Key => "Spend per day by key",
    };
    let drawn = days_chart(label, (&view.days, &view.totals), parts, rest_name);
    let group = Some(match by {
        By::Team => Dimension::Team,
        By::Model => Dimension::Model,
        By::Key => Dimension::Key,
    });
    // The same days, split by the same.
    let all_spend = view.context.may(Action::SeeSpend, On::Org).then(|| {
        let to = href(slug, &ReportQuery { preset: Preset::ThirtyDays, group, ..ReportQuery::default() });
        view! { " · " <a href=to>"All spend"</a> }
    });
    let path = LocalPath::overview(slug);
    let choices = By::ALL.map(|one| {
        let words = match one {
            By::Team => "By team",
            By::Model => "By model",
            By::Key => "By key",
        };
        let word = if one == By::default() { "" } else { one.as_str() };
        (words, Address::new(path.as_str(), [("by", word.to_owned())]), one == by)
    });
    view! {
        <section class="card" aria-labelledby="by-day">
            <header>
                <h2 id="by-day">"Spend in the last 30 days"</h2>
                <p>{view.totals.iter().sum::<Money>().to_string()} {all_spend}</p>
            </header>
            {list::chips("What the bars show", choices)}
            {drawn}
        </section>
    }
    .into_any()
}

/// Spend by day, in bars of these parts and of what is left of the totals.
pub(super) fn days_chart<'a>(
    label: &str,
    (days, totals): (&[Day], &[Money]),
    parts: impl Iterator<Item = (String, &'a [Money])>,
    rest_name: &str,
) -> AnyView {
    let words = |nanos: i64| Money::from_nanos(nanos).to_string();
    let series = |name: String, spent: &[Money]| Series {
        name,
        values: spent.iter().map(|spent| spent.nanos()).collect(),
        total: spent.iter().sum::<Money>().to_string(),
    };
    let mut rest = totals.to_vec();
    let mut drawn = Vec::new();
    for (name, spent) in parts {
        for (left, spent) in rest.iter_mut().zip(spent) {
            *left = left.saturating_sub(*spent);
        }
        drawn.push(series(name, spent));
    }
    let other = rest.iter().any(|left| *left > Money::ZERO).then(|| series(rest_name.to_owned(), &rest));
    StackedChart {
        label: label.to_owned(),
        what: "Spend",
        when: "Day",
        buckets: days.iter().map(|day| Bucket { short: day.short(), long: day.long(), href: None }).collect(),
        series: drawn,
        other,
        words,
        axis: words,
        top_when_empty: 1_000_000_000,
    }
    .draw()
    .into_any()
}

/// Yesterday against the same day of the weeks before.
fn grown(view: &OverviewView) -> Option<AnyView> {
    if view.grown.is_empty() {
        return None;
    }
    let weekday = view.yesterday.weekday();
    let rows = view
        .grown
        .iter()
        .map(|one| grown_line(LocalPath::key(&view.context.org.slug, &one.id), one, &weekday));
    Some(grown_card(rows.collect()))
}

/// "ci spent $4.00 yesterday: 4 × its usual Tuesday"
pub(super) fn grown_line<Id>(to: LocalPath, one: &Grown<Id>, weekday: &str) -> AnyView {
    let words = format!(" spent {} yesterday: {}", one.spent, one.words(weekday));
    view! { <li><a href=to>{one.name.clone()}</a> {words}</li> }.into_any()
}

pub(super) fn grown_card(lines: Vec<AnyView>) -> AnyView {
    view! {
        <section class="card" aria-labelledby="grown">
            <header><h2 id="grown">"Grew fastest"</h2></header>
            <ul class="stack">{lines}</ul>
        </section>
    }
    .into_any()
}
