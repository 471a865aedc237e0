//! The key doctor: what the gateway would answer to a request, for people who may see its key, and for the holder of a
//! secret on the public page. It changes nothing and reserves nothing.

use super::OpError;
use super::access::{Caller, OrgContext, read_org};
use super::keys::{find_seen, suggest};
use super::secret_search::{count_public_search, count_secret_search};
use super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::admission::{Diagnosis, Presented, Subject, diagnose};
use crate::domain::doctor::{Cause, Described, Facts, Header, causes};
use crate::domain::key::Key;
use crate::domain::key_filter::{KeyFilter, StateFilter};
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::Org;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, On};
use crate::store::keys;

/// How many keys a search offers.
const MAX_FOUND: usize = 8;

/// Whose request is examined.
#[derive(Clone, Copy)]
pub enum Patient<'a> {
    /// Of who sends these headers.
    Sender(&'a [Header]),
    /// Of the key with this id, with its current secret.
    Key(&'a str),
}

/// What the doctor found.
pub struct Examined {
    /// What the gateway answers.
    pub diagnosis: Diagnosis,
    /// The key, where the caller may see it.
    pub key: Option<Key>,
    /// Whom the key's owner can ask.
    pub contacts: Vec<Contact>,
    /// When it was examined.
    pub now: Moment,
}

/// Examines a request. A secret of a key that the caller may not see is the same to them as an unknown one.
///
/// # Errors
/// `NotFound` where the caller does not belong, and for a picked key that they may not see.
pub async fn examine(
    desk: &Desk,
    caller: &Caller,
    context: &OrgContext,
    patient: Patient<'_>,
    request: &Described,
) -> Result<Examined, OpError> {
    context.permit(Action::ListKeys, On::Org)?;
    let now = desk.now();
    let (target, size) = (request.target(), request.size);
    let (mut diagnosis, key) = match patient {
        Patient::Key(id) => {
            let key = find_seen(&mut desk.db.read().await?, context, id, now).await?;
            let subject = Subject::Key(&context.org.id, &key.id);
            (diagnose(desk, subject, request.address, target, size).await?, Some(key))
        }
        Patient::Sender(headers) => {
            let sent = presented(headers);
            let diagnosis = diagnose(desk, Subject::Sender(&sent), request.address, target, size).await?;
            let key = match diagnosis.key.as_ref().filter(|key| key.org == context.org.id) {
                Some(key) => match find_seen(&mut desk.db.read().await?, context, key.id.as_str(), now).await
                {
                    Ok(key) => Some(key),
                    Err(OpError::NotFound) => None,
                    Err(error) => return Err(error),
                },
                None => None,
            };
            (diagnosis, key)
        }
    };
    if key.is_none() && diagnosis.key.is_some() {
        diagnosis = Diagnosis::of_unknown();
    }
    let contacts = match &key {
        Some(key) => keys::contacts(&mut desk.db.read().await?, &key.id, &caller.person.email).await?,
        None => vec![],
    };
    let access = match &key {
        Some(key) => SupportAccess::Item { id: key.id.as_str(), name: &key.name },
        None => SupportAccess::Secret,
    };
    record_support_access(desk, context, access).await?;
    Ok(Examined { diagnosis, key, contacts, now })
}

/// Before a pasted secret is examined: it counts as a search for one.
///
/// # Errors
/// `NotFound` where the caller does not belong; `TooMany` after many in a minute.
pub async fn admit(desk: &Desk, caller: &Caller, slug: &str) -> Result<OrgContext, OpError> {
    let context = read_org(desk, caller, slug).await?;
    context.permit(Action::ListKeys, On::Org)?;
    count_secret_search(desk, caller).await?;
    Ok(context)
}

/// The key with this id, if the caller may see it.
///
/// # Errors
/// `NotFound` when they may not, or where they do not belong.
pub async fn find_picked(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<Key, OpError> {
    let context = read_org(desk, caller, slug).await?;
    find_seen(&mut desk.db.read().await?, &context, id, desk.now()).await
}

/// Keys to pick from: those that are live first, then expired and revoked ones, up to 8.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn find_keys(desk: &Desk, caller: &Caller, slug: &str, search: &str) -> Result<Vec<Key>, OpError> {
    let filter = KeyFilter { search: search.to_owned(), ..KeyFilter::in_state(StateFilter::Live) };
    let mut found = suggest(desk, caller, slug, &filter).await?.page.rows;
    found.truncate(MAX_FOUND);
    Ok(found)
}

/// Before a holder's own secret is examined on the public page.
///
/// # Errors
/// `TooMany` after many from one network in a minute.
pub async fn admit_public(desk: &Desk, address: &str) -> Result<(), OpError> {
    count_public_search(desk, address).await
}

/// Examines a holder's own secret: what the gateway answers, and the key's limits. It names no person and no other key.
///
/// # Errors
/// `Store` when the database cannot be read.
pub async fn examine_own(desk: &Desk, headers: &[Header], request: &Described) -> Result<Diagnosis, OpError> {
    let sent = presented(headers);
    let subject = Subject::Sender(&sent);
    Ok(diagnose(desk, subject, request.address, request.target(), request.size).await?)
}

/// Where this installation is reached, without a slash at the end.
#[derive(Clone, Copy)]
pub struct Urls<'a> {
    /// The gateway's base URL.
    pub gateway: &'a str,
    /// The desk's.
    pub desk: &'a str,
}

/// Why the diagnosed request fails, or would elsewhere: the cause that stops it first. `sent` is empty when a key was
/// picked; `org` is the caller's.
pub fn causes_of(
    request: &Described,
    sent: &[Header],
    diagnosis: &Diagnosis,
    org: Option<&Org>,
    urls: Urls<'_>,
) -> Vec<Cause> {
    let key = diagnosis.key.as_ref();
    causes(&Facts {
        request,
        sent,
        stop: diagnosis.stop.as_ref(),
        models: key.map_or(&[], |key| &key.models),
        out_of_scope_of: key.and_then(|key| key.out_of_scope_of),
        key_prefix: org.map(|org| org.key_prefix.as_str()),
        gateway_url: urls.gateway,
        desk_url: urls.desk,
        zone: org.map_or(&Zone::utc(), |org| &org.zone),
    })
}

fn presented(headers: &[Header]) -> Presented {
    let mut presented = Presented::default();
    for header in headers {
        match header.name.as_str() {
            "?key" => presented.bare(header.value.as_bytes()),
            name => presented.header(name, header.value.as_bytes()),
        }
    }
    presented
}
