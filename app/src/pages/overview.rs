//! The page that people land on: what an organisation spent and will spend, what needs a look, who grew; and for operators the
//! same over organisations. Each line leads to its next step.

use keydesk_core::domain::key_filter::StateFilter;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::overview::By;
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::domain::report::{Dimension, Preset, ReportQuery, change};
use keydesk_core::ops::keys::MAX_OFFERED;
use keydesk_core::ops::limits;
use keydesk_core::ops::overview::{self, InstallationView, ListedMonth, MAX_ORGS, OverviewView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param, query};
use crate::layout::{Page, Width};
use crate::pages::first_steps::{first_steps, nothing_served};
use crate::pages::page;
use crate::pages::spend::href;
use crate::path::LocalPath;
use crate::ui::chart::{Bucket, Series, StackedChart};
use crate::ui::list::{self, Address, Column};
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
            Some(begun) => first_steps(&view.context, *begun, operates),
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
    let slug = &view.context.org.slug;
    let tile = |name: &'static str, state: StateFilter, bad: bool| {
        let count = view.counts.of(state);
        let words = if count > MAX_OFFERED { format!("{}+", grouped(MAX_OFFERED)) } else { grouped(count) };
        let to = LocalPath::keys(slug).with_query(&format!("state={}", state.as_str()));
        Tile::new(name, words, to.into()).marked(bad && count > 0)
    };
    let figures = tiles(
        "Keys that need a look",
        vec![
            tile("Stopped", StateFilter::Stopped, true),
            tile("Near a limit", StateFilter::NearLimit, true),
            tile("Expiring in 7 days", StateFilter::Expiring, true),
            tile("Due for rotation", StateFilter::RotationDue, false),
            tile("Idle for 90 days", StateFilter::Idle, false),
            tile("Without a limit", StateFilter::Unlimited, false),
        ],
    );
    view! { <h2 class="over">"Keys"</h2> {figures} }.into_any()
}

fn chart(view: &OverviewView, by: By) -> AnyView {
    let slug = &view.context.org.slug;
    let words = |nanos: i64| Money::from_nanos(nanos).to_string();
    let nanos = |days: &[Money]| days.iter().map(|spent| spent.nanos()).collect::<Vec<_>>();
    let name = |part: &overview::ChartPart| match (by, part.name.is_empty()) {
        (By::Team, true) => "No team".to_owned(),
        (_, true) => part.id.clone(),
        (_, false) => part.name.clone(),
    };
    let sum = |days: &[Money]| days.iter().copied().sum::<Money>();
    let series = view.parts.iter().map(|part| Series {
        name: name(part),
        values: nanos(&part.days),
        total: sum(&part.days).to_string(),
    });
    let rest: Vec<Money> = view
        .totals
        .iter()
        .enumerate()
        .map(|(at, total)| {
            let parts = view.parts.iter().filter_map(|part| part.days.get(at)).copied().sum::<Money>();
            total.saturating_sub(parts)
        })
        .collect();
    let rest_name = if by == By::Team && view.parts.len() < 5 { "No team" } else { "Other" };
    let other = (sum(&rest) > Money::ZERO).then(|| Series {
        name: rest_name.into(),
        values: nanos(&rest),
        total: sum(&rest).to_string(),
    });
    let bucket = |day: &Day| Bucket { short: day.short(), long: day.long(), href: None };
    let label = match by {
        By::Team => "Spend per day by team",
        By::Model => "Spend per day by model",
        By::Key => "Spend per day by key",
    };
    let drawn = StackedChart {
        label: label.into(),
        what: "Spend",
        when: "Day",
        buckets: view.days.iter().map(bucket).collect(),
        series: series.collect(),
        other,
        words,
        axis: words,
        top_when_empty: 1_000_000_000,
    };
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
                <p>{sum(&view.totals).to_string()} {all_spend}</p>
            </header>
            {list::chips("What the bars show", choices)}
            {drawn.draw()}
        </section>
    }
    .into_any()
}

/// Yesterday against the same day of the weeks before.
fn grown(view: &OverviewView) -> Option<AnyView> {
    if view.grown.is_empty() {
        return None;
    }
    let weekday = view.yesterday.weekday();
    let rows = view.grown.iter().map(|one| {
        let to = LocalPath::key(&view.context.org.slug, &one.key).as_str().to_owned();
        view! {
            <li>
                <a href=to>{one.name.clone()}</a>
                {format!(" spent {} yesterday: {}", one.spent, one.words(&weekday))}
            </li>
        }
    });
    Some(
        view! {
            <section class="card" aria-labelledby="grown">
                <header><h2 id="grown">"Grew fastest"</h2></header>
                <ul class="stack">{rows.collect_view()}</ul>
            </section>
        }
        .into_any(),
    )
}

/// For operators: what organisations spent this month and what is stopped in them.
#[component]
pub fn OperatorOverviewPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = overview::of_installation(&desk, &caller).await?;
        let under = view! {
            <p class="muted">"Each organisation’s month is that of its own time zone."</p>
        };
        let body = installation(&view);
        Ok(Page::new("Overview", Width::Wide)
            .under(under)
            .path(LocalPath::operator_overview().as_str().to_owned())
            .apart(&view.own, &caller, body))
    })
}

fn installation(view: &InstallationView) -> AnyView {
    let all = &view.all;
    let orgs: String = LocalPath::operator().into();
    let figures = tiles(
        "All organisations",
        vec![
            Tile::new("Spent this month", all.month.spent.to_string(), orgs.clone()),
            Tile::new("Last month", all.before.to_string(), orgs.clone()),
            Tile::new("Requests this month", grouped(all.month.requests), orgs.clone()),
            Tile::new("Organisations", grouped(all.count), orgs),
        ],
    );
    let columns = vec![
        Column::new("Organisation"),
        Column::new("Spent this month").num(),
        Column::new("Last month").num(),
        Column::new("Requests").num(),
        Column::new("Budgets used up").num(),
        Column::new("Nearly used up").class("num drop-2"),
    ];
    let row = |listed: &ListedMonth| {
        let org = &listed.org;
        let own = view.own.iter().any(|own| own.slug == org.org.slug);
        // An operator goes in only where they belong.
        let to = match own {
            true => LocalPath::overview(&org.org.slug),
            false => LocalPath::operator_balance(&org.org.slug),
        };
        view! {
            <tr>
                <th scope="row">
                    <a class="row-link" href=to.as_str().to_owned()>{org.org.name.clone()}</a>
                    <span class="sub">{format!("/{}", org.org.slug)}</span>
                </th>
                <td class="num" data-label="Spent this month">{org.month.spent.to_string()}</td>
                <td class="num" data-label="Last month">{org.before.to_string()}</td>
                <td class="num" data-label="Requests">{grouped(org.month.requests)}</td>
                <td class="num" data-label="Budgets used up">{grouped(listed.used_up)}</td>
                <td class="num drop-2" data-label="Nearly used up">{grouped(listed.near)}</td>
            </tr>
        }
    };
    let rows = view.orgs.iter().map(row).collect_view();
    let more = (view.orgs.len() == MAX_ORGS).then(|| {
        view! {
            <p class="muted">
                "The 50 that spent most. " <a href=LocalPath::operator()>"All organisations"</a>
            </p>
        }
    });
    view! { {figures} {list::table(true, "Organisations, those that spent most first".into(), columns, rows)} {more} }
        .into_any()
}
