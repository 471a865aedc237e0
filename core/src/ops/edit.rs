//! What becomes of an edit when others may have edited the same thing first.

use super::OpError;
use super::access::Caller;
use crate::domain::audit::EventKind;
use crate::domain::edit::Editable;
use crate::domain::field_error::FieldError;
use crate::domain::ids::OrgId;
use crate::domain::moment::Zone;
use crate::store::{Via, audit};

/// How far back in a subject's history to look for its last editor: support access stands among the changes.
const RECENT: i64 = 50;

/// How an edit ended.
#[derive(Debug)]
pub enum Outcome<T, S> {
    /// The change was written.
    Saved(T),
    /// There was nothing to change.
    Unchanged(T),
    /// Another edit was saved first, so nothing was written.
    Conflict(Box<EditConflict<S>>),
}

/// What to show after another edit was saved first.
#[derive(Debug)]
pub struct EditConflict<S> {
    /// Who saved first, and what to do now.
    pub sentence: String,
    /// Both values beside each field that both edits changed.
    pub errors: Vec<FieldError>,
    /// The thing as it stands with this person's changes in it.
    pub merged: S,
}

/// `start` is the beginning of the sentence, such as "Ana changed this key".
pub(super) fn conflict<S: Editable>(
    start: &str,
    (base, mine, current): (&S, &S, &S),
    names: &S::Names,
    zone: &Zone,
) -> EditConflict<S> {
    EditConflict {
        sentence: format!(
            "{start} while you were editing. Your changes are below and not saved yet. Check them and save again."
        ),
        errors: current.conflicts(base, mine, names, zone),
        merged: current.merged(base, mine),
    }
}

/// Who changed `what` last, as the beginning of a sentence.
pub(super) async fn last_editor(
    via: &mut impl Via,
    caller: &Caller,
    (org, subject): (&OrgId, &str),
    what: &str,
) -> Result<String, OpError> {
    let past = audit::of_subject(via, org, subject, RECENT).await?;
    let edits = [EventKind::KeyEdited, EventKind::TeamEdited, EventKind::OrgEdited];
    let last = past
        .iter()
        .find(|event| edits.contains(&event.kind))
        .or_else(|| past.iter().find(|event| event.kind != EventKind::SupportAccessed));
    Ok(match last {
        Some(event) if event.actor_id == caller.person.id.as_str() => {
            format!("You changed {what} in another tab")
        }
        Some(event) => format!("{} changed {what}", event.actor_name),
        None => format!("Another person changed {what}"),
    })
}

/// Two edits passed the version check at the same time, and the other was written.
pub(super) fn lost_race(what: &str) -> OpError {
    OpError::Conflict(format!("Another person changed {what} at the same time. Reload and try again."))
}
