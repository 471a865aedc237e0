//! The requests of a key, for those who may see the key, as a list and as a file; and the way from a request's id to its
//! key. The log of all requests is in `request_log`, and one request in `one_request`.

pub use super::one_request::{RequestView, show};
pub use super::request_log::{LogExport, LogExportForm, LogView, MAX_EXPORTED, export_log, log};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::{Caller, OrgContext, must_be_support, open_org, reopen_org};
use super::keys::find_seen;
use super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::ids::{KeyId, RequestId};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Action, On};
use crate::domain::price::Price;
use crate::domain::request_log::RequestEntry;
use crate::store::requests::{self, RequestFilter};
use crate::store::{StoreError, Via, keys, prices, support};

/// What people are told about a request's id that is not stored.
pub const NOT_FOUND: &str = "No request with this id was found. Of requests that were rejected several times in a minute, only the newest id is kept. Search for the key, and look at the time of the request.";

/// What the card of a key's requests is drawn from.
pub struct RequestsView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key.
    pub key: KeyId,
    /// Its requests, newest first.
    pub page: Page<RequestEntry>,
    /// The prices at which those on the page were paid.
    pub prices: Vec<Price>,
    /// How many of all the key's requests used something without a price, counted to 10,001.
    pub not_priced: i64,
    /// Whether the page has only those.
    pub only_not_priced: bool,
    /// The request that was asked for, where it is on the page.
    pub marked: Option<RequestId>,
    /// When it was read.
    pub now: Moment,
}

/// Which of a key's requests: the newest, unless something else is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestsQuery<'a> {
    /// Those from this request on.
    pub from: Option<&'a RequestId>,
    /// Only those that used something without a price.
    pub not_priced: bool,
    /// Those at a cursor, which goes before `from`.
    pub page: Option<&'a Cursor>,
}

/// A page of a key's requests.
///
/// # Errors
/// `NotFound` when the caller may not see the key.
pub async fn of_key(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &str,
    query: RequestsQuery<'_>,
) -> Result<RequestsView, OpError> {
    let RequestsQuery { from: asked, not_priced: only_not_priced, page: at } = query;
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    let org = &context.org.id;
    let found = match asked.filter(|_| at.is_none()) {
        Some(request) => requests::find(&mut read, org, request).await?.filter(|entry| entry.key == key.id),
        None => None,
    };
    let start = found.as_ref().map(requests::page_of);
    let of = RequestFilter {
        keys: Some(std::slice::from_ref(&key.id)),
        not_priced: only_not_priced,
        ..RequestFilter::default()
    };
    let page = requests::list(&mut read, org, &of, at.or(start.as_ref()), requests::PAGE_ENTRIES).await?;
    let prices = prices_of(&mut read, &page.rows).await?;
    let not_priced = requests::count_not_priced(&mut read, org, &key.id).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.id.as_str(), name: &key.name })
        .await?;
    let on_page = |id: &&RequestId| page.rows.iter().any(|entry| entry.request_id == id.as_str());
    let marked = asked.filter(on_page).cloned();
    Ok(RequestsView { context, key: key.id, page, prices, not_priced, only_not_priced, marked, now })
}

async fn prices_of(via: &mut impl Via, entries: &[RequestEntry]) -> Result<Vec<Price>, StoreError> {
    let named: BTreeSet<_> = entries.iter().filter_map(|entry| entry.used.as_ref()?.price.as_ref()).collect();
    let mut found = Vec::new();
    for id in named {
        found.extend(prices::by_id(via, id).await?.map(|(_, price)| price));
    }
    Ok(found)
}

/// Which key's requests are to be a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestsExportForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub key: String,
}

/// A file of a key's settled requests under way.
pub struct RequestsExport {
    /// The key.
    pub key: KeyId,
    slug: String,
    caller: Caller,
    last: Option<RequestEntry>,
}

/// A key's settled requests, newest first: what they cost together is what the key spent.
///
/// # Errors
/// `NotFound` when the caller may not see the key.
pub async fn export(
    desk: &Desk,
    caller: &Caller,
    form: &RequestsExportForm,
) -> Result<RequestsExport, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, &form.org).await?;
    let key = find_seen(&mut read, &context, &form.key, desk.now()).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.id.as_str(), name: &key.name })
        .await?;
    Ok(RequestsExport { key: key.id, slug: context.org.slug, caller: caller.clone(), last: None })
}

impl RequestsExport {
    /// The next requests; empty at the end. Each call asks again whether the caller may see the key.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden` when they may not any more; `Store` when the database cannot be read.
    pub async fn next(&mut self, desk: &Desk) -> Result<Vec<RequestEntry>, OpError> {
        const CHUNK_ROWS: usize = 500;
        let mut read = desk.db.read().await?;
        let context = reopen_org(&mut read, &self.caller, &self.slug).await?;
        let key = find_seen(&mut read, &context, self.key.as_str(), desk.now()).await?;
        let found =
            requests::settled(&mut read, &context.org.id, &key.id, self.last.as_ref(), CHUNK_ROWS).await?;
        if let Some(last) = found.last() {
            self.last = Some(last.clone());
        }
        Ok(found)
    }
}

/// The key of a request; `None` when there is no such request here, or its key is not the caller's to see.
pub(super) async fn find(
    desk: &Desk,
    context: &OrgContext,
    request: &RequestId,
) -> Result<Option<KeyId>, OpError> {
    let mut read = desk.db.read().await?;
    let found = match requests::find(&mut read, &context.org.id, request).await? {
        Some(entry) => keys::find(&mut read, &context.org.id, &entry.key).await?,
        None => None,
    };
    drop(read);
    let found = found.filter(|key| context.permit(Action::SeeKey, On::Key(key.facts())).is_ok());
    let access = match &found {
        Some(key) => SupportAccess::Item { id: key.id.as_str(), name: &key.name },
        None => SupportAccess::List { of: "requests", search: request.as_str() },
    };
    record_support_access(desk, context, access).await?;
    Ok(found.map(|key| key.id))
}

/// The key of a request in any organisation, with the organisation's slug; for support. `None` when there is no such request.
pub(super) async fn find_anywhere(
    desk: &Desk,
    caller: &Caller,
    request: &RequestId,
) -> Result<Option<(String, KeyId)>, OpError> {
    must_be_support(caller)?;
    let mut read = desk.db.read().await?;
    let Some(entry) = requests::find_anywhere(&mut read, request).await? else { return Ok(None) };
    let Some(key) = support::key(&mut read, &entry.key).await? else { return Ok(None) };
    let context = open_org(&mut read, caller, &key.slug).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.id.as_str(), name: &key.name })
        .await?;
    Ok(Some((key.slug, key.id)))
}
