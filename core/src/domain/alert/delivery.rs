//! One alert on its way to one person or channel: its states, why an attempt failed, and when the next one is made.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{ChannelId, DeliveryId};
use crate::domain::key_format::refuse_secret;
use crate::domain::moment::Moment;
use crate::domain::parse_error::ParseError;

const MAX_NAME: usize = 60;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// On which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The inbox.
    Inbox,
    /// Mail.
    Mail,
    /// A webhook.
    Webhook,
}

impl Via {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Via::Inbox => "inbox",
            Via::Mail => "mail",
            Via::Webhook => "webhook",
        }
    }

    /// Reads the word that [`Via::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Via::Inbox, Via::Mail, Via::Webhook].into_iter().find(|via| via.as_str() == text)
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// Handed over.
    Sent,
    /// Tried, and tried again later.
    Failed,
    /// Tried for a day, or pointless.
    GivenUp,
}

impl DeliveryState {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Sent => "sent",
            DeliveryState::Failed => "failed",
            DeliveryState::GivenUp => "given_up",
        }
    }

    /// Reads the word that [`DeliveryState::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [DeliveryState::Pending, DeliveryState::Sent, DeliveryState::Failed, DeliveryState::GivenUp]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Its name on the page.
    pub const fn label(self) -> &'static str {
        match self {
            DeliveryState::Pending => "Waiting",
            DeliveryState::Sent => "Sent",
            DeliveryState::Failed => "Trying again",
            DeliveryState::GivenUp => "Given up",
        }
    }
}

/// Why an attempt failed: a closed list, so that nothing of another server's answer reaches a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer in time.
    TimedOut,
    /// The name has no address, or there is no connection.
    Unreachable,
    /// The address is not of the public internet.
    Private,
    /// It answered with a redirect, which is not followed.
    Redirect(u16),
    /// It answered with another status than 2xx.
    Status(u16),
    /// The mail server did not take it.
    Mail,
    /// The installation sends no mail.
    NoMail,
    /// The person may not see the subject any more, or the channel is gone.
    Gone,
    /// The sealed address cannot be opened with this installation's key.
    Sealed,
}

impl Failure {
    /// The word in the database.
    pub fn code(self) -> String {
        match self {
            Failure::TimedOut => "timeout".into(),
            Failure::Unreachable => "unreachable".into(),
            Failure::Private => "private".into(),
            Failure::Redirect(status) => format!("redirect:{status}"),
            Failure::Status(status) => format!("status:{status}"),
            Failure::Mail => "mail".into(),
            Failure::NoMail => "no_mail".into(),
            Failure::Gone => "gone".into(),
            Failure::Sealed => "sealed".into(),
        }
    }

    /// Reads the word that [`Failure::code`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, status) = text.split_once(':').unwrap_or((text, ""));
        Some(match word {
            "timeout" => Failure::TimedOut,
            "unreachable" => Failure::Unreachable,
            "private" => Failure::Private,
            "redirect" => Failure::Redirect(status.parse().ok()?),
            "status" => Failure::Status(status.parse().ok()?),
            "mail" => Failure::Mail,
            "no_mail" => Failure::NoMail,
            "gone" => Failure::Gone,
            "sealed" => Failure::Sealed,
            _ => return None,
        })
    }

    /// In a sentence for the delivery log.
    pub fn sentence(self) -> String {
        match self {
            Failure::TimedOut => "No answer within 10 seconds.".into(),
            Failure::Unreachable => "The host could not be reached.".into(),
            Failure::Private => "The host has an address of a private network.".into(),
            Failure::Redirect(status) => format!("It answered {status}. Redirects are not followed."),
            Failure::Status(status) => format!("It answered {status}."),
            Failure::Mail => "The mail server did not take it.".into(),
            Failure::NoMail => "This installation sends no mail.".into(),
            Failure::Gone => "The recipient may not see it any more.".into(),
            Failure::Sealed => "The webhook's address cannot be read. Add the webhook again.".into(),
        }
    }

    /// Trying again changes nothing.
    pub const fn is_final(self) -> bool {
        matches!(self, Failure::Gone | Failure::NoMail | Failure::Sealed)
    }
}

/// When a delivery is tried again.
pub struct Backoff;

impl Backoff {
    /// So long after it was written, a delivery is given up.
    pub const GIVE_UP_MS: i64 = 24 * HOUR;

    /// After this many attempts: a minute, twice as long each time, up to six hours.
    pub fn wait_ms(attempts: i64) -> i64 {
        let doublings = attempts.saturating_sub(1).clamp(0, 16);
        (MINUTE << doublings).min(6 * HOUR)
    }
}

/// How a webhook is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelForm {
    /// `{"text": …}`, as Slack, Mattermost and others take it.
    Slack,
    /// JSON with all facts, and a signature.
    Signed,
}

impl ChannelForm {
    /// The word in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            ChannelForm::Slack => "slack",
            ChannelForm::Signed => "signed",
        }
    }

    /// Reads the word that [`ChannelForm::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [ChannelForm::Slack, ChannelForm::Signed].into_iter().find(|form| form.as_str() == text)
    }

    /// Its name on pages.
    pub const fn label(self) -> &'static str {
        match self {
            ChannelForm::Slack => "Slack or compatible",
            ChannelForm::Signed => "Signed JSON",
        }
    }
}

/// A webhook as pages show it. Its address is a secret of its own: only the host is shown.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The name that people gave it.
    pub name: String,
    /// How it is written.
    pub form: ChannelForm,
    /// Of the address.
    pub host: String,
    /// When it was added.
    pub created_at: Moment,
}

/// One row of the delivery log.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id; receivers of webhooks tell repetitions by it.
    pub id: DeliveryId,
    /// On which way.
    pub via: Via,
    /// The person's or the channel's name.
    pub to: String,
    /// The alert; `None` is a test.
    pub alert: Option<super::Alert>,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// When the next attempt is made, while there is one.
    pub next_at: Moment,
    /// Why the last attempt failed.
    pub failure: Option<Failure>,
    /// When it was written.
    pub created_at: Moment,
    /// When it was sent or given up.
    pub done_at: Option<Moment>,
}

/// The name of a channel.
///
/// # Errors
/// A sentence when it is empty, too long or has a secret in it.
pub fn parse_channel_name(text: &str) -> Result<String, ParseError> {
    let name = text.trim();
    refuse_secret(name)?;
    if name.is_empty() {
        return Err(ParseError::new("Enter a name, such as the room's."));
    }
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(ParseError::new(format!("A name has {MAX_NAME} characters or fewer, on one line.")));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_from_a_minute_to_six_hours_and_stay_there() {
        let minutes = |attempts| Backoff::wait_ms(attempts) / MINUTE;
        assert_eq!([0, 1, 2, 3, 9, 10, 1_000].map(minutes), [1, 1, 2, 4, 256, 360, 360]);
    }

    #[test]
    fn a_failure_reads_back_and_nothing_else_is_one() {
        for failure in [
            Failure::TimedOut,
            Failure::Unreachable,
            Failure::Private,
            Failure::Redirect(302),
            Failure::Status(500),
            Failure::Mail,
            Failure::NoMail,
            Failure::Gone,
            Failure::Sealed,
        ] {
            assert_eq!(Failure::parse(&failure.code()), Some(failure));
        }
        assert_eq!(Failure::parse(""), None);
        assert_eq!(Failure::parse("<script>"), None);
    }
}
