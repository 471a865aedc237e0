//! Webhooks of alerts: what is posted, its signature, and the connection. People choose the host, so a name is looked up
//! once, its addresses are checked, and the connection uses those; redirects are not followed, and what the answer says goes
//! nowhere but for its status.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hmac::{Hmac, KeyInit, Mac};
use keydesk_app::path::LocalPath;
use keydesk_core::domain::alert::{Alert, Failure};
use keydesk_core::domain::live_test::{NoAnswer, is_public};
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::alerts::{Place, SlackDue, WebhookDue};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::timeout;

use crate::gateway::upstream::http_client;
use crate::lookup::{CheckedNames, Lookup, no_answer};

/// From the look-up of the name to the head of the answer.
const WITHIN: Duration = Duration::from_secs(10);
/// So many alerts are in one post to a room; the inbox has the others.
const MAX_SHOWN: usize = 20;

/// Posts to webhooks.
pub struct Webhooks {
    client: Option<Client>,
    allow_private: bool,
}

impl Webhooks {
    pub fn new(lookup: Lookup, allow_private: bool) -> Self {
        let build = || {
            // No connection is kept: each post looks the name up.
            let client = http_client()?.pool_max_idle_per_host(0);
            let client = if allow_private {
                client
            } else {
                client.dns_resolver(Arc::new(CheckedNames::public(lookup)))
            };
            client.build().map_err(|error| error.to_string())
        };
        let client = build()
            .inspect_err(|cause| tracing::error!(cause, "cannot create an HTTP client for webhooks"))
            .ok();
        Self { client, allow_private }
    }

    /// # Errors
    /// Why it does not count as delivered: anything but a status of 2xx within ten seconds.
    pub async fn post_slack(&self, due: &SlackDue, base_url: &str) -> Result<(), Failure> {
        let body = json!({ "text": room_text(&due.place, &due.alerts, base_url) });
        self.post(&due.url, HeaderMap::new(), body.to_string()).await
    }

    /// # Errors
    /// As `post_slack`.
    pub async fn post_signed(&self, due: &WebhookDue, base_url: &str, now: Moment) -> Result<(), Failure> {
        let body = facts(due, base_url).to_string();
        let mut headers = HeaderMap::new();
        let id = due.attempt.id.as_str();
        let signature = signature(&due.secret, now.ms() / 1_000, &body);
        for (name, value) in
            [("x-keydesk-delivery", id), ("idempotency-key", id), ("x-keydesk-signature", signature.as_str())]
        {
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| Failure::Sealed)?);
        }
        self.post(&due.url, headers, body).await
    }

    async fn post(&self, url: &str, mut headers: HeaderMap, body: String) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or(Failure::Unreachable)?;
        let url = Url::parse(url).map_err(|_| Failure::Sealed)?;
        // Names are checked by the connection's resolver; an address is not looked up.
        let literal =
            url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').parse();
        if !self.allow_private && literal.is_ok_and(|address| !is_public(address)) {
            return Err(Failure::Private);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = timeout(WITHIN, client.post(url).headers(headers).body(body).send()).await;
        let answer = sent.map_err(|_| Failure::TimedOut)?.map_err(|error| match no_answer(&error) {
            NoAnswer::Private => Failure::Private,
            NoAnswer::TimedOut => Failure::TimedOut,
            _ => Failure::Unreachable,
        })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(Failure::Redirect(status.as_u16())),
            status => Err(Failure::Status(status.as_u16())),
        }
    }
}

/// `t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>" in hex>`
fn signature(secret: &str, seconds: i64, body: &str) -> String {
    // Takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

fn link(place: &Place, alert: &Alert, base_url: &str) -> String {
    format!("{base_url}{}", LocalPath::of_alert(&place.slug, alert).as_str())
}

fn facts(due: &WebhookDue, base_url: &str) -> Value {
    let place = &due.place;
    let org = json!({ "slug": place.slug, "name": place.name });
    let id = due.attempt.id.as_str();
    match &due.alert {
        None => json!({
            "id": id,
            "kind": "test",
            "org": org,
            "heading": "This is a test",
            "details": "Alerts of this organisation will be posted here.",
            "url": format!("{base_url}{}", LocalPath::alert_settings(&place.slug).as_str()),
        }),
        Some(alert) => json!({
            "id": id,
            "alert": alert.id.as_str(),
            "kind": alert.facts.kind().as_str(),
            "org": org,
            "subject": {
                "kind": alert.subject.kind.as_str(),
                "id": alert.subject.id,
                "name": alert.subject.name,
            },
            "threshold": alert.threshold,
            "heading": alert.heading(&place.zone),
            "details": alert.details(&place.zone),
            "facts": serde_json::to_value(&alert.facts).unwrap_or_default(),
            "url": link(place, alert, base_url),
            "created_at": alert.at.rfc3339(),
        }),
    }
}

fn room_text(place: &Place, alerts: &[Option<Alert>], base_url: &str) -> String {
    let line = |alert: &Option<Alert>| match alert {
        None => format!("This is a test. Alerts of {} will be posted here.", escaped(&place.name)),
        Some(alert) => format!(
            "*{}*. {} {}",
            escaped(&alert.heading(&place.zone)),
            escaped(&alert.details(&place.zone)),
            link(place, alert, base_url)
        ),
    };
    let mut lines: Vec<String> = alerts.iter().take(MAX_SHOWN).map(line).collect();
    let more = alerts.len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        lines.push(format!("And {more} more."));
    }
    lines.join("\n")
}

