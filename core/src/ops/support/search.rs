//! One box across all organisations, for support: a key's id, a whole secret, the last four characters of one, or part
//! of an organisation's name. For others the page does not exist. A secret is looked up by its hash and is neither stored
//! nor logged; each organisation whose keys are found gets an event in its audit.

use serde::{Deserialize, Serialize};

use super::super::OpError;
use super::super::access::{Caller, open_org};
use super::super::secret_search::count_secret_search;
use super::record::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::hidden::Hidden;
use crate::domain::ids::KeyId;
use crate::domain::key_format::{self, looks_like_secret, valid_last_four};
use crate::domain::policy::PlatformRole;
use crate::store::support::{self, FoundKey, FoundOrg};

/// Characters of a search that are read.
const MAX_WORDS: usize = 200;

/// Searches all organisations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupForm {
    /// A key's id, a whole secret, the last four characters of one, or part of an organisation's name.
    pub q: Hidden,
}

/// What was found.
pub enum LookupResult {
    /// One key: the slug of its organisation, its id, and whether the secret was one that a rotation replaced.
    Key {
        /// The slug of the key's organisation.
        slug: String,
        /// The key's id.
        id: KeyId,
        /// Whether a rotation replaced the secret; false for a search by id.
        retired: bool,
    },
    /// Nothing; the sentence says why.
    Nothing(String),
    /// Neither a secret nor an id: `search` lists what it finds.
    Text(String),
}

fn must_be_support(caller: &Caller) -> Result<(), OpError> {
    match caller.person.platform {
        PlatformRole::Support => Ok(()),
        PlatformRole::None | PlatformRole::Operator => Err(OpError::NotFound),
    }
}

/// # Errors
/// `NotFound` for everyone but support; `TooMany` after many searches in a minute.
pub async fn lookup(desk: &Desk, caller: &Caller, form: &LookupForm) -> Result<LookupResult, OpError> {
    must_be_support(caller)?;
    let text = form.q.as_str().trim();
    let key_id = KeyId::parse(text);
    if key_id.is_none() && !looks_like_secret(text) {
        return Ok(LookupResult::Text(text.chars().take(MAX_WORDS).collect()));
    }
    count_secret_search(desk, caller).await?;
    let found = match &key_id {
        Some(id) => support::key(&mut desk.db.read().await?, id).await?,
        None => match key_format::read(text) {
            Ok(secret) => support::key_of_secret(&mut desk.db.read().await?, &secret.hash()).await?,
            Err(why) => return Ok(LookupResult::Nothing(why.sentence())),
        },
    };
    let Some(found) = found else {
        let what = if key_id.is_some() { "this id" } else { "this secret" };
        return Ok(LookupResult::Nothing(format!("No key of this installation has {what}.")));
    };
    let context = open_org(&mut desk.db.read().await?, caller, &found.slug).await?;
    let access = SupportAccess::Item { id: found.id.as_str(), name: &found.name };
    record_support_access(desk, &context, access).await?;
    let retired = found.secret_ends.is_some_and(|at| at <= desk.now());
    Ok(LookupResult::Key { slug: found.slug, id: found.id, retired })
}

/// What a text in the page's address finds.
#[derive(Default)]
pub struct SupportView {
    /// Organisations with the text in their name.
    pub orgs: Vec<FoundOrg>,
    /// The newest keys with these last four characters.
    pub keys: Vec<SupportHit>,
}

/// A key that has, or had, a secret with the last four characters.
pub struct SupportHit {
    /// The name of the key's organisation.
    pub org: String,
    /// The key.
    pub key: FoundKey,
}

/// The newest keys with these last four characters, and organisations with the text in their name; without a text, the
/// organisations by name.
///
/// # Errors
/// `NotFound` for everyone but support; `TooMany` after many searches in a minute.
pub async fn search(desk: &Desk, caller: &Caller, text: &str) -> Result<SupportView, OpError> {
    must_be_support(caller)?;
    let text = text.trim();
    if looks_like_secret(text) {
        return Ok(SupportView::default());
    }
    let orgs = support::orgs_named(&mut desk.db.read().await?, text).await?;
    let mut view = SupportView { orgs, keys: vec![] };
    if !valid_last_four(text) {
        return Ok(view);
    }
    count_secret_search(desk, caller).await?;
    let keys = support::keys_ending(&mut desk.db.read().await?, text).await?;
    let mut recorded: Vec<(String, String)> = Vec::new();
    for key in keys {
        let org = match recorded.iter().find(|(slug, _)| *slug == key.slug) {
            Some((_, name)) => name.clone(),
            None => {
                let context = open_org(&mut desk.db.read().await?, caller, &key.slug).await?;
                let access = SupportAccess::List { of: "keys", search: text };
                record_support_access(desk, &context, access).await?;
                recorded.push((key.slug.clone(), context.org.name.clone()));
                context.org.name
            }
        };
        view.keys.push(SupportHit { org, key });
    }
    Ok(view)
}
