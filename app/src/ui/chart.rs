//! Charts, drawn on the server: zero-based, three ticks, values on hover and on focus, and the same as a table. Bars over
//! time, stacked by series, and a line small enough for a table's row.

use leptos::prelude::*;

use super::icon::{Icon, icon};

/// The plot's top and bottom edge inside its 160 px.
const TOP: f64 = 16.0;
const BOTTOM: f64 = 136.0;

/// A sparkline's size in px.
const SPARK: (usize, i64) = (64, 20);

/// One place on the axis of time.
#[derive(Clone)]
pub struct Bucket {
    /// "20 Nov", for the axis.
    pub short: String,
    /// "20 Nov 2026", for the table.
    pub long: String,
    /// Where it leads from the table.
    pub href: Option<String>,
}

/// What one part of each bar shows.
#[derive(Clone)]
pub struct Series {
    /// As the legend has it.
    pub name: String,
    /// Its value in each bucket.
    pub values: Vec<i64>,
    /// Its sum in words, beside its name.
    pub total: String,
}

/// Bars over time, each made of one part for each series.
pub struct StackedChart {
    /// What it shows, with the unit.
    pub label: String,
    /// What the values are, for the table.
    pub what: &'static str,
    /// What a bucket is: "Day".
    pub when: &'static str,
    pub buckets: Vec<Bucket>,
    /// Up to five, the first at the bottom. One alone has no legend.
    pub series: Vec<Series>,
    /// What is left of the whole; drawn on top in grey.
    pub other: Option<Series>,
    /// A value in words.
    pub words: fn(i64) -> String,
    /// A value in words, for the axis.
    pub axis: fn(i64) -> String,
    /// The top of the axis while every value is zero.
    pub top_when_empty: i64,
}

/// A series with its place in the palette: 0 is grey.
type Placed = (usize, Series);

impl StackedChart {
    pub fn draw(self) -> impl IntoView {
        let Self { label, what, when, buckets, series, other, words, axis, top_when_empty } = self;
        let series: Vec<Placed> = (1..).zip(series).chain(other.map(|other| (0, other))).collect();
        let count = buckets.len();
        let total_at =
            |at: usize| series.iter().fold(0_i64, |sum, (_, one)| sum.saturating_add(value_at(one, at)));
        let totals: Vec<i64> = (0..count).map(total_at).collect();
        let max = totals.iter().copied().max().unwrap_or_default();
        let top = if max <= 0 { top_when_empty } else { nice_top(max) };
        let scale = [(0, 140), (top / 2, 80), (top, 20)].map(|(value, y)| (axis(value), y.to_string()));
        let widest = scale.iter().map(|(words, _)| words.len()).max().unwrap_or(2);
        let bars = buckets.iter().zip(&totals).enumerate();
        let drawn = bars
            .map(|(at, (bucket, total))| {
                let parts = series.iter().map(|(place, one)| (*place, value_at(one, at)));
                let spoken = if series.len() > 1 { spoken(&series, at, words) } else { String::new() };
                let words = format!("{}: {}", bucket.short, words(*total));
                draw_bar(Place { at, count, top }, parts.collect(), words, spoken)
            })
            .collect_view();
        view! {
            <figure class="chart" role="group" aria-label=label.clone()>
                <svg class="scale" width=(widest * 8).to_string() height="160" aria-hidden="true">
                    {scale.map(|(words, y)| view! { <text x="100%" y=y text-anchor="end">{words}</text> })}
                </svg>
                <svg class="plot" height="160">
                    <line class="grid base" x1="0" x2="100%" y1="136" y2="136"></line>
                    <line class="grid" x1="0" x2="100%" y1="76" y2="76"></line>
                    <line class="grid" x1="0" x2="100%" y1="16" y2="16"></line>
                    {bucket_labels(&buckets)}
                    {drawn}
                </svg>
                {said(max > 0)}
            </figure>
            {legend(&series)}
            {table(&label, (when, what), &buckets, &series, words)}
        }
    }
}

/// What the browser's script fills in; a screen reader reads the bar itself.
fn said(has_bars: bool) -> AnyView {
    match has_bars {
        true => view! {
            <p class="said needs-script" aria-hidden="true">
                "Point at a bar, or use the arrows, to read it."
            </p>
        }
        .into_any(),
        false => view! { <p class="said">"Nothing in this period."</p> }.into_any(),
    }
}

fn value_at(series: &Series, at: usize) -> i64 {
    series.values.get(at).copied().unwrap_or_default()
}

