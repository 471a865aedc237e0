//! What a test of the connection to a provider found, as it is stored and shown.

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// One call of a test, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestStep {
    /// Method and URL.
    pub call: String,
    /// HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// Milliseconds until it was read.
    pub ms: Option<i64>,
    /// Whether it works.
    pub ok: bool,
    /// What it means and what to do.
    pub sentence: String,
    /// The beginning of an answer that is an error.
    pub answer: String,
}

/// What a test found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderTest {
    /// When it was made.
    pub at: Moment,
    /// Whether a model answered.
    pub ok: bool,
    /// The calls, in their order.
    pub steps: Vec<TestStep>,
    /// The model that was asked; empty for none.
    pub model: String,
    /// The provider's names of its models, as far as it lists them.
    pub models: Vec<String>,
}
