//! The installation's own audit, for operators: accounts without an organisation, providers, models, balances and the
//! life of organisations.

use super::super::OpError;
use super::super::access::Caller;
use super::super::orgs::OperatorActor;
use crate::Desk;
use crate::domain::audit::PastEvent;
use crate::domain::moment::Moment;
use crate::domain::org::OrgName;
use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Action, Chain};
use crate::store::{audit, audit_list, people};

/// What the page is drawn from.
pub struct InstallationAudit {
    /// The newest events first.
    pub page: Page<PastEvent>,
    /// How many events the chain has.
    pub total: i64,
    /// The organisations that the caller belongs to.
    pub own: Vec<OrgName>,
    /// When it was read.
    pub now: Moment,
}

/// A page of the installation's audit.
///
/// # Errors
/// `NotFound` unless the caller is an operator.
pub async fn list_installation(
    desk: &Desk,
    caller: &Caller,
    at: Option<&Cursor>,
) -> Result<InstallationAudit, OpError> {
    let chain = Chain::Installation;
    let permit = OperatorActor::Operator(caller).operator_permit(Action::SeeInstallationAudit, chain.id())?;
    let mut read = desk.db.read().await?;
    let page = audit_list::list_installation(&mut read, &permit, at).await?;
    let total = audit::head(&mut read, &chain).await?.map_or(0, |(seq, _)| seq);
    let own = people::orgs_of(&mut read, &caller.person.id).await?;
    Ok(InstallationAudit { page, total, own, now: desk.now() })
}