/// What each series with a value has in this bucket, the largest first: "A $1.00, B $0.50".
fn spoken(series: &[Placed], at: usize, words: fn(i64) -> String) -> String {
    let mut parts: Vec<(&str, i64)> = series
        .iter()
        .map(|(_, one)| (one.name.as_str(), value_at(one, at)))
        .filter(|(_, value)| *value != 0)
        .collect();
    parts.sort_by(|(_, a), (_, b)| b.cmp(a));
    parts.iter().map(|(name, value)| format!("{name} {}", words(*value))).collect::<Vec<_>>().join(", ")
}

/// The first, the middle and the last.
fn bucket_labels(buckets: &[Bucket]) -> impl IntoView + use<> {
    let (last, middle) = (buckets.len().saturating_sub(1), buckets.len() / 2);
    let centre = format!("{:.2}%", 100.0 * (middle as f64 + 0.5) / buckets.len().max(1) as f64);
    let mut places = vec![(0, "0".to_owned(), "start")];
    // Fewer would stand on each other.
    if buckets.len() > 2 {
        places.push((middle, centre, "middle"));
    }
    if buckets.len() > 1 {
        places.push((last, "100%".to_owned(), "end"));
    }
    places
        .into_iter()
        .map(|(at, x, anchor)| {
            let short = buckets.get(at).map(|bucket| bucket.short.clone());
            view! { <text x=x y="154" text-anchor=anchor>{short}</text> }
        })
        .collect_view()
}

/// Where a bar stands, among how many, and the value at the axis' top.
struct Place {
    at: usize,
    count: usize,
    top: i64,
}

fn draw_bar(place: Place, parts: Vec<(usize, i64)>, words: String, spoken: String) -> impl IntoView + use<> {
    let Place { at, count, top } = place;
    let share = 100.0 / count.max(1) as f64;
    let left = share * at as f64;
    let label = if spoken.is_empty() { words.clone() } else { format!("{words}. {spoken}") };
    let title = label.clone();
    // At the edges the words stand inside the plot.
    let middle = left + share / 2.0;
    let (x, anchor) = match middle {
        ..12.0 => (left, "start"),
        88.0.. => (left + share, "end"),
        _ => (middle, "middle"),
    };
    let mut base = BOTTOM;
    let rects = parts
        .into_iter()
        .filter(|(_, value)| *value > 0)
        .map(|(series, value)| {
            // What is more than zero is never drawn as nothing.
            let height = ((BOTTOM - TOP) * (value as f64 / top.max(1) as f64)).max(1.5);
            base = (base - height).max(TOP);
            view! {
                <rect
                    class=format!("s{series}")
                    x=format!("{:.2}%", left + share * 0.15)
                    y=format!("{base:.1}")
                    width=format!("{:.2}%", share * 0.7)
                    height=format!("{height:.1}")
                ></rect>
            }
        })
        .collect_view();
    view! {
        <g class="bar" tabindex="0" role="img" aria-label=label>
            <title>{title}</title>
            <rect class="hit" x=format!("{left:.2}%") y="16" width=format!("{share:.2}%") height="120"></rect>
            {rects}
            <text class="value" x=format!("{x:.2}%") y="10" text-anchor=anchor>{words}</text>
        </g>
    }
}

/// In words, the first series first.
fn legend(series: &[Placed]) -> impl IntoView + use<> {
    let item = |(place, one): &Placed| {
        view! {
            <li>
                <span class=format!("swatch s{place}") aria-hidden="true"></span>
                <span class="clip">{one.name.clone()}</span>
                " "
                <span class="muted">{one.total.clone()}</span>
            </li>
        }
    };
    (series.len() > 1).then(|| view! { <ul class="legend">{series.iter().map(item).collect_view()}</ul> })
}

