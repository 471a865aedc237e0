//! Everything a browser can be told went wrong. The set is closed: no text from a library, a database or a request
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
    /// Absent, or not theirs to see: one answer for both.
    NotFound,
    Invalid {
        fields: Vec<FieldError>,
    },
    Conflict {
        sentence: String,
    },
    /// Somebody saved first. `merged` is the form as JSON: the thing as it stands, with this person's changes in it.
    EditConflict {
        sentence: String,
        fields: Vec<FieldError>,
        merged: String,
    },
    /// They have to prove again who they are. The form is drawn again, with what was typed and a field for the password.
    ReauthRequired,
    /// The organisation asks for a second factor that the caller does not have.
    SecondFactor {
        org: String,
    },
    TooMany {
        retry_after_s: i64,
    },
    /// Not a form of ours: a field too many, a value of another kind.
    MalformedKey,
    /// The database is away.
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
            AppError::MalformedKey => StatusCode::BAD_REQUEST,
            AppError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            AppError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened, what is safe, what to do.
    pub fn sentence(&self) -> String {
        match self {
            AppError::Unauthenticated => "You are signed out. Sign in and try again; nothing was changed.".into(),
            AppError::Forbidden => {
                "Your role here does not allow this. An owner or an admin of the organisation can do it, or change your role.".into()
            }
            AppError::NotFound => {
                "There is nothing at this address, or it is not yours to see. It may belong to another organisation.".into()
            }
            AppError::Invalid { fields } if fields.len() == 1 => "One field needs a change. Nothing was saved.".into(),
            AppError::Invalid { fields } => format!("{} fields need a change. Nothing was saved.", fields.len()),
            AppError::Conflict { sentence } | AppError::EditConflict { sentence, .. } => sentence.clone(),
            AppError::ReauthRequired => {
                "You signed in more than ten minutes ago, and this asks for more certainty. Nothing was changed yet: type your password and send it again.".into()
            }
            AppError::SecondFactor { org } => {
                format!("{org} asks its owners and admins for a second factor at sign-in, and you have none yet. Turn it on in your account; it takes a minute.")
            }
            AppError::TooMany { retry_after_s } => {
                format!("Too many attempts. Try again in {retry_after_s} seconds.")
            }
            AppError::MalformedKey => {
                "The form that was sent is not one of this page's. Open the page again; nothing was changed.".into()
            }
            AppError::Unavailable => "The database did not answer. Nothing was changed. Try again in a moment.".into(),
            AppError::Internal => {
                "Something failed on our side. Nothing was changed. The request's number helps whoever runs this installation to find out why.".into()
            }
        }
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
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
                AppError::MalformedKey
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
