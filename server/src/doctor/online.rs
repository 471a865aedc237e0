//! What `keydesk doctor --online` calls: this installation at its own addresses, the mail server, and every provider's list of
//! models, which costs nothing.

use std::time::Duration;

use keydesk_core::Desk;
use keydesk_core::ops::connection;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use super::report::Report;
use crate::config::ServeConfig;
use crate::gateway::tls;
use crate::gateway::upstream::Upstreams;
use crate::open::op_error;

const WITHIN: Duration = Duration::from_secs(10);

/// Addresses of people and of clients. Nothing has to run for the other checks, so here it is a failure.
pub async fn addresses(report: &mut Report, config: &ServeConfig) {
    let (desk, gateway) = (config.base_url(), config.gateway_url());
    for (what, url, variable) in
        [("base URL", &desk, "KEYDESK_BASE_URL"), ("gateway URL", &gateway, "KEYDESK_GATEWAY_URL")]
    {
        if what == "gateway URL" && gateway == desk {
            continue;
        }
        match answers(url).await {
            Ok(()) => report.fine(what, format!("{url} answers from here")),
            Err(cause) => report.fail(
                what,
                format!("{url} {cause}. Check that Keydesk runs, its proxy, DNS and {variable}."),
            ),
        }
    }
}

async fn answers(url: &str) -> Result<(), String> {
    let client = Client::builder().tls_backend_preconfigured(tls()?).redirect(Policy::none()).timeout(WITHIN);
    let client = client.no_proxy().build().map_err(|error| format!("cannot be called: {error}"))?;
    let asked = client.get(format!("{url}/healthz")).send().await;
    let answer = asked.map_err(|error| format!("cannot be reached: {}", cause(error)))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    match status {
        StatusCode::OK if text == "ok\n" => Ok(()),
        StatusCode::OK => Err("is answered by another program".into()),
        status if status.is_redirection() => Err(format!("redirects ({status})")),
        status => Err(format!("answers {status}")),
    }
}

/// The last cause says what is wrong, such as a certificate.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

pub async fn mail(report: &mut Report, config: &ServeConfig) {
    let Ok(Some(smtp)) = config.mail() else { return };
    match smtp.reach().await {
        Ok(()) => report.fine("mail server", "it answers, and takes the account"),
        Err(cause) => report.fail("mail server", format!("{cause}. Check KEYDESK_SMTP_URL.")),
    }
}

/// With the environment of this command, not of a running server.
pub async fn providers(report: &mut Report, desk: &Desk) {
    let proxies = match ServeConfig::proxies() {
        Ok(proxies) => proxies,
        // The configuration's check has said it.
        Err(_) => return,
    };
    let calls = Upstreams::default().with_vault(desk.provider_vault.clone()).with_proxies(proxies);
    match connection::list_all(desk, &calls).await {
        Err(error) => report.fail("providers", op_error(error)),
        Ok(listed) => {
            for (name, step) in listed {
                match step.ok {
                    true => report.fine("providers", format!("{name} lists its models")),
                    false => report.fail(
                        "providers",
                        format!("{name}: {} Test it with: keydesk providers test {name:?}", step.sentence),
                    ),
                }
            }
        }
    }
}
