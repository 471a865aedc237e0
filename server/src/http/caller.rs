//! Who is asking: from the session's cookie to a person, read again for each request. Without one, a page sends its
//! reader to sign in. That is courtesy, not protection: what protects is that operations want a caller.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use keydesk_app::actions::session::PERSON;
use keydesk_app::ask;
use keydesk_app::path::LocalPath;
use keydesk_core::domain::ids::SessionId;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::person::Person;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::sessions;
use tower_sessions::Session;

use super::session_store::hash;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let facts = request.extensions().get::<RequestFacts>().cloned();
    let (id, address, elsewhere) = match &facts {
        Some(facts) => {
            let address = facts.address.map(|address| address.to_string()).unwrap_or_default();
            (facts.id.clone(), address, facts.elsewhere)
        }
        None => Default::default(),
    };
    let at = facts.as_ref().and_then(|facts| facts.at.as_deref());
    let gateway = state.config.gateway_url_at(at);
    request.extensions_mut().insert(ask::Request {
        id: id.clone(),
        address: address.clone(),
        elsewhere,
        gateway,
    });
    let session = request.extensions().get::<Session>().cloned();
    let caller = match caller_of(&state, session).await {
        Ok(caller) => caller,
        Err(()) => {
            let words = format!(
                "The database does not answer, so your session cannot be checked. Try again in a moment.\nRequest {id}\n"
            );
            return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
        }
    };
    match caller {
        Some((session, reauthenticated_at, person)) => {
            request.extensions_mut().insert(Caller {
                person,
                session,
                reauthenticated_at,
                address,
                request_id: id,
            });
        }
        None if wants_page(&request) && !is_public(request.uri().path(), state.config.public_doctor) => {
            let next = LocalPath::parse(request.uri().path_and_query().map_or("/", |whole| whole.as_str()))
                .unwrap_or_else(LocalPath::home);
            let query =
                form_urlencoded::Serializer::new(String::new()).append_pair("next", next.as_str()).finish();
            return Redirect::to(&format!("/sign-in?{query}")).into_response();
        }
        None => {}
    }
    next.run(request).await
}

/// `Err` when the database is away.
async fn caller_of(
    state: &AppState,
    session: Option<Session>,
) -> Result<Option<(SessionId, Moment, Person)>, ()> {
    let Some(session) = session else { return Ok(None) };
    // Loads it, which is where its age is looked at. The session store has logged the cause of a failure.
    let person: Option<String> = session.get(PERSON).await.map_err(|_| ())?;
    let Some(id) = session.id().filter(|_| person.is_some()) else { return Ok(None) };
    let found = sessions::find(&state.desk, &hash(&id)).await;
    found.map_err(|error| tracing::error!(%error, "a session's person could not be read"))
}

fn wants_page(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn is_public(path: &str, public_doctor: bool) -> bool {
    path == "/sign-in"
        || (path == "/doctor" && public_doctor)
        || path == "/sign-in/code"
        || ["/setup/", "/reset/", "/invite/"].iter().any(|prefix| path.starts_with(prefix))
}
