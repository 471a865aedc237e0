//! What HTML cannot do, in the browser: forms that come back without losing what was typed, copying, keyboard
//! shortcuts, the palette, charts, parts that stay up to date. One island with no markup of its own listens on the
//! document, so a page needs no wiring and everything still works where script does not run. Nothing here knows the
//! domain; it stays small on purpose.

#[cfg(feature = "hydrate")]
mod chart;
#[cfg(feature = "hydrate")]
mod copy;
#[cfg(feature = "hydrate")]
mod forms;
#[cfg(feature = "hydrate")]
mod live;
#[cfg(feature = "hydrate")]
mod page;
#[cfg(feature = "hydrate")]
mod palette;
#[cfg(feature = "hydrate")]
mod shortcuts;
#[cfg(feature = "hydrate")]
mod summary;
#[cfg(feature = "hydrate")]
mod ticks;

use leptos::prelude::*;

#[island]
pub fn Enhancements() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    {
        chart::listen();
        copy::listen();
        forms::listen();
        live::keep();
        palette::listen();
        shortcuts::listen();
        summary::listen();
        ticks::listen();
        page::prepare();
    }
}
