//! The document around every page: the head, the theme, the scripts with their nonce, and the policy that forbids
//! everything else.

use http::{HeaderValue, header};
use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::ops::access::Caller;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::{MetaTags, provide_meta_context};

use crate::ask::parts;
use crate::islands::Enhancements;
use crate::routes::App;
use crate::ui::icon::{Icon, icon};

/// Where the browser's files are, with a version in the path, so that they can be kept for ever.
#[derive(Clone)]
pub struct Assets(pub String);

/// Pages may load this host's files, run what carries this answer's nonce, and nothing else.
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; \
         report-uri /csp-report"
    )
}

pub fn shell(options: LeptosOptions) -> impl IntoView {
    provide_meta_context();
    let nonce = use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
    if let (Some(response), Ok(policy)) =
        (use_context::<ResponseOptions>(), HeaderValue::from_str(&content_security_policy(&nonce)))
    {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
    let person =
        parts().and_then(|parts| parts.extensions.get::<Caller>().map(|caller| caller.person.clone()));
    // What support looks at is written down: a page that was only fetched ahead is no look.
    let fetches_ahead = person.as_ref().is_none_or(|person| person.platform != PlatformRole::Support);
    let theme = person.map_or_else(|| "system".into(), |person| person.theme);
    let pkg = options.site_pkg_dir.to_string();
    // Pages are fetched when the pointer rests on their link. Not so a page that shows a secret, nor links beside a form:
    // what is fetched before a change must not be shown after it.
    let rules = r#"{"prefetch":[{"where":{"and":[{"href_matches":"/*"},{"not":{"href_matches":"/*/issued"}},{"not":{"selector_matches":"form a, .crumbs a, .bullets a"}}]},"eagerness":"moderate"}]}"#;
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="robots" content="noindex" />
                <link rel="icon" href=format!("/{pkg}/icon.svg") type="image/svg+xml" />
                <link rel="stylesheet" href=format!("/{pkg}/keydesk.css") />
                <HydrationScripts options islands=true />
                {fetches_ahead.then(|| view! { <script type="speculationrules" nonce=nonce inner_html=rules></script> })}
                <MetaTags />
            </head>
            <body>
                <App />
                <template id="mistake">
                    <p class="error">{icon(Icon::Bad)} <span></span></p>
                </template>
                <template id="trouble">
                    <div class="notice bad" role="alert" tabindex="-1">
                        {icon(Icon::Bad)} <div>
                            <p></p>
                        </div>
                    </div>
                </template>
                <template id="unauthenticated">
                    <div class="notice bad" role="alert" tabindex="-1">
                        {icon(Icon::Bad)} <div>
                            <p>
                                "You are signed out, so nothing was saved. What you typed is still here: "
                                <a href="/sign-in" target="_blank">"sign in in a new tab"</a>
                                ", then come back and send it again."
                            </p>
                        </div>
                    </div>
                </template>
                <Enhancements />
            </body>
        </html>
    }
}
