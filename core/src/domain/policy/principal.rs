//! Who acts: a person with their roles towards one organisation, read from the database for each request. The fields
//! are private, so a page cannot make itself an owner; in `core` only `ops::access` makes principals.

use super::roles::{MembersCreate, OrgRole, PlatformRole};
use crate::domain::ids::{OrgId, PersonId, TeamId};

/// Where a request came from, as the audit keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's IP address.
    pub address: String,
    /// The request's id; empty for the program itself.
    pub request_id: String,
}

/// What one person is to one organisation.
#[derive(Clone, Debug)]
pub struct Principal {
    org: OrgId,
    person: PersonId,
    name: String,
    role: Option<OrgRole>,
    platform: PlatformRole,
    admin_of: Vec<TeamId>,
    member_of: Vec<TeamId>,
    members_create: MembersCreate,
    origin: Origin,
}

impl Principal {
    /// `role` is what the database says of this person in `org`; `None` for a person who is no member of it.
    pub(crate) fn new(
        org: OrgId,
        (person, name): (PersonId, String),
        role: Option<OrgRole>,
        platform: PlatformRole,
        origin: Origin,
    ) -> Self {
        let members_create = MembersCreate::No;
        Self {
            org,
            person,
            name,
            role,
            platform,
            admin_of: vec![],
            member_of: vec![],
            members_create,
            origin,
        }
    }

    /// Adds the teams that the person is in, and whether the organisation lets members create keys.
    pub(crate) fn in_teams(
        self,
        member_of: Vec<TeamId>,
        admin_of: Vec<TeamId>,
        members_create: MembersCreate,
    ) -> Self {
        Self { member_of, admin_of, members_create, ..self }
    }

    /// The organisation that all of this is about.
    pub fn org(&self) -> &OrgId {
        &self.org
    }
    /// The person's id.
    pub fn person(&self) -> &PersonId {
        &self.person
    }
    /// The person's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Their role in the organisation; `None` for a person who is no member of it.
    pub fn role(&self) -> Option<OrgRole> {
        self.role
    }
    /// Their role in the installation.
    pub fn platform(&self) -> PlatformRole {
        self.platform
    }
    /// Teams that they administer.
    pub fn admin_of(&self) -> &[TeamId] {
        &self.admin_of
    }
    /// Teams that they are in, those that they administer among them.
    pub fn member_of(&self) -> &[TeamId] {
        &self.member_of
    }
    /// The organisation's setting.
    pub fn members_create(&self) -> MembersCreate {
        self.members_create
    }
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Owners and admins.
    pub fn runs_org(&self) -> bool {
        matches!(self.role, Some(OrgRole::Owner | OrgRole::Admin))
    }

    /// Sees the organisation as support does, also as its member: what they look at is recorded.
    pub fn is_support(&self) -> bool {
        !self.runs_org() && self.platform == PlatformRole::Support
    }
}
