//! A search for names costs the database more than a page does, so a person may make only so many in a minute. It is
//! counted here, in memory: nothing is written for a letter that is typed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, header};
use keydesk_app::error::AppError;
use keydesk_core::domain::ids::PersonId;
use keydesk_core::ops::access::Caller;

use super::forms;

const A_MINUTE: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);
/// The palette's searches while a person types.
const TYPING: &str = "/api/keys/find";

/// How often each person searched in this minute; clones share it.
#[derive(Clone, Default)]
pub struct Searches(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    began: Option<Instant>,
    of: HashMap<PersonId, u32>,
}

impl Searches {
    /// Seconds to wait when the person has searched too often.
    fn count(&self, person: &PersonId) -> Option<i64> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = minute.began.map_or(MINUTE, |began| began.elapsed());
        if passed >= MINUTE {
            *minute = Counts { began: Some(Instant::now()), of: HashMap::new() };
        }
        let count = minute.of.entry(person.clone()).or_default();
        *count += 1;
        let left = MINUTE.saturating_sub(passed).as_secs();
        (*count > A_MINUTE).then(|| i64::try_from(left).unwrap_or_default().max(1))
    }
}

pub async fn throttle(State(searches): State<Searches>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().filter(|_| is_search(&request));
    let Some(retry_after_s) = caller.and_then(|caller| searches.count(&caller.person.id)) else {
        return next.run(request).await;
    };
    let error = AppError::TooMany { retry_after_s };
    let mut response = if request.method() == Method::POST {
        forms::refused(&error)
    } else {
        request.extensions_mut().insert(error);
        next.run(request).await
    };
    response.headers_mut().insert(header::RETRY_AFTER, retry_after_s.into());
    response
}

fn is_search(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.uri().path() == TYPING
        || form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| matches!(name.as_ref(), "q" | "key") && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keydesk_core::domain::moment::Moment;

    #[test]
    fn one_person_waits_and_another_does_not() {
        let person = |n| PersonId::new(Moment::from_ms(0), [n; 10]);
        let searches = Searches::default();
        assert!((0..A_MINUTE).all(|_| searches.count(&person(1)).is_none()));
        assert!(searches.count(&person(1)).is_some_and(|wait| (1..=60).contains(&wait)));
        assert_eq!(searches.count(&person(2)), None);
    }
}
