//! Sessions as their person sees them.

use super::ids::SessionId;
use super::moment::Moment;

/// A session as its person sees it.
#[derive(Clone, Debug)]
pub struct OpenSession {
    pub id: SessionId,
    pub address: String,
    pub user_agent: String,
    pub begun_at: Moment,
    pub seen_at: Moment,
}
