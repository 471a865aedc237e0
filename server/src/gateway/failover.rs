//! To whom a request is sent, of a model with several providers, and what became of each attempt.
//!
//! A request is sent again only while nothing was sent to its client, and only after an attempt that cost nothing as far as
//! anyone can know: no connection, a refusal, or a server error that reports no use. So one attempt of a request is charged
//! at most. `forward` asks here before it sends and after each answer.

use std::collections::VecDeque;

use keydesk_core::Desk;
use keydesk_core::admission::{self, MetWith, ProviderWatch, Target};
use keydesk_core::domain::failover::{ATTEMPTS_WITHIN_MS, Attempt, Candidate, MAX_ATTEMPTS, order};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::provider::Provider;
use keydesk_core::domain::provider_failure::MetFailure;
use keydesk_core::store::StoreError;

use crate::metrics::Metrics;

/// Who may serve a request.
pub struct Serving {
    pub target: Target,
    /// The provider's name of the model.
    pub model: String,
}

/// Those who may serve a request, in the order in which they are asked.
pub struct Plan {
    queue: VecDeque<Serving>,
    is_shared: bool,
}

/// Chooses among the model's providers by their weights, those that failed a moment ago last. `first` is the one that the
/// model is routed to.
///
/// # Errors
/// When the database cannot be read.
pub async fn plan(
    desk: &Desk,
    watch: &ProviderWatch,
    model: &Model,
    first: Target,
) -> Result<Plan, StoreError> {
    let name = model.name_upstream().to_owned();
    let Target::Provider(provider) = &first else { return Ok(Plan::of(vec![(1, first, name)], &[])) };
    let further = admission::further_providers(desk, model, provider.spec.kind).await?;
    let mut all = vec![(model.weight, first, name)];
    all.extend(further.into_iter().map(|(provider, one)| {
        let name = if one.upstream_name.is_empty() { model.id.clone() } else { one.upstream_name };
        (one.weight, Target::Provider(Box::new(provider)), name)
    }));
    if all.len() == 1 {
        return Ok(Plan::of(all, &[0]));
    }
    let now = desk.now();
    let candidate = |(weight, target, _): &(i64, Target, String)| Candidate {
        weight: *weight,
        is_passed_over: provider_of(target).is_some_and(|one| watch.is_passed_over(&one.id, now)),
    };
    let candidates: Vec<Candidate> = all.iter().map(candidate).collect();
    let places = order(&candidates, || u64::from_be_bytes(desk.bytes()));
    Ok(Plan::of(all, &places))
}

fn provider_of(target: &Target) -> Option<&Provider> {
    match target {
        Target::Demonstration => None,
        Target::Provider(provider) => Some(provider),
    }
}

impl Plan {
    fn of(all: Vec<(i64, Target, String)>, places: &[usize]) -> Self {
        let is_shared = all.len() > 1;
        let mut all: Vec<Option<Serving>> =
            all.into_iter().map(|(_, target, model)| Some(Serving { target, model })).collect();
        let ordered = places.iter().filter_map(|place| all.get_mut(*place)?.take()).collect();
        let mut plan = Self { queue: ordered, is_shared };
        plan.queue.extend(all.into_iter().flatten());
        plan.queue.truncate(MAX_ATTEMPTS);
        plan
    }

    /// Who is asked next.
    pub fn next(&mut self) -> Option<Serving> {
        self.queue.pop_front()
    }

    pub fn has_next(&self) -> bool {
        !self.queue.is_empty()
    }

    /// No other one is asked.
    pub fn give_up(&mut self) {
        self.queue.clear();
    }

    /// Whether several serve the model, so that the attempts are kept.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }
}

/// How an attempt ended.
pub struct Ended<'a> {
    /// HTTP status; 0 without an answer.
    pub status: i64,
    pub failure: Option<&'a MetFailure>,
}

/// The attempts of a request so far.
pub struct Attempts {
    desk: Desk,
    watch: ProviderWatch,
    metrics: Metrics,
    request: RequestId,
    model: String,
    began_at: Moment,
    kept: Vec<Attempt>,
}

impl Attempts {
    pub fn new(
        desk: Desk,
        watch: ProviderWatch,
        metrics: Metrics,
        request: RequestId,
        model: String,
    ) -> Self {
        let began_at = desk.now();
        Self { desk, watch, metrics, request, model, began_at, kept: Vec::new() }
    }

    /// An attempt begins now.
    pub fn begin(&self, target: &Target) -> Moment {
        let now = self.desk.now();
        if let Some(provider) = provider_of(target) {
            self.watch.begin(&provider.id, now);
        }
        now
    }

    /// Notes how the attempt ended that began then.
    pub fn note(&mut self, target: &Target, began_at: Moment, ended: &Ended<'_>) {
        let Some(provider) = provider_of(target) else { return };
        let now = self.desk.now();
        match ended.failure {
            Some(met) => {
                let with = MetWith { model: &self.model, request: self.request.as_str() };
                self.watch.note_failure(&provider.id, met, with, now);
            }
            None => self.watch.note_answer(&provider.id, now),
        }
        let latency_ms = now.ms().saturating_sub(began_at.ms()).max(0);
        let failure = ended.failure.map(|met| met.failure);
        self.metrics.asked_provider(&provider.spec.name, ended.status, failure, latency_ms);
        self.kept.push(Attempt {
            provider: provider.id.clone(),
            provider_name: provider.spec.name.clone(),
            began_at,
            latency_ms,
            status: ended.status,
            failure,
        });
    }

    /// Whether there is time for another attempt.
    pub fn has_time(&self) -> bool {
        self.desk.now().ms().saturating_sub(self.began_at.ms()) < ATTEMPTS_WITHIN_MS
    }

    pub fn take(self) -> Vec<Attempt> {
        self.kept
    }
}
