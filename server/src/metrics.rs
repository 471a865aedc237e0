//! What is measured for monitoring, under the names that Prometheus reads: all of them are here and in `metrics/figures.rs`.
//! The values of a label are a closed list, or names of the configuration (providers) and of the code (jobs): never a path, a
//! key, a person or an organisation. Nothing is global: each `AppState` has its own, so that tests share none.
//!
//! It is counted also while nothing serves it. `figures` is looked up when the metrics are read, `route_class` is what stands
//! for a route, and `registry` makes what is registered.

mod figures;
mod registry;
mod route_class;

use std::sync::Arc;
use std::time::Duration;

use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::provider_failure::ProviderFailure;
use prometheus::{Counter, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec};

pub use figures::{Figures, Pool, SqliteFile};
use registry::Registry;
pub use route_class::RouteClass;

/// Seconds. A key check takes a millisecond, a stream some minutes.
const REQUEST_SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Seconds until a provider's answer begins.
const UPSTREAM_SECONDS: [f64; 13] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds until what a request used is on the disk.
const SETTLEMENT_SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What one process measures; clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Measured>);

struct Measured {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    admissions: IntCounter,
    rejections: IntCounterVec,
    settlements: IntCounter,
    settlement_failures: IntCounter,
    settlements_lost: IntCounter,
    settlement_seconds: Histogram,
    spend: Counter,
    upstream_requests: IntCounterVec,
    upstream_failures: IntCounterVec,
    upstream_seconds: HistogramVec,
    job_runs: IntCounterVec,
    job_succeeded: GaugeVec,
    gauges: figures::Gauges,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::default();
        let measured = Measured {
            requests: registry.counters(
                "keydesk_http_requests_total",
                "Requests by class of route and of status, also those whose client left (4xx)",
                &["class", "status"],
            ),
            request_seconds: registry.histograms(
                "keydesk_http_request_duration_seconds",
                "From a request's arrival to the end of its answer, by class of route",
                &["class"],
                &REQUEST_SECONDS,
            ),
            admissions: registry
                .counter("keydesk_admissions_total", "Requests for a model that passed all gates"),
            rejections: registry.counters(
                "keydesk_rejections_total",
                "Requests that a gate rejected, by gate",
                &["gate"],
            ),
            settlements: registry.counter("keydesk_settlements_total", "Requests whose use was written"),
            settlement_failures: registry.counter(
                "keydesk_settlement_failures_total",
                "Requests whose use could not be written at once; it is tried again every second",
            ),
            settlements_lost: registry.counter(
                "keydesk_settlements_lost_total",
                "Requests whose use is not written, because too many waited for the database",
            ),
            settlement_seconds: registry.histogram(
                "keydesk_settlement_duration_seconds",
                "From the end of a request until its use is written",
                &SETTLEMENT_SECONDS,
            ),
            spend: registry.amount(
                "keydesk_spend_dollars_total",
                "What the requests that this process settled cost, of all organisations",
            ),
            upstream_failures: registry.counters(
                "keydesk_upstream_failures_total",
                "What went wrong at a provider, by kind of failure, also in the middle of an answer",
                &["failure", "provider"],
            ),
            upstream_requests: registry.counters(
                "keydesk_upstream_requests_total",
                "Requests to a provider, by class of the answer's status; none without an answer",
                &["status", "provider"],
            ),
            upstream_seconds: registry.histograms(
                "keydesk_upstream_duration_seconds",
                "From sending a request to a provider to the beginning of the answer, or to the failure",
                &["provider"],
                &UPSTREAM_SECONDS,
            ),
            job_runs: registry.counters(
                "keydesk_job_runs_total",
                "What the program does by itself, by task and outcome (ok, failed)",
                &["outcome", "task"],
            ),
            job_succeeded: registry.gauges(
                "keydesk_job_last_success_timestamp_seconds",
                "When a task last succeeded, in seconds since 1970",
                &["task"],
            ),
            gauges: figures::Gauges::new(&registry),
            registry,
        };
        // Series that are there from the start have a rate at their first event.
        for class in RouteClass::ALL {
            measured.request_seconds.with_label_values(&[class.as_str()]);
            for status in ["2xx", "3xx", "4xx", "5xx"] {
                measured.requests.with_label_values(&[class.as_str(), status]);
            }
        }
        for gate in Gate::ALL {
            measured.rejections.with_label_values(&[gate.as_str()]);
        }
        Self(Arc::new(measured))
    }
}

impl Metrics {
    /// A request was answered, or its client left.
    pub fn answered(&self, class: RouteClass, status: u16, took: Duration) {
        let (all, class) = (&self.0, class.as_str());
        all.requests.with_label_values(&[class, status_class(status)]).inc();
        all.request_seconds.with_label_values(&[class]).observe(took.as_secs_f64());
    }

    /// A request passed all gates.
    pub fn admitted(&self) {
        self.0.admissions.inc();
    }

    /// A gate rejected a request.
    pub fn rejected(&self, gate: Gate) {
        self.0.rejections.with_label_values(&[gate.as_str()]).inc();
    }

    /// What a request used was written, so long after it had ended.
    pub fn settled(&self, cost: Money, after: Duration) {
        self.0.settlements.inc();
        self.0.settlement_seconds.observe(after.as_secs_f64());
        self.0.spend.inc_by(cost.nanos().max(0) as f64 / 1e9);
    }

    /// What a request used could not be written, and waits.
    pub fn not_settled(&self) {
        self.0.settlement_failures.inc();
    }

    /// What a request used is never written.
    pub fn settlement_lost(&self) {
        self.0.settlements_lost.inc();
    }

    /// A provider was asked; `status` is 0 without an answer.
    pub fn asked_provider(
        &self,
        provider: &str,
        status: i64,
        failure: Option<ProviderFailure>,
        took_ms: i64,
    ) {
        let status = u16::try_from(status).unwrap_or(0);
        let class = if status == 0 { "none" } else { status_class(status) };
        self.0.upstream_requests.with_label_values(&[class, provider]).inc();
        self.0.upstream_seconds.with_label_values(&[provider]).observe(took_ms as f64 / 1e3);
        if let Some(failure) = failure {
            self.provider_failed(provider, failure);
        }
    }

    /// Something went wrong at a provider, which may have been in the middle of an answer.
    pub fn provider_failed(&self, provider: &str, failure: ProviderFailure) {
        self.0.upstream_failures.with_label_values(&[failure.as_str(), provider]).inc();
    }

    /// A job ran. Its label is `task`, as Prometheus has a `job` of its own.
    pub fn ran(&self, job: &str, is_done: bool, now: Moment) {
        let task = job.replace(' ', "_");
        let outcome = if is_done { "ok" } else { "failed" };
        self.0.job_runs.with_label_values(&[outcome, task.as_str()]).inc();
        if is_done {
            self.0.job_succeeded.with_label_values(&[task.as_str()]).set(now.ms() as f64 / 1e3);
        }
    }

    /// All of it in Prometheus' text format, with what was just looked up.
    ///
    /// # Errors
    /// When something cannot be written in that format.
    pub fn text(&self, figures: &Figures) -> Result<String, prometheus::Error> {
        self.0.gauges.set(figures);
        self.0.registry.text()
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
