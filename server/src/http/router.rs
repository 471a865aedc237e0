//! Every route and every layer, to be read from top to bottom.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::StatusCode;
use keydesk_app::ask::{BaseUrl, DoctorSettings, GatewayUrl};
use keydesk_app::credentials::Credentials;
use keydesk_app::error::AppError;
use keydesk_app::live_test::LiveTest;
use keydesk_app::mail::Post;
use keydesk_app::provider_calls::ProviderCalls;
use keydesk_app::routes::App;
use keydesk_app::sealed::Seal;
use keydesk_app::shell::shell;
use keydesk_core::ops::account::SessionLife;
use leptos::prelude::provide_context;
use leptos::server_fn::axum::server_fn_paths;
use leptos_axum::{LeptosRoutes, generate_route_list_with_exclusions, render_app_async_with_context};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};

use super::health::Readiness;
use super::searches::Searches;
use super::session_store::Sessions;
use super::{
    assets, caller, export, forms, headers, health, leaks, limits, metrics, paths, request, same_origin,
    searches, session_store, spend,
};
use crate::gateway::{self, drain};
use crate::state::AppState;

pub fn router(state: AppState) -> Router {
    // For programs, with a key: no session, no cookie, no same-origin question. They may have a port of their own.
    let gateway =
        if state.config.gateway_listen.is_none() { gateway::routes(&state) } else { gateway::moved_routes() };

    // For browsers, with a session. A layer stands around those that come before it in this list.
    let document = {
        let options = state.leptos.clone();
        move || shell(options.clone())
    };
    let actions_apart = server_fn_paths().map(|(path, _)| path.to_owned()).collect();
    let routes = generate_route_list_with_exclusions(App, Some(actions_apart));
    let pages: Router = Router::new()
        .leptos_routes_with_context(&state, routes, contexts(&state), document.clone())
        .fallback(render_app_async_with_context(contexts(&state), document))
        .with_state(state.clone());
    let files = Router::new()
        .route(spend::TABLE, get(spend::table))
        .route(spend::FOCUS, get(spend::focus))
        .with_state(state.clone());
    let desk = actions(&state, &pages)
        .merge(files)
        .merge(limits::routes(&state))
        .merge(pages)
        .layer(compression())
        .layer(from_fn_with_state(state.clone(), forms::show_kept))
        .layer(from_fn_with_state(Searches::default(), searches::throttle))
        .layer(from_fn_with_state(state.clone(), caller::identify))
        .layer(sessions(&state))
        .layer(map_response(session_store::complete_removal))
        .layer(from_fn(forms::gather))
        .layer(from_fn_with_state(state.clone(), same_origin::require))
        .layer(from_fn_with_state(state.clone(), gateway::missed::help));

    // For machines and for everyone's browser.
    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).layer(Extension(Readiness::default())))
        .route("/csp-report", post(health::csp_report))
        .route(leaks::PATH, post(leaks::report))
        .route("/robots.txt", get(assets::robots))
        .route("/favicon.ico", get(assets::icon))
        .route("/pkg/{version}/{name}", get(assets::serve))
        .merge(metrics::among_others(&state));

    Router::new()
        .merge(open.merge(gateway).with_state(state.clone()))
        .merge(desk)
        .layer(from_fn(paths::require))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(drain::unread))
        .layer(from_fn_with_state(state.clone(), headers::add))
        .layer(from_fn_with_state(state, request::note))
}

/// The metrics on a port of their own.
pub fn metrics_router(state: AppState) -> Router {
    metrics::apart(&state)
        .with_state(state.clone())
        .layer(from_fn(drain::unread))
        .layer(from_fn_with_state(state.clone(), headers::add))
        .layer(from_fn_with_state(state, request::note))
}

/// The gateway on a port of its own.
pub fn gateway_router(state: AppState) -> Router {
    // Beside the desk the metrics are at the desk's port.
    let metrics =
        if state.config.gateway_listen.is_none() { metrics::among_others(&state) } else { Router::new() };
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).layer(Extension(Readiness::default())))
        .merge(gateway::routes(&state))
        .merge(metrics)
        .fallback(gateway::missed::answer)
        .with_state(state.clone())
        .layer(from_fn(paths::require))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(drain::unread))
        .layer(from_fn_with_state(state.clone(), headers::add))
        .layer(from_fn_with_state(state, request::note))
}

/// One route for each action, so that an address that is none is not found; and those that answer with a file, which a
/// server function cannot.
fn actions(state: &AppState, pages: &Router) -> Router {
    server_fn_paths()
        .fold(Router::new(), |router, (path, method)| {
            // A later action that reads with GET would need its own thought about what stands in an address.
            assert_eq!(method, http::Method::POST, "{path} is not posted");
            router.route(path, post(act))
        })
        .route(export::AUDIT, post(export::audit))
        .route(export::REQUESTS, post(export::requests))
        .route(export::REQUEST_LOG, post(export::request_log))
        .with_state(state.clone())
        .layer(from_fn_with_state((state.clone(), pages.clone()), forms::answer))
}

async fn act(State(state): State<AppState>, request: Request) -> Response {
    leptos_axum::handle_server_fns_with_context(contexts(&state), request).await.into_response()
}

/// What pages and actions find around them.
fn contexts(state: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let state = state.clone();
    // Whether, never what.
    let credentials: Arc<dyn Fn(&str) -> bool + Send + Sync> =
        Arc::new(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let live_test = LiveTest {
        probe: state.probe.clone(),
        own: vec![state.config.gateway_url(), state.config.base_url()],
        allowed: state.config.live_test_hosts.clone().into(),
    };
    move || {
        provide_context(state.desk.clone());
        provide_context(BaseUrl(state.config.base_url()));
        provide_context(GatewayUrl(state.config.gateway_url()));
        provide_context(DoctorSettings {
            public: state.config.public_doctor,
            linked: state.config.base_url.is_some(),
        });
        provide_context(session_life(&state));
        provide_context(Credentials(credentials.clone()));
        provide_context(ProviderCalls(Arc::new(state.gateway.upstreams.clone())));
        provide_context(live_test.clone());
        if let Some(mailer) = &state.mailer {
            provide_context(Post(mailer.clone()));
        }
        provide_context(Seal { keys: state.cookie_keys.all(), secure: state.config.secure() });
    }
}

fn session_life(state: &AppState) -> SessionLife {
    let minute = 60_000;
    SessionLife {
        idle_ms: state.config.session_idle_minutes * minute,
        whole_ms: state.config.session_hours * 60 * minute,
    }
}

fn sessions(state: &AppState) -> SessionManagerLayer<Sessions> {
    let config = &state.config;
    let store = Sessions::new(state.desk.clone(), session_life(state));
    SessionManagerLayer::new(store)
        .with_name(session_store::cookie_name(config.secure()))
        .with_secure(config.secure())
        .with_http_only(true)
        // Lax, not Strict: a link in a mail must not look signed out. What changes something asks same_origin.
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnSessionEnd)
}

/// Pages are compressed, but for the one that shows a secret: its size must tell nothing about it.
fn compression() -> CompressionLayer<impl Predicate> {
    let may_change = |_: StatusCode, _: http::Version, headers: &http::HeaderMap, _: &http::Extensions| {
        let control = headers.get(http::header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        !control.is_some_and(|control| control.contains("no-transform"))
    };
    CompressionLayer::new()
        .quality(CompressionLevel::Precise(4))
        .compress_when(DefaultPredicate::new().and(may_change))
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic's own words are in the log; a browser gets a sentence.
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", AppError::Internal.sentence())).into_response()
}
