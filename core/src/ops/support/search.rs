//! One box across all organisations, for support: a key's or request's id, a whole secret, the last four characters of
//! one, words of a key's name, note, models, owner, email address or team, or part of an organisation's name. For others
//! the page does not exist. A secret is looked up by its hash and is neither stored nor logged; each organisation whose
//! keys are found gets an event in its audit.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::super::OpError;
use super::super::access::{Caller, must_be_support, open_org};
use super::super::requests;
use super::super::secret_search::count_secret_search;
use super::record::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{KeyId, RequestId, SecretId};
use crate::domain::key::Key;
use crate::domain::key_filter::MAX_SEARCH;
use crate::domain::key_format::{self, any_case, looks_like_secret, valid_last_four};
use crate::domain::moment::{Moment, Zone};
use crate::domain::search::is_searched;
use crate::domain::window::WindowStarts;
use crate::store::support::{self, FoundKey, FoundOrg};
use crate::store::{keys, leaks, spend};

/// Searches all organisations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupForm {
    /// A key's id, a whole secret, the last four characters of one, or words.
    pub q: Hidden,
}

/// What was found.
pub enum LookupResult {
    /// One key.
    Key {
        /// The slug of the key's organisation.
        slug: String,
        /// The key's id.
        id: KeyId,
        /// The secret that it was found by, whether or not it works; `None` for a search by id.
        secret: Option<SecretId>,
    },
    /// A request of a key.
    Request {
        /// The slug of the key's organisation.
        slug: String,
        /// The key's id.
        id: KeyId,
        /// The request's id.
        request: RequestId,
    },
    /// Nothing; the sentence says why.
    Nothing(String),
    /// Neither a secret nor an id: `search` lists what it finds.
    Text(String),
}

/// # Errors
/// `NotFound` for everyone but support; `TooMany` after many searches in a minute.
pub async fn lookup(desk: &Desk, caller: &Caller, form: &LookupForm) -> Result<LookupResult, OpError> {
    must_be_support(caller)?;
    let text = key_format::unmask(form.q.as_str());
    if let Some(request) = RequestId::parse(text) {
        return Ok(match requests::find_anywhere(desk, caller, &request).await? {
            Some((slug, id)) => LookupResult::Request { slug, id, request },
            None => LookupResult::Nothing(requests::NOT_FOUND.into()),
        });
    }
    let key_id = KeyId::parse(text);
    if key_id.is_none() && !looks_like_secret(text) {
        return Ok(LookupResult::Text(text.chars().take(MAX_SEARCH).collect()));
    }
    count_secret_search(desk, caller).await?;
    let (id, secret) = match key_id {
        Some(id) => (id, None),
        None => match key_format::read(text) {
            Err(why) => return Ok(LookupResult::Nothing(why.sentence())),
            Ok(secret) => match leaks::place(&mut desk.db.read().await?, &secret.hash()).await? {
                Some(place) => (place.key, Some(place.secret)),
                None => {
                    return Ok(LookupResult::Nothing("No key of this installation has this secret.".into()));
                }
            },
        },
    };
    let Some(found) = support::key(&mut desk.db.read().await?, &id).await? else {
        return Ok(LookupResult::Nothing("No key of this installation has this id.".into()));
    };
    let context = open_org(&mut desk.db.read().await?, caller, &found.slug).await?;
    let access = SupportAccess::Item { id: found.id.as_str(), name: &found.name };
    record_support_access(desk, &context, access).await?;
    Ok(LookupResult::Key { slug: found.slug, id: found.id, secret })
}

/// What a text in the page's address finds.
pub struct SupportView {
    /// Organisations with the text in their name or in a member's email address.
    pub orgs: Vec<FoundOrg>,
    /// Keys with these last four characters, first in this case, and then keys that the words find.
    pub keys: Vec<SupportHit>,
    /// Whether there are more keys than these.
    pub more: bool,
    /// When it was read.
    pub now: Moment,
}

/// A key that was found.
pub struct SupportHit {
    /// The organisation's name.
    pub org: String,
    /// The organisation's slug.
    pub slug: String,
    /// The organisation's time zone.
    pub zone: Zone,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// The last four characters of the secret that it was found by, where that is not its current one.
    pub previous: Option<String>,
}

/// Keys by the last four characters of a secret, as pages print them or alone and in any case, or by words, in any state;
/// and organisations with the text in their name or in a member's email address. Without a text, the organisations by name.
///
/// # Errors
/// `NotFound` for everyone but support; `TooMany` after many searches in a minute.
pub async fn search(desk: &Desk, caller: &Caller, text: &str) -> Result<SupportView, OpError> {
    must_be_support(caller)?;
    let (now, text) = (desk.now(), key_format::unmask(text));
    if looks_like_secret(text) {
        return Ok(SupportView { orgs: vec![], keys: vec![], more: false, now });
    }
    let orgs = support::orgs_named(&mut desk.db.read().await?, text).await?;
    let mut found: Vec<FoundKey> = Vec::new();
    if is_searched(text) {
        count_secret_search(desk, caller).await?;
    }
    if valid_last_four(text) {
        found = support::keys_ending(&mut desk.db.read().await?, &any_case(text)).await?;
        found.sort_by_key(|key| key.last_four != text);
    }
    if is_searched(text) {
        found.extend(support::keys_found(&mut desk.db.read().await?, text).await?);
    }
    let mut seen = HashSet::new();
    found.retain(|key| seen.insert(key.id.clone()));
    let more = found.len() > support::MAX_HITS;
    found.truncate(support::MAX_HITS);
    let keys = hits(desk, caller, &found, text, now).await?;
    Ok(SupportView { orgs, keys, more, now })
}

/// The found keys as they stand, in the same order and each once. Each organisation gets one event in its audit.
async fn hits(
    desk: &Desk,
    caller: &Caller,
    found: &[FoundKey],
    text: &str,
    now: Moment,
) -> Result<Vec<SupportHit>, OpError> {
    let mut slugs: Vec<&str> = found.iter().map(|key| key.slug.as_str()).collect();
    slugs.sort_unstable();
    slugs.dedup();
    let mut hits = Vec::new();
    for slug in slugs {
        let context = open_org(&mut desk.db.read().await?, caller, slug).await?;
        record_support_access(desk, &context, SupportAccess::List { of: "keys", search: text }).await?;
        let mut read = desk.db.read().await?;
        let ids: Vec<&KeyId> = found.iter().filter(|key| key.slug == slug).map(|key| &key.id).collect();
        let mut keys = keys::some(&mut read, &context.org.id, &ids).await?;
        let starts = WindowStarts::at(now, &context.org.zone);
        spend::fill(&mut read, &context.org.id, &mut keys, starts).await?;
        let org = &context.org;
        hits.extend(keys.into_iter().map(|key| {
            let by = found.iter().find(|found| found.id == key.id);
            let previous = by.map(|by| by.last_four.clone()).filter(|last_four| *last_four != key.last_four);
            SupportHit {
                org: org.name.clone(),
                slug: org.slug.clone(),
                zone: org.zone.clone(),
                key,
                previous,
            }
        }));
    }
    hits.sort_by_key(|hit| found.iter().position(|found| found.id == hit.key.id));
    Ok(hits)
}
