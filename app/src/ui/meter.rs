//! How much of a whole is used: the text first, the bar second. From 80 % on it warns, at 100 % it is bad.

use leptos::prelude::*;

pub struct Meter {
    /// 100 and more is full.
    pub percent: i64,
    pub used: String,
    /// After what is used, such as "of $50.00 this month".
    pub of: String,
}

impl Meter {
    /// For rows of tables.
    pub fn thin(self) -> AnyView {
        let of = view! { <span class="muted">{self.of}</span> };
        view! {
            <div class=class("meter thin", self.percent)>
                <p>
                    <span>
                        <b>{self.used}</b>
                    </span>
                    {of}
                </p>
                {bar(self.percent)}
            </div>
        }
        .into_any()
    }

    /// For cards, with the percentage and a remark at the right.
    pub fn wide(self, aside: String) -> AnyView {
        view! {
            <div class=class("meter", self.percent)>
                <p>
                    <span>
                        <b>{self.used}</b>
                        {format!(" {}", self.of)}
                    </span>
                    <span class="muted">{format!("{} % · {aside}", self.percent)}</span>
                </p>
                {bar(self.percent)}
            </div>
        }
        .into_any()
    }
}

fn class(base: &str, percent: i64) -> String {
    match percent {
        ..=79 => base.to_owned(),
        80..=99 => format!("{base} warn"),
        _ => format!("{base} bad"),
    }
}

fn bar(percent: i64) -> impl IntoView {
    view! {
        <svg aria-hidden="true">
            <rect class="track" width="100%" height="100%"></rect>
            <rect class="fill" width=format!("{}%", percent.min(100)) height="100%"></rect>
        </svg>
    }
}
