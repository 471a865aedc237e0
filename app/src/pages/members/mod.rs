//! The people of an organisation: the list, one person, inviting, the card behind an invitation, leaving and what is
//! left behind.

mod invite;
mod join;
mod leave;
mod list;
mod offboarding;
mod show;

pub use invite::{InvitationPage, InvitePage};
pub use join::JoinPage;
pub use leave::{LeavePage, RemoveMemberPage};
pub use list::MembersPage;
pub use offboarding::OffboardingPage;
pub use show::MemberPage;

use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::team::Team;
use keydesk_core::ops::invitations::place_in;
use keydesk_core::store::members::Member;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};

pub(super) fn role_word(role: OrgRole) -> &'static str {
    match role {
        OrgRole::Owner => "Owner",
        OrgRole::Admin => "Admin",
        OrgRole::Member => "Member",
    }
}

/// What a role is for, beside its word in a form.
fn role_help(role: OrgRole) -> &'static str {
    match role {
        OrgRole::Owner => "everything, also making owners",
        OrgRole::Admin => "keys, teams, people and settings, but no owners",
        OrgRole::Member => "their own keys, and those of teams they look after",
    }
}

fn role_options(roles: &[OrgRole]) -> Vec<(String, String)> {
    roles
        .iter()
        .map(|role| (role.as_str().to_owned(), format!("{}: {}", role_word(*role), role_help(*role))))
        .collect()
}

fn state_badge(member: &Member, zone: &Zone) -> impl IntoView + use<> {
    let (tone, word, why) = match (member.removed_at, member.disabled_at) {
        (Some(at), _) => (BadgeTone::Ended, "Left", format!("Out since {}.", at.exact(zone))),
        (None, Some(at)) => {
            (BadgeTone::Idle, "Disabled", format!("Disabled {}. Cannot sign in here.", at.exact(zone)))
        }
        (None, None) => (BadgeTone::Good, "Active", format!("In since {}.", member.since.exact(zone))),
    };
    badge(tone, word.into(), why)
}

fn teams_line(teams: &[(Team, bool)]) -> String {
    let places: Vec<String> = teams.iter().map(|(team, admin)| place_in(&team.name, *admin)).collect();
    places.join(" · ")
}

fn crumbs(org: &str) -> (String, String) {
    (LocalPath::members(org).as_str().to_owned(), "Members".to_owned())
}
