//! How much of a whole is used: the text first, the bar second. Past 80 % it warns, at 100 % it is bad.

use keydesk_core::domain::money::Money;
use leptos::prelude::*;

/// A narrow one for table rows: amount and whole.
pub fn thin_meter(spent: Money, whole: Money) -> AnyView {
    let percent = spent.percent_of(whole);
    view! {
        <div class=class("meter thin", percent)>
            <p>
                <span>
                    <b>{spent.to_string()}</b>
                </span>
                <span class="muted">"of " {whole.to_string()}</span>
            </p>
            {bar(percent, false)}
        </div>
    }
    .into_any()
}

/// A wide one: amount and whole in words, and what is said at the right, such as when it resets.
pub fn meter(spent: Money, whole: Money, period: &'static str, aside: String) -> AnyView {
    let percent = spent.percent_of(whole);
    view! {
        <div class=class("meter", percent)>
            <p>
                <span>
                    <b>{spent.to_string()}</b>
                    {format!(" of {whole} {period}")}
                </span>
                <span class="muted">{aside}</span>
            </p>
            {bar(percent, true)}
        </div>
    }
    .into_any()
}

fn class(base: &str, percent: i64) -> String {
    match percent {
        ..=79 => base.to_owned(),
        80..=99 => format!("{base} warn"),
        _ => format!("{base} bad"),
    }
}

fn bar(percent: i64, ticks: bool) -> impl IntoView {
    let tick = |at: &'static str| view! { <line class="tick" x1=at x2=at y1="0" y2="6"></line> };
    view! {
        <svg aria-hidden="true">
            <rect class="track" width="100%" height="100%"></rect>
            <rect class="fill" width=format!("{}%", percent.min(100)) height="100%"></rect>
            {ticks.then(|| (tick("50%"), tick("80%")))}
        </svg>
    }
}
