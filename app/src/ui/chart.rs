//! Bars over days, drawn on the server: zero-based, three ticks, values on hover and on focus, and the same as a table.

use keydesk_core::domain::money::Money;
use leptos::prelude::*;

use super::icon::{Icon, icon};

/// The plot's top and bottom edge inside its 160 px.
const TOP: f64 = 16.0;
const BOTTOM: f64 = 136.0;

pub struct Bar {
    /// "20 Nov", for the axis.
    pub short: String,
    /// "20 Nov 2026", for the table.
    pub long: String,
    pub value: Money,
}

pub fn bars(label: String, what: &'static str, bars: Vec<Bar>) -> impl IntoView {
    let max = bars.iter().map(|bar| bar.value).max().unwrap_or_default();
    // Days without any spend still get an axis that reads.
    let top = if max == Money::ZERO { Money::from_nanos(2_000_000_000) } else { nice_top(max) };
    let count = bars.len().max(1);
    let share = 100.0 / count as f64;
    let y = |value: Money| BOTTOM - (BOTTOM - TOP) * (value.nanos() as f64 / top.nanos().max(1) as f64);
    let half = Money::from_nanos(top.nanos() / 2);
    let scale = [(Money::ZERO, 140), (half, 80), (top, 20)];
    let ticks = [0, count / 2, count - 1].map(|at| {
        let (x, anchor) = match at {
            0 => ("0".to_owned(), "start"),
            at if at == count - 1 => ("100%".to_owned(), "end"),
            at => (format!("{:.2}%", share * (at as f64 + 0.5)), "middle"),
        };
        let short = bars.get(at).map(|bar| bar.short.clone()).unwrap_or_default();
        view! { <text x=x y="154" text-anchor=anchor>{short}</text> }
    });
    let drawn = bars
        .iter()
        .enumerate()
        .map(|(at, bar)| {
            let left = share * at as f64;
            // Something spent is never drawn as nothing.
            let height = if bar.value > Money::ZERO { (BOTTOM - y(bar.value)).max(1.5) } else { 0.0 };
            let says = format!("{}: {}", bar.short, bar.value);
            let title = says.clone();
            let label = says.clone();
            let (x, anchor) = match at {
                0..4 => (left, "start"),
                at if at + 4 >= count => (left + share, "end"),
                _ => (left + share / 2.0, "middle"),
            };
            view! {
                <g class="bar" tabindex="0" role="img" aria-label=label>
                    <title>{title}</title>
                    <rect class="hit" x=format!("{left:.2}%") y="16" width=format!("{share:.2}%") height="120"></rect>
                    <rect
                        x=format!("{:.2}%", left + share * 0.15)
                        y=format!("{:.1}", BOTTOM - height)
                        width=format!("{:.2}%", share * 0.7)
                        height=format!("{height:.1}")
                        rx="1.5"
                    ></rect>
                    <text class="value" x=format!("{x:.2}%") y="10" text-anchor=anchor>{says}</text>
                </g>
            }
        })
        .collect_view();
    let widest = scale.iter().map(|(value, _)| axis(*value).len()).max().unwrap_or(2);
    let rows = bars
        .into_iter()
        .rev()
        .map(|bar| view! { <tr><th scope="row">{bar.long}</th><td class="num">{bar.value.to_string()}</td></tr> })
        .collect_view();
    view! {
        <figure class="chart" role="group" aria-label=label>
            <svg class="scale" width=(widest * 8).to_string() height="160" aria-hidden="true">
                {scale.map(|(value, at)| view! { <text x="100%" y=at.to_string() text-anchor="end">{axis(value)}</text> })}
            </svg>
            <svg class="plot" height="160">
                <line class="grid base" x1="0" x2="100%" y1="136" y2="136"></line>
                <line class="grid" x1="0" x2="100%" y1="76" y2="76"></line>
                <line class="grid" x1="0" x2="100%" y1="16" y2="16"></line>
                {ticks}
                {drawn}
            </svg>
        </figure>
        <details class="more">
            <summary>{icon(Icon::Right)} "Show as table"</summary>
            <table class="table plain">
                <caption class="sr">{what}</caption>
                <thead>
                    <tr>
                        <th scope="col">"Day"</th>
                        <th scope="col" class="num">{what}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </details>
    }
}

/// "$0", "$2", "$0.50": cents only where there are any.
fn axis(value: Money) -> String {
    let text = value.to_string();
    text.strip_suffix(".00").map(str::to_owned).unwrap_or(text)
}

/// The next of 2, 4, 6, 10, 20, 40 … above the largest value, so that half of it is round too.
fn nice_top(max: Money) -> Money {
    let mut step: i64 = 1;
    loop {
        for factor in [2, 4, 6, 10] {
            let top = step.saturating_mul(factor);
            if top >= max.nanos() && top >= 10_000 {
                return Money::from_nanos(top);
            }
        }
        step = step.saturating_mul(10);
        if step > 1_000_000_000_000_000_000 {
            return max;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_above_the_largest_value_at_a_round_number() {
        let top = |dollars: &str| nice_top(Money::parse(dollars).unwrap()).to_string();
        assert_eq!(top("3.1"), "$4.00");
        assert_eq!(top("4"), "$4.00");
        assert_eq!(top("61"), "$100.00");
        assert!(nice_top(Money::ZERO) > Money::ZERO);
        assert!(nice_top(Money::from_nanos(i64::MAX)) > Money::ZERO);
    }
}
