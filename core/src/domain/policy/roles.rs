//! What a person is: to an organisation, and to the installation.

use crate::domain::audit::Choice;

/// A person's role in an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrgRole {
    /// May do everything in the organisation. It keeps at least one active owner.
    Owner,
    /// Runs the organisation, and acts on no owner.
    Admin,
    /// Sees their own keys and their teams.
    Member,
}

impl OrgRole {
    /// The word in the database and in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            OrgRole::Owner => "owner",
            OrgRole::Admin => "admin",
            OrgRole::Member => "member",
        }
    }

    /// Reads the word that [`OrgRole::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [OrgRole::Owner, OrgRole::Admin, OrgRole::Member].into_iter().find(|role| role.as_str() == text)
    }
}

/// A person's role in the installation as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformRole {
    /// No role in the installation.
    None,
    /// Looks up across organisations and changes nothing.
    Support,
    /// Runs the installation. Gives no sight of an organisation's keys by itself.
    Operator,
}

impl PlatformRole {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            PlatformRole::None => "none",
            PlatformRole::Support => "support",
            PlatformRole::Operator => "operator",
        }
    }

    /// Reads the word that [`PlatformRole::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [PlatformRole::None, PlatformRole::Support, PlatformRole::Operator]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Whether members may create keys for themselves: an organisation's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MembersCreate {
    /// Not at all; owners, admins and team admins create keys.
    #[default]
    No,
    /// In the teams that they are in.
    InTeams,
    /// Also without a team.
    Anywhere,
}

impl MembersCreate {
    /// Every choice, in the order of forms.
    pub const ALL: [MembersCreate; 3] = [MembersCreate::No, MembersCreate::InTeams, MembersCreate::Anywhere];

    /// The word in the database and in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            MembersCreate::No => "no",
            MembersCreate::InTeams => "in_teams",
            MembersCreate::Anywhere => "anywhere",
        }
    }

    /// Reads the word that [`MembersCreate::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }
}

impl From<OrgRole> for Choice {
    fn from(role: OrgRole) -> Self {
        match role {
            OrgRole::Owner => Choice::Owner,
            OrgRole::Admin => Choice::Admin,
            OrgRole::Member => Choice::Member,
        }
    }
}

impl From<MembersCreate> for Choice {
    fn from(choice: MembersCreate) -> Self {
        match choice {
            MembersCreate::No => Choice::NoKeys,
            MembersCreate::InTeams => Choice::InTeams,
            MembersCreate::Anywhere => Choice::Anywhere,
        }
    }
}
