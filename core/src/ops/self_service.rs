//! What all changes of one's own account share: who acts, their permit, and saving the change with its event.

use super::OpError;
use super::access::Caller;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::moment::Moment;
use crate::domain::person::Person;
use crate::domain::policy::{AccountPermit, Origin};
use crate::security_log;
use crate::store::{Tx, Via, people};

/// Who acts on their own account, and where from. Not a `Caller`: at the second step of a sign-in there is no session yet.
#[derive(Clone, Copy, Debug)]
pub struct SelfActor<'a> {
    /// Whose account it is.
    pub person: &'a Person,
    /// Where the request came from; empty when that is not known.
    pub address: &'a str,
    /// The request's id, for the audit.
    pub request_id: &'a str,
}

impl<'a> From<&'a Caller> for SelfActor<'a> {
    fn from(caller: &'a Caller) -> Self {
        SelfActor { person: &caller.person, address: &caller.address, request_id: &caller.request_id }
    }
}

/// The permit to change one's own account. Its chains are those of all organisations that the person belongs to, and
/// the installation's for a person who has a role in it or belongs to none.
///
/// # Errors
/// `Store` when the organisations cannot be read.
pub(super) async fn own_permit(via: &mut impl Via, by: SelfActor<'_>) -> Result<AccountPermit, OpError> {
    let orgs = people::org_ids_of(via, &by.person.id).await?;
    let origin = Origin { address: by.address.to_owned(), request_id: by.request_id.to_owned() };
    Ok(AccountPermit::own(&by.person.id, &by.person.name, by.person.platform, &orgs, origin))
}

/// What an attacker who knows the person would try first in a password.
pub(super) async fn words_about(via: &mut impl Via, person: &Person) -> Result<Vec<String>, OpError> {
    let orgs = people::orgs_of(via, &person.id).await?;
    let named = orgs.into_iter().flat_map(|org| [org.slug, org.name]);
    Ok(named.chain([person.email.clone(), person.name.clone()]).collect())
}

/// Commits a change of the person's own account with its event.
pub(super) async fn save(
    tx: Tx,
    permit: &AccountPermit,
    by: SelfActor<'_>,
    kind: EventKind,
    changes: Vec<Change>,
    now: Moment,
) -> Result<(), OpError> {
    let event = Event::new(kind, by.person.id.as_str(), &by.person.name).with(changes);
    tx.save(permit, event, now).await?;
    security_log::done(kind.as_str(), by.person.id.as_str(), (by.address, by.request_id));
    Ok(())
}
