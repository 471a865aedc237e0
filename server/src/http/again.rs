//! A form that could not be saved because the database is not available, and whose page cannot be drawn either: a plain
//! page that holds what was typed and sends it again. It needs nothing but the form.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use keydesk_app::error::AppError;

use super::assets;

/// `values` are all fields as they were sent; those in `secret` are typed again.
pub fn page(action: &str, values: &[(String, String)], secret: &[&str]) -> Response {
    let field = |(name, value): &(String, String)| {
        let name_text = escaped(name);
        // A link's token is on the form's own page too, and no person can type it.
        if secret.contains(&name.as_str()) && name != "form[token]" {
            let words = label(name);
            return format!(
                "<label class=\"field\">{words}<input class=\"input\" type=\"password\" name=\"{name_text}\" autocomplete=\"off\"></label>"
            );
        }
        format!("<input type=\"hidden\" name=\"{name_text}\" value=\"{}\">", escaped(value))
    };
    let fields: String = values.iter().map(field).collect();
    let (sentence, action, pkg) = (AppError::Unavailable.sentence(), escaped(action), assets::folder());
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Not saved · Keydesk</title><link rel=\"stylesheet\" href=\"/{pkg}/keydesk.css\"></head>\
         <body><main class=\"solo\" id=\"main\"><section class=\"card\"><h1>Not saved</h1><p>{sentence} What you typed is kept on this page.</p>\
         <form method=\"post\" action=\"{action}\">{fields}<button class=\"btn primary\" type=\"submit\">Try again</button></form></section></main></body></html>"
    );
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Html(html)).into_response();
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn label(name: &str) -> &'static str {
    match name.rsplit('[').next().unwrap_or_default() {
        "password]" => "Password",
        "current]" => "Current password",
        "code]" => "Code",
        "recovery]" => "Recovery code",
        _ => "Key",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_typed_is_kept_as_text_and_a_password_is_not() {
        let values = [("form[name]", "<b>\"x\""), ("form[password]", "violet tram"), ("form[token]", "t1")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer = page("/api/a", &values, &["form[password]", "form[token]"]);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let html = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let html = String::from_utf8(html.to_vec()).unwrap();
        assert!(html.contains("value=\"&lt;b&gt;&quot;x&quot;\"") && html.contains("value=\"t1\""), "{html}");
        assert!(html.contains("name=\"form[password]\"") && !html.contains("violet"), "{html}");
    }
}
