//! What a new key can be tried with: a model for each protocol that would answer this key now, and what of its scope no
//! model answers to.

use super::super::OpError;
use crate::Desk;
use crate::domain::key::Key;
use crate::domain::model::DEMO_ECHO;
use crate::domain::provider::ProviderKind;
use crate::domain::scope::ModelScope;
use crate::store::models;

/// Ids of models; `None` where nothing that this key may use is served in the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstModels {
    /// For OpenAI's protocol.
    pub openai: Option<String>,
    /// For Anthropic's protocol.
    pub anthropic: Option<String>,
    /// For Gemini's protocol.
    pub gemini: Option<String>,
}

impl FirstModels {
    /// One of them, whatever its protocol.
    pub fn any(&self) -> Option<&str> {
        self.openai.as_deref().or(self.anthropic.as_deref()).or(self.gemini.as_deref())
    }
}

/// The cheapest that the key may use. A key's scope is within its team's, so the key's alone is asked.
///
/// # Errors
/// When the database cannot be read.
pub async fn first_models(desk: &Desk, key: &Key) -> Result<FirstModels, OpError> {
    let mut read = desk.db.read().await?;
    let served = match models::any_served(&mut read).await? {
        true => models::routed(&mut read, desk.now()).await?,
        false => ProviderKind::ALL.map(|kind| (DEMO_ECHO.to_owned(), kind)).to_vec(),
    };
    let first = |wanted| {
        let mut fitting = served.iter().filter(|(id, kind)| *kind == wanted && key.models.allows(id));
        fitting.next().map(|(id, _)| id.clone())
    };
    Ok(FirstModels {
        openai: first(ProviderKind::OpenAi),
        anthropic: first(ProviderKind::Anthropic),
        gemini: first(ProviderKind::Gemini),
    })
}

/// The patterns of a scope that no model matches today.
///
/// # Errors
/// When the database cannot be read.
pub async fn without_a_model(desk: &Desk, scope: &ModelScope) -> Result<Vec<String>, OpError> {
    let ModelScope::Listed(patterns) = scope else { return Ok(vec![]) };
    let models = models::offered(&mut desk.db.read().await?, desk.now()).await?;
    let none = patterns.iter().filter(|pattern| !models.iter().any(|model| pattern.matches(&model.id)));
    Ok(none.map(ToString::to_string).collect())
}