/// The same values, the newest first; with a column for each series where there are several.
fn table(
    label: &str,
    (when, what): (&'static str, &'static str),
    buckets: &[Bucket],
    series: &[Placed],
    words: fn(i64) -> String,
) -> impl IntoView + use<> {
    let several = series.len() > 1;
    let heads = series
        .iter()
        .filter(|_| several)
        .map(|(_, one)| view! { <th scope="col" class="num">{one.name.clone()}</th> })
        .collect_view();
    let row = |at: usize, bucket: &Bucket| {
        let values = series.iter().map(|(_, one)| value_at(one, at));
        let total = values.clone().fold(0_i64, i64::saturating_add);
        let cells = values
            .filter(|_| several)
            .map(|value| view! { <td class="num">{words(value)}</td> })
            .collect_view();
        let name = match bucket.href.clone() {
            Some(href) => view! { <a href=href>{bucket.long.clone()}</a> }.into_any(),
            None => bucket.long.clone().into_any(),
        };
        view! { <tr><th scope="row">{name}</th><td class="num">{words(total)}</td>{cells}</tr> }
    };
    let rows = buckets.iter().enumerate().rev().map(|(at, bucket)| row(at, bucket)).collect_view();
    view! {
        <details class="more">
            <summary>{icon(Icon::Right)} "Show as table"</summary>
            <div class="scrolls" tabindex="0" role="region" aria-label=format!("{label}, as a table")>
                <table class="table plain">
                    <caption class="sr">{what}</caption>
                    <thead>
                        <tr>
                            <th scope="col">{when}</th>
                            <th scope="col" class="num">{what}</th>
                            {heads}
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
}

/// A line through the values, the oldest at the left; `label` says what it shows.
pub fn sparkline(values: &[i64], label: String) -> AnyView {
    let (width, height) = SPARK;
    let points = spark_points(values);
    view! {
        <svg class="spark" width=width.to_string() height=height.to_string() role="img" aria-label=label>
            <polyline points=points></polyline>
        </svg>
    }
    .into_any()
}

/// Whole px, one from each edge, so that the line's ends are drawn whole.
fn spark_points(values: &[i64]) -> String {
    let (width, height) = SPARK;
    let max = values.iter().copied().max().unwrap_or_default().max(1);
    let last = values.len().saturating_sub(1).max(1);
    let point = |(at, value): (usize, &i64)| {
        let x = 1 + at * (width - 2) / last;
        let up = i64::try_from(i128::from((*value).max(0)) * i128::from(height - 3) / i128::from(max));
        format!("{x},{}", height - 2 - up.unwrap_or_default())
    };
    values.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
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

    fn series(name: &str, values: &[i64]) -> Series {
        Series { name: name.into(), values: values.to_vec(), total: values.iter().sum::<i64>().to_string() }
    }

    fn drawn(series: Vec<Series>, other: Option<Series>) -> String {
        let bucket = |short: &str| Bucket { short: short.into(), long: format!("{short} 2026"), href: None };
        StackedChart {
            label: "Rain per day".into(),
            what: "Rain",
            when: "Day",
            buckets: vec![bucket("1 Nov"), bucket("2 Nov")],
            series,
            other,
            words: |value| format!("${value}"),
            axis: |value| value.to_string(),
            top_when_empty: 20_000,
        }
        .draw()
        .to_html()
    }

    #[test]
    fn the_axis_ends_above_the_largest_value_at_a_round_number() {
        assert_eq!(nice_top(3_100_000), 4_000_000);
        assert_eq!(nice_top(4_000_000), 4_000_000);
        assert_eq!(nice_top(61_000_000), 100_000_000);
        assert!(nice_top(0) > 0);
        assert!(nice_top(i64::MAX) > 0);
    }

    #[test]
    fn a_bar_is_as_high_as_its_parts_and_says_each_of_them() {
        let html = drawn(
            vec![series("A", &[10_000, 5_000]), series("B", &[2_500, 0])],
            Some(series("Other", &[7_500, 0])),
        );
        assert!(html.contains("1 Nov: $20000. A $10000, Other $7500, B $2500"), "{html}");
        assert!(html.contains("2 Nov: $5000. A $5000"), "{html}");
        // The first at the bottom, half of the axis high; the last part ends at the top.
        for part in [
            r#"y="76.0" width="35.00%" height="60.0" class="s1""#,
            r#"y="61.0" width="35.00%" height="15.0" class="s2""#,
            r#"y="16.0" width="35.00%" height="45.0" class="s0""#,
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn one_series_alone_needs_no_legend_and_no_columns() {
        let html = drawn(vec![series("Rain", &[0, 0])], None);
        assert!(!html.contains("legend") && html.contains("1 Nov: $0"), "{html}");
        assert_eq!(html.matches("<th scope=\"col\"").count(), 2, "{html}");
    }

    #[test]
    fn a_sparkline_stays_inside_its_box() {
        assert_eq!(spark_points(&[0, 10, 5]), "1,18 32,1 63,10");
        assert_eq!(spark_points(&[0, 0]), "1,18 63,18");
        assert_eq!(spark_points(&[i64::MIN, i64::MAX]), "1,18 63,1");
        assert_eq!(spark_points(&[]), "");
    }
}
