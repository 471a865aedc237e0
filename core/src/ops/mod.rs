//! What people can ask of the desk, one file per feature: each operation's steps in order. An operation finds the
//! caller's standing, gets a permit, writes through the store and saves the audit event with the change. Pages and
//! actions call these; nothing here knows HTML or HTTP.

pub mod access;
pub mod account;
pub mod alerts;
pub mod asks;
pub mod audit;
pub mod backups;
pub mod catalogue;
pub mod codes;
pub mod connection;
pub mod cookie_key;
pub mod doctor;
pub mod edit;
pub mod find;
pub mod installation;
pub mod invitations;
pub mod kept_forms;
pub mod keys;
pub mod lane;
pub mod leaks;
pub mod limits;
pub mod links;
pub mod live_test;
pub mod members;
pub mod models;
mod new_price;
pub mod offboarding;
mod one_request;
pub mod orgs;
pub mod overview;
pub mod prices;
pub mod providers;
pub mod reauthentication;
pub mod report;
mod request_log;
pub mod requests;
pub mod retention;
pub mod second_factor;
mod secret_search;
pub mod seed;
pub mod self_service;
pub mod sessions;
pub mod setup;
pub mod sign_in;
pub mod spend;
pub mod spend_check;
pub mod support;
pub mod teams;
pub mod upkeep;
pub mod verify_spend;
pub mod windows;

use crate::domain::field_error::FieldError;
use crate::domain::parse_error::ParseError;
use crate::domain::policy::AccessDenied;
use crate::store::StoreError;

/// Why an operation was not done. Closed: what is not listed cannot be told to anyone.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// Absent, or not theirs to see: one answer for both.
    #[error("not found")]
    NotFound,
    /// The caller may see it, but not do this.
    #[error("forbidden")]
    Forbidden,
    /// Each wrong field, with a sentence.
    #[error("the form has mistakes")]
    Invalid(Vec<FieldError>),
    /// A person changed the thing first.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// They have to prove again who they are.
    #[error("a fresh sign-in is needed")]
    ReauthRequired,
    /// The organisation asks its owners and admins for a second factor, and the caller has none.
    #[error("a second factor is needed")]
    SecondFactor {
        /// The organisation's name.
        org: String,
    },
    /// Too many attempts of one kind in a short time.
    #[error("too many attempts")]
    TooMany {
        /// Seconds until the next attempt is accepted.
        retry_after_s: i64,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpError {
    /// One mistake in one field.
    pub fn say(field: &str, sentence: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        OpError::Invalid(vec![FieldError::new(field, ParseError::new(sentence))])
    }

    /// Hashing was broken off: the program is on its way out.
    pub(crate) fn stopping() -> Self {
        OpError::Conflict("The server is stopping, so nothing was done. Try again in a moment.".into())
    }
}

impl From<Vec<FieldError>> for OpError {
    fn from(errors: Vec<FieldError>) -> Self {
        OpError::Invalid(errors)
    }
}

impl From<FieldError> for OpError {
    fn from(error: FieldError) -> Self {
        OpError::Invalid(vec![error])
    }
}

impl From<AccessDenied> for OpError {
    fn from(denied: AccessDenied) -> Self {
        match denied {
            AccessDenied::Hidden => OpError::NotFound,
            AccessDenied::Forbidden => OpError::Forbidden,
        }
    }
}
