//! Alerts while the program serves: one node looks for what crossed a line, and one sends what is due. Which one, a lease in
//! the database says; should it be lost, each alert is written once all the same, and each delivery is leased by itself.

use std::sync::Arc;
use std::time::Duration;

use keydesk_app::mail::alerts::letter;
use keydesk_core::domain::alert::Failure;
use keydesk_core::domain::ids::ChannelId;
use keydesk_core::ops::alerts::{self, Attempt, Look, UserMail};
use keydesk_core::store::StoreError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::live_test::system_lookup;
use crate::state::AppState;
use crate::webhooks::Webhooks;

/// Between two looks at everything.
const EVERYTHING_EVERY: Duration = Duration::from_secs(5 * 60);
/// Between two looks into the outbox.
const SEND_EVERY: Duration = Duration::from_secs(1);
const SEND_LEASE_MS: i64 = 60_000;
/// Sent at the same time.
const TOGETHER: usize = 16;

/// Runs until it is dropped.
pub async fn run(state: AppState) {
    let node: String = state.desk.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    tokio::join!(look(&state, &node), send(&state, &node));
}

async fn look(state: &AppState, node: &str) {
    let every = Duration::from_secs(state.config.alert_seconds.into());
    let lease_ms = 3_000 * i64::from(state.config.alert_seconds);
    let mut last: Option<Instant> = None;
    loop {
        let everything = last.is_none_or(|last| last.elapsed() >= EVERYTHING_EVERY);
        match look_once(state, node, lease_ms, everything).await {
            Ok(looked) if looked && everything => last = Some(Instant::now()),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "alerts: tried again at the next turn"),
        }
        sleep(every).await;
    }
}

/// Says whether it was this node's turn.
async fn look_once(
    state: &AppState,
    node: &str,
    lease_ms: i64,
    everything: bool,
) -> Result<bool, StoreError> {
    if !alerts::take_turn(&state.desk, "alerts", node, lease_ms).await? {
        return Ok(false);
    }
    let what = if everything { Look::Everything } else { Look::Recent };
    let written = alerts::look(&state.desk, what, state.mailer.is_some()).await?;
    if written > 0 {
        tracing::info!(written, "alerts written");
    }
    Ok(true)
}

async fn send(state: &AppState, node: &str) {
    let webhooks = Arc::new(Webhooks::new(system_lookup(), state.config.allow_private_webhooks));
    loop {
        if let Err(error) = send_once(state, &webhooks, node).await {
            tracing::error!(%error, "deliveries of alerts: tried again at the next turn");
        }
        sleep(SEND_EVERY).await;
    }
}

/// Sends what is due, each on its own: a server that hangs keeps none of the others waiting.
async fn send_once(state: &AppState, webhooks: &Arc<Webhooks>, node: &str) -> Result<(), StoreError> {
    let desk = &state.desk;
    if !alerts::any_due(desk).await? || !alerts::take_turn(desk, "deliveries", node, SEND_LEASE_MS).await? {
        return Ok(());
    }
    let due = alerts::due(desk).await?;
    let mut sending = JoinSet::new();
    for mail in due.mails {
        room(&mut sending).await;
        let state = state.clone();
        sending.spawn(async move {
            let result = send_mail(&state, &mail).await;
            note(&state, &mail.attempts, None, result).await;
        });
    }
    for due in due.slack {
        room(&mut sending).await;
        let (state, webhooks) = (state.clone(), webhooks.clone());
        sending.spawn(async move {
            let result = webhooks.post_slack(&due, &state.config.base_url()).await;
            note(&state, &due.attempts, Some(&due.channel), result).await;
        });
    }
    for due in due.webhooks {
        room(&mut sending).await;
        let (state, webhooks) = (state.clone(), webhooks.clone());
        sending.spawn(async move {
            let now = state.desk.now();
            let result = webhooks.post_signed(&due, &state.config.base_url(), now).await;
            note(&state, &[due.attempt], Some(&due.channel), result).await;
        });
    }
    while sending.join_next().await.is_some() {}
    Ok(())
}

/// Waits until one more may be sent.
async fn room(sending: &mut JoinSet<()>) {
    while sending.len() >= TOGETHER {
        sending.join_next().await;
    }
}

async fn send_mail(state: &AppState, mail: &UserMail) -> Result<(), Failure> {
    let mailer = state.mailer.as_ref().ok_or(Failure::NoMail)?;
    let (letter, html) = letter(mail, &state.config.base_url());
    if mailer.send_html(letter, html).await { Ok(()) } else { Err(Failure::Mail) }
}

async fn note(
    state: &AppState,
    attempts: &[Attempt],
    channel: Option<&ChannelId>,
    result: Result<(), Failure>,
) {
    let noted = match result {
        Ok(()) => alerts::sent(&state.desk, attempts).await,
        Err(failure) => alerts::failed(&state.desk, attempts, channel, failure).await,
    };
    if let Err(error) = noted {
        tracing::error!(%error, "a delivery's end is not written: it is tried again in two minutes");
    }
}
