//! A support ticket answered: the key, its status and limits, what happened to its requests near the time, why, whom the
//! customer can ask, and a reply. It changes nothing, and the organisation sees in its audit that its key was viewed.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, must_be_support, open_org};
use super::super::secret_search::count_secret_search;
use super::record::{SupportAccess, record_support_access};
use super::search::{SupportHit, search};
use crate::Desk;
use crate::admission::limits_of_key;
use crate::domain::doctor::Described;
use crate::domain::ids::KeyId;
use crate::domain::key::{Key, State};
use crate::domain::key_format::hint;
use crate::domain::leak::SecretState;
use crate::domain::limit_use::LimitUse;
use crate::domain::moment::{Moment, Zone};
use crate::domain::numbers::grouped;
use crate::domain::person::Contact;
use crate::domain::request_log::{Outcome, RequestEntry};
use crate::domain::route::Route;
use crate::domain::ticket::{PastedSecret, Ticket};
use crate::domain::window::WindowStarts;
use crate::ops::doctor::{Patient, Urls, causes_of, examine};
use crate::ops::requests::NOT_FOUND;
use crate::store::leaks::{self, SecretPlace};
use crate::store::requests::{self, RequestFilter};
use crate::store::{keys, spend, support};

/// Requests within so many milliseconds of the ticket's time are near it.
const NEAR_MS: i64 = 15 * 60_000;
/// Entries that are listed.
const MAX_ENTRIES: usize = 20;
/// Contacts that the reply names.
const MAX_CONTACTS: usize = 3;

/// What the page of a ticket is drawn from.
pub struct TicketView {
    /// Keys to choose from, when several match.
    pub candidates: Vec<SupportHit>,
    /// Whether there are more than these.
    pub more: bool,
    /// Why nothing was found.
    pub nothing: Option<String>,
    /// The answer, when one key was found.
    pub answer: Option<Box<TicketAnswer>>,
    /// When it was read.
    pub now: Moment,
}

/// What is known about one key at the time of the ticket.
pub struct TicketAnswer {
    /// The key's organisation, as support sees it.
    pub context: OrgContext,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// Every limit that applies to its requests, as it is now.
    pub limits: Vec<LimitUse>,
    /// Whom the customer can ask.
    pub contacts: Vec<Contact>,
    /// The time that the ticket is about, where it is known.
    pub around: Option<Moment>,
    /// The zone in which times are shown.
    pub zone: Zone,
    /// Requests near that time; the nearest or newest ones when there are none.
    pub entries: Vec<RequestEntry>,
    /// Whether the entries are within 15 minutes of that time.
    pub is_near: bool,
    /// Why the customer's requests failed, in a sentence or two.
    pub reason: String,
    /// Why such a request would fail now; `None` when it would not.
    pub verdict: Option<String>,
    /// A reply to copy, without a secret.
    pub reply: String,
}

/// The key of a secret that was pasted into a ticket, and what to say about it.
///
/// # Errors
/// `NotFound` for everyone but support; `TooMany` after many searches for secrets in a minute.
pub async fn find_pasted(
    desk: &Desk,
    caller: &Caller,
    pasted: &PastedSecret,
) -> Result<(Option<KeyId>, Option<&'static str>), OpError> {
    must_be_support(caller)?;
    let hash = match pasted {
        PastedSecret::None => return Ok((None, None)),
        PastedSecret::Malformed => None,
        PastedSecret::Whole(secret) => Some(secret.hash()),
    };
    count_secret_search(desk, caller).await?;
    let mut read = desk.db.read().await?;
    let place = match hash {
        Some(hash) => leaks::place(&mut read, &hash).await?,
        None => None,
    };
    let Some(SecretPlace { org, slug, key, secret, .. }) = place else {
        let sentence = "The secret in the form belongs to no key of this installation. It was not stored.";
        return Ok((None, Some(sentence)));
    };
    let secret = leaks::secret(&mut read, &org, &key, &secret, desk.now()).await?;
    let name = keys::find(&mut read, &org, &key).await?.ok_or(OpError::NotFound)?.name;
    let context = open_org(&mut read, caller, &slug).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.as_str(), name: &name }).await?;
    let ended = secret.is_some_and(|secret| matches!(secret.state, SecretState::Ended(_)));
    let sentence = if ended {
        "A rotation replaced the secret in the form, so it no longer works. Its key is below. The secret was not stored."
    } else {
        "The secret in the form belongs to the key below. It was not stored."
    };
    Ok((Some(key), Some(sentence)))
}

