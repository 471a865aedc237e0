//! The installation's organisations, for its operators: listed, suspended and resumed, at the desk or on the command
//! line. Support may read the list too. For anyone else none of this is there.

use super::super::OpError;
use super::super::access::{Caller, principal};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::ids::OrgId;
use crate::domain::list_filter::OrgFilter;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::org::{ListedOrg, Org, OrgName};
use crate::domain::page::Page;
use crate::domain::person::visible_name;
use crate::domain::policy::{self, Action, On, OperatorPermit, Permit, PlatformRole};
use crate::store::{months, orgs, people};

/// The longest reason for a suspension or a resumption, in characters.
pub const MAX_REASON: usize = 200;

/// Who runs the installation: an operator who is signed in, or a person who may run the program.
#[derive(Clone, Copy)]
pub enum OperatorActor<'a> {
    /// The caller of a request. Each operation checks that the person is an operator.
    Operator(&'a Caller),
    /// The command line, which may do what operators may.
    CommandLine,
}

impl OperatorActor<'_> {
    pub(super) fn permit(&self, org: &OrgId, action: Action) -> Result<Permit, OpError> {
        match self {
            OperatorActor::Operator(caller) => {
                let principal = principal(caller, org, None);
                Ok(policy::permit(&principal, action, On::Org)?)
            }
            OperatorActor::CommandLine => Ok(Permit::program(org, action, org.as_str(), "command line")),
        }
    }

    /// For providers and models; `object` is the id.
    pub(in crate::ops) fn operator_permit(
        &self,
        action: Action,
        object: &str,
    ) -> Result<OperatorPermit, OpError> {
        match self {
            OperatorActor::Operator(caller) => {
                let person = &caller.person;
                let who = (&person.id, person.name.as_str(), person.platform);
                Ok(policy::operator_permit(who, caller.origin(), action, object)?)
            }
            OperatorActor::CommandLine => Ok(OperatorPermit::program(action, object, "command line")),
        }
    }
}

/// What the list of organisations is drawn from.
pub struct OrgsView {
    /// The organisations that match the filter, by name.
    pub page: Page<ListedOrg>,
    /// What each of them spent in its calendar month.
    pub month_spent: Vec<Money>,
    /// Slug and name of each that the caller belongs to.
    pub own: Vec<OrgName>,
    /// When it was read.
    pub now: Moment,
}

/// # Errors
/// `NotFound` for who is neither an operator nor support.
pub async fn list(desk: &Desk, caller: &Caller, filter: &OrgFilter) -> Result<OrgsView, OpError> {
    if caller.person.platform == PlatformRole::None {
        return Err(OpError::NotFound);
    }
    let mut read = desk.db.read().await?;
    // Postgres takes no zero character in text.
    let filter = OrgFilter { search: filter.search.trim().replace('\0', ""), ..filter.clone() };
    let page = orgs::list(&mut read, &filter).await?;
    let now = desk.now();
    let months: Vec<String> = page.rows.iter().map(|org| Day::of(now, &org.zone).month()).collect();
    let asked: Vec<_> = page.rows.iter().zip(&months).map(|(org, month)| (&org.id, month.as_str())).collect();
    let month_spent = months::of_orgs(&mut read, &asked).await?;
    let own = people::orgs_of(&mut read, &caller.person.id).await?;
    Ok(OrgsView { page, month_spent, own, now })
}

/// Every organisation, page after page, for the command line.
///
/// # Errors
/// When the database cannot be read.
pub async fn every(desk: &Desk) -> Result<Vec<ListedOrg>, OpError> {
    let mut read = desk.db.read().await?;
    let mut filter = OrgFilter::default();
    let mut all = Vec::new();
    loop {
        let page = orgs::list(&mut read, &filter).await?;
        all.extend(page.rows);
        match page.next {
            Some(next) => filter.page = Some(next),
            None => return Ok(all),
        }
    }
}

/// Those that keep single requests for some days only, for the job that deletes them.
///
/// # Errors
/// When the database cannot be read.
pub async fn keeping_requests_for_days(desk: &Desk) -> Result<Vec<Org>, OpError> {
    let mut found = Vec::new();
    for listed in every(desk).await? {
        let org = orgs::find(&mut desk.db.read().await?, &listed.slug).await?;
        found.extend(org.filter(|org| org.rules.raw_days.is_some()));
    }
    Ok(found)
}

