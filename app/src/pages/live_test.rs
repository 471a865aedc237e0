//! The live test: a form for a secret, and after it what each call was answered and whose error that is.

use keydesk_core::domain::live_test::{ErrorSource, LiveTestReport, TestResult};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::ops::live_test::{self, LiveTestForm};
use leptos::prelude::*;

use super::{field_errors, page, typed};
use crate::ask::{caller, desk, gateway_url, param};
use crate::error::AppError;
use crate::layout::{Page, Width, post_form};
use crate::live_test::LiveTest;
use crate::path::LocalPath;
use crate::sealed::{self, LIVE_TEST};
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::facts::fact;
use crate::ui::field::{TextField, select_field};

#[component]
pub fn LiveTestPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let context = live_test::page(&desk, &caller, &slug).await?;
        let around = use_context::<LiveTest>().ok_or(AppError::Internal)?;
        let path = LocalPath::live_test(&context.org.slug);
        let report: Option<LiveTestReport> = sealed::take(LIVE_TEST, path.as_str(), desk.now());
        let report = report.filter(|report| report.person == caller.person.id);
        let body = view! {
            <div class="stack roomy">{report.as_ref().map(result)} {form(&slug, report.as_ref(), &around)}</div>
        };
        let under = view! {
            <p class="muted">
                "Sends two requests with a key’s secret from this server, and shows whose error each answer is. The secret is not stored."
            </p>
        };
        Ok(Page::new("Test a key", Width::Narrow).under(under).in_org(&context, &caller, body))
    })
}

fn form(slug: &str, report: Option<&LiveTestReport>, around: &LiveTest) -> AnyView {
    let field_errors = field_errors();
    let again = report.map(|report| LiveTestForm {
        url: report.base.clone(),
        protocol: report.protocol.clone(),
        ..Default::default()
    });
    let sent = typed::<LiveTestForm>().or(again).unwrap_or_default().without_secrets();
    let secret = TextField::new("secret", "form[secret]", "Secret").password("off");
    let url = TextField::new("url", "form[url]", "Base URL").inputmode("url").optional();
    let model = TextField::new("model", "form[model]", "Model")
        .help("Left empty, the first model of the list.")
        .optional();
    let hosts: Vec<String> = around.allowed.iter().map(ToString::to_string).collect();
    let hosts =
        if hosts.is_empty() { String::new() } else { format!(" Also allowed: {}.", hosts.join(", ")) };
    let url_help = format!("Left empty, this gateway: {}.{hosts}", gateway_url());
    let protocols = ProviderKind::ALL.map(|kind| (kind.as_str().to_owned(), kind.label().to_owned()));
    let inside = view! {
        {secret.draw(String::new(), &field_errors)}
        {url.draw_with(url_help, sent.url, &field_errors)}
        {select_field(
            "protocol",
            "form[protocol]",
            "Protocol",
            "OpenAI sends the secret as Authorization: Bearer, Anthropic as x-api-key, Gemini as x-goog-api-key.",
            protocols.into(),
            &sent.protocol,
            &field_errors,
        )}
        {model.draw(sent.model, &field_errors)}
        <div class="actions">
            <button class="btn primary">"Test key"</button>
        </div>
    };
    post_form("/api/live-test/run", vec![("org", slug.to_owned())], inside)
}

fn result(report: &LiveTestReport) -> AnyView {
    let not_sent = match report.results.as_slice() {
        [listed] if listed.status.is_none() => {
            Some("The one-token request was not sent, because the first call had no answer.")
        }
        [_] => Some(
            "The one-token request was not sent, because no list named a model. Enter one to send it anyway.",
        ),
        _ => None,
    };
    let read_as = (!report.read_as.is_empty()).then(|| view! { <p>{report.read_as.clone()}</p> });
    view! {
        <section class="stack" id="result">
            <h2>"Result for " <code>{report.base.clone()}</code></h2>
            {read_as}
            {report.results.iter().map(card).collect_view()}
            {not_sent.map(|sentence| view! { <p>{sentence}</p> })}
        </section>
    }
    .into_any()
}

fn card(result: &TestResult) -> impl IntoView + use<> {
    let (tone, word) = match result.source {
        ErrorSource::None => (BadgeTone::Good, "Works"),
        ErrorSource::Gate(_)
        | ErrorSource::Gateway
        | ErrorSource::Provider
        | ErrorSource::Network
        | ErrorSource::BaseUrl => (BadgeTone::Bad, "Failed"),
    };
    let ms = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{} ms", grouped(ms)));
    let status = result.status.map_or_else(|| "No answer".to_owned(), |status| status.to_string());
    let answer = (!result.answer.is_empty()).then(|| {
        let label = format!("Answer to {}", result.call);
        view! {
            <div class="code wraps">
                <pre tabindex="0" role="region" aria-label=label>
                    <code>{result.answer.clone()}</code>
                </pre>
            </div>
        }
    });
    view! {
        <section class="card stack">
            <header>
                <h3>
                    <code>{result.call.clone()}</code>
                </h3>
                {badge(tone, word.into(), String::new())}
            </header>
            <p>{result.sentence.clone()}</p>
            <dl class="facts">
                {fact("Whose error", result.source.label())} {fact("Status", status)}
                {fact("First byte", ms(result.first_byte_ms))} {fact("Latency", ms(result.latency_ms))}
            </dl>
            {answer}
        </section>
    }
}
