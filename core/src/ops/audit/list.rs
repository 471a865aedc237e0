//! A page of the audit, for owners and admins.

use std::collections::BTreeSet;

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use crate::Desk;
use crate::domain::audit_filter::AuditFilter;
use crate::domain::ids::{KeyId, OrgId};
use crate::domain::key_format::looks_like_secret;
use crate::domain::moment::{Moment, Zone};
use crate::domain::policy::{Action, Chain, On};
use crate::domain::team::Team;
use crate::store::audit_list::{AuditPage, Wanted};
use crate::store::{StoreError, Via, audit, audit_list, teams};

pub struct AuditView {
    pub context: OrgContext,
    pub page: AuditPage,
    /// How many events the organisation has in all.
    pub total: i64,
    pub keys: KeysMeant,
    /// Id, name and email address of those who can be filtered by.
    pub people: Vec<(String, String, String)>,
    pub teams: Vec<Team>,
    /// Which subjects of this page are still there to be looked at.
    pub there: BTreeSet<String>,
    pub now: Moment,
}

/// What the text in the filter's key box means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysMeant {
    Any,
    /// One or more keys with that id or name.
    These(Vec<(KeyId, String)>),
    Unknown,
    /// Somebody put a whole secret there. It is not looked up and not shown again.
    Secret,
}

/// # Errors
/// `Forbidden` for whoever may not read the audit.
pub async fn list(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &AuditFilter,
) -> Result<AuditView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::SeeAudit, On::Org)?;
    let org = &context.org.id;
    let keys = keys_meant(&mut read, org, &filter.key).await?;
    let page = match wanted(filter, &keys, &context.org.zone) {
        Some(wanted) => audit_list::list(&mut read, &permit, &wanted, filter.page).await?,
        None => AuditPage { events: vec![], previous: None, next: None },
    };
    let subjects: BTreeSet<&str> = page.events.iter().map(|event| event.subject_id.as_str()).collect();
    let subjects: Vec<&str> = subjects.into_iter().collect();
    let there = audit_list::still_there(&mut read, org, &subjects).await?.into_iter().collect();
    let total = audit::head(&mut read, &Chain::Org(org.clone())).await?.map_or(0, |(seq, _)| seq);
    let people = audit_list::people(&mut read, org).await?;
    let teams = teams::in_use(&mut read, org).await?;
    Ok(AuditView { page, total, keys, people, teams, there, now: desk.now(), context })
}

pub(super) async fn keys_meant(via: &mut impl Via, org: &OrgId, text: &str) -> Result<KeysMeant, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(KeysMeant::Any);
    }
    if looks_like_secret(text) {
        return Ok(KeysMeant::Secret);
    }
    let keys = audit_list::keys_called(via, org, text).await?;
    Ok(if keys.is_empty() { KeysMeant::Unknown } else { KeysMeant::These(keys) })
}

/// `None` when nothing can be found.
pub(super) fn wanted(filter: &AuditFilter, keys: &KeysMeant, zone: &Zone) -> Option<Wanted> {
    let keys = match keys {
        KeysMeant::Any => None,
        KeysMeant::These(keys) => Some(keys.iter().map(|(id, _)| id.clone()).collect()),
        KeysMeant::Unknown | KeysMeant::Secret => return None,
    };
    Some(Wanted {
        // No id holds a zero character, and neither database takes one in text.
        actor: (!filter.person.is_empty()).then(|| filter.person.replace('\0', "\u{fffd}")),
        keys,
        team: filter.team.clone(),
        kinds: filter.kinds.list(),
        from: filter.from.map(|day| day.start(zone)),
        until: filter.to.map(|day| day.end(zone)),
    })
}
