//! From a caller to what they may do. Every operation on an organisation begins here; a caller gets no organisation but
//! through `enter`, and no permit but through the policy.

use super::OpError;
use crate::domain::audit::Actor;
use crate::domain::org::Org;
use crate::domain::policy::{self, Action, KeyFacts, Permit, PlatformRole, Standing};
use crate::store::Via;
use crate::store::people::{self, Person};

/// Somebody signed in, and where the request came from.
#[derive(Clone, Debug)]
pub struct Caller {
    pub person: Person,
    pub address: String,
    pub request_id: String,
}

/// A caller inside an organisation that they may at least see.
#[derive(Clone, Debug)]
pub struct Visit {
    pub org: Org,
    pub standing: Standing,
}

impl Visit {
    /// # Errors
    /// `NotFound` when the thing is not theirs to see, `Forbidden` when it is theirs to see but not to do.
    pub fn permit(&self, action: Action, key: Option<&KeyFacts<'_>>) -> Result<Permit, OpError> {
        Ok(policy::permit(&self.standing, action, key)?)
    }

    /// For pages: whether to draw the button. What protects is the permit.
    pub fn may(&self, action: Action, key: Option<&KeyFacts<'_>>) -> bool {
        policy::allows(&self.standing, action, key)
    }
}

/// # Errors
/// `NotFound` for an organisation that does not exist or that the caller has no place in.
pub async fn enter(via: &mut impl Via, caller: &Caller, slug: &str) -> Result<Visit, OpError> {
    // Postgres takes no zero character in text, and no slug holds one.
    if slug.contains('\0') {
        return Err(OpError::NotFound);
    }
    let (org, role) = people::place(via, slug, &caller.person.id).await?.ok_or(OpError::NotFound)?;
    if role.is_none() && caller.person.platform != PlatformRole::Support {
        return Err(OpError::NotFound);
    }
    let admin_of = people::admin_of(via, &org.id, &caller.person.id).await?;
    let standing = Standing {
        org: org.id.clone(),
        person: caller.person.id.clone(),
        name: caller.person.name.clone(),
        role,
        platform: caller.person.platform,
        admin_of,
        address: caller.address.clone(),
        request_id: caller.request_id.clone(),
    };
    Ok(Visit { org, standing })
}

/// The person behind a permit; `None` on the command line.
pub fn person_of(permit: &Permit) -> Option<&crate::domain::ids::PersonId> {
    match permit.actor() {
        Actor::Person { id, .. } => Some(id),
        Actor::System { .. } => None,
    }
}
