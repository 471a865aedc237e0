//! Alerts while the program serves: one node looks for what crossed a line, one sends the mails that are due, and one posts to
//! webhooks. Which one, a lease for each of the three says; should it be lost, each alert is written once all the same, and each delivery is leased by itself.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keydesk_app::mail::alerts::letter;
use keydesk_core::domain::alert::{Failure, Via};
use keydesk_core::domain::ids::ChannelId;
use keydesk_core::ops::alerts::{self, Attempt, Look, PostsDue, UserMail};
use keydesk_core::store::StoreError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::lookup::system_lookup;
use crate::state::AppState;
use crate::webhooks::Webhooks;

/// Between two looks at everything.
const EVERYTHING_EVERY: Duration = Duration::from_secs(5 * 60);
/// Between two looks into the outbox.
const SEND_EVERY: Duration = Duration::from_secs(1);
const SEND_LEASE_MS: i64 = 60_000;
/// Mails that are sent at the same time, and as many posts.
const TOGETHER: usize = 16;
/// What is begun within this time ends while it is leased: the lease of a delivery lasts for two minutes, and no attempt
/// takes longer than 15 seconds.
const BEGIN_WITHIN: Duration = Duration::from_secs(90);

/// Runs until it is dropped.
pub async fn run(state: AppState) {
    let node: String = state.desk.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    tokio::join!(look(&state, &node), mail(&state, &node), post(&state, &node));
}

async fn look(state: &AppState, node: &str) {
    let every = Duration::from_secs(state.config.alert_seconds.into());
    let lease_ms = 3_000 * i64::from(state.config.alert_seconds);
    let mut last: Option<Instant> = None;
    loop {
        let everything = last.is_none_or(|last| last.elapsed() >= EVERYTHING_EVERY);
        let looked = look_once(state, node, lease_ms, everything).await;
        state.metrics.ran("alerts", looked.is_ok(), state.desk.now());
        match looked {
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

/// Sends mails. Posts have a turn of their own: a webhook that hangs keeps no mail waiting.
async fn mail(state: &AppState, node: &str) {
    loop {
        let sent = mail_once(state, node).await;
        state.metrics.ran("alert mails", sent.is_ok(), state.desk.now());
        if let Err(error) = sent {
            tracing::error!(%error, "mails of alerts: tried again at the next turn");
        }
        sleep(SEND_EVERY).await;
    }
}

async fn mail_once(state: &AppState, node: &str) -> Result<(), StoreError> {
    if is_turn(state, Via::Mail, "mails", node).await? {
        // Taken before the leases begin.
        let leased = Instant::now();
        send_mails(state, alerts::mails_due(&state.desk).await?, leased).await;
    }
    Ok(())
}

async fn post(state: &AppState, node: &str) {
    let webhooks = Arc::new(Webhooks::new(system_lookup(), state.config.allow_private_webhooks));
    loop {
        let sent = post_once(state, &webhooks, node).await;
        state.metrics.ran("alert posts", sent.is_ok(), state.desk.now());
        if let Err(error) = sent {
            tracing::error!(%error, "posts of alerts: tried again at the next turn");
        }
        sleep(SEND_EVERY).await;
    }
}

async fn post_once(state: &AppState, webhooks: &Arc<Webhooks>, node: &str) -> Result<(), StoreError> {
    if is_turn(state, Via::Webhook, "posts", node).await? {
        let leased = Instant::now();
        send_posts(state, webhooks, alerts::posts_due(&state.desk).await?, leased).await;
    }
    Ok(())
}

/// Whether something is due on this way, and it is this node's turn to send it.
async fn is_turn(state: &AppState, way: Via, job: &str, node: &str) -> Result<bool, StoreError> {
    let desk = &state.desk;
    Ok(alerts::any_due(desk, way).await? && alerts::take_turn(desk, job, node, SEND_LEASE_MS).await?)
}

async fn send_mails(state: &AppState, mails: Vec<UserMail>, leased: Instant) {
    let mut sending = JoinSet::new();
    for mail in mails {
        if !room(&mut sending, leased).await {
            break;
        }
        let state = state.clone();
        sending.spawn(async move {
            let result = send_mail(&state, &mail).await;
            note(&state, &mail.attempts, None, result).await;
        });
    }
    while sending.join_next().await.is_some() {}
}

async fn send_posts(
    state: &AppState,
    webhooks: &Arc<Webhooks>,
    PostsDue { slack, webhooks: signed }: PostsDue,
    leased: Instant,
) {
    let mut sending = JoinSet::new();
    for due in slack {
        if !room(&mut sending, leased).await {
            break;
        }
        let (state, webhooks) = (state.clone(), webhooks.clone());
        sending.spawn(async move {
            let result = webhooks.post_slack(&due, &state.config.base_url()).await;
            note(&state, &due.attempts, Some(&due.channel), result).await;
        });
    }
    let failing: Arc<Mutex<HashSet<String>>> = Arc::default();
    for due in signed {
        if !room(&mut sending, leased).await {
            break;
        }
        // What else is due for it was put off with the one that failed.
        if failing.lock().unwrap_or_else(PoisonError::into_inner).contains(due.channel.as_str()) {
            continue;
        }
        let (state, webhooks, failing) = (state.clone(), webhooks.clone(), failing.clone());
        sending.spawn(async move {
            let now = state.desk.now();
            let result = webhooks.post_signed(&due, &state.config.base_url(), now).await;
            if result.is_err() {
                failing.lock().unwrap_or_else(PoisonError::into_inner).insert(due.channel.to_string());
            }
            note(&state, &[due.attempt], Some(&due.channel), result).await;
        });
    }
    while sending.join_next().await.is_some() {}
}

/// Waits until one more may be sent. Says whether it may: what is not begun in time is leased anew, by whichever node has the
/// turn then, so it must not be sent here too.
async fn room(sending: &mut JoinSet<()>, leased: Instant) -> bool {
    while sending.len() >= TOGETHER {
        sending.join_next().await;
    }
    leased.elapsed() < BEGIN_WITHIN
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_begun_that_would_outlive_its_lease() {
        let mut sending = JoinSet::new();
        assert!(room(&mut sending, Instant::now()).await);
        let long_ago = Instant::now().checked_sub(BEGIN_WITHIN).unwrap();
        assert!(!room(&mut sending, long_ago).await);
    }
}
