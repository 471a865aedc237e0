//! Permits: the right to do one action on one object. Every write in the store takes one, compares it with the row that
//! it writes, and records that an audit event is due (see `store::Tx`). All fields are private, and all constructors are
//! private to `core`: `policy::permit` and `policy::operator_permit` ask the rules first, and the `program` functions are
//! for what no person asks for (set-up, one-time links, the command line).

use super::action::Action;
use super::principal::Origin;
use super::roles::PlatformRole;
use crate::domain::audit::Actor;
use crate::domain::ids::{OrgId, PersonId};

/// One audit chain: an organisation's, or the installation's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// An organisation's chain.
    Org(OrgId),
    /// The installation's own chain.
    Installation,
}

impl Chain {
    /// The column `chain_id`: an organisation's id, or `installation`.
    pub fn id(&self) -> &str {
        match self {
            Chain::Org(org) => org.as_str(),
            Chain::Installation => "installation",
        }
    }

    /// The organisation whose chain it is.
    pub fn org(&self) -> Option<&OrgId> {
        match self {
            Chain::Org(org) => Some(org),
            Chain::Installation => None,
        }
    }
}

/// What all permits have in common: who may do what to which object, and where the audit records it.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Never empty; organisations first, each once, so that writers lock the chains' heads in one order.
    chains: Vec<Chain>,
    actor: Actor,
    action: Action,
    /// The id of the object. For what is yet to be made: the id of what it is made in.
    object: String,
    origin: Origin,
}

impl Authority {
    pub(super) fn new(
        mut chains: Vec<Chain>,
        actor: Actor,
        action: Action,
        object: impl Into<String>,
        origin: Origin,
    ) -> Self {
        chains.sort();
        chains.dedup();
        Self { chains, actor, action, object: object.into(), origin }
    }

    /// The chains that record what is done.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }
    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
    /// What may be done.
    pub fn action(&self) -> Action {
        self.action
    }
    /// What it may be done to, as an id.
    pub fn object(&self) -> &str {
        &self.object
    }
    /// The client's IP address; empty for the program itself.
    pub fn address(&self) -> &str {
        &self.origin.address
    }
    /// The request's id; empty for the program itself.
    pub fn request_id(&self) -> &str {
        &self.origin.request_id
    }
}

/// Any kind of permit.
pub trait Authorized: Send + Sync {
    /// What the permit allows.
    fn authority(&self) -> &Authority;
}

impl Authorized for Authority {
    fn authority(&self) -> &Authority {
        self
    }
}

/// Which rows a list may contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All rows of the organisation.
    Org,
    /// This person's own rows, and those of the teams that they administer.
    OfPerson(PersonId),
}

/// The right to do one action on one object of one organisation.
#[derive(Clone, Debug)]
pub struct Permit {
    org: OrgId,
    scope: Scope,
    authority: Authority,
}

impl Authorized for Permit {
    fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl Permit {
    pub(super) fn new(
        org: OrgId,
        scope: Scope,
        actor: Actor,
        action: Action,
        object: String,
        origin: Origin,
    ) -> Self {
        let mut chains = vec![Chain::Org(org.clone())];
        if action.of_installation() {
            chains.push(Chain::Installation);
        }
        Self { org, scope, authority: Authority::new(chains, actor, action, object, origin) }
    }

    /// A permit for the program itself, where there is no caller to ask about. `why` is the actor's name in the audit.
    pub(crate) fn program(org: &OrgId, action: Action, object: &str, why: &'static str) -> Self {
        let actor = Actor::System { why };
        Self::new(org.clone(), Scope::Org, actor, action, object.to_owned(), Origin::default())
    }

    /// The organisation.
    pub fn org(&self) -> &OrgId {
        &self.org
    }
    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.authority.actor
    }
    /// What may be done.
    pub fn action(&self) -> Action {
        self.authority.action
    }
    /// Which rows a list may contain.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// The right to change what belongs to the installation and to no organisation: providers and models.
#[derive(Clone, Debug)]
pub struct OperatorPermit(Authority);

impl Authorized for OperatorPermit {
    fn authority(&self) -> &Authority {
        &self.0
    }
}

impl OperatorPermit {
    pub(super) fn new(actor: Actor, action: Action, object: &str, origin: Origin) -> Self {
        Self(Authority::new(vec![Chain::Installation], actor, action, object, origin))
    }

    /// A permit for the command line and the program itself.
    pub(crate) fn program(action: Action, object: &str, why: &'static str) -> Self {
        Self::new(Actor::System { why }, action, object, Origin::default())
    }
}

/// Where a person's own account is recorded: in every organisation that they belong to, and in the installation's chain
/// when they have a role in the installation or belong to no organisation. So there is always at least one chain.
fn chains_of_account(orgs: &[OrgId], platform: PlatformRole) -> Vec<Chain> {
    let mut chains: Vec<Chain> = orgs.iter().cloned().map(Chain::Org).collect();
    if chains.is_empty() || platform != PlatformRole::None {
        chains.push(Chain::Installation);
    }
    chains
}

/// The right to change one person's own account: name, password, sessions, second factor.
#[derive(Clone, Debug)]
pub struct AccountPermit(Authority);

impl Authorized for AccountPermit {
    fn authority(&self) -> &Authority {
        &self.0
    }
}

impl AccountPermit {
    /// For a person who acts on themselves. `orgs` are those that they belong to.
    pub(crate) fn own(
        person: &PersonId,
        name: &str,
        platform: PlatformRole,
        orgs: &[OrgId],
        origin: Origin,
    ) -> Self {
        let actor = Actor::Person { id: person.clone(), name: name.to_owned() };
        let chains = chains_of_account(orgs, platform);
        Self(Authority::new(chains, actor, Action::OwnAccount, person.as_str(), origin))
    }

    /// For the program: a one-time link, or the command line.
    pub(crate) fn program(
        person: &PersonId,
        platform: PlatformRole,
        orgs: &[OrgId],
        action: Action,
        why: &'static str,
    ) -> Self {
        let chains = chains_of_account(orgs, platform);
        Self(Authority::new(chains, Actor::System { why }, action, person.as_str(), Origin::default()))
    }
}
