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
    /// A conversation made shorter, in OpenAI's protocol.
    CompactResponse,
    /// How many input tokens a response has, in OpenAI's protocol.
    CountResponseTokens,
    /// OpenAI's images.
    GenerateImages,
    /// What OpenAI's moderation finds in a text.
    Moderations,
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
    /// Gemini's embedding of one text.
    EmbedContent,
    /// Gemini's embeddings of several texts.
    BatchEmbedContents,
}

impl Route {
    /// Every route, by protocol.
    pub const ALL: [Route; 15] = [
        Route::ChatCompletions,
        Route::Completions,
        Route::Embeddings,
        Route::Responses,
        Route::CompactResponse,
        Route::CountResponseTokens,
        Route::GenerateImages,
        Route::Moderations,
        Route::Messages,
        Route::CountMessageTokens,
        Route::Generate,
        Route::StreamGenerate,
        Route::CountTokens,
        Route::EmbedContent,
        Route::BatchEmbedContents,
    ];

    /// The route of the action that Gemini writes after a model's name.
    pub fn of_action(action: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| !route.action().is_empty() && route.action() == action)
    }

    /// The route that a ticket's endpoint means, whatever stands around its path; the usual one where it means none.
    pub fn of_endpoint(endpoint: &str) -> Self {
        let known = [
            (":streamGenerateContent", Route::StreamGenerate),
            (":generateContent", Route::Generate),
            (":countTokens", Route::CountTokens),
            (":embedContent", Route::EmbedContent),
            (":batchEmbedContents", Route::BatchEmbedContents),
            ("/messages/count_tokens", Route::CountMessageTokens),
            ("/messages", Route::Messages),
            ("/chat/completions", Route::ChatCompletions),
            ("/completions", Route::Completions),
            ("/embeddings", Route::Embeddings),
            ("/images/generations", Route::GenerateImages),
            ("/moderations", Route::Moderations),
            ("/responses/compact", Route::CompactResponse),
            ("/responses/input_tokens", Route::CountResponseTokens),
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
            Route::EmbedContent => "embedContent",
            Route::BatchEmbedContents => "batchEmbedContents",
            _ => "",
        }
    }

    /// The protocol of its requests.
    pub fn kind(self) -> ProviderKind {
        match self {
            Route::ChatCompletions
            | Route::Completions
            | Route::Embeddings
            | Route::Responses
            | Route::CompactResponse
            | Route::CountResponseTokens
            | Route::GenerateImages
            | Route::Moderations => ProviderKind::OpenAi,
            Route::Messages | Route::CountMessageTokens => ProviderKind::Anthropic,
            Route::Generate
            | Route::StreamGenerate
            | Route::CountTokens
            | Route::EmbedContent
            | Route::BatchEmbedContents => ProviderKind::Gemini,
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

    /// The path for a model, as the protocol's own API has it; only Gemini's contains the model.
    pub fn path(self, model: &str) -> String {
        format!("{}{}", self.kind().version_path(), self.call(model))
    }

    /// What of the path stands behind the version.
    pub fn call(self, model: &str) -> String {
        match self {
            Route::ChatCompletions => "/chat/completions".into(),
            Route::Completions => "/completions".into(),
            Route::Embeddings => "/embeddings".into(),
            Route::Responses => "/responses".into(),
            Route::CompactResponse => "/responses/compact".into(),
            Route::CountResponseTokens => "/responses/input_tokens".into(),
            Route::GenerateImages => "/images/generations".into(),
            Route::Moderations => "/moderations".into(),
            Route::Messages => "/messages".into(),
            Route::CountMessageTokens => "/messages/count_tokens".into(),
            Route::Generate
            | Route::StreamGenerate
            | Route::CountTokens
            | Route::EmbedContent
            | Route::BatchEmbedContents => format!("/models/{model}:{}", self.action()),
        }
    }

    /// Counting tokens and moderation are free.
    pub fn is_free(self) -> bool {
        matches!(
            self,
            Route::CountMessageTokens | Route::CountTokens | Route::CountResponseTokens | Route::Moderations
        )
    }

    /// Whether the answer has tokens that are charged.
    pub fn has_output(self) -> bool {
        !self.is_free() && !self.embeds()
    }

    /// Whether the answer is embeddings.
    pub fn embeds(self) -> bool {
        matches!(self, Route::Embeddings | Route::EmbedContent | Route::BatchEmbedContents)
    }
}
