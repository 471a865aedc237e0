//! A report's chart: bars over time, stacked by the most expensive groups.

use keydesk_core::domain::money::Money;
use keydesk_core::domain::report::Grain;
use keydesk_core::ops::report::Report;
use leptos::prelude::*;

use super::requests_href;
use crate::ui::chart::{Bucket, Series, StackedChart};

/// $2, the top of a chart in which nothing was spent.
const EMPTY_TOP: i64 = 2_000_000_000;

/// In its table, each hour, day or month leads to its requests.
pub fn report_chart(slug: &str, report: &Report) -> impl IntoView + use<> {
    let bucket = |name: &String| {
        let (short, long) = report.grain.words(name);
        let ends = report.grain.ends(name, report.span);
        let href = ends.and_then(|ends| requests_href(slug, ends, &report.query.filters));
        Bucket { short, long, href }
    };
    let series = |name: String, values: &[Money]| Series {
        name,
        values: values.iter().map(|value| value.nanos()).collect(),
        total: values.iter().sum::<Money>().to_string(),
    };
    let per = report.grain.label().to_lowercase();
    StackedChart {
        label: format!("Spend per {per}, {}, in US dollars", report.span.words()),
        what: "Spend",
        when: match report.grain {
            Grain::Hour => "Hour",
            Grain::Day => "Day",
            Grain::Month => "Month",
        },
        buckets: report.buckets.iter().map(bucket).collect(),
        series: report.series.iter().map(|one| series(one.name.clone(), &one.values)).collect(),
        other: report.rest.as_ref().map(|rest| series("Other".into(), rest)),
        words: |nanos| Money::from_nanos(nanos).to_string(),
        axis: |nanos| {
            let text = Money::from_nanos(nanos).to_string();
            text.strip_suffix(".00").map(str::to_owned).unwrap_or(text)
        },
        top_when_empty: EMPTY_TOP,
    }
    .draw()
}
