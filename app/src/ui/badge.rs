//! A state in a word, with a mark and a colour; the tooltip says since when and why.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeTone {
    Good,
    /// Nothing is wrong: something is new.
    Info,
    Warn,
    Bad,
    Idle,
    Ended,
}

pub fn badge(tone: BadgeTone, word: String, title: String) -> impl IntoView {
    let class = match tone {
        BadgeTone::Good => "badge good",
        BadgeTone::Info => "badge info",
        BadgeTone::Warn => "badge warn",
        BadgeTone::Bad => "badge bad",
        BadgeTone::Idle => "badge idle",
        BadgeTone::Ended => "badge ended",
    };
    view! { <span class=class title=title>{word}</span> }
}