/// What the page after a creation is drawn from.
///
/// # Errors
/// `NotFound` for who is no operator.
pub async fn created(desk: &Desk, caller: &Caller, slug: &str) -> Result<OutsideView, OpError> {
    let mut read = desk.db.read().await?;
    let org = find(&mut read, slug).await?;
    OperatorActor::Operator(caller).permit(&org.id, Action::CreateOrg)?;
    Ok(OutsideView { own: people::orgs_of(&mut read, &caller.person.id).await?, org })
}

/// One organisation, seen from outside.
pub struct OutsideView {
    /// The organisation.
    pub org: Org,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
}

/// What the pages before a suspension and before a resumption are drawn from.
///
/// # Errors
/// `NotFound` for who is no operator; `Conflict` when it is in that state already.
pub async fn status_form(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    action: Action,
) -> Result<OutsideView, OpError> {
    let mut read = desk.db.read().await?;
    let org = find(&mut read, slug).await?;
    OperatorActor::Operator(caller).permit(&org.id, action)?;
    if org.suspended == (action == Action::SuspendOrg) {
        return Err(already(&org));
    }
    Ok(OutsideView { own: people::orgs_of(&mut read, &caller.person.id).await?, org })
}

/// Its keys are refused from the answer on, and nothing but taking keys out of use can be changed in it. Gives its name.
///
/// # Errors
/// `Invalid` without a reason; `Conflict` when it is suspended already.
pub async fn suspend(desk: &Desk, by: OperatorActor<'_>, org: &str, reason: &str) -> Result<String, OpError> {
    set_status(desk, by, (org, reason), Action::SuspendOrg).await
}

/// Its keys and people go on where they were. Gives its name. `reason` may be empty.
///
/// # Errors
/// `Conflict` when it is not suspended.
pub async fn resume(desk: &Desk, by: OperatorActor<'_>, org: &str, reason: &str) -> Result<String, OpError> {
    set_status(desk, by, (org, reason), Action::ResumeOrg).await
}

async fn set_status(
    desk: &Desk,
    by: OperatorActor<'_>,
    (org, reason): (&str, &str),
    action: Action,
) -> Result<String, OpError> {
    let now = desk.now();
    let suspends = action == Action::SuspendOrg;
    let mut tx = desk.db.write().await?;
    let org = find(&mut tx, org).await?;
    let permit = by.permit(&org.id, action)?;
    let reason = parse_reason(reason, suspends)?;
    let (done, kind) = if suspends {
        (orgs::suspend(&mut tx, &permit, now).await?, EventKind::OrgSuspended)
    } else {
        (orgs::resume(&mut tx, &permit).await?, EventKind::OrgResumed)
    };
    if !done {
        return Err(already(&org));
    }
    let change = reason.map(|reason| Change::added("reason", reason));
    let event = Event::new(kind, org.id.as_str(), &org.name).with(change);
    tx.save(&permit, event, now).await?;
    Ok(org.name)
}

pub(super) async fn find(via: &mut impl crate::store::Via, slug: &str) -> Result<Org, OpError> {
    // Postgres takes no zero character in text, and no slug holds one.
    if slug.contains('\0') {
        return Err(OpError::NotFound);
    }
    orgs::find(via, slug).await?.ok_or(OpError::NotFound)
}

fn already(org: &Org) -> OpError {
    let state = if org.suspended { "already suspended" } else { "not suspended" };
    OpError::Conflict(format!("{} is {state}. Nothing was saved.", org.name))
}

fn parse_reason(text: &str, needed: bool) -> Result<Option<String>, OpError> {
    if text.trim().is_empty() {
        return match needed {
            true => Err(OpError::say(
                "reason",
                "Enter a reason. The organisation's owners see it in their audit log.",
            )),
            false => Ok(None),
        };
    }
    let reason = visible_name(text, "Reason", MAX_REASON);
    Ok(Some(reason.map_err(|error| FieldError::new("reason", error))?))
}
