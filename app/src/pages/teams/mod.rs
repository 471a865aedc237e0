//! Teams: the list, one team, its form, its people, the confirmation before it is archived.

mod archive;
mod form;
mod list;
mod people;
mod show;

pub use archive::ArchiveTeamPage;
pub use form::{EditTeamPage, NewTeamPage};
pub use list::TeamsPage;
pub use people::{AddPersonPage, TeamPersonPage};
pub use show::TeamPage;

use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::team::WholeTeam;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};

/// Nothing for a team in use.
fn state_badge(team: &WholeTeam, now: Moment, zone: &Zone) -> Option<impl IntoView + use<>> {
    let over = team.budgets.iter().find(|used| used.is_over());
    let (tone, word, title) = match (team.archived_at, over) {
        (Some(at), _) => {
            let title = format!("Archived {}. Requests with its keys fail.", at.exact(zone));
            (BadgeTone::Ended, "Archived", title)
        }
        (None, Some(over)) => {
            let resets = over.budget.period.window(now, zone).resets(zone);
            let resets = resets.map_or("It does not reset.".to_owned(), |at| format!("It resets {at}."));
            let title = format!("The budget of {} is used up. {resets}", over.budget.summary());
            (BadgeTone::Bad, "Over budget", title)
        }
        (None, None) => return None,
    };
    Some(badge(tone, word.into(), title))
}

/// Teams, and the team itself on the pages behind its own.
fn crumbs(slug: &str, team: Option<&WholeTeam>) -> Vec<(String, String)> {
    let teams = (LocalPath::teams(slug).as_str().to_owned(), "Teams".to_owned());
    let own = team.map(|team| (LocalPath::team(slug, &team.id).as_str().to_owned(), team.spec.name.clone()));
    [teams].into_iter().chain(own).collect()
}

/// The keys of the team, in the list of keys.
fn keys_href(slug: &str, team: &WholeTeam) -> String {
    LocalPath::keys(slug).with_query(&format!("team={}", team.id)).as_str().to_owned()
}
