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
use crate::domain::limits::BudgetUse;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::org::Org;
use crate::domain::overview::first_of_month;
use crate::domain::page::Page;
use crate::domain::person::distinct_names;
use crate::domain::policy::{Action, On, Scope};
use crate::domain::search::is_searched;
use crate::domain::team::Team;
use crate::domain::window::{Period, WindowStarts};
pub use crate::store::key_list::{Counts, MAX_OFFERED};
use crate::store::leaks::{self, SecretPlace};
use crate::store::overview::MonthUse;
use crate::store::{Via, audit_list, key_list, keys, ledger, overview, spend, teams};

/// How many days a key's line in the list shows, today included.
pub const LINE_DAYS: u32 = 14;
/// With more people than this, an owner is found by the search or by a click: the page stays small.
const MAX_OWNERS: usize = 200;

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
    /// How many keys each filter would show, at most one more than `MAX_OFFERED`. `None` is not counted, because of a search.
    pub counts: Option<Counts>,
    /// What each key of the page spent in the last `LINE_DAYS`, oldest first.
    pub lines: Vec<Vec<Money>>,
    /// What all keys that the caller may see used this month.
    pub month: MonthUse,
    /// The organisation's budget for a month, for who may see all its keys.
    pub month_budget: Option<BudgetUse>,
    /// Those to filter by.
    pub teams: Vec<Team>,
    /// Ids and names of owners to filter by; empty for who does not see all keys, and where there are too many to choose from.
    pub owners: Vec<(String, String)>,
    /// When it was read.
    pub now: Moment,
}

/// A page of keys, narrowed to what the caller may see.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn list(desk: &Desk, caller: &Caller, slug: &str, filter: &KeyFilter) -> Result<KeysView, OpError> {
    let view = view(desk, caller, slug, filter, true).await?;
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

/// `whole` is for the page, which shows more than the keys.
async fn view(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &KeyFilter,
    whole: bool,
) -> Result<KeysView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListKeys, On::Org)?;
    let org = &context.org;
    let starts = WindowStarts::at(now, &org.zone);
    let left = ledger::left(&mut read, &org.id, starts).await?;
    let at = key_list::At {
        now,
        starts,
        rotate_days: org.rules.rotate_days,
        org_stopped: left.is_stopped(),
        org_near: left.is_near(),
    };
    let count_ended = whole && !filter.search.trim().is_empty() && filter.state == StateFilter::Live;
    let listed = key_list::list(&mut read, &permit, filter, at, count_ended).await?;
    let key_list::Listed { mut page, count, capped, ended } = listed;
    spend::fill_with(&mut read, &org.id, &mut page.rows, starts, &left).await?;
    let teams = match permit.scope() {
        Scope::Org => teams::in_use(&mut read, &org.id).await?,
        Scope::OfPerson(person) => teams::of_person(&mut read, &org.id, person).await?,
    };
    let (mut counts, mut lines, mut month) = (None, Vec::new(), MonthUse::default());
    let mut owners = Vec::new();
    if whole {
        if *permit.scope() == Scope::Org {
            let people = audit_list::people(&mut read, &org.id).await?;
            owners = if people.len() > MAX_OWNERS { Vec::new() } else { distinct_names(people) };
        }
        if !is_searched(&filter.search) {
            counts = Some(key_list::counts(&mut read, &permit, filter, at).await?);
        }
        let today = Day::of(now, &org.zone);
        month = overview::month(&mut read, &permit, (starts, first_of_month(today))).await?;
        lines = self::lines(&mut read, &page.rows, today.back(LINE_DAYS - 1), org).await?;
    }
    let over = |counts: &Counts| {
        [Status::Expired, Status::Revoked].iter().any(|status| counts.of(StateFilter::Only(*status)) > 0)
    };
    let none_at_all = page.rows.is_empty() && filter.is_plain() && !counts.as_ref().is_some_and(over);
    let of_month = |used: &&BudgetUse| used.budget.period == Period::Month;
    let month_budget = match permit.scope() {
        Scope::Org => left.budgets.iter().find(of_month).cloned(),
        Scope::OfPerson(_) => None,
    };
    Ok(KeysView {
        context,
        page,
        count,
        capped,
        none_at_all,
        ended,
        counts,
        lines,
        month,
        month_budget,
        teams,
        owners,
        now,
    })
}

/// What each of the keys spent in each of the days from `first` on, for `LINE_DAYS`.
async fn lines(via: &mut impl Via, keys: &[Key], first: Day, org: &Org) -> Result<Vec<Vec<Money>>, OpError> {
    let stored = overview::days_of_keys(via, &org.id, keys, first).await?;
    let days = std::iter::successors(Some(first), |day| Some(day.next())).take(LINE_DAYS as usize);
    let line = |key: &Key| {
        let spent = |day: Day| stored.get(&(key.id.clone(), day)).copied().unwrap_or_default();
        days.clone().map(spent).collect()
    };
    Ok(keys.iter().map(line).collect())
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
