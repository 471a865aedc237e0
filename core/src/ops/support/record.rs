//! Every view of support is recorded in the organisation's audit.

use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::key_filter::MAX_SEARCH;
use crate::domain::key_format::has_secret;
use crate::domain::policy::{Action, On};
use crate::ops::OpError;
use crate::ops::access::OrgContext;
use crate::store::audit;

/// Viewing the same thing again within this time, in milliseconds, is recorded once.
const SAME_ACCESS_MS: i64 = 60_000;

/// What support viewed.
#[derive(Clone, Copy, Debug)]
pub enum SupportAccess<'a> {
    /// One thing of the organisation, such as a key: its id and name.
    Item {
        /// The thing's id.
        id: &'a str,
        /// The thing's name.
        name: &'a str,
    },
    /// A list: what of, in a word or two ("keys"), and what it was searched for.
    List {
        /// What is listed, such as "keys".
        of: &'static str,
        /// The text searched for; empty when there is none.
        search: &'a str,
    },
    /// A search while it is typed: a text that continues the one just recorded is not recorded again.
    Typing {
        /// What is listed, such as "keys".
        of: &'static str,
        /// The text searched for; empty when there is none.
        search: &'a str,
    },
    /// A search for a whole secret that found nothing.
    Secret,
}

impl SupportAccess<'_> {
    fn event(self, context: &OrgContext) -> Event {
        let org = (context.org.id.as_str(), context.org.name.as_str());
        let ((id, name), changes) = match self {
            SupportAccess::Item { id, name } => ((id, name), vec![]),
            SupportAccess::Secret => (org, vec![Change::added("search", ChangeValue::Secret)]),
            SupportAccess::List { of, search } | SupportAccess::Typing { of, search } => {
                let text: String = search.trim().chars().take(MAX_SEARCH).collect();
                let search = match has_secret(&text) {
                    true => ChangeValue::Secret,
                    false => text.as_str().into(),
                };
                let search = (!text.is_empty()).then(|| Change::added("search", search));
                (org, [Change::added("list", of)].into_iter().chain(search).collect())
            }
        };
        Event::new(EventKind::SupportAccessed, id, name).with(changes)
    }
}

/// Records what a support person views; does nothing for others. Call it without a connection in use, before the answer
/// is given: what cannot be recorded is not shown.
///
/// # Errors
/// `Store` when it cannot be recorded.
pub async fn record_support_access(
    desk: &Desk,
    context: &OrgContext,
    access: SupportAccess<'_>,
) -> Result<(), OpError> {
    if !context.principal.is_support() {
        return Ok(());
    }
    let now = desk.now();
    let permit = context.permit(Action::AccessAsSupport, On::Org)?;
    let event = access.event(context);
    let since = now.plus_ms(-SAME_ACCESS_MS);
    let mut tx = desk.db.write().await?;
    let recent = audit::recent_support_access(&mut tx, &permit, &event.subject_id, since).await?;
    let typing = matches!(access, SupportAccess::Typing { .. });
    let known =
        |changes: &Vec<Change>| *changes == event.changes || typing && continues(changes, &event.changes);
    if recent.iter().any(known) {
        return Ok(());
    }
    tx.save(&permit, event, now).await?;
    Ok(())
}

/// Whether `now` searches the same list for a text that begins with the one of `then`.
fn continues(then: &[Change], now: &[Change]) -> bool {
    match (then, now) {
        (
            [list, Change { after: Some(ChangeValue::Text(text)), .. }],
            [same, Change { after: Some(ChangeValue::Text(longer)), .. }],
        ) => list == same && longer.starts_with(text.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &str, search: Option<&str>) -> Vec<Change> {
        let search = search.map(|text| Change::added("search", text));
        [Change::added("list", list)].into_iter().chain(search).collect()
    }

    #[test]
    fn a_longer_text_continues_a_search_and_another_text_does_not() {
        assert!(continues(&of("keys", Some("ci")), &of("keys", Some("ci-prod"))));
        assert!(!continues(&of("keys", Some("ci-prod")), &of("keys", Some("ci"))));
        assert!(!continues(&of("keys", Some("ci")), &of("teams", Some("ci-prod"))));
        assert!(!continues(&of("keys", None), &of("keys", Some("ci"))));
    }
}
