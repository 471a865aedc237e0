//! Mail over SMTP. Letters are plain text, some with HTML beside it; sending one takes `WITHIN` at most. The server's address may contain a
//! password: it is printed nowhere, and what the mail server answers goes to the log and no further.

use std::time::Duration;

use keydesk_app::mail::{Letter, Mailer, Sending};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// From the first byte to the last.
const WITHIN: Duration = Duration::from_secs(15);

pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp")
    }
}

impl Smtp {
    /// # Errors
    /// A sentence for the terminal; it contains nothing of the address.
    pub fn new(url: &str, from: Option<&str>) -> Result<Self, String> {
        let wrong = "The SMTP address must look like smtps://user:password@mail.example.com, or smtp:// with \
            ?tls=required for STARTTLS. A character with a meaning of its own in a password is written as %XX. Set \
            KEYDESK_SMTP_URL.";
        let rest = url.strip_prefix("smtp://").or_else(|| url.strip_prefix("smtps://")).ok_or(wrong)?;
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let is_local = ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
            host.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        let in_the_clear = url.starts_with("smtp://") && !url.contains("tls=required");
        if in_the_clear && !is_local && place.contains('@') {
            return Err(
                "This SMTP address would send its password in the clear. Use smtps://, or add ?tls=required \
                for STARTTLS. Set KEYDESK_SMTP_URL."
                    .into(),
            );
        }
        let from = from.ok_or("Mail needs an address to come from. Set KEYDESK_MAIL_FROM.")?;
        let from: Mailbox = from.parse().map_err(
            |_| "KEYDESK_MAIL_FROM must look like keydesk@example.com or Keydesk <keydesk@example.com>.",
        )?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| wrong)?
            .timeout(Some(WITHIN))
            .build();
        Ok(Self { transport, from })
    }

    /// Connects and signs in, without sending a mail.
    ///
    /// # Errors
    /// What the mail server or the way to it says.
    pub async fn reach(&self) -> Result<(), String> {
        match tokio::time::timeout(WITHIN, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("the mail server closes the connection".into()),
            Ok(Err(error)) => Err(format!("the mail server cannot be used: {error}")),
            Err(_) => Err(format!("the mail server took longer than {} s", WITHIN.as_secs())),
        }
    }

    async fn hand_over(&self, letter: Letter, html: Option<String>) -> Result<(), String> {
        let to: Mailbox = letter.to.parse().map_err(|_| "the recipient's address is not one")?;
        let message = MessageBuilder::new().from(self.from.clone()).to(to).subject(letter.subject);
        let message: Message = match html {
            None => message.header(ContentType::TEXT_PLAIN).body(letter.text),
            Some(html) => message.multipart(MultiPart::alternative_plain_html(letter.text, html)),
        }
        .map_err(|error| error.to_string())?;
        match tokio::time::timeout(WITHIN, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the mail server took longer than {} s", WITHIN.as_secs())),
        }
    }

    async fn try_to_send(&self, letter: Letter, html: Option<String>) -> bool {
        match self.hand_over(letter, html).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a mail was not sent");
                false
            }
        }
    }
}

impl Mailer for Smtp {
    fn send(&self, letter: Letter) -> Sending<'_> {
        Box::pin(self.try_to_send(letter, None))
    }

    fn send_html(&self, letter: Letter, html: String) -> Sending<'_> {
        Box::pin(self.try_to_send(letter, Some(html)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_mail_server_is_told_at_the_start_and_without_its_password() {
        let from = Some("Keydesk <keydesk@example.com>");
        for wrong in
            ["mail.example.com", "http://mail.example.com", "smtp://me:hunter2@[", "smtp://me:hunter2@x:y"]
        {
            let sentence = Smtp::new(wrong, from).unwrap_err();
            assert!(!sentence.contains("hunter2"), "{sentence}");
        }
        let clear = Smtp::new("smtp://me:hunter2@mail.example.com:587", from).unwrap_err();
        assert!(clear.contains("in the clear") && !clear.contains("hunter2"), "{clear}");
        assert!(Smtp::new("smtps://mail.example.com", None).unwrap_err().contains("KEYDESK_MAIL_FROM"));
        assert!(
            Smtp::new("smtps://mail.example.com", Some("no address"))
                .unwrap_err()
                .contains("KEYDESK_MAIL_FROM")
        );
    }

    #[tokio::test]
    async fn the_usual_addresses_are_understood() {
        for url in [
            "smtps://me:p%40ss@mail.example.com",
            "smtp://me:pass@mail.example.com:587?tls=required",
            "smtp://127.0.0.1:2525",
            "smtp://localhost",
        ] {
            let smtp =
                Smtp::new(url, Some("keydesk@example.com")).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(format!("{smtp:?}"), "Smtp");
        }
    }
}
