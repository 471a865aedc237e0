//! What is charged for a request, however its response ends.

use axum::http::StatusCode;
use keydesk_core::admission::Target;
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::meter::{Counts, Meter};
use keydesk_core::domain::provider::OnDisconnect;

use super::Relay;
use crate::gateway::disconnect::{NotRead, Reading};
use crate::gateway::outlet::Deadline;
use crate::gateway::upstream::UpstreamError;
use crate::gateway::usage::{MeasuredTokens, Shape, measure_failure, measure_whole};

impl Relay {
    /// The client left or was cut off: reads on within a new deadline.
    ///
    /// # Errors
    /// When the provider is stopped instead, because its setting says so, or because too many streams are read on.
    pub fn leave(&self, deadline: &mut Deadline) -> Result<Reading, NotRead> {
        if let Target::Provider(provider) = &self.target
            && provider.spec.on_disconnect == OnDisconnect::Stop
        {
            return Err(NotRead::Stopped);
        }
        self.read_on(deadline)
    }

    pub(super) fn read_on(&self, deadline: &mut Deadline) -> Result<Reading, NotRead> {
        let reading = self.readings.begin(&self.key)?;
        deadline.as_mut().reset(reading.until);
        Ok(reading)
    }

    /// Charges what was reserved, because nothing says what the provider charges: the most that it can cost, or where
    /// other keys are the reason, all of the output. A usage that the provider reported is what it is.
    pub async fn settle_reserved(
        &mut self,
        status: i64,
        known: MeasuredTokens,
        first_byte_ms: Option<i64>,
        why: NotRead,
    ) {
        let is_estimated = known.estimated;
        self.expect(status, self.at_reserved_output(known), first_byte_ms);
        if is_estimated && why == NotRead::Stopped {
            let worst = self.reserved.worst;
            self.guard.expect(|settlement| settlement.bill.raise(worst));
        }
        self.guard.settle(&self.desk).await;
    }

    /// Settles a request that was read on and not to its end. A stop of the gateway gives it up, too.
    pub async fn settle_left(
        &mut self,
        status: i64,
        error: UpstreamError,
        known: MeasuredTokens,
        first_byte_ms: Option<i64>,
    ) {
        let is_stopped = self.stop.is_cancelled() && error.may_cost();
        let measured = self.cut_short(if is_stopped { UpstreamError::TimedOut } else { error }, known);
        self.note_upstream_error(error);
        self.settle(status, measured, first_byte_ms).await;
    }

    /// What is charged for a response that was not read to its end. Where the gateway gave it up, the model may have
    /// reasoned unseen, and the provider charges it.
    pub(super) fn cut_short(&self, error: UpstreamError, known: MeasuredTokens) -> MeasuredTokens {
        match error {
            error if !error.may_cost() => MeasuredTokens::NOTHING,
            UpstreamError::TimedOut if self.may_reason => self.at_reserved_output(known),
            _ => known,
        }
    }

    /// With all of the output that was reserved.
    fn at_reserved_output(&self, mut known: MeasuredTokens) -> MeasuredTokens {
        if known.estimated {
            let counts = &mut known.metered.counts;
            let missing = self.reserved.output.saturating_sub(counts.output()).max(0);
            let output = counts.get(Meter::Output).saturating_add(missing);
            counts.set(Meter::Output, output);
        }
        known
    }

    pub(super) fn measured(&self, status: StatusCode, body: &[u8], end_only: bool) -> MeasuredTokens {
        let shape = Shape::of(self.route);
        if self.route.is_free() {
            MeasuredTokens::NOTHING
        } else if status.is_success() {
            measure_whole(shape, body, end_only, self.input, self.bounds)
        } else {
            measure_failure(shape, body, self.bounds)
        }
    }

    /// Charges the input where the provider may have begun its work.
    pub async fn settle_failed(&mut self, error: UpstreamError) {
        let measured = self.cut_short(error, self.estimate());
        self.note_upstream_error(error);
        self.settle(i64::from(error.status().as_u16()), measured, None).await;
    }

    /// The usage of a request whose provider reported none.
    pub fn estimate(&self) -> MeasuredTokens {
        if self.route.is_free() {
            return MeasuredTokens::NOTHING;
        }
        MeasuredTokens::estimate(self.input, 0)
    }

    pub(super) fn bill(&self, measured: MeasuredTokens) -> Bill {
        let MeasuredTokens { mut metered, estimated } = measured;
        metered.served_as = metered.served_as.or(&self.asked);
        metered.uncounted |= self.uncounted && metered.counts != Counts::NONE;
        Bill::at_price_of(&self.model, metered, estimated)
    }

    pub fn expect_input(&mut self) {
        self.expect(i64::from(StatusCode::INTERNAL_SERVER_ERROR.as_u16()), self.estimate(), None);
    }

    pub(super) fn expect(&mut self, status: i64, measured: MeasuredTokens, first_byte_ms: Option<i64>) {
        let (bill, latency_ms) = (self.bill(measured), self.elapsed());
        self.guard.expect(|settlement| {
            settlement.status = status;
            settlement.bill = bill;
            settlement.latency_ms = latency_ms;
            settlement.first_byte_ms = first_byte_ms.or(settlement.first_byte_ms);
        });
    }

    pub async fn settle(&mut self, status: i64, measured: MeasuredTokens, first_byte_ms: Option<i64>) {
        self.expect(status, measured, first_byte_ms);
        self.guard.settle(&self.desk).await;
    }
}
