//! The security log: one line for each sign-in, code, change of an account and refused act, on the target `security`. A line
//! says what was tried, how it ended, who, from where and in which request. Nothing in it was typed: an account is its id,
//! and an address that no one signs in with is a tag, because people type passwords into the wrong field.

use crate::Desk;

/// Where a request came from: the address and the request's id, both empty when they are not known.
pub type From<'a> = (&'a str, &'a str);

/// What was tried ended well.
pub fn done(what: &str, who: &str, from: From<'_>) {
    tracing::info!(target: "security", what, outcome = "done", account = who, address = from.0, request.id = from.1, "security");
}

/// What was tried was refused; `why` is a word or two.
pub fn refused(what: &str, why: &str, who: &str, from: From<'_>) {
    tracing::warn!(target: "security", what, outcome = "refused", why, account = who, address = from.0, request.id = from.1, "security");
}

/// Stands for an address that no one signs in with: the same for the same text on every node, and only here.
pub fn unknown(desk: &Desk, typed: &str) -> String {
    format!("unknown-{}", desk.vault.tag(typed))
}
