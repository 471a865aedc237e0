//! The list of keys, and the search box: words, last four characters, a key's id or a whole secret.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::requests;
use super::super::secret_search::count_secret_search;
use super::super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{KeyId, RequestId, SecretId};
use crate::domain::key::{Key, Status};
use crate::domain::key_filter::{KeyFilter, StateFilter};
use crate::domain::key_format;
use crate::domain::moment::Moment;
use crate::domain::page::Page;
use crate::domain::policy::{Action, On, Scope};
use crate::domain::team::Team;
use crate::domain::window::WindowStarts;
pub use crate::store::key_list::MAX_DUE;
use crate::store::leaks::{self, SecretPlace};
use crate::store::{Via, key_list, keys, spend, teams};

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
    /// `None` is not counted, because the search matches more keys than it lists.
    pub ended: Vec<(Status, Option<i64>)>,
    /// On the first page of all: how many are due for rotation, at most one more than `MAX_DUE`.
    pub due: i64,
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

/// How many keys are worth suggesting.
pub const MAX_SUGGESTED: usize = 8;

/// Like `list`, for a search that is still being typed. Where few live keys match, expired and revoked ones follow.
///
/// # Errors
/// As `list`.
pub async fn suggest(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &KeyFilter,
) -> Result<KeysView, OpError> {
    let mut view = view(desk, caller, slug, filter, false).await?;
    for status in [Status::Expired, Status::Revoked] {
        if !filter.search.trim().is_empty() && view.page.rows.len() < MAX_SUGGESTED {
            let filter = KeyFilter { state: StateFilter::Only(status), ..filter.clone() };
            view.page.rows.extend(self::view(desk, caller, slug, &filter, false).await?.page.rows);
        }
    }
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
    let searched = count_ended && filter.state == StateFilter::Live;
    let listed = key_list::list(&mut read, &permit, filter, now, starts.month, searched).await?;
    let key_list::Listed { mut page, count, capped, mut ended } = listed;
    spend::fill(&mut read, &context.org.id, &mut page.rows, starts).await?;
    let teams = match permit.scope() {
        Scope::Org => teams::in_use(&mut read, &context.org.id).await?,
        Scope::OfPerson(person) => teams::of_person(&mut read, &context.org.id, person).await?,
    };
    let mut none_at_all = false;
    if page.rows.is_empty() && filter.is_plain() {
        ended = key_list::list(&mut read, &permit, filter, now, starts.month, true).await?.ended;
        none_at_all = ended.is_empty();
    }
    let due =
        if filter.is_plain() && !none_at_all { due_for_rotation(&mut read, &context, now).await? } else { 0 };
    Ok(KeysView { context, page, count, capped, none_at_all, ended, due, teams, now })
}

/// How many of the live keys that the caller may see are due for rotation; counting stops at 1,001.
///
/// # Errors
/// `NotFound` where the caller may not list keys.
pub async fn due_for_rotation(via: &mut impl Via, context: &OrgContext, now: Moment) -> Result<i64, OpError> {
    let permit = context.permit(Action::ListKeys, On::Org)?;
    let filter = KeyFilter::in_state(StateFilter::RotationDue);
    let starts = WindowStarts::at(now, &context.org.zone);
    Ok(key_list::count(via, &permit, &filter, now, starts.month).await?)
}

/// What a search comes to.
pub enum Found {
    /// The key with this id.
    Key(KeyId),
    /// A secret of a key, whether or not it works.
    Secret(KeyId, SecretId),
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
        keys::find(&mut read, &context.org.id, &id).await?.map(|key| (key, None))
    } else if key_format::looks_like_secret(text) {
        drop(read);
        count_secret_search(desk, caller).await?;
        read = desk.db.read().await?;
        let secret = match key_format::read(text) {
            Ok(secret) => secret,
            Err(why) => return Ok(Found::NoSuchSecret(why.sentence())),
        };
        match leaks::place(&mut read, &secret.hash()).await?.filter(|place| place.org == context.org.id) {
            Some(SecretPlace { key, secret, .. }) => {
                keys::find(&mut read, &context.org.id, &key).await?.map(|key| (key, Some(secret)))
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
        Some((key, Some(secret))) => Ok(Found::Secret(key.id, secret)),
        Some((key, None)) => Ok(Found::Key(key.id)),
        None if KeyId::parse(text).is_some() => Ok(Found::Text(text.to_owned())),
        None => Ok(Found::NoSuchSecret(
            "No key of this organisation has this secret. It may belong to another organisation or installation."
                .into(),
        )),
    }
}
