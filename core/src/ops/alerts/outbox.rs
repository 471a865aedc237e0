//! Sending, as far as the database knows of it: what is due, put together by who gets it, and how each attempt ended. The
//! server sends; it reports every delivery by its attempt. Mails and posts to webhooks are leased apart, so that neither waits
//! for the other.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::settings::bound;
use crate::Desk;
use crate::domain::alert::{Alert, ChannelForm, Failure, Via as Way};
use crate::domain::ids::ChannelId;
use crate::domain::moment::Moment;
use crate::store::alert_outbox::{self, MailDue, PostDue};
pub use crate::store::alert_outbox::{Attempt, Place};
use crate::store::{StoreError, Unaudited};

/// Alerts of one organisation for one person, in one mail.
pub struct UserMail {
    /// The deliveries that it is.
    pub attempts: Vec<Attempt>,
    /// The organisation.
    pub place: Place,
    /// Where it goes.
    pub email: String,
    /// At least one, the oldest first.
    pub alerts: Vec<Alert>,
}

/// Alerts for one Slack-compatible webhook, in one post.
pub struct SlackDue {
    /// The deliveries that it is.
    pub attempts: Vec<Attempt>,
    /// The organisation.
    pub place: Place,
    /// The channel.
    pub channel: ChannelId,
    /// Where it goes.
    pub url: Zeroizing<String>,
    /// The oldest first; `None` is a test.
    pub alerts: Vec<Option<Alert>>,
}

/// One alert for one signed webhook.
pub struct WebhookDue {
    /// The delivery.
    pub attempt: Attempt,
    /// The organisation.
    pub place: Place,
    /// The channel.
    pub channel: ChannelId,
    /// Where it goes.
    pub url: Zeroizing<String>,
    /// What it is signed with.
    pub secret: Zeroizing<String>,
    /// `None` is a test.
    pub alert: Option<Alert>,
}

/// What is to be posted now.
#[derive(Default)]
pub struct PostsDue {
    /// One for each Slack-compatible webhook.
    pub slack: Vec<SlackDue>,
    /// One for each alert.
    pub webhooks: Vec<WebhookDue>,
}

/// Whether this node does the job until `ms` from now; another one does it otherwise.
///
/// # Errors
/// When the database cannot be written.
pub async fn take_turn(desk: &Desk, job: &str, node: &str, ms: i64) -> Result<bool, StoreError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let taken = alert_outbox::lease_job(&mut tx, job, node, now, now.plus_ms(ms)).await?;
    tx.save_unaudited(Unaudited::Alerts).await?;
    Ok(taken)
}

/// Whether anything is to be sent on this way: cheap enough to ask every second.
///
/// # Errors
/// When the database cannot be read.
pub async fn any_due(desk: &Desk, way: Way) -> Result<bool, StoreError> {
    alert_outbox::any_due(&mut desk.db.read().await?, way, desk.now()).await
}

/// Leases the mails that are due and puts them together, one for each person. What is pointless by now is given up at once.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn mails_due(desk: &Desk) -> Result<Vec<UserMail>, StoreError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let mark = alert_outbox::lease(&mut tx, Way::Mail, u16::from_be_bytes(desk.bytes()), now).await?;
    let letters = match mark {
        Some(mark) => alert_outbox::letters(&mut tx, mark).await?,
        None => vec![],
    };
    let (mails, gone) = group_mails(letters);
    for attempt in gone {
        alert_outbox::failed(&mut tx, &attempt, None, Failure::Gone, now).await?;
    }
    tx.save_unaudited(Unaudited::Alerts).await?;
    Ok(mails)
}

/// Leases the posts to webhooks that are due, and opens their addresses. What is pointless by now is given up at once.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn posts_due(desk: &Desk) -> Result<PostsDue, StoreError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let mark = alert_outbox::lease(&mut tx, Way::Webhook, u16::from_be_bytes(desk.bytes()), now).await?;
    let posts = match mark {
        Some(mark) => alert_outbox::posts(&mut tx, mark).await?,
        None => vec![],
    };
    let mut due = PostsDue::default();
    for (attempt, failure) in open_posts(desk, posts, &mut due) {
        alert_outbox::failed(&mut tx, &attempt, None, failure, now).await?;
    }
    tx.save_unaudited(Unaudited::Alerts).await?;
    Ok(due)
}

/// One mail for each person and organisation. The deliveries of people who may not see the subject any more are left over.
fn group_mails(letters: Vec<MailDue>) -> (Vec<UserMail>, Vec<Attempt>) {
    let mut gone = Vec::new();
    let mut mails: BTreeMap<(String, String), UserMail> = BTreeMap::new();
    for letter in letters {
        if !letter.may_see {
            gone.push(letter.attempt);
            continue;
        }
        let MailDue { attempt, place, person, email, alert, .. } = letter;
        let mail = mails.entry((place.org.to_string(), person.to_string())).or_insert_with(|| UserMail {
            attempts: vec![],
            place,
            email,
            alerts: vec![],
        });
        mail.attempts.push(attempt);
        mail.alerts.push(alert);
    }
    (mails.into_values().collect(), gone)
}

/// The deliveries of channels that are gone, or whose address does not open, are left over.
fn open_posts(desk: &Desk, posts: Vec<PostDue>, due: &mut PostsDue) -> Vec<(Attempt, Failure)> {
    let mut left = Vec::new();
    let mut slack: BTreeMap<String, SlackDue> = BTreeMap::new();
    for post in posts {
        let PostDue { attempt, place, channel, form, url, secret, removed, alert } = post;
        if removed {
            left.push((attempt, Failure::Gone));
            continue;
        }
        let open = |part: &str, sealed: &[u8]| {
            let opened = desk.vault.open_for(&bound(&channel, part), sealed)?;
            String::from_utf8(opened.to_vec()).ok().map(Zeroizing::new)
        };
        let url = open("url", &url);
        let secret = secret.and_then(|secret| open("secret", &secret));
        match (form, url, secret) {
            (ChannelForm::Slack, Some(url), _) => {
                let all = slack.entry(channel.to_string()).or_insert_with(|| SlackDue {
                    attempts: vec![],
                    place,
                    channel,
                    url,
                    alerts: vec![],
                });
                all.attempts.push(attempt);
                all.alerts.push(alert);
            }
            (ChannelForm::Signed, Some(url), Some(secret)) => {
                due.webhooks.push(WebhookDue { attempt, place, channel, url, secret, alert });
            }
            _ => left.push((attempt, Failure::Sealed)),
        }
    }
    due.slack = slack.into_values().collect();
    left
}

/// Notes that these were sent.
///
/// # Errors
/// When the database cannot be written: they are sent once more then.
pub async fn sent(desk: &Desk, attempts: &[Attempt]) -> Result<(), StoreError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    for attempt in attempts {
        alert_outbox::sent(&mut tx, &attempt.id, now).await?;
    }
    tx.save_unaudited(Unaudited::Alerts).await
}

/// Notes that these were not sent, and why.
///
/// # Errors
/// When the database cannot be written: they are tried again when their leases run out.
pub async fn failed(
    desk: &Desk,
    attempts: &[Attempt],
    channel: Option<&ChannelId>,
    failure: Failure,
) -> Result<(), StoreError> {
    let now: Moment = desk.now();
    let mut tx = desk.db.write().await?;
    for attempt in attempts {
        alert_outbox::failed(&mut tx, attempt, channel, failure, now).await?;
    }
    tx.save_unaudited(Unaudited::Alerts).await
}
