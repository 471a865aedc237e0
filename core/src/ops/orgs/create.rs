//! A new organisation, made by an operator. Its owner is a person who signs in here already, or is
//! invited; the invitation's link is given out once.

use super::super::OpError;
use super::super::invitations::{self, NewInvitation};
use super::operator::OperatorActor;
use super::settings::slug_taken;
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::hidden::Hidden;
use crate::domain::ids::OrgId;
use crate::domain::org::{NewOrg, Org};
use crate::domain::policy::{Action, OrgRole};
use crate::store::people;

/// An organisation that was just created.
#[derive(Debug)]
pub struct Created {
    /// The organisation's slug.
    pub slug: String,
    /// The organisation's name.
    pub name: String,
    /// Its first owner.
    pub owner: Owner,
}

/// How a new organisation gets its owner.
#[derive(Debug)]
pub enum Owner {
    /// A person who signs in with the address is the owner from now on. Their name.
    Joined(String),
    /// No one does. The token of the invitation's link.
    Invited(Hidden),
}

/// What the page before it asks: may they?
///
/// # Errors
/// `NotFound` for who is no operator.
pub fn may_create(desk: &Desk, by: &OperatorActor<'_>) -> Result<(), OpError> {
    by.permit(&OrgId::new(desk.now(), desk.id_entropy()), Action::CreateOrg).map(|_| ())
}

/// # Errors
/// `Invalid` when another organisation has the address.
pub async fn create(desk: &Desk, by: OperatorActor<'_>, new: &NewOrg) -> Result<Created, OpError> {
    let now = desk.now();
    let id = OrgId::new(now, desk.id_entropy());
    let permit = by.permit(&id, Action::CreateOrg)?;
    let NewOrg { name, slug, zone, email } = new.clone();
    let org = Org::new(id, slug, name, zone);
    let mut tx = desk.db.write().await?;
    people::insert_org(&mut tx, &permit, &org, now).await.map_err(|error| slug_taken(error, &org.slug))?;
    let known = match people::credentials(&mut tx, &email).await? {
        Some(known) => people::find(&mut tx, &known.person).await?,
        None => None,
    };
    let (owner, shown) = match known {
        Some(person) => {
            people::insert_member(&mut tx, &permit, &org.id, &person.id, OrgRole::Owner, now).await?;
            let shown = person.name.clone();
            (Owner::Joined(person.name), shown)
        }
        None => {
            let new = NewInvitation { email: &email, role: OrgRole::Owner, team: None };
            let token = invitations::issue(desk, &mut tx, &permit, &new, now).await?;
            (Owner::Invited(Hidden::new(token)), format!("{}, invited", email.as_str()))
        }
    };
    let owner_change = Change::added("owner", shown);
    let event = Event::new(EventKind::OrgCreated, org.id.as_str(), &org.name).with([owner_change]);
    tx.save(&permit, event, now).await?;
    Ok(Created { slug: org.slug, name: org.name, owner })
}
