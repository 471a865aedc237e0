//! Support staff look across organisations and change nothing. What they look at is written into the organisation's
//! audit, where its owners and admins see it: every operation that shows something of an organisation calls `trace`.

mod search;

pub use search::{Hit, Hits, LookupForm, LookupResult, hits, lookup};

use super::OpError;
use super::access::OrgContext;
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::key_format::looks_like_secret;
use crate::domain::policy::{Action, On};
use crate::store::audit;

/// Looking at the same thing again within this time is one look.
const SAME_LOOK_MS: i64 = 60_000;
/// Characters of a search that the audit keeps; a list reads no more either.
const MAX_WORDS: usize = 200;

/// What somebody looked at.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// One thing of the organisation, such as a key: its id and name.
    Thing { id: &'a str, name: &'a str },
    /// A list: what of, in a word or two ("keys"), and what it was searched for.
    List { of: &'static str, search: &'a str },
    /// A search while it is being typed: words that go on from those just written down are the same look.
    Typing { of: &'static str, search: &'a str },
    /// A whole secret was looked up, and is not there.
    Secret,
}

impl Look<'_> {
    fn event(self, context: &OrgContext) -> Event {
        let org = (context.org.id.as_str(), context.org.name.as_str());
        let change =
            |field: &str, after: String| Change { field: field.into(), before: None, after: Some(after) };
        let ((id, name), changes) = match self {
            Look::Thing { id, name } => ((id, name), vec![]),
            Look::Secret => (org, vec![change("search", "a whole secret".into())]),
            Look::List { of, search } | Look::Typing { of, search } => {
                let words: String = search.trim().chars().take(MAX_WORDS).collect();
                let words = if looks_like_secret(&words) { "a whole secret".into() } else { words };
                let search = (!words.is_empty()).then(|| change("search", words));
                (org, [change("list", of.into())].into_iter().chain(search).collect())
            }
        };
        Event::new(EventKind::SupportAccessed, id, name).with(changes)
    }
}

/// Writes down a support person's look; nothing for anybody else. Call it with no connection in hand, before the answer
/// is given: a look that cannot be written down does not take place.
pub async fn trace(desk: &Desk, context: &OrgContext, look: Look<'_>) -> Result<(), OpError> {
    if !context.principal.is_support() {
        return Ok(());
    }
    let now = desk.now();
    let permit = context.permit(Action::AccessAsSupport, On::Org)?;
    let event = look.event(context);
    let since = now.plus_ms(-SAME_LOOK_MS);
    let mut tx = desk.db.write().await?;
    let lately = audit::recent_support_access(&mut tx, &permit, &event.subject_id, since).await?;
    let typing = matches!(look, Look::Typing { .. });
    if lately.iter().any(|changes| *changes == event.changes || typing && goes_on(changes, &event.changes)) {
        return Ok(());
    }
    tx.save(&permit, event, now).await?;
    Ok(())
}

/// The same list, searched for words that begin with those searched for then.
fn goes_on(then: &[Change], now: &[Change]) -> bool {
    match (then, now) {
        ([list, search], [same, longer]) => {
            let words = |change: &Change| change.after.clone().unwrap_or_default();
            list == same && search.field == longer.field && words(longer).starts_with(&words(search))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &str, search: Option<&str>) -> Vec<Change> {
        let change = |field: &str, after: &str| Change {
            field: field.into(),
            before: None,
            after: Some(after.into()),
        };
        [change("list", list)].into_iter().chain(search.map(|words| change("search", words))).collect()
    }

    #[test]
    fn typing_on_is_the_same_look_and_other_words_are_another() {
        assert!(goes_on(&of("keys", Some("ci")), &of("keys", Some("ci-prod"))));
        assert!(!goes_on(&of("keys", Some("ci-prod")), &of("keys", Some("ci"))));
        assert!(!goes_on(&of("keys", Some("ci")), &of("teams", Some("ci-prod"))));
        assert!(!goes_on(&of("keys", None), &of("keys", Some("ci"))));
    }
}
