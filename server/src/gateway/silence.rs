//! What the client of a stream gets while its provider is silent, as a model that reasons is for minutes: a head within
//! seconds, and then again and again something that every client skips. So neither a client nor a proxy on the way takes the
//! connection for dead. `forward` and `relay` use it.
//!
//! Nothing is put inside an event of the provider's. A client that takes nothing gets nothing more.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use keydesk_core::domain::route::Route;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::outlet::{Outlet, outlet};
use super::protocol::ApiError;

/// How long a client that reads slowly has to take the error at the end of its stream.
const ERROR_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a provider may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until the client of a stream gets a head.
    pub head: Duration,
    /// And then, while there is no connection, from one look for it to the next: nothing was sent, so a failure can
    /// still be a status.
    pub connecting: Duration,
    /// From one sign of life to the next.
    pub beat: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            connecting: Duration::from_millis(500),
            beat: Duration::from_secs(15),
        }
    }
}

/// The form of a stream, by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Events of chat completions and completions.
    OpenAi,
    Responses,
    Anthropic,
    GeminiEvents,
    /// A JSON array, which Gemini streams without `alt=sse`.
    GeminiList,
}

impl Framing {
    pub fn of(route: Route, is_events: bool) -> Self {
        match route {
            Route::StreamGenerate if is_events => Framing::GeminiEvents,
            Route::StreamGenerate => Framing::GeminiList,
            Route::Messages => Framing::Anthropic,
            Route::Responses => Framing::Responses,
            _ => Framing::OpenAi,
        }
    }

    fn is_events(self) -> bool {
        self != Framing::GeminiList
    }

    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Framing::GeminiList => "application/json; charset=UTF-8",
            _ => "text/event-stream; charset=utf-8",
        })
    }

    /// What each protocol's clients skip. Google's take a comment for a broken event, and skip empty lines.
    fn beat(self) -> &'static [u8] {
        match self {
            Framing::OpenAi | Framing::Responses => b": wait\n\n",
            Framing::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            Framing::GeminiEvents | Framing::GeminiList => b"\n",
        }
    }

    /// The error that ends a stream. `body` is what its answer would have been before the head.
    pub fn error(self, body: &Value) -> Bytes {
        let text = match self {
            Framing::OpenAi | Framing::GeminiEvents => format!("data: {body}\n\n"),
            Framing::Anthropic => format!("event: error\ndata: {body}\n\n"),
            Framing::GeminiList => format!("[{body}]"),
            Framing::Responses => {
                let error = body.get("error").cloned().unwrap_or_default();
                let member = |name: &str| error.get(name).cloned().unwrap_or_default();
                // Documented flat, sent nested: clients know one or the other.
                let event = json!({
                    "type": "error", "code": member("code"), "message": member("message"), "param": null,
                    "sequence_number": 0, "error": error,
                });
                format!("event: error\ndata: {event}\n\n")
            }
        };
        text.into()
    }

    /// A whole response in place of a stream.
    pub fn whole(self, body: &Value) -> Bytes {
        match self {
            Framing::OpenAi => format!("data: {body}\n\ndata: [DONE]\n\n").into(),
            Framing::GeminiList => format!("[{body}]").into(),
            _ => format!("data: {body}\n\n").into(),
        }
    }
}

/// A client, before and after the head of its response.
pub enum Client {
    Waiting(oneshot::Sender<Response>),
    Begun(Outlet),
}

impl Client {
    /// When it is gone.
    pub async fn left(&mut self) {
        match self {
            Client::Waiting(respond) => respond.closed().await,
            Client::Begun(outlet) => outlet.closed().await,
        }
    }

    pub fn is_gone(&self) -> bool {
        match self {
            Client::Waiting(respond) => respond.is_closed(),
            Client::Begun(outlet) => outlet.is_closed(),
        }
    }
}

/// Rings when a provider was silent for too long; never for a whole response.
pub struct Timer {
    next: Option<Pin<Box<Sleep>>>,
    beat: Duration,
}

impl Timer {
    pub async fn rings(&mut self) {
        match &mut self.next {
            Some(next) => next.as_mut().await,
            None => pending().await,
        }
    }

    fn set(&mut self, after: Duration) {
        if let Some(next) = &mut self.next {
            next.as_mut().reset(Instant::now() + after);
        }
    }

    /// Something was sent.
    pub fn restart(&mut self) {
        self.set(self.beat);
    }
}

/// The way of a response to its client.
pub struct Front {
    pub client: Client,
    pub timer: Timer,
    framing: Framing,
    connecting: Duration,
}

impl Front {
    pub fn new(
        respond: oneshot::Sender<Response>,
        streams: bool,
        framing: Framing,
        patience: Patience,
    ) -> Self {
        let next = streams.then(|| Box::pin(sleep(patience.head)));
        let timer = Timer { next, beat: patience.beat };
        Self { client: Client::Waiting(respond), timer, framing, connecting: patience.connecting }
    }

