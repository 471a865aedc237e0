//! A moment: near ones relative, with the exact time and zone in the tooltip.

use keydesk_core::domain::moment::{Moment, Zone};
use leptos::prelude::*;

/// "3 h ago", or the date when it is longer than a week away.
pub fn ago(at: Moment, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    view! { <time datetime=at.rfc3339() title=at.exact(zone)>{at.relative(now, zone)}</time> }
}

/// "20 Nov 2026", with the time in the tooltip.
pub fn date(at: Moment, zone: &Zone) -> impl IntoView + use<> {
    view! { <time datetime=at.rfc3339() title=at.exact(zone)>{at.date(zone)}</time> }
}

/// "20 Nov", or "Nov 2027" where the year would not be clear, for columns; the whole of it in the tooltip.
pub fn short_date(at: Moment, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    view! { <time datetime=at.rfc3339() title=at.exact(zone)>{at.short_date(now, zone)}</time> }
}

/// "3 h ago", or a short date when it is longer than a week away.
pub fn brief(at: Moment, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    view! { <time datetime=at.rfc3339() title=at.exact(zone)>{at.brief(now, zone)}</time> }
}