/// Slack reads these three as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::system_lookup;
    use keydesk_core::domain::alert::{Facts, Subject, SubjectKind};
    use keydesk_core::domain::ids::{AlertId, ChannelId, DeliveryId, OrgId};
    use keydesk_core::domain::moment::Zone;
    use keydesk_core::ops::alerts::Attempt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn due(url: &str) -> WebhookDue {
        let at = Moment::from_ms(1_795_550_400_000);
        let place = Place {
            org: OrgId::new(at, [1; 10]),
            slug: "acme".into(),
            name: "Acme".into(),
            zone: Zone::utc(),
        };
        let subject = Subject { kind: SubjectKind::Key, id: "key_1".into(), name: "ci <prod>".into() };
        let facts = Facts::Rejections { gate: "budget".into(), times: 20 };
        WebhookDue {
            attempt: Attempt { id: DeliveryId::new(at, [1; 10]), attempts: 1, created_at: at },
            place,
            channel: ChannelId::new(at, [1; 10]),
            url: url.to_owned().into(),
            secret: "whsec_1".to_owned().into(),
            alert: Some(Alert { id: AlertId::new(at, [1; 10]), subject, threshold: 0, facts, at }),
        }
    }

    #[test]
    fn a_signature_is_what_the_documentation_says() {
        // printf '1795550400.{"a":1}' | openssl dgst -sha256 -hmac whsec_1
        assert_eq!(
            signature("whsec_1", 1_795_550_400, r#"{"a":1}"#),
            "t=1795550400,v1=b170e1d84e29e651dea48508bca1dabd1d0dbfd459700e0b078394a4fe1edbc3"
        );
    }

    #[test]
    fn a_post_has_the_facts_and_a_room_the_words() {
        let due = due("https://hooks.example.com/");
        let facts = facts(&due, "https://keys.example.com");
        assert_eq!(facts["kind"], "rejections");
        assert_eq!(facts["facts"]["times"], 20);
        assert_eq!(facts["url"], "https://keys.example.com/acme/keys/key_1");
        assert_eq!(facts["id"], due.attempt.id.as_str());
        let text = room_text(&due.place, &[due.alert.clone(), None], "https://keys.example.com");
        assert!(
            text.starts_with("*20 requests of ci &lt;prod&gt; were rejected within 10 minutes*."),
            "{text}"
        );
        assert!(text.ends_with("\nThis is a test. Alerts of Acme will be posted here."), "{text}");
        let many = vec![due.alert; 25];
        assert!(room_text(&due.place, &many, "").ends_with("And 5 more."));
    }

    #[tokio::test]
    async fn private_addresses_are_refused_by_name_and_by_number_unless_they_are_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let mut seen = Vec::new();
            for answer in ["200 OK", "302 Found", "500 Broken"] {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 8192];
                let mut text = String::new();
                while !text.ends_with('}') {
                    let read = connection.read(&mut buffer).await.unwrap();
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                let head = format!(
                    "HTTP/1.1 {answer}\r\nlocation: /b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                connection.write_all(head.as_bytes()).await.unwrap();
                seen.push(text);
            }
            seen
        });
        let now = Moment::from_ms(1_795_550_400_000);
        let closed = Webhooks::new(system_lookup(), false);
        for host in ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"] {
            let due = due(&format!("http://{host}:{port}/"));
            assert_eq!(closed.post_signed(&due, "", now).await, Err(Failure::Private), "{host}");
        }
        let open = Webhooks::new(system_lookup(), true);
        let due = due(&format!("http://localhost:{port}/a"));
        assert_eq!(open.post_signed(&due, "", now).await, Ok(()));
        assert_eq!(open.post_signed(&due, "", now).await, Err(Failure::Redirect(302)), "not followed");
        assert_eq!(open.post_signed(&due, "", now).await, Err(Failure::Status(500)));
        let seen = server.await.unwrap();
        let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
        let expected = signature("whsec_1", now.ms() / 1_000, body);
        assert!(head.contains(&format!("x-keydesk-signature: {expected}")), "{head}");
        assert!(head.contains(&format!("x-keydesk-delivery: {}", due.attempt.id)), "{head}");
    }
}