/// Answers a ticket; without one, there is nothing to show but the form.
///
/// # Errors
/// `NotFound` for everyone but support; `TooMany` after many searches in a minute.
pub async fn ticket(
    desk: &Desk,
    caller: &Caller,
    ticket: Option<&Ticket>,
    urls: Urls<'_>,
) -> Result<TicketView, OpError> {
    must_be_support(caller)?;
    let mut view =
        TicketView { candidates: vec![], more: false, nothing: None, answer: None, now: desk.now() };
    let Some(ticket) = ticket else { return Ok(view) };
    let request = match &ticket.request {
        Some(id) => requests::find_anywhere(&mut desk.db.read().await?, id).await?,
        None => None,
    };
    let key = match (&request, KeyId::parse(&ticket.key)) {
        (Some(entry), _) => Some(entry.key.clone()),
        (None, Some(id)) => Some(id),
        (None, None) if ticket.key.is_empty() => None,
        (None, None) => {
            let mut found = search(desk, caller, &ticket.key).await?;
            view.more = found.more;
            if found.keys.len() > 1 {
                view.candidates = found.keys;
                return Ok(view);
            }
            found.keys.pop().map(|hit| hit.key.id)
        }
    };
    let found = match &key {
        Some(id) => support::key(&mut desk.db.read().await?, id).await?,
        None => None,
    };
    match found {
        Some(found) => {
            view.answer =
                Some(Box::new(answer(desk, caller, ticket, &found.slug, &found.id, request, urls).await?));
        }
        None if ticket.key.is_empty() => view.nothing = Some(NOT_FOUND.into()),
        None => view.nothing = Some("No key matches. Search by its name, ID or last four characters.".into()),
    }
    Ok(view)
}

async fn answer(
    desk: &Desk,
    caller: &Caller,
    ticket: &Ticket,
    slug: &str,
    id: &KeyId,
    request: Option<RequestEntry>,
    urls: Urls<'_>,
) -> Result<TicketAnswer, OpError> {
    let now = desk.now();
    let context = open_org(&mut desk.db.read().await?, caller, slug).await?;
    let org = &context.org;
    let mut read = desk.db.read().await?;
    let key = keys::find(&mut read, &org.id, id).await?.ok_or(OpError::NotFound)?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: id.as_str(), name: &key.name }).await?;
    let mut read = desk.db.read().await?;
    let mut key = [key];
    spend::fill(&mut read, &org.id, &mut key, WindowStarts::at(now, &org.zone)).await?;
    let [key] = key;
    let contacts = keys::contacts(&mut read, id, &caller.person.email).await?;
    let zone = ticket.zone.clone().unwrap_or_else(|| org.zone.clone());
    let typed = ticket.time.and_then(|time| time.moment(&zone, now));
    // Ids say when they were made, also those that are not stored.
    let made = ticket.request.as_ref().map(|request| request.made_at());
    let around = request.as_ref().map(|entry| entry.at).or(typed).or(made);
    let of = RequestFilter { keys: Some(std::slice::from_ref(id)), ..RequestFilter::default() };
    let mut entries = Vec::new();
    let model = Some(ticket.model.as_str()).filter(|model| !model.is_empty());
    // Of the model, or, when it is misspelt or was not recorded, of any.
    for model in model.map(Some).into_iter().chain([None]) {
        let of = RequestFilter { model, ..of };
        if let Some(moment) = around.filter(|_| entries.is_empty()) {
            let window = RequestFilter {
                since: Some(moment.plus_ms(-NEAR_MS)),
                until: Some(moment.plus_ms(NEAR_MS)),
                ..of
            };
            entries = requests::nearest(&mut read, &org.id, &window, moment, MAX_ENTRIES).await?;
        }
    }
    let is_near = !entries.is_empty();
    if !is_near {
        entries = requests::nearest(&mut read, &org.id, &of, around.unwrap_or(now), MAX_ENTRIES).await?;
    }
    drop(read);
    let limits = limits_of_key(desk, org, &key).await?;
    let verdict = verdict(desk, caller, &context, &key, ticket, urls).await?;
    let reason = reason(&key, ticket, request.as_ref(), around, &entries, is_near, now);
    let reply = reply(&key, ticket, around, &zone, &reason, verdict.as_deref(), &contacts);
    Ok(TicketAnswer {
        context,
        key,
        limits,
        contacts,
        around,
        zone,
        entries,
        is_near,
        reason,
        verdict,
        reply,
    })
}

/// What the key doctor finds about such a request now: why it would fail, or nothing.
async fn verdict(
    desk: &Desk,
    caller: &Caller,
    context: &OrgContext,
    key: &Key,
    ticket: &Ticket,
    urls: Urls<'_>,
) -> Result<Option<String>, OpError> {
    let request = Described {
        route: (!ticket.model.is_empty()).then(|| Route::of_endpoint(&ticket.endpoint)),
        model: ticket.model.clone(),
        base_url: ticket.base_url.clone(),
        ..Described::default()
    };
    let found = examine(desk, caller, context, Patient::Key(key.id.as_str()), &request).await?;
    let causes = causes_of(&request, &[], &found.diagnosis, Some(&context.org), urls);
    Ok(causes.first().map(|cause| format!("{} {}", cause.sentence, cause.advice)))
}