    /// Whether a stream of this form can follow what was sent.
    pub fn takes(&self, is_events: bool) -> bool {
        matches!(self.client, Client::Waiting(_)) || self.framing.is_events() == is_events
    }

    /// The head goes to the client, unless it has one. Answers where the rest goes.
    pub fn begin(&mut self, framing: Framing, head: impl FnOnce(Body) -> Response) -> Outlet {
        if let Client::Begun(outlet) = &self.client {
            return outlet.clone();
        }
        self.framing = framing;
        let (outlet, body) = outlet();
        let before = std::mem::replace(&mut self.client, Client::Begun(outlet.clone()));
        if let Client::Waiting(respond) = before {
            // If the client left meanwhile, the outlet is closed.
            let _ = respond.send(head(body));
        }
        self.timer.restart();
        outlet
    }

    /// The provider is silent. Without a head, the client gets one now, unless there is no connection to the provider yet.
    pub fn wait(&mut self, is_connecting: bool, head: impl FnOnce(Framing, Body) -> Response) {
        if matches!(self.client, Client::Waiting(_)) {
            if is_connecting {
                return self.timer.set(self.connecting);
            }
            let framing = self.framing;
            self.begin(framing, |body| head(framing, body));
        }
        self.beat();
    }

    pub fn beat(&mut self) {
        if let Client::Begun(outlet) = &self.client {
            let _ = outlet.try_send(Ok(Bytes::from_static(self.framing.beat())));
        }
        self.timer.restart();
    }

    /// Answers with an error, which after the head is the stream's last event.
    pub async fn fail(self, error: ApiError) {
        match self.client {
            Client::Waiting(respond) => {
                let _ = respond.send(error.into_response());
            }
            Client::Begun(outlet) => end(&outlet, self.framing.error(&error.body())).await,
        }
    }
}

/// Sends the last bytes of a stream.
async fn end(outlet: &Outlet, bytes: Bytes) {
    let _ = timeout(ERROR_TIMEOUT, outlet.send(Ok(bytes))).await;
}

/// The client of a stream whose provider did not answer with one.
pub struct Late {
    outlet: Outlet,
    framing: Framing,
}

impl Late {
    /// # Errors
    /// The client, where it has no head yet.
    pub fn of(front: Front) -> Result<Self, oneshot::Sender<Response>> {
        match front.client {
            Client::Waiting(respond) => Err(respond),
            Client::Begun(outlet) => Ok(Self { outlet, framing: front.framing }),
        }
    }

    pub async fn fail(&self, body: &Value) {
        end(&self.outlet, self.framing.error(body)).await;
    }

    pub async fn answer(&self, body: &Value) {
        end(&self.outlet, self.framing.whole(body)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_form_of_its_stream() {
        let body = json!({"error": {"message": "No.", "type": "server_error", "code": "upstream_error"}});
        for (framing, start) in [
            (Framing::OpenAi, "data: {\"error\""),
            (Framing::Anthropic, "event: error\ndata: {\"error\""),
            (Framing::GeminiEvents, "data: {\"error\""),
            (Framing::GeminiList, "[{\"error\""),
            (Framing::Responses, "event: error\ndata: {"),
        ] {
            let text = String::from_utf8(framing.error(&body).to_vec()).unwrap();
            assert!(text.starts_with(start), "{framing:?}: {text}");
            assert_eq!(text.ends_with("\n\n"), framing.is_events());
        }
        let text = String::from_utf8(Framing::Responses.error(&body).to_vec()).unwrap();
        let event: Value =
            serde_json::from_str(text.lines().nth(1).unwrap().strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&event["type"], &event["message"]), (&json!("error"), &json!("No.")));
        assert_eq!(event["error"], body["error"]);
    }

    #[tokio::test]
    async fn a_silent_provider_gets_its_client_a_head_and_signs_of_life() {
        let ms = Duration::from_millis;
        let patience = Patience { head: ms(20), connecting: ms(40), beat: ms(30) };
        let (respond, mut response) = oneshot::channel();
        let mut front = Front::new(respond, true, Framing::OpenAi, patience);
        let began = Instant::now();
        let head = |_: Framing, body: Body| body.into_response();
        front.timer.rings().await;
        front.wait(true, head);
        assert!(response.try_recv().is_err(), "no head while there is no connection");
        front.timer.rings().await;
        front.wait(false, head);
        assert!(began.elapsed() >= patience.head + patience.connecting);
        let mut body = response.await.unwrap().into_body().into_data_stream();
        front.timer.rings().await;
        front.beat();
        assert!(began.elapsed() >= patience.head + patience.connecting + patience.beat);
        drop(front);
        let mut text = Vec::new();
        while let Some(Ok(bytes)) = futures_util::StreamExt::next(&mut body).await {
            text.extend(bytes);
        }
        assert_eq!(text, b": wait\n\n: wait\n\n");
    }
}
