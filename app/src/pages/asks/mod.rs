//! Asks: the list, one ask with its answer, and the forms for more of a budget and for a new key.

mod list;
mod make;
mod show;

pub use list::AsksPage;
pub use make::{AskForKeyPage, AskForMorePage};
pub use show::AskPage;

use keydesk_core::domain::ask::{Ask, AskState, Wanted};
use keydesk_core::domain::moment::{Day, Moment, Zone};
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::field::{FieldErrors, field_error, help};

/// The state in a word.
fn state_badge(ask: &Ask, zone: &Zone) -> impl IntoView + use<> {
    let (tone, word) = match ask.state {
        AskState::Open => (BadgeTone::Warn, "Open"),
        AskState::Granted => (BadgeTone::Good, "Granted"),
        AskState::Refused => (BadgeTone::Bad, "Refused"),
        AskState::Withdrawn => (BadgeTone::Ended, "Withdrawn"),
    };
    let at = ask.answered_at.unwrap_or(ask.asked_at);
    badge(tone, word.into(), format!("Since {}", at.exact(zone)))
}

/// What an ask is about, as a heading and as a link in lists: `$50.00 more for ci-prod`.
fn title_of(ask: &Ask) -> String {
    match &ask.wanted {
        Wanted::Budget { key: (_, key), amount, .. } => format!("{amount} more for {key}"),
        Wanted::Key { name, .. } => format!("New key {name}"),
    }
}

/// Until when: as long as `first` says, or to the end of a day. Without `first` only a day is possible.
fn until_field(
    first: Option<(&'static str, String)>,
    (chosen, day): (&str, &str),
    (now, zone): (Moment, &Zone),
    field_errors: &FieldErrors,
) -> AnyView {
    let date = chosen == "date";
    let reveal = if first.is_some() { "reveal" } else { "" };
    let choice = match first {
        None => view! { <input type="hidden" name="form[until]" value="date" /> }.into_any(),
        Some((value, words)) => view! {
            <div class="segmented">
                <label>
                    <input type="radio" name="form[until]" value=value checked=!date />
                    {words}
                </label>
                <label>
                    <input type="radio" name="form[until]" value="date" data-reveals=true checked=date />
                    "On a date"
                </label>
            </div>
        }
        .into_any(),
    };
    view! {
        <fieldset class="group">
            <legend>"Until"</legend>
            <div class="reveals until" data-field="until">
                {choice}
                <div class=reveal>
                    <div class="field">
                        <label class="label" for="until_on">"Last day"</label>
                        <span class="affix">
                            <input
                                class="input"
                                type="date"
                                id="until_on"
                                name="form[until_on]"
                                value=day.to_owned()
                                min=Day::of(now, zone).to_string()
                                aria-describedby="until_on-help"
                            />
                        </span>
                        {help("until_on", format!("To the end of this day, {}.", zone.name()))}
                    </div>
                </div>
                {field_error("until", field_errors.of("until"))}
            </div>
        </fieldset>
    }
    .into_any()
}

fn crumb(slug: &str) -> (String, String) {
    (LocalPath::asks(slug).into(), "Asks".into())
}
