//! Every error that a browser can see. The set is closed: no text from a library, a database or a request
//! reaches a browser through it.

use http::StatusCode;
use keydesk_core::domain::field_error::FieldError;
use keydesk_core::ops::OpError;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum AppError {
    Unauthenticated,
    Forbidden,
    /// Absent, or hidden from the caller: one answer for both.
    NotFound,
    Invalid {
        fields: Vec<FieldError>,
    },
    Conflict {
        sentence: String,
    },
    /// Another person saved first. `merged` is the form as JSON: the present values with this person's changes in them.
    EditConflict {
        sentence: String,
        fields: Vec<FieldError>,
        merged: String,
    },
    /// The caller has to re-authenticate. The form is drawn again, with what was typed and a field for the password.
    ReauthRequired,
    /// The organisation requires two-factor authentication, and the caller has not turned it on.
    SecondFactor {
        org: String,
    },
    TooMany {
        retry_after_s: i64,
    },
    /// Not a form of this program: a field too many, a value of another kind.
    MalformedForm,
    /// The database cannot be reached.
    Unavailable,
    Internal,
}

impl AppError {
    pub fn status(&self) -> StatusCode {
        match self {
            AppError::Unauthenticated => StatusCode::UNAUTHORIZED,
            AppError::Forbidden | AppError::ReauthRequired | AppError::SecondFactor { .. } => {
                StatusCode::FORBIDDEN
            }
            AppError::NotFound => StatusCode::NOT_FOUND,
            AppError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            AppError::Conflict { .. } | AppError::EditConflict { .. } => StatusCode::CONFLICT,
            AppError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            AppError::MalformedForm => StatusCode::BAD_REQUEST,
            AppError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            AppError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened, what is safe, what to do.
    pub fn sentence(&self) -> String {
        match self {
            AppError::Unauthenticated => "You are signed out. Nothing was saved. Sign in and try again.".into(),
            AppError::Forbidden => {
                "Your role does not allow this. Ask an owner or admin of the organisation to do it or to change your role.".into()
            }
            AppError::NotFound => {
                "This page doesn't exist, or you don't have access.".into()
            }
            AppError::Invalid { fields } if fields.len() == 1 => "Nothing was saved. Check the highlighted field.".into(),
            AppError::Invalid { fields } => format!("Nothing was saved. Check the {} highlighted fields.", fields.len()),
            AppError::Conflict { sentence } | AppError::EditConflict { sentence, .. } => sentence.clone(),
            AppError::ReauthRequired => {
                "You signed in more than ten minutes ago, so nothing was saved yet. Enter your password and send the form again.".into()
            }
            AppError::SecondFactor { org } => {
                format!("{org} requires two-factor authentication (2FA) for owners and admins. Turn it on in your account.")
            }
            AppError::TooMany { retry_after_s } => {
                let unit = if *retry_after_s == 1 { "second" } else { "seconds" };
                format!("Too many attempts. Try again in {retry_after_s} {unit}.")
            }
            AppError::MalformedForm => {
                "The form does not match this page. Nothing was saved. Reload the page and try again.".into()
            }
            AppError::Unavailable => "The database is not available. Nothing was saved. Try again in a moment.".into(),
            AppError::Internal => {
                "Something failed on the server. Nothing was saved. Give your administrator the request ID.".into()
            }
        }
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl From<Vec<FieldError>> for AppError {
    fn from(fields: Vec<FieldError>) -> Self {
        AppError::Invalid { fields }
    }
}

impl From<OpError> for AppError {
    fn from(error: OpError) -> Self {
        match error {
            OpError::NotFound => AppError::NotFound,
            OpError::Forbidden => AppError::Forbidden,
            OpError::Invalid(fields) => AppError::Invalid { fields },
            OpError::Conflict(sentence) => AppError::Conflict { sentence },
            OpError::ReauthRequired => AppError::ReauthRequired,
            OpError::SecondFactor { org } => AppError::SecondFactor { org },
            OpError::TooMany { retry_after_s } => AppError::TooMany { retry_after_s },
            // The boundary: the cause is logged here, once, and goes no further.
            OpError::Store(error) => {
                tracing::error!(%error, "an operation failed");
                if error.is_outage() { AppError::Unavailable } else { AppError::Internal }
            }
        }
    }
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        use ServerFnErrorErr as E;
        match error {
            E::Args(_) | E::MissingArg(_) | E::Deserialization(_) | E::UnsupportedRequestMethod(_) => {
                AppError::MalformedForm
            }
            E::Registration(_)
            | E::Request(_)
            | E::Response(_)
            | E::ServerError(_)
            | E::MiddlewareError(_)
            | E::Serialization(_) => AppError::Internal,
        }
    }
}
