//! The log of an organisation's requests, narrowed by a filter: as pages, and as a file. Owners, admins and support see
//! all of it; others see requests that were made while the key was theirs or in a team that they administer. That is how
//! spend counts them, too, so that the sums agree.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::{Caller, OrgContext, open_org, reopen_org};
use super::audit::{KeysMeant, keys_meant};
use super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::ids::KeyId;
use crate::domain::moment::{Moment, Zone};
use crate::domain::names::Names;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::policy::{Action, On, Permit, Scope};
use crate::domain::request_filter::LogFilter;
use crate::domain::request_log::RequestEntry;
use crate::domain::team::Team;
use crate::store::requests::{self, RequestFilter, SeenBy};
use crate::store::{StoreError, Via, audit_list, names, teams};

/// Requests of a file, the newest ones.
pub const MAX_EXPORTED: usize = 100_000;
const CHUNK_ROWS: usize = 500;

/// What the page of the log is drawn from.
pub struct LogView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The newest requests first.
    pub page: Page<RequestEntry>,
    /// The names of what is on the page and in the filter.
    pub names: Names,
    /// What the text in the filter's key box means.
    pub keys: KeysMeant,
    /// Each team to filter by.
    pub teams: Vec<Team>,
    /// Id, name and email address of each person to filter by; empty for those who do not see all requests.
    pub people: Vec<(String, String, String)>,
    /// When it was read.
    pub now: Moment,
}

/// A page of the log.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn log(desk: &Desk, caller: &Caller, slug: &str, filter: &LogFilter) -> Result<LogView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListKeys, On::Org)?;
    let org = &context.org.id;
    let keys = keys_meant(&mut read, org, &filter.key).await?;
    let meant = key_ids(&keys);
    let of = wanted(&context, &permit, filter, meant.as_deref());
    let page = requests::list(&mut read, org, &of, filter.page.as_ref(), PAGE_ROWS).await?;
    let sees_all = *permit.scope() == Scope::Org;
    let keys = if sees_all { keys } else { theirs(&mut read, &context, keys, &page.rows).await? };
    // The name of what is not theirs is not for them; of what they are shown, the rows tell.
    let mut ids = ids_of(&page.rows);
    ids.extend(filter.team.as_ref().filter(|_| sees_all).map(ToString::to_string));
    let owner = filter.owner.as_ref().filter(|owner| sees_all || *owner == context.principal.person());
    ids.extend(owner.map(ToString::to_string));
    let names = names::names(&mut read, org, &ids).await?;
    let mut teams = teams::in_use(&mut read, org).await?;
    if !sees_all {
        teams.retain(|team| context.principal.admin_of().contains(&team.id));
    }
    let people = if sees_all { audit_list::people(&mut read, org).await? } else { Vec::new() };
    drop(read);
    let search = searched(filter);
    record_support_access(desk, &context, SupportAccess::List { of: "requests", search: &search }).await?;
    Ok(LogView { context, page, names, keys, teams, people, now })
}

/// What a filter says in one line, for the audit of support's looks.
fn searched(filter: &LogFilter) -> String {
    let words = filter.pairs().into_iter().filter(|(_, value)| !value.is_empty());
    words.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// What a text means to who does not see all requests: a key that is not theirs is as one that is not there.
async fn theirs(
    via: &mut impl Via,
    context: &OrgContext,
    keys: KeysMeant,
    shown: &[RequestEntry],
) -> Result<KeysMeant, StoreError> {
    let mut keys = match keys {
        KeysMeant::These(keys) => keys,
        other => return Ok(other),
    };
    let ids: BTreeSet<String> = keys.iter().map(|(id, _)| id.to_string()).collect();
    let found = names::names(via, &context.org.id, &ids).await?;
    keys.retain(|(id, _)| {
        shown.iter().any(|entry| entry.key == *id)
            || found.key(id).is_some_and(|key| context.may(Action::SeeKey, On::Key(key)))
    });
    Ok(if keys.is_empty() { KeysMeant::Unknown } else { KeysMeant::These(keys) })
}

/// `None` is every key.
fn key_ids(keys: &KeysMeant) -> Option<Vec<KeyId>> {
    match keys {
        KeysMeant::Any => None,
        KeysMeant::These(keys) => Some(keys.iter().map(|(id, _)| id.clone()).collect()),
        KeysMeant::Unknown | KeysMeant::Secret => Some(Vec::new()),
    }
}

/// Of which requests the caller may see.
pub(super) fn seen_by<'a>(context: &'a OrgContext, permit: &Permit) -> Option<SeenBy<'a>> {
    match permit.scope() {
        Scope::Org => None,
        Scope::OfPerson(_) => {
            Some(SeenBy { person: context.principal.person(), teams: context.principal.admin_of() })
        }
    }
}

