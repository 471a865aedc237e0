//! Figures at the top of a page, each a link to what is behind it.

use leptos::prelude::*;

/// One figure.
pub struct Tile {
    name: &'static str,
    value: String,
    beside: Option<String>,
    to: String,
    marked: bool,
}

impl Tile {
    pub fn new(name: &'static str, value: String, to: String) -> Self {
        Self { name, value, beside: None, to, marked: false }
    }

    /// After the figure, smaller: `of $50.00`.
    pub fn beside(self, beside: Option<String>) -> Self {
        Self { beside, ..self }
    }

    /// The figure asks for a look.
    pub fn marked(self, marked: bool) -> Self {
        Self { marked, ..self }
    }

    fn draw(self) -> impl IntoView {
        let Self { name, value, beside, to, marked } = self;
        view! {
            <li>
                <a class=if marked { "tile marked" } else { "tile" } href=to>
                    <span class="muted">{name}</span>
                    " "
                    <span>
                        <b>{value}</b>
                        {beside.map(|words| view! { " "<small class="muted">{words}</small> })}
                    </span>
                </a>
            </li>
        }
    }
}

/// A row of them; `label` says what they are about.
pub fn tiles(label: &'static str, tiles: Vec<Tile>) -> AnyView {
    view! { <ul class="figures" aria-label=label>{tiles.into_iter().map(Tile::draw).collect_view()}</ul> }
        .into_any()
}
