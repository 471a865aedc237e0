//! The list of keys, and the search box: part of a name, last four characters, a key's id or a whole secret.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::requests;
use super::super::secret_search::count_secret_search;
use super::super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{KeyId, RequestId};
use crate::domain::key::{Key, Status};
use crate::domain::key_filter::{KeyFilter, StateFilter};
use crate::domain::key_format;
use crate::domain::moment::Moment;
use crate::domain::page::Page;
use crate::domain::policy::{Action, On, Scope};
use crate::domain::team::Team;
use crate::domain::window::WindowStarts;
use crate::store::{key_list, keys, spend, teams};

/// What the list is drawn from.
pub struct KeysView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The keys, with budgets and spend.
    pub page: Page<Key>,
    /// How many match, whatever they are sorted by.
    pub count: i64,
    /// Counting stopped at `count`: there may be more.
    pub capped: bool,
    /// The caller has no key to see here, in any state.
    pub none_at_all: bool,
    /// For a search among live keys: how many keys that are over match it too, by status; statuses without any are left out.
    pub ended: Vec<(Status, i64)>,
    /// Those to filter by.
    pub teams: Vec<Team>,
    /// When it was read.
    pub now: Moment,
}

/// A page of keys, narrowed to what the caller may see.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn list(desk: &Desk, caller: &Caller, slug: &str, filter: &KeyFilter) -> Result<KeysView, OpError> {
    let view = view(desk, caller, slug, filter, !filter.search.trim().is_empty()).await?;
    record_support_access(desk, &view.context, SupportAccess::List { of: "keys", search: &filter.search })
        .await?;
    Ok(view)
}

/// Like `list`, for a search that is still being typed.
///
/// # Errors
/// As `list`.
pub async fn suggest(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &KeyFilter,
) -> Result<KeysView, OpError> {
    let view = view(desk, caller, slug, filter, false).await?;
    record_support_access(desk, &view.context, SupportAccess::Typing { of: "keys", search: &filter.search })
        .await?;
    Ok(view)
}

/// `count_ended` is for a search whose reader is offered the keys that are over, too.
async fn view(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &KeyFilter,
    count_ended: bool,
) -> Result<KeysView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListKeys, On::Org)?;
    let starts = WindowStarts::at(now, &context.org.zone);
    let mut page = key_list::list(&mut read, &permit, filter, now, starts.month).await?;
    let count = match page.only() {
        Some(count) => count,
        None => key_list::count(&mut read, &permit, filter, now, starts.month).await?,
    };
    spend::fill(&mut read, &context.org.id, &mut page.rows, starts).await?;
    let teams = match permit.scope() {
        Scope::Org => teams::in_use(&mut read, &context.org.id).await?,
        Scope::OfPerson(person) => teams::of_person(&mut read, &context.org.id, person).await?,
    };
    let (mut none_at_all, mut ended) = (false, Vec::new());
    let searched = count_ended && filter.state == StateFilter::Live;
    if searched || page.rows.is_empty() && filter.is_plain() {
        for status in [Status::Expired, Status::Revoked] {
            let filter = KeyFilter { state: StateFilter::Only(status), page: None, ..filter.clone() };
            let count = key_list::count(&mut read, &permit, &filter, now, starts.month).await?;
            ended.extend((count > 0).then_some((status, count)));
        }
        none_at_all = !searched && ended.is_empty();
    }
    let capped = count > key_list::max_count(filter);
    Ok(KeysView { context, page, count, capped, none_at_all, ended, teams, now })
}

/// What a search comes to.
pub enum Found {
    /// The key with this id or secret.
    Key(KeyId),
    /// The secret is one that a rotation replaced; its key lives on.
    RetiredSecretOf(KeyId),
    /// A secret or a request that is not here, or not a secret; the sentence says which.
    NoSuchSecret(String),
    /// The request with this id, of this key.
    Request(KeyId, RequestId),
    /// Not a secret and not an id: search the list for it.
    Text(String),
}

/// Whole secrets are looked up by their hash and go nowhere else: not to a log, not into an address.
///
/// # Errors
/// `NotFound` where the caller does not belong; `TooMany` after 60 searches for secrets in a minute.
pub async fn search(desk: &Desk, caller: &Caller, slug: &str, text: &Hidden) -> Result<Found, OpError> {
    let text = key_format::unmask(text.as_str());
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::ListKeys, On::Org)?;
    if let Some(request) = RequestId::parse(text) {
        drop(read);
        return Ok(match requests::find(desk, &context, &request).await? {
            Some(key) => Found::Request(key, request),
            None => Found::NoSuchSecret(requests::NOT_FOUND.into()),
        });
    }
    let found = if let Some(id) = KeyId::parse(text) {
        keys::find(&mut read, &context.org.id, &id).await?.map(|key| (key, false))
    } else if key_format::looks_like_secret(text) {
        drop(read);
        count_secret_search(desk, caller).await?;
        read = desk.db.read().await?;
        let secret = match key_format::read(text) {
            Ok(secret) => secret,
            Err(why) => return Ok(Found::NoSuchSecret(why.sentence())),
        };
        match keys::find_by_hash(&mut read, &context.org.id, &secret.hash()).await? {
            Some((id, ends)) => {
                let retired = ends.is_some_and(|at| at <= desk.now());
                keys::find(&mut read, &context.org.id, &id).await?.map(|key| (key, retired))
            }
            None => None,
        }
    } else {
        return Ok(Found::Text(text.to_owned()));
    };
    drop(read);
    // A key that is not theirs to see is not there.
    let found = found.filter(|(key, _)| context.permit(Action::SeeKey, On::Key(key.facts())).is_ok());
    // An id or a secret that is not here tells nothing of the organisation, but a person asked.
    let access = match &found {
        Some((key, _)) => SupportAccess::Item { id: key.id.as_str(), name: &key.name },
        None if KeyId::parse(text).is_some() => SupportAccess::List { of: "keys", search: text },
        None => SupportAccess::Secret,
    };
    record_support_access(desk, &context, access).await?;
    match found {
        Some((key, true)) => Ok(Found::RetiredSecretOf(key.id)),
        Some((key, false)) => Ok(Found::Key(key.id)),
        None if KeyId::parse(text).is_some() => Ok(Found::Text(text.to_owned())),
        None => Ok(Found::NoSuchSecret(
            "No key of this organisation has this secret. It may belong to another organisation or installation."
                .into(),
        )),
    }
}
