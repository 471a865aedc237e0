//! Bars over days, drawn on the server: zero-based, three ticks, values on hover and on focus, and the same as a table.

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
    /// Its height.
    pub value: i64,
    /// The value in words.
    pub words: String,
}

pub struct BarChart {
    /// What it shows, with the unit.
    pub label: String,
    /// The table's heading over the values.
    pub what: &'static str,
    pub bars: Vec<Bar>,
    /// A value in words, for the axis.
    pub axis: fn(i64) -> String,
    /// The top of the axis while every value is zero.
    pub top_when_empty: i64,
}

impl BarChart {
    pub fn draw(self) -> impl IntoView {
        let max = self.bars.iter().map(|bar| bar.value).max().unwrap_or_default();
        let top = if max == 0 { self.top_when_empty } else { nice_top(max) };
        let scale =
            [(0, 140), (top / 2, 80), (top, 20)].map(|(value, y)| ((self.axis)(value), y.to_string()));
        let widest = scale.iter().map(|(words, _)| words.len()).max().unwrap_or(2);
        let count = self.bars.len();
        let drawn =
            self.bars.iter().enumerate().map(|(at, bar)| draw_bar(bar, at, count, top)).collect_view();
        view! {
            <figure class="chart" role="group" aria-label=self.label>
                <svg class="scale" width=(widest * 8).to_string() height="160" aria-hidden="true">
                    {scale.map(|(words, y)| view! { <text x="100%" y=y text-anchor="end">{words}</text> })}
                </svg>
                <svg class="plot" height="160">
                    <line class="grid base" x1="0" x2="100%" y1="136" y2="136"></line>
                    <line class="grid" x1="0" x2="100%" y1="76" y2="76"></line>
                    <line class="grid" x1="0" x2="100%" y1="16" y2="16"></line>
                    {day_labels(&self.bars)}
                    {drawn}
                </svg>
            </figure>
            {table(self.what, self.bars)}
        }
    }
}

/// The first, the middle and the last day.
fn day_labels(bars: &[Bar]) -> impl IntoView + use<> {
    let (last, middle) = (bars.len().saturating_sub(1), bars.len() / 2);
    let centre = format!("{:.2}%", 100.0 * (middle as f64 + 0.5) / bars.len().max(1) as f64);
    let places = [(0, "0".to_owned(), "start"), (middle, centre, "middle"), (last, "100%".to_owned(), "end")];
    places.map(|(at, x, anchor)| {
        let short = bars.get(at).map(|bar| bar.short.clone());
        view! { <text x=x y="154" text-anchor=anchor>{short}</text> }
    })
}

fn draw_bar(bar: &Bar, at: usize, count: usize, top: i64) -> impl IntoView + use<> {
    let share = 100.0 / count.max(1) as f64;
    let left = share * at as f64;
    let height = (BOTTOM - TOP) * (bar.value as f64 / top.max(1) as f64);
    // What is more than zero is never drawn as nothing.
    let height = if bar.value > 0 { height.max(1.5) } else { 0.0 };
    let words = format!("{}: {}", bar.short, bar.words);
    let (label, title) = (words.clone(), words.clone());
    // At the edges the words stand inside the plot.
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
            <text class="value" x=format!("{x:.2}%") y="10" text-anchor=anchor>{words}</text>
        </g>
    }
}

/// The same values, the newest day first.
fn table(what: &'static str, bars: Vec<Bar>) -> impl IntoView {
    let row = |bar: Bar| view! { <tr><th scope="row">{bar.long}</th><td class="num">{bar.words}</td></tr> };
    view! {
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
                <tbody>{bars.into_iter().rev().map(row).collect_view()}</tbody>
            </table>
        </details>
    }
}

/// The next of 2, 4, 6, 10, 20, 40 … above the largest value, so that half of it is round too.
fn nice_top(max: i64) -> i64 {
    let mut step: i64 = 1;
    loop {
        for factor in [2, 4, 6, 10] {
            let top = step.saturating_mul(factor);
            // Below this the halves of small steps would be fractions.
            if top >= max && top >= 10_000 {
                return top;
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
        assert_eq!(nice_top(3_100_000), 4_000_000);
        assert_eq!(nice_top(4_000_000), 4_000_000);
        assert_eq!(nice_top(61_000_000), 100_000_000);
        assert!(nice_top(0) > 0);
        assert!(nice_top(i64::MAX) > 0);
    }
}
