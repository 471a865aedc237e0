//! The protocols of providers.

/// Whose protocol a provider speaks. A request is passed on in the protocol it came in; nothing is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// The OpenAI API, also of compatible providers.
    OpenAi,
    /// The Anthropic API.
    Anthropic,
    /// The Gemini API.
    Gemini,
}

impl ProviderKind {
    /// Every protocol, in the order of forms.
    pub const ALL: [ProviderKind; 3] = [ProviderKind::OpenAi, ProviderKind::Anthropic, ProviderKind::Gemini];

    /// The word in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProviderKind::OpenAi => "openai",
            ProviderKind::Anthropic => "anthropic",
            ProviderKind::Gemini => "gemini",
        }
    }

    /// Reads the word that [`ProviderKind::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The name on pages and in the audit.
    pub const fn label(self) -> &'static str {
        match self {
            ProviderKind::OpenAi => "OpenAI",
            ProviderKind::Anthropic => "Anthropic",
            ProviderKind::Gemini => "Gemini",
        }
    }

    /// The version in the paths of the protocol's own API.
    pub const fn version_path(self) -> &'static str {
        match self {
            ProviderKind::OpenAi | ProviderKind::Anthropic => "/v1",
            ProviderKind::Gemini => "/v1beta",
        }
    }
}
