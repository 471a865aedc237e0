//! Sessions as their person sees them.

use super::ids::SessionId;
use super::moment::Moment;

/// A session as its person sees it.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// The session's id.
    pub id: SessionId,
    /// The client's IP address when the session began.
    pub address: String,
    /// The browser's `User-Agent` header when the session began, up to 300 characters; may be empty.
    pub user_agent: String,
    /// When the person signed in.
    pub begun_at: Moment,
    /// When it was last used, to about a minute.
    pub seen_at: Moment,
}
