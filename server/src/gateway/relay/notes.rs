//! What is noted of a response besides its usage: its error for the list of requests, a failure for the watch over
//! providers, and the size of a conversation that the provider stores.

use keydesk_core::admission::{MetWith, Target};
use keydesk_core::domain::request_log::plain_error;

use super::Relay;
use crate::gateway::provider_error::{StreamEnd, StreamError};
use crate::gateway::upstream::{NoResponse, UpstreamError};
use crate::gateway::usage::MeasuredTokens;

impl Relay {
    /// Notes the error that ended a stream; answers its status.
    pub(super) fn note_stream_error(&mut self, tail: &StreamEnd, is_events: bool) -> Option<i64> {
        let StreamError { status, text, of_account } = tail.error(is_events)?;
        let Some(error) = of_account else {
            self.note_error(&text);
            return Some(i64::from(status.as_u16()));
        };
        self.log_refused(error, &text);
        self.note_provider_failure(error, &text);
        self.note_upstream_error(error);
        Some(i64::from(error.status().as_u16()))
    }

    /// A provider's error about the account of this installation: only the operator reads its words.
    pub(super) fn log_refused(&self, error: UpstreamError, text: &str) {
        let (provider, said) = (self.provider_name(), plain_error(text));
        tracing::warn!(provider, ?error, said, "a provider refuses this installation");
    }

    /// Notes for operators what went wrong at the provider after it had answered. A stop of the gateway is not its failure.
    pub(super) fn note_provider_failure(&self, error: UpstreamError, text: &str) {
        let Target::Provider(provider) = &self.target else { return };
        if self.stop.is_cancelled() {
            return;
        }
        let met = NoResponse { error, status: 0, words: plain_error(text) }.met();
        let with = MetWith { model: &self.model.id, request: self.request.as_str() };
        self.watch.note_failure(&provider.id, &met, with, self.desk.now());
        self.metrics.provider_failed(&provider.spec.name, met.failure);
    }

    /// What is stored with the settlement, in words.
    pub(super) fn note_error(&mut self, text: &str) {
        let error = plain_error(text);
        self.guard.expect(|settlement| settlement.error = error);
    }

    pub(super) fn note_upstream_error(&mut self, error: UpstreamError) {
        let sentence = error.sentence(self.provider_name());
        self.note_error(&sentence);
    }

    /// Remembers how large the conversation is that the provider stores. An estimate is no bound of it.
    pub(super) fn note_stored(&self, ids: &[String], measured: &MeasuredTokens) {
        for id in ids.iter().filter(|_| !measured.estimated) {
            self.desk.lately.note_stored(id, measured.metered.counts.all_tokens());
        }
    }
}