/// The named request's own reason; else why the key's requests fail now; else the newest failure near the time; else that
/// they were answered, or did not come.
fn reason(
    key: &Key,
    ticket: &Ticket,
    request: Option<&RequestEntry>,
    around: Option<Moment>,
    entries: &[RequestEntry],
    is_near: bool,
    now: Moment,
) -> String {
    if let Some(entry) = request {
        return entry_reason(entry);
    }
    let about_then = is_near || around.is_none();
    let failed =
        entries.iter().find(|entry| about_then && entry.outcome != Outcome::Served).map(entry_reason);
    let state = state_reason(key, now);
    match (failed, state) {
        (Some(failed), Some(state)) => format!("{failed} {state}"),
        (Some(reason), None) | (None, Some(reason)) => reason,
        (None, None) if is_near => {
            "All requests of this key near that time were answered. Check that the customer's request used this key.".into()
        }
        (None, None) if around.is_none() && !entries.is_empty() => {
            "The newest requests of this key were answered. Ask for the time of the failed request.".into()
        }
        (None, None) => {
            let models = match ticket.models_work {
                Some(true) => " GET /v1/models works, so the base URL and the key are right: check the path and the model of the request.",
                Some(false) => " GET /v1/models fails too: check the base URL, and that the client sends this key.",
                None => " Check the base URL, and that the client sends this key.",
            };
            format!("No request of this key arrived near that time.{models}")
        }
    }
}

fn entry_reason(entry: &RequestEntry) -> String {
    let model =
        if entry.model.is_empty() { String::new() } else { format!(" for the model {}", entry.model) };
    let Some(words) = entry.words() else {
        return format!("The request{model} was answered with status {}.", entry.status);
    };
    let words = words.trim_end_matches('.');
    let times = match entry.times {
        1 => String::new(),
        times => format!(" This happened {} times in that minute.", grouped(times)),
    };
    match entry.outcome {
        Outcome::Rejected(_) => {
            format!("The request{model} was rejected with status {}: {words}.{times}", entry.status)
        }
        _ => format!("The request{model} failed with status {}: {words}.{times}", entry.status),
    }
}

/// Why all requests of the key are rejected now.
fn state_reason(key: &Key, now: Moment) -> Option<String> {
    let sentence = match key.state(now) {
        State::Active | State::ExpiresSoon { .. } => return None,
        State::OverBudget { .. } => "The key's budget is used up now.",
        State::TeamOverBudget { .. } => "The budget of the key's team is used up now.",
        State::OrgOverBudget { .. } => "The organisation's budget is used up now.",
        State::OutOfBalance => "The organisation's balance is used up now.",
        State::TeamArchived => "The key's team is archived, so requests with it are rejected.",
        State::OrgSuspended => "The organisation is suspended, so requests with its keys are rejected.",
        State::Disabled => "The key is disabled, so requests with it are rejected.",
        State::Expired { .. } => "The key has expired, so requests with it are rejected.",
        State::Revoked => "The key is revoked, so requests with it are rejected.",
    };
    Some(sentence.to_owned())
}

fn reply(
    key: &Key,
    ticket: &Ticket,
    around: Option<Moment>,
    zone: &Zone,
    reason: &str,
    verdict: Option<&str>,
    contacts: &[Contact],
) -> String {
    let mut about = vec![format!("Key: {} ({})", key.name, hint(&key.last_four))];
    about.extend(around.map(|at| format!("Time: about {}", at.exact(zone))));
    let request = ticket.request.as_ref().map(|id| id.as_str()).unwrap_or_default();
    let given = [
        ("Request", request),
        ("Model", &ticket.model),
        ("Endpoint", &ticket.endpoint),
        ("Base URL", &ticket.base_url),
        ("Client", &ticket.client),
    ];
    let given = given.into_iter().filter(|(_, text)| !text.is_empty());
    about.extend(given.map(|(label, text)| format!("{label}: {text}")));
    let names: Vec<String> = contacts
        .iter()
        .take(MAX_CONTACTS)
        .map(|contact| format!("{} ({})", contact.name, contact.email))
        .collect();
    let ask = match names.is_empty() {
        true => "For changes to the key, ask your administrator.".to_owned(),
        false => format!("For changes to the key, ask {}.", names.join(" or ")),
    };
    let parts = [
        "Hello,".to_owned(),
        reason.to_owned(),
        verdict.unwrap_or_default().to_owned(),
        ask,
        format!("This is what we looked at:\n{}", about.join("\n")),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}
