//! Budgets as bars: what was spent of each, and when it resets. Keys, teams and the organisation are drawn alike.

use keydesk_core::domain::limits::BudgetUse;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::window::Period;
use leptos::prelude::*;

use crate::ui::meter::Meter;

/// A bar for each budget.
pub fn meters(budgets: &[BudgetUse], now: Moment, zone: &Zone) -> AnyView {
    let bar = |BudgetUse { budget, spent }: &BudgetUse| {
        let period = match budget.period {
            Period::Total => "total",
            Period::Month => "this month",
            Period::Week => "this week",
            Period::Day => "today",
        };
        let resets = budget.period.window(now, zone).resets(zone);
        let aside = resets.map_or("Does not reset".to_owned(), |at| format!("Resets {at}"));
        let percent = spent.percent_of(budget.amount);
        let of = format!("of {} {period}", budget.amount);
        Meter { percent, used: spent.to_string(), of }.wide(aside)
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

/// One budget in a row of a table.
pub fn thin_meter(spent: Money, whole: Money) -> AnyView {
    Meter { percent: spent.percent_of(whole), used: spent.to_string(), of: format!("of {whole}") }.thin()
}
