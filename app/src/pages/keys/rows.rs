//! The table of the list of keys: a row for each, with its figures, a line of two weeks and a menu. Columns that can be missed go
//! first where there is little room, and on a phone each key is two lines.

use keydesk_core::domain::key::{Key, Status};
use keydesk_core::domain::key_filter::{KeyFilter, Sort, StateFilter};
use keydesk_core::domain::limits::BudgetUse;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::window::Period;
use keydesk_core::ops::keys::{self, KeysView, LINE_DAYS};
use leptos::prelude::*;

use super::key_hint;
use super::list_address::address;
use crate::key_status::status_badge;
use crate::pages::meters::budget_cell;
use crate::path::LocalPath;
use crate::ui::acts;
use crate::ui::chart::sparkline;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Column};
use crate::ui::when;

/// Who looks for old secrets is shown their age in place of the line.
fn shows_secrets(filter: &KeyFilter) -> bool {
    filter.state == StateFilter::RotationDue || filter.older.is_some() || filter.sort == Sort::Rotated
}

pub(super) fn table(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let org = &view.context.org;
    let head = |sort: Sort, label: &'static str| {
        let current = filter.sort == sort;
        let first = sort.descends_first();
        let to =
            |descending| address(&org.slug, &KeyFilter { sort, descending, page: None, ..filter.clone() });
        match current {
            true => Column::sorted(label, &to(!filter.descending), true, filter.descending),
            false => Column::sorted(label, &to(first), false, first),
        }
    };
    let secrets = shows_secrets(filter);
    let may_tick = !keys::offered(&view.context).is_empty();
    let ticks = may_tick.then(|| Column::ticks("Select all keys on this page"));
    let columns = ticks.into_iter().chain([
        head(Sort::Name, "Name"),
        Column::new("Key").class("away-5"),
        Column::new("Team").class("away-4"),
        Column::new("Owner").class("away-3"),
        Column::new("State"),
        head(Sort::Spend, "Spent this month").num(),
        Column::new("Budget"),
        head(Sort::LastUsed, "Last used"),
        head(Sort::Created, "Created").class("away-1"),
        head(Sort::Expires, "Expires").class("away-6"),
        if secrets { head(Sort::Rotated, "Secret since") } else { Column::new("14 days").class("away-2") },
        Column::actions("Actions"),
    ]);
    let caption = format!(
        "Keys, sorted by {}, {}",
        filter.sort.as_str(),
        if filter.descending { "descending" } else { "ascending" }
    );
    let none = Vec::new();
    let lines = view.lines.iter().chain(std::iter::repeat(&none));
    let rows = view.page.rows.iter().zip(lines);
    let rows = rows.map(|(key, line)| row(key, line, view, secrets, may_tick)).collect_view();
    view! { <div class="keys">{list::table(false, caption, columns.collect(), rows)}</div> }.into_any()
}

