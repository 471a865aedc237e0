//! What a form or an island can ask. Each action takes one struct that refuses unknown fields, calls one operation and
//! ends with `answer`. They are reached only through the server's same-origin layer.

pub mod account;
pub mod alerts;
pub mod asks;
pub mod bulk;
pub mod doctor;
pub mod invitations;
pub mod keys;
pub mod leaks;
pub mod limits;
pub mod live_test;
pub mod members;
pub mod models;
pub mod orgs;
pub mod providers;
pub mod rotation;
pub mod session;
pub mod spend_check;
pub mod support;
pub mod teams;

use keydesk_core::ops::edit::EditConflict;
use serde::Serialize;

use crate::ask::desk;
use crate::error::AppError;
use crate::sealed::{self, FLASH, Flash, Tone};

/// What the form shows after another edit was saved first. `form` makes it from what both became together.
fn edit_conflict<S, F: Serialize>(conflict: EditConflict<S>, form: impl FnOnce(S) -> F) -> AppError {
    let EditConflict { sentence, errors, merged } = conflict;
    let merged = serde_json::to_string(&form(merged)).unwrap_or_default();
    AppError::EditConflict { sentence, fields: errors, merged }
}

/// One line for the next page.
fn tell(tone: Tone, sentence: impl Into<String>) -> Result<(), AppError> {
    sealed::send(FLASH, "/", Flash { tone, sentence: sentence.into() }, desk()?.now());
    Ok(())
}
