//! A page of the audit, for owners and admins.

use std::collections::BTreeSet;

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use crate::Desk;
use crate::domain::audit::PastEvent;
use crate::domain::audit_filter::AuditFilter;
use crate::domain::ids::{KeyId, OrgId};
use crate::domain::key_format::has_secret;
use crate::domain::moment::{Moment, Zone};
use crate::domain::page::Page;
use crate::domain::policy::{Action, Chain, On};
use crate::domain::team::Team;
use crate::store::audit_list::Wanted;
use crate::store::{StoreError, Via, audit, audit_list, teams};

/// What the page is drawn from.
pub struct AuditView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The newest events first.
    pub page: Page<PastEvent>,
    /// How many events the organisation has, whatever the filter.
    pub total: i64,
    /// What the text in the key box means.
    pub keys: KeysMeant,
    /// Id, name and email address of each person to filter by.
    pub people: Vec<(String, String, String)>,
    /// Each team to filter by.
    pub teams: Vec<Team>,
    /// Which subjects of this page are still there to be looked at.
    pub there: BTreeSet<String>,
    /// When it was read.
    pub now: Moment,
}

/// What the text in the filter's key box means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysMeant {
    /// The box is empty.
    Any,
    /// One or more keys with that id or name.
    These(Vec<(KeyId, String)>),
    /// No key has that id or name.
    Unknown,
    /// A whole secret. It is not looked up and not shown again.
    Secret,
}

/// A page of the organisation's audit.
///
/// # Errors
/// `Forbidden` without the right to read it.
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
        Some(wanted) => audit_list::list(&mut read, &permit, &wanted, filter.page.as_ref()).await?,
        None => Page::empty(),
    };
    let subjects: BTreeSet<&str> = page.rows.iter().map(|event| event.subject_id.as_str()).collect();
    let subjects: Vec<&str> = subjects.into_iter().collect();
    let there = audit_list::still_there(&mut read, org, &subjects).await?.into_iter().collect();
    let total = audit::head(&mut read, &Chain::Org(org.clone())).await?.map_or(0, |(seq, _)| seq);
    let people = audit_list::people(&mut read, org).await?;
    let teams = teams::in_use(&mut read, org).await?;
    Ok(AuditView { page, total, keys, people, teams, there, now: desk.now(), context })
}

pub(in crate::ops) async fn keys_meant(
    via: &mut impl Via,
    org: &OrgId,
    text: &str,
) -> Result<KeysMeant, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(KeysMeant::Any);
    }
    if has_secret(text) {
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
        // No id contains a zero character, and neither database takes one in text.
        actor: (!filter.person.is_empty()).then(|| filter.person.replace('\0', "\u{fffd}")),
        keys,
        team: filter.team.clone(),
        kinds: filter.kinds.list(),
        from: filter.from.map(|day| day.start(zone)),
        until: filter.to.map(|day| day.end(zone)),
    })
}