fn row(key: &Key, line: &[Money], view: &KeysView, secrets: bool, may_tick: bool) -> impl IntoView + use<> {
    let (org, now) = (&view.context.org, view.now);
    let (slug, zone) = (&org.slug, &org.zone);
    let due = key.rotation_due(&org.rules, now).map(|at| {
        let title = format!("Due for rotation since {}", at.exact(zone));
        view! { <span class="sub" title=title>"Rotation due"</span> }
    });
    let last = match secrets {
        true => {
            let since = when::short_date(key.secret_created_at, now, zone);
            view! { <td data-label="Secret since" class="tight">{since}</td> }.into_any()
        }
        false => view! { <td data-label="14 days" class="away-2">{two_weeks(line)}</td> }.into_any(),
    };
    let note = (!key.note.is_empty())
        .then(|| view! { <span class="sub note" title=key.note.clone()>{key.note.clone()}</span> });
    let team = match &key.team {
        Some(team) => {
            let to = LocalPath::keys(slug).with_query(&format!("team={}", team.id));
            named(to, &team.name, format!("Keys of {}", team.name))
        }
        None => view! { <span class="muted">"No team"</span> }.into_any(),
    };
    let owner = LocalPath::keys(slug).with_query(&format!("owner={}", key.owner.id));
    let owner = named(owner, &key.owner.name, format!("Keys of {}", key.owner.name));
    let never = || view! { <span class="muted">"Never"</span> }.into_any();
    let last_used = key.last_used_at.map_or_else(never, |at| when::brief(at, now, zone).into_any());
    let expires = key.expires_at.map_or_else(never, |at| when::short_date(at, now, zone).into_any());
    let used = key.last_used_at.map_or("never used".to_owned(), |at| at.relative(now, zone));
    let tick = may_tick.then(|| {
        let label = format!("Select {}", key.name);
        view! {
            <td data-label="Select" class="tick">
                <input type="checkbox" name="key" value=key.id.to_string() form="selection" aria-label=label />
            </td>
        }
    });
    view! {
        <tr>
            {tick}
            <th scope="row">
                <a class="row-link" href=LocalPath::key(slug, &key.id).as_str().to_owned() title=key.name.clone()>
                    {key.name.clone()}
                </a>
                {note}
                <span class="sub brief">{format!("{} · {used}", brief(key))}</span>
            </th>
            <td data-label="Key" class="away-5">{key_hint(key)}</td>
            <td data-label="Team" class="away-4">{team}</td>
            <td data-label="Owner" class="away-3">{owner}</td>
            <td class="state">{status_badge(key, now, zone)} {due}</td>
            <td data-label="Spent this month" class="num">{key.month_spent.to_string()}</td>
            <td data-label="Budget">{budget_cell(&key.budgets)}</td>
            <td data-label="Last used" class="tight">{last_used}</td>
            <td data-label="Created" class="tight away-1">{when::short_date(key.created_at, now, zone)}</td>
            <td data-label="Expires" class="tight away-6">{expires}</td>
            {last}
            <td class="act">{menu(key, view)}</td>
        </tr>
    }
}

fn named(to: LocalPath, name: &str, title: String) -> AnyView {
    view! { <a class="clip" href=to.as_str().to_owned() title=title>{name.to_owned()}</a> }.into_any()
}

/// `$0.20 of $2/mo`: of several budgets the one that is used up first.
fn brief(key: &Key) -> String {
    let percent = |used: &&BudgetUse| used.spent.percent_of(used.limit());
    let Some(used) = key.budgets.iter().max_by_key(percent) else {
        return format!("{} this month", key.month_spent);
    };
    let period = match used.budget.period {
        Period::Total => " total",
        Period::Month => "/mo",
        Period::Week => "/wk",
        Period::Day => "/day",
    };
    let amount = used.limit().to_string();
    format!("{} of {}{period}", used.spent, amount.strip_suffix(".00").unwrap_or(&amount))
}

fn two_weeks(line: &[Money]) -> AnyView {
    let sum: Money = line.iter().copied().sum();
    if sum == Money::ZERO {
        return view! { <span class="muted">"–"<span class="sr">"Nothing spent"</span></span> }.into_any();
    }
    let values: Vec<i64> = line.iter().map(|spent| spent.nanos()).collect();
    sparkline(&values, format!("{sum} in {LINE_DAYS} days"))
}

/// What can be done with the key, for who may do it.
fn menu(key: &Key, view: &KeysView) -> Option<AnyView> {
    let base: String = LocalPath::key(&view.context.org.slug, &key.id).into();
    let may = |action| view.context.may(action, On::Key(key.facts()));
    let live = key.is_live(view.now);
    let to = |page: &str, sign: Icon, words: &'static str| acts::link(format!("{base}/{page}"), sign, words);
    let edit = (live && may(Action::EditKey)).then(|| to("edit", Icon::Pen, "Edit"));
    let rotate = (live && may(Action::RotateKey)).then(|| to("rotate", Icon::Rotate, "Rotate"));
    let disable = (live && key.status == Status::Active && may(Action::DisableKey))
        .then(|| to("disable", Icon::Pause, "Disable"));
    let revoke =
        (key.status != Status::Revoked && may(Action::RevokeKey)).then(|| to("revoke", Icon::Ban, "Revoke"));
    let open = acts::link(base.clone(), Icon::Right, "View");
    let items = [Some(open), edit, rotate, disable, revoke].into_iter().flatten().collect();
    acts::acts(format!("menu-{}", key.id), format!("Actions for {}", key.name), items)
}
