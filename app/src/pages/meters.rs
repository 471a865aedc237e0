//! Budgets as bars: what was spent of each, and when it resets. Keys, teams and the organisation are drawn alike.

use keydesk_core::domain::limits::BudgetUse;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::window::Period;
use leptos::prelude::*;

use crate::ui::meter::Meter;

/// A bar for each budget.
pub fn meters(budgets: &[BudgetUse], now: Moment, zone: &Zone) -> AnyView {
    let bar = |used: &BudgetUse| {
        let budget = used.budget;
        let period = match budget.period {
            Period::Total => "total",
            Period::Month => "this month",
            Period::Week => "this week",
            Period::Day => "today",
        };
        let resets = budget.period.window(now, zone).resets(zone);
        let aside = resets.map_or("Does not reset".to_owned(), |at| format!("Resets {at}"));
        let percent = used.spent.percent_of(used.limit());
        let granted = used.granted.map(|granted| format!(", {}", granted.words(zone))).unwrap_or_default();
        let of = format!("of {} {period}{granted}", used.limit());
        Meter { percent, used: used.spent.to_string(), of }.wide(aside)
    };
    budgets.iter().map(bar).collect_view().into_any()
}

/// A bar for each budget, or, without any, what was spent this month.
pub fn meters_or_month(budgets: &[BudgetUse], month: Money, now: Moment, zone: &Zone) -> AnyView {
    if !budgets.is_empty() {
        return meters(budgets, now, zone);
    }
    view! {
        <div class="meter">
            <p>
                <span>
                    <b>{month.to_string()}</b>
                    " this month"
                </span>
                <span class="muted">"No limit"</span>
            </p>
        </div>
    }
    .into_any()
}

/// For a row of a table, `24 % of $10/week`: of several budgets the one that is used up first.
pub fn budget_cell(budgets: &[BudgetUse]) -> AnyView {
    let percent = |used: &BudgetUse| used.spent.percent_of(used.limit());
    let Some(used) = budgets.iter().max_by_key(|used| percent(used)) else {
        return view! { <span class="muted">"No limit"</span> }.into_any();
    };
    let period = match used.budget.period {
        Period::Total => " total",
        Period::Month => "/month",
        Period::Week => "/week",
        Period::Day => "/day",
    };
    let amount = used.limit().to_string();
    let of = format!("of {}{period}", amount.strip_suffix(".00").unwrap_or(&amount));
    Meter { percent: percent(used), used: format!("{} %", percent(used)), of }.thin()
}

/// For a row of a table, what part of the total was spent there: `24 %`.
pub fn share(part: Money, total: Money) -> AnyView {
    if total == Money::ZERO {
        return view! { <span class="muted">"–"</span> }.into_any();
    }
    format!("{} %", part.percent_of(total)).into_any()
}
