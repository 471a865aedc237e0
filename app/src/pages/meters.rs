//! Budgets as bars: what was spent of each, and when it begins anew. Keys, teams and the organisation are drawn alike.

use keydesk_core::domain::limits::BudgetUse;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::window::Period;
use leptos::prelude::*;

use crate::ui::meter::meter;

/// A bar for each budget.
pub fn meters(budgets: &[BudgetUse], now: Moment, zone: &Zone) -> AnyView {
    let bar = |used: &BudgetUse| {
        let period = match used.budget.period {
            Period::Total => "in all",
            Period::Month => "this month",
            Period::Week => "this week",
            Period::Day => "today",
        };
        let resets = used.budget.period.window(now, zone).resets(zone);
        let aside = resets.map_or("Does not reset".to_owned(), |at| format!("Resets {at}"));
        meter(used.spent, used.budget.amount, period, aside)
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
