//! The first minutes of an installation: the link's holder becomes the owner of the first organisation and the
//! operator of the installation. There is no default account and no other way in.

use serde::{Deserialize, Serialize};

use super::{OpError, links as link_ops};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{OrgId, PersonId};
use crate::domain::link::LinkKind;
use crate::domain::moment::Zone;
use crate::domain::org::Org;
use crate::domain::person::{Email, slug_of, visible_name};
use crate::domain::policy::{Action, OrgRole, Permit, PlatformRole};
use crate::passwords::check_new;
use crate::store::links;
use crate::store::people::{self, NewPerson};

/// As a browser sends it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetupForm {
    /// The set-up link's token.
    pub token: Hidden,
    /// The person's name, of 1 to 100 characters.
    pub name: String,
    /// What the person will sign in with.
    pub email: String,
    /// The person's password.
    pub password: Hidden,
    /// The organisation's name, of 1 to 100 characters; its slug is made from it.
    pub org: String,
    /// The browser's time zone where script filled it in; empty or unknown is UTC.
    pub zone: String,
}

/// Whether the installation has no people yet, so that no one can sign in.
///
/// # Errors
/// `Store` when the database cannot be read.
pub async fn is_due(desk: &Desk) -> Result<bool, OpError> {
    Ok(people::none_yet(&mut desk.db.read().await?).await?)
}

/// Makes the organisation and its owner, and uses the link up, all or nothing.
///
/// # Errors
/// `NotFound` when the link is unknown, used or late; `Invalid` with every mistake in the form.
pub async fn set_up(desk: &Desk, form: &SetupForm) -> Result<(PersonId, Org), OpError> {
    if link_ops::find(desk, form.token.as_str(), LinkKind::Setup).await?.is_none() {
        return Err(OpError::NotFound);
    }
    let mut errors = Vec::new();
    let name = visible_name(&form.name, "Name", 100).map_err(|p| errors.push(FieldError::new("name", p)));
    let email = Email::typed(&form.email).map_err(|p| errors.push(FieldError::new("email", p)));
    if let Err(problem) = check_new(form.password.as_str(), &[&form.email, &form.name, &form.org]) {
        errors.push(FieldError::new("password", problem));
    }
    let org_name =
        visible_name(&form.org, "Organisation", 100).map_err(|p| errors.push(FieldError::new("org", p)));
    let (Ok(name), Ok(email), Ok(org_name), true) = (name, email, org_name, errors.is_empty()) else {
        return Err(OpError::Invalid(errors));
    };
    let password_hash = desk
        .passwords
        .hash(form.password.as_str().to_owned(), desk.bytes())
        .await
        .ok_or_else(OpError::stopping)?;

    let now = desk.now();
    let person = PersonId::new(now, desk.id_entropy());
    let zone = Zone::parse(&form.zone).unwrap_or_else(Zone::utc);
    let org = Org::new(OrgId::new(now, desk.id_entropy()), slug_of(&org_name), org_name, zone);
    let mut tx = desk.db.write().await?;
    links::lock_setups(&mut tx).await?;
    if links::take(&mut tx, &link_ops::hash(form.token.as_str()), LinkKind::Setup, now).await?.is_none() {
        return Err(OpError::NotFound);
    }
    // Another link may have been used first.
    if !people::none_yet(&mut tx).await? {
        return Err(OpError::NotFound);
    }
    let permit = Permit::program(&org.id, Action::SetUp, org.id.as_str(), "set-up link");
    people::insert_org(&mut tx, &permit, &org, now).await?;
    let new = NewPerson {
        id: &person,
        name: &name,
        email: &email,
        password_hash: &password_hash,
        platform: PlatformRole::Operator,
    };
    people::insert_person(&mut tx, &permit, &new, now).await?;
    people::insert_member(&mut tx, &permit, &org.id, &person, OrgRole::Owner, now).await?;
    let event =
        Event::new(EventKind::OrgCreated, org.id.as_str(), &org.name).with([Change::added("owner", name)]);
    tx.save(&permit, event, now).await?;
    Ok((person, org))
}