fn wanted<'a>(
    context: &'a OrgContext,
    permit: &Permit,
    filter: &'a LogFilter,
    keys: Option<&'a [KeyId]>,
) -> RequestFilter<'a> {
    let zone = &context.org.zone;
    let text = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    RequestFilter {
        keys,
        team: filter.team.as_ref(),
        owner: filter.owner.as_ref(),
        model: text(&filter.model),
        status: filter.status,
        gate: filter.gate,
        address: text(&filter.address),
        request: filter.request.as_ref(),
        tag: text(&filter.tag),
        since: filter.from.map(|at| at.start(zone)),
        until: filter.to.map(|at| at.end(zone).plus_ms(-1)),
        not_priced: filter.not_priced,
        seen_by: seen_by(context, permit),
    }
}

/// Every id that these entries name.
fn ids_of(entries: &[RequestEntry]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for entry in entries {
        ids.insert(entry.key.to_string());
        ids.extend(entry.team.as_ref().map(ToString::to_string));
        ids.extend(entry.owner.as_ref().map(ToString::to_string));
    }
    ids
}

/// The names of what one entry names.
///
/// # Errors
/// When the database cannot be read.
pub(super) async fn names_of(
    via: &mut impl Via,
    context: &OrgContext,
    entry: &RequestEntry,
) -> Result<Names, StoreError> {
    names::names(via, &context.org.id, &ids_of(std::slice::from_ref(entry))).await
}

/// As a browser sends it: the log's own parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogExportForm {
    /// The organisation's slug.
    pub org: String,
    /// The parameters of the log's address by their names; empty ones narrow nothing.
    pub filter: Vec<(String, String)>,
}

impl LogExportForm {
    /// # Errors
    /// `Invalid` for a parameter that is not understood: it must not become a larger file.
    fn read(&self) -> Result<LogFilter, OpError> {
        let sent = |name: &str| self.filter.iter().find(|(of, _)| of == name).map(|(_, text)| text.clone());
        let filter = LogFilter::parse(sent);
        let pairs = filter.pairs();
        for (name, text) in self.filter.iter().filter(|(_, text)| !text.is_empty()) {
            if !pairs.iter().any(|(of, kept)| of == name && kept == text) {
                return Err(OpError::say(
                    name,
                    "This filter is not understood. Choose it on the page again.",
                ));
            }
        }
        Ok(filter)
    }
}

/// A file of the log under way.
pub struct LogExport {
    /// The organisation's slug.
    pub slug: String,
    /// When it was asked for.
    pub at: Moment,
    /// The organisation's time zone.
    pub zone: Zone,
    caller: Caller,
    filter: LogFilter,
    keys: Option<Vec<KeyId>>,
    from: Option<Cursor>,
    left: usize,
}

/// The requests of a filter as a file, the newest `MAX_EXPORTED`.
///
/// # Errors
/// `NotFound` where the caller does not belong; `Invalid` when the filter is not understood.
pub async fn export_log(desk: &Desk, caller: &Caller, form: &LogExportForm) -> Result<LogExport, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, &form.org).await?;
    context.permit(Action::ListKeys, On::Org)?;
    let filter = form.read()?;
    let keys = keys_meant(&mut read, &context.org.id, &filter.key).await?;
    if keys == KeysMeant::Secret {
        return Err(OpError::say("key", "Name the key; a whole secret is not looked up here."));
    }
    drop(read);
    let search = searched(&filter);
    record_support_access(desk, &context, SupportAccess::List { of: "requests", search: &search }).await?;
    Ok(LogExport {
        slug: context.org.slug,
        at: desk.now(),
        zone: context.org.zone,
        caller: caller.clone(),
        keys: key_ids(&keys),
        filter,
        from: None,
        left: MAX_EXPORTED,
    })
}

impl LogExport {
    /// The next requests with the names in them; empty at the end. Each call asks again what the caller may see.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden` when they may see nothing any more; `Store` when the database cannot be read.
    pub async fn next(&mut self, desk: &Desk) -> Result<(Vec<RequestEntry>, Names), OpError> {
        if self.left == 0 {
            return Ok((Vec::new(), Names::default()));
        }
        let mut read = desk.db.read().await?;
        let context = reopen_org(&mut read, &self.caller, &self.slug).await?;
        let permit = context.permit(Action::ListKeys, On::Org)?;
        let org = &context.org.id;
        let of = wanted(&context, &permit, &self.filter, self.keys.as_deref());
        let max = CHUNK_ROWS.min(self.left);
        let page = requests::list(&mut read, org, &of, self.from.as_ref(), max).await?;
        let names = names::names(&mut read, org, &ids_of(&page.rows)).await?;
        self.left = if page.next.is_some() { self.left.saturating_sub(page.rows.len()) } else { 0 };
        self.from = page.next;
        Ok((page.rows, names))
    }
}
