//! A key's state in words: a badge, and a sentence that says since when and why.

use keydesk_core::domain::key::{Key, State};
use keydesk_core::domain::limits::Budget;
use keydesk_core::domain::moment::{Moment, Zone};
use leptos::prelude::*;

use crate::ui::badge::{BadgeTone, badge};

/// A state in a word or two.
pub fn status_word(state: &State, now: Moment) -> String {
    match state {
        State::Active => "Active".into(),
        State::ExpiresSoon { at } => {
            let hours = (at.ms() - now.ms()) / 3_600_000;
            match hours {
                ..1 => "Expires within the hour".into(),
                1..48 => format!("Expires in {hours} h"),
                hours => format!("Expires in {} days", hours / 24),
            }
        }
        State::OverBudget { .. } => "Over budget".into(),
        State::TeamOverBudget { .. } => "Team over budget".into(),
        State::OrgOverBudget { .. } => "Org over budget".into(),
        State::OutOfBalance => "Out of balance".into(),
        State::TeamArchived => "Team archived".into(),
        State::OrgSuspended => "Suspended".into(),
        State::Disabled => "Disabled".into(),
        State::Expired { .. } => "Expired".into(),
        State::Revoked => "Revoked".into(),
    }
}

/// Since when and why, in a sentence.
pub fn status_reason(key: &Key, now: Moment, zone: &Zone) -> String {
    let by = key.status_by.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    let since = key.status_at.exact(zone);
    let team = key.team.as_ref().map_or("Its team", |team| team.name.as_str());
    match key.state(now) {
        State::Active => format!("Active since {since}{by}."),
        State::ExpiresSoon { at } => format!("Expires {}.", at.exact(zone)),
        State::OverBudget { budget } => {
            format!("The budget of {} is used up. {}", budget.summary(), resets(budget, now, zone))
        }
        State::TeamOverBudget { budget } => {
            format!("{team} has used up its budget of {}. {}", budget.summary(), resets(budget, now, zone))
        }
        State::OrgOverBudget { budget } => {
            format!("The organisation has used up its budget of {}. {}", budget.summary(), resets(budget, now, zone))
        }
        State::OutOfBalance => {
            "The organisation’s balance is used up. Requests with its keys fail until your administrator adds credit.".into()
        }
        State::TeamArchived => {
            format!(
                "{team} is archived. Requests with its keys fail until the team is restored or the key is moved."
            )
        }
        State::OrgSuspended => "The organisation is suspended. Requests with its keys fail.".into(),
        State::Disabled => {
            format!("Disabled {since}{by}. Requests fail until an owner, an admin or an admin of its team enables it.")
        }
        State::Expired { at } => {
            let advice = match key.extendable_until(now) {
                Some(until) => format!("An admin can extend it until {}.", until.exact(zone)),
                None => "It can’t be extended any more. Create a new key to replace it.".into(),
            };
            format!("Expired {}. Requests fail. {advice}", at.exact(zone))
        }
        State::Revoked => format!("Revoked {since}{by}. This can't be undone."),
    }
}

fn resets(budget: Budget, now: Moment, zone: &Zone) -> String {
    let resets = budget.period.window(now, zone).resets(zone);
    resets.map_or("It does not reset.".to_owned(), |at| format!("It resets {at}."))
}

pub fn status_badge(key: &Key, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    let state = key.state(now);
    let tone = match state {
        State::Active => BadgeTone::Good,
        State::ExpiresSoon { .. } => BadgeTone::Warn,
        State::OverBudget { .. } | State::TeamOverBudget { .. } | State::OrgOverBudget { .. } => {
            BadgeTone::Bad
        }
        State::OutOfBalance | State::TeamArchived | State::OrgSuspended => BadgeTone::Bad,
        State::Disabled => BadgeTone::Idle,
        State::Expired { .. } | State::Revoked => BadgeTone::Ended,
    };
    badge(tone, status_word(&state, now), status_reason(key, now, zone))
}
