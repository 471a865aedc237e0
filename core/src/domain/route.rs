//! What clients ask of a model: the gateway's routes that it forwards, each in one protocol.

use super::provider::ProviderKind;

/// A route to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// OpenAI's chat.
    ChatCompletions,
    /// OpenAI's older completions.
    Completions,
    /// OpenAI's embeddings.
    Embeddings,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// How many tokens a message has, in Anthropic's protocol.
    CountMessageTokens,
    /// Gemini's answer in one piece.
    Generate,
    /// Gemini's answer as a stream.
    StreamGenerate,
    /// How many tokens a text has, in Gemini's protocol.
    CountTokens,
}

impl Route {
    /// Every route, by protocol.
    pub const ALL: [Route; 9] = [
        Route::ChatCompletions,
        Route::Completions,
        Route::Embeddings,
        Route::Responses,
        Route::Messages,
        Route::CountMessageTokens,
        Route::Generate,
        Route::StreamGenerate,
        Route::CountTokens,
    ];

    /// The route of the action that Gemini writes after a model's name.
    pub fn of_action(action: &str) -> Option<Self> {
        [Route::Generate, Route::StreamGenerate, Route::CountTokens]
            .into_iter()
            .find(|route| route.action() == action)
    }

    /// The route that a ticket's endpoint means, whatever stands around its path; the usual one where it means none.
    pub fn of_endpoint(endpoint: &str) -> Self {
        let known = [
            (":streamGenerateContent", Route::StreamGenerate),
            (":generateContent", Route::Generate),
            (":countTokens", Route::CountTokens),
            ("/messages/count_tokens", Route::CountMessageTokens),
            ("/messages", Route::Messages),
            ("/chat/completions", Route::ChatCompletions),
            ("/completions", Route::Completions),
            ("/embeddings", Route::Embeddings),
            ("/responses", Route::Responses),
        ];
        let found = known.into_iter().find(|(path, _)| endpoint.contains(path));
        found.map_or(Route::ChatCompletions, |(_, route)| route)
    }

    fn action(self) -> &'static str {
        match self {
            Route::Generate => "generateContent",
            Route::StreamGenerate => "streamGenerateContent",
            Route::CountTokens => "countTokens",
            _ => "",
        }
    }

    /// The protocol of its requests.
    pub fn kind(self) -> ProviderKind {
        match self {
            Route::ChatCompletions | Route::Completions | Route::Embeddings | Route::Responses => {
                ProviderKind::OpenAi
            }
            Route::Messages | Route::CountMessageTokens => ProviderKind::Anthropic,
            Route::Generate | Route::StreamGenerate | Route::CountTokens => ProviderKind::Gemini,
        }
    }

    /// The route that most requests of a protocol take.
    pub fn usual(kind: ProviderKind) -> Self {
        match kind {
            ProviderKind::OpenAi => Route::ChatCompletions,
            ProviderKind::Anthropic => Route::Messages,
            ProviderKind::Gemini => Route::Generate,
        }
    }

    /// The path for a model; only Gemini's contains it.
    pub fn path(self, model: &str) -> String {
        match self {
            Route::ChatCompletions => "/v1/chat/completions".into(),
            Route::Completions => "/v1/completions".into(),
            Route::Embeddings => "/v1/embeddings".into(),
            Route::Responses => "/v1/responses".into(),
            Route::Messages => "/v1/messages".into(),
            Route::CountMessageTokens => "/v1/messages/count_tokens".into(),
            Route::Generate | Route::StreamGenerate | Route::CountTokens => {
                format!("/v1beta/models/{model}:{}", self.action())
            }
        }
    }

    /// Counting tokens is free.
    pub fn is_free(self) -> bool {
        matches!(self, Route::CountMessageTokens | Route::CountTokens)
    }

    /// Whether the answer has tokens that are charged.
    pub fn has_output(self) -> bool {
        !self.is_free() && self != Route::Embeddings
    }
}
