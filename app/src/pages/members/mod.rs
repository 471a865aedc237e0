//! The members of an organisation: the list, one member, inviting, joining, leaving, and the keys of those who left.

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

use keydesk_core::domain::member::{Member, TeamMembership};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::policy::OrgRole;
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

/// What a role allows, beside its word in a form.
fn role_help(role: OrgRole) -> &'static str {
    match role {
        OrgRole::Owner => "full access, can make other owners",
        OrgRole::Admin => "manages keys, teams, members and settings, but not owners",
        OrgRole::Member => "their own keys, and the teams they are admin of",
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
        (Some(at), _) => (BadgeTone::Ended, "Left", format!("Left {}.", at.exact(zone))),
        (None, Some(at)) => {
            (BadgeTone::Idle, "Disabled", format!("Disabled {}. They have no access here.", at.exact(zone)))
        }
        (None, None) => (BadgeTone::Good, "Active", format!("Joined {}.", member.since.exact(zone))),
    };
    badge(tone, word.into(), why)
}

fn teams_line<'a>(teams: impl IntoIterator<Item = &'a TeamMembership>) -> String {
    teams.into_iter().map(TeamMembership::words).collect::<Vec<_>>().join(" · ")
}

fn crumbs(org: &str) -> (String, String) {
    (LocalPath::members(org).as_str().to_owned(), "Members".to_owned())
}
