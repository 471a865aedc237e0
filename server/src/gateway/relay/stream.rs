//! Streams: relayed as they arrive, and read on without a client that left.

use super::{CLIENT_DISCONNECTED, CUT_OFF, Relay, next};
use crate::gateway::disconnect::{NotRead, Reading};
use crate::gateway::outlet::{Deadline, cut_off, send_chunk, send_error};
use crate::gateway::provider_error::StreamEnd;
use crate::gateway::silence::{Framing, Front};
use crate::gateway::upstream::{UpstreamError, UpstreamResponse};
use crate::gateway::usage::{AccountError, Shape, StreamMeter};

/// How a stream ended.
enum End {
    Finished,
    Failed(UpstreamError),
    /// The client left and the stream is not read on.
    Abandoned(NotRead),
}

impl Relay {
    /// `reading` is there when the client left before the head.
    pub(super) async fn stream(
        mut self,
        mut response: UpstreamResponse,
        is_events: bool,
        mut front: Front,
        mut deadline: Deadline,
        reading: Option<Reading>,
    ) {
        let framing = Framing::of(self.route, is_events);
        let outlet = front.begin(framing, |body| self.head(&response, None, body));
        let mut status = i64::from(response.status.as_u16());
        let mut left = reading;
        if left.is_some() {
            status = CLIENT_DISCONNECTED;
        }
        let (client, provider) = (self.client.clone(), self.provider_name().to_owned());
        let account_error: AccountError =
            Box::new(move |error| client.upstream_error(error, &provider).body());
        let shape = Shape::of(self.route);
        let mut meter =
            StreamMeter::new(shape, is_events, self.hides_usage, self.bounds, Some(account_error));
        let mut tail = StreamEnd::default();
        let mut first = None;
        let ended = loop {
            let chunk = tokio::select! {
                chunk = next(&mut response.chunks, &mut deadline, &self.stop) => chunk,
                () = outlet.closed(), if left.is_none() => {
                    // What is over is settled.
                    if meter.is_over() {
                        break End::Finished;
                    }
                    status = CLIENT_DISCONNECTED;
                    match self.leave(&mut deadline) {
                        Ok(reading) => left = Some(reading),
                        Err(why) => break End::Abandoned(why),
                    }
                    continue;
                }
                () = front.timer.rings(), if left.is_none() && meter.is_between() && !meter.is_over() => {
                    front.beat();
                    continue;
                }
            };
            let bytes = match chunk {
                Some(Ok(bytes)) => bytes,
                Some(Err(UpstreamError::TimedOut)) if left.is_none() && deadline.is_elapsed() => {
                    cut_off(&outlet);
                    if meter.is_over() {
                        break End::Finished;
                    }
                    status = CUT_OFF;
                    match self.leave(&mut deadline) {
                        Ok(reading) => left = Some(reading),
                        Err(why) => break End::Abandoned(why),
                    }
                    continue;
                }
                Some(Err(error)) => break End::Failed(error),
                None => break End::Finished,
            };
            if left.as_mut().is_some_and(|reading| !reading.takes(bytes.len())) {
                break End::Failed(UpstreamError::TimedOut);
            }
            first = first.or_else(|| Some(self.elapsed()));
            tail.feed(&bytes);
            let shown = meter.feed(bytes);
            let measured = meter.measured(self.input, false);
            self.expect(status, measured, first);
            if meter.is_over() {
                // Clients stop reading at the last event.
                let failure = self.note_stream_error(&tail, is_events);
                let measured = meter.measured(self.input, true);
                self.note_stored(meter.stored_ids(), &measured);
                self.settle(failure.unwrap_or(status), measured, first).await;
                if left.is_some() {
                    break End::Finished;
                }
            }
            if left.is_none() && !shown.is_empty() {
                match send_chunk(&outlet, shown, &mut deadline, &self.stop).await {
                    Ok(true) => {
                        front.timer.restart();
                        continue;
                    }
                    Ok(false) => status = CLIENT_DISCONNECTED,
                    Err(UpstreamError::TimedOut) => {
                        status = CUT_OFF;
                        cut_off(&outlet);
                    }
                    Err(error) => break End::Failed(error),
                }
                if meter.is_over() {
                    break End::Finished;
                }
                match self.leave(&mut deadline) {
                    Ok(reading) => left = Some(reading),
                    Err(why) => break End::Abandoned(why),
                }
            }
        };
        // Stops the provider.
        drop(response);
        let measured = meter.measured(self.input, false);
        if let Some(status) = self.note_stream_error(&tail, is_events) {
            self.settle(status, measured.clone(), first).await;
        }
        match ended {
            End::Finished => {
                let shown = meter.finish();
                self.settle(status, meter.measured(self.input, true), first).await;
                if left.is_none() && !shown.is_empty() {
                    let _ = send_chunk(&outlet, shown, &mut deadline, &self.stop).await;
                }
            }
            End::Abandoned(why) => self.settle_reserved(status, measured, first, why).await,
            End::Failed(error) if left.is_some() => self.settle_left(status, error, measured, first).await,
            End::Failed(error) => {
                if !deadline.is_elapsed() {
                    self.note_provider_failure(error, "");
                }
                self.note_upstream_error(error);
                let measured = self.cut_short(error, measured);
                self.settle(i64::from(error.status().as_u16()), measured, first).await;
                send_error(&outlet, error).await;
            }
        }
    }
}
