//! A key's requests, rejections and failures as one list: its order and pages, what it finds, and who sees it.

use keydesk_core::admission::{KnownKey, RejectedRequest, Rejections};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::page::Cursor;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::request_filter::StatusFilter;
use keydesk_core::domain::request_log::{Outcome, RequestEntry, RequestFailure};
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys::{self, Found, IssuedKey};
use keydesk_core::ops::requests::{RequestsQuery, RequestsView, of_key};
use keydesk_core::ops::support::{LookupForm, LookupResult, lookup};
use keydesk_core::store::requests::{self, RequestFilter};

use crate::support::*;

fn known(at: &At, issued: &IssuedKey) -> KnownKey {
    KnownKey { key: issued.id.clone(), org: at.org.id.clone() }
}

/// A failure that is written at once.
async fn fail(
    desk: &TestDesk,
    at: &At,
    issued: &IssuedKey,
    failure: RequestFailure,
    model: &str,
) -> RequestId {
    let id = RequestId::new(desk.now(), desk.id_entropy());
    let noted = Rejections::default();
    let request = RejectedRequest {
        route: "/v1/responses",
        model,
        address: "203.0.113.9".into(),
        request_id: id.to_string(),
    };
    noted.note_failure(&known(at, issued), failure, &request, desk.now());
    noted.flush(&desk.db).await.unwrap();
    id
}

async fn page(desk: &TestDesk, at: &At, issued: &IssuedKey, cursor: Option<&Cursor>) -> RequestsView {
    let query = RequestsQuery { page: cursor, ..RequestsQuery::default() };
    of_key(desk, &at.caller, &at.org.slug, issued.id.as_str(), query).await.unwrap()
}

fn ids(rows: &[RequestEntry]) -> Vec<&str> {
    rows.iter().map(|entry| entry.request_id.as_str()).collect()
}

on_both!(
    fn requests_and_failures_are_one_list_page_by_page(desk: TestDesk) {
        let at = desk.owner().await;
        let (issued, other) = (desk.create_key(&at, "ci-prod").await, desk.create_key(&at, "web").await);
        let mut newest_first = Vec::new();
        for n in 0..53 {
            // Every fifth has the moment of the one before it.
            desk.clock.advance(if n % 5 == 0 { 0 } else { 70_000 });
            let id = if n % 2 == 0 {
                let usage = desk.usage(&at, &issued, 5, desk.now()).await;
                record(&desk, &usage).await.unwrap();
                usage.request
            } else {
                fail(&desk, &at, &issued, RequestFailure::ModelNotServed, &format!("m-{n}")).await
            };
            newest_first.insert(0, (desk.now(), id.to_string()));
        }
        record(&desk, &desk.usage(&at, &other, 5, desk.now()).await).await.unwrap();

        let mut view = page(&desk, &at, &issued, None).await;
        assert!(view.page.previous.is_none());
        let mut seen = vec![view.page.rows.clone()];
        while let Some(next) = view.page.next.clone() {
            // As it stands in an address.
            view = page(&desk, &at, &issued, Cursor::parse(&next.to_string()).as_ref()).await;
            seen.push(view.page.rows.clone());
        }
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 13]);
        let all = seen.concat();
        assert!(all.windows(2).all(|pair| pair[0].at >= pair[1].at), "newest first");
        let mut expected: Vec<_> = newest_first.iter().map(|(_, id)| id.as_str()).collect();
        let mut found = ids(&all);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "each once, and none of another key");
        for rows in seen.iter().rev().skip(1) {
            let previous = view.page.previous.clone().unwrap();
            view = page(&desk, &at, &issued, Some(&previous)).await;
            assert_eq!(&view.page.rows, rows);
        }
        assert!(view.page.previous.is_none());

        // From one request on.
        let asked = RequestId::parse(&all[30].request_id).unwrap();
        let slug = &at.org.slug;
        let query = RequestsQuery { from: Some(&asked), ..RequestsQuery::default() };
        let from = of_key(&desk, &at.caller, slug, issued.id.as_str(), query).await.unwrap();
        assert_eq!(from.marked, Some(asked));
        assert_eq!(from.page.rows, all[30..50]);
        let newer = page(&desk, &at, &issued, from.page.previous.as_ref()).await;
        assert_eq!(newer.page.rows, all[10..30]);
    }
);

on_both!(
    fn an_entry_says_what_became_of_its_request(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut usage = desk.usage(&at, &issued, 1_234, desk.now()).await;
        (usage.status, usage.error) = (502, "The provider Far cannot be reached. Retry later.".into());
        record(&desk, &usage).await.unwrap();
        desk.clock.advance(1_000);
        record(&desk, &desk.usage(&at, &issued, 1_234, desk.now()).await).await.unwrap();
        let failures = [
            (RequestFailure::ModelNotServed, 503),
            (RequestFailure::UnknownModel, 404),
            (RequestFailure::WrongProtocol, 400),
            (RequestFailure::UnknownPath, 404),
            (RequestFailure::WrongMethod, 405),
            (RequestFailure::BodyTooLarge, 413),
            (RequestFailure::BodyTooSlow, 408),
            (RequestFailure::InvalidBody, 400),
            (RequestFailure::Overloaded, 503),
        ];
        for (failure, _) in failures {
            desk.clock.advance(1_000);
            fail(&desk, &at, &issued, failure, "gpt-5").await;
        }
        let rows = page(&desk, &at, &issued, None).await.page.rows;
        let (failed, settled) = rows.split_at(failures.len());
        for (entry, (failure, status)) in failed.iter().zip(failures.iter().rev()) {
            assert_eq!(entry.outcome, Outcome::Failed(Some(failure.as_str().into())));
            assert_eq!(
                (entry.status, entry.model.as_str(), entry.route.as_str()),
                (*status, "gpt-5", "/v1/responses")
            );
            assert!(entry.words().is_some_and(|words| words != failure.as_str()) && entry.used.is_none());
        }
        assert_eq!((settled[0].outcome.clone(), settled[0].words()), (Outcome::Served, None));
        assert_eq!(settled[0].used.as_ref().unwrap().cost.to_string(), "$0.000001234");
        assert_eq!(settled[1].words().unwrap(), "The provider Far cannot be reached. Retry later.");
        assert_eq!(settled[1].outcome, Outcome::Failed(None));

        // For an organisation, narrowed.
        let mut read = desk.db.read().await.unwrap();
        let status = |status| RequestFilter {
            status: Some(StatusFilter::Exactly(status)),
            ..RequestFilter::default()
        };
        for (status, count) in [(status(503), 2), (status(502), 1), (status(200), 1), (status(418), 0)] {
            let found = requests::list(&mut read, &at.org.id, &status, None, 20).await.unwrap();
            assert_eq!(found.rows.len(), count, "{status:?}");
        }
        let model = RequestFilter { model: Some("gpt-4"), ..RequestFilter::default() };
        assert!(requests::list(&mut read, &at.org.id, &model, None, 20).await.unwrap().rows.is_empty());
        // The nearest to a moment, on both sides of it.
        let middle = rows[5].at;
        let near =
            requests::nearest(&mut read, &at.org.id, &RequestFilter::default(), middle, 3).await.unwrap();
        assert_eq!(near, rows[4..7]);
    }
);

on_both!(
    fn a_flood_of_failures_is_a_few_rows(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let noted = Rejections::default();
        for n in 0..2_000 {
            let model = format!("invented-{n}");
            let request = RejectedRequest {
                model: &model,
                request_id: format!("req_{n}"),
                ..RejectedRequest::default()
            };
            noted.note_failure(&known(&at, &issued), RequestFailure::UnknownModel, &request, desk.now());
            noted.note_failure(
                &known(&at, &issued),
                RequestFailure::UnknownPath,
                &RejectedRequest::default(),
                desk.now(),
            );
            if n % 100 == 0 {
                noted.flush(&desk.db).await.unwrap();
            }
        }
        noted.flush(&desk.db).await.unwrap();
        assert_eq!(
            desk.number("SELECT COUNT(*) FROM rejections").await,
            22,
            "20 models, further ones, the path"
        );
        assert_eq!(desk.number("SELECT CAST(SUM(times) AS BIGINT) FROM rejections").await, 4_000);
        let first = page(&desk, &at, &issued, None).await.page;
        let rest = page(&desk, &at, &issued, first.next.as_ref()).await.page;
        let rows = [first.rows, rest.rows].concat();
        assert_eq!(rows.len(), 22);
        let further = rows.iter().find(|entry| entry.times == 1_980).unwrap();
        assert_eq!((further.model.as_str(), further.request_id.as_str()), ("", "req_1999"));
    }
);

on_both!(
    fn what_may_be_a_secret_is_not_stored_as_a_model(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        fail(&desk, &at, &issued, RequestFailure::UnknownModel, issued.secret.reveal()).await;
        assert_eq!(page(&desk, &at, &issued, None).await.page.rows[0].model, "");
        assert!(!desk.dump().await.contains(issued.secret.reveal()));
    }
);

on_both!(
    fn a_request_is_found_by_its_id_by_whoever_sees_its_key(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let usage = desk.usage(&at, &issued, 5, desk.now()).await;
        record(&desk, &usage).await.unwrap();
        let failed = fail(&desk, &at, &issued, RequestFailure::ModelNotServed, "o3").await;
        let rejected = RequestId::new(desk.now(), desk.id_entropy());
        let noted = Rejections::default();
        let request = RejectedRequest { request_id: rejected.to_string(), ..RejectedRequest::default() };
        let rejection = Rejection::Model { last_four: "abcd".into(), model: "gpt-5".into() };
        noted.note(&known(&at, &issued), &rejection, &request, desk.now());
        noted.flush(&desk.db).await.unwrap();

        let member = desk.member(&at, OrgRole::Member).await;
        let elsewhere = desk.other_org("Elsewhere", "UTC").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let look = async |who: &At, id: &RequestId| {
            keys::search(&desk, &who.caller, &who.org.slug, &Hidden::new(format!(" {id} "))).await
        };
        for id in [&usage.request, &failed, &rejected] {
            for who in [&at, &support] {
                let Ok(Found::Request(key, request)) = look(who, id).await else { panic!("not found") };
                assert_eq!((&key, &request), (&issued.id, id));
            }
            for who in [&member, &elsewhere] {
                assert!(matches!(look(who, id).await, Ok(Found::NoSuchSecret(_))));
            }
            let form = LookupForm { q: Hidden::new(id.as_str()) };
            let Ok(LookupResult::Request { slug, id: key, request }) =
                lookup(&desk, &support.caller, &form).await
            else {
                panic!("not found by support")
            };
            assert_eq!((&slug, &key, &request), (&at.org.slug, &issued.id, id));
            for who in [&at, &member, &elsewhere] {
                assert!(matches!(lookup(&desk, &who.caller, &form).await, Err(OpError::NotFound)));
            }
            let mut read = desk.db.read().await.unwrap();
            assert!(requests::find(&mut read, &at.org.id, id).await.unwrap().is_some());
            assert!(requests::find(&mut read, &elsewhere.org.id, id).await.unwrap().is_none());
        }
        // The list itself.
        for who in [&member, &elsewhere] {
            let list =
                of_key(&desk, &who.caller, &who.org.slug, issued.id.as_str(), RequestsQuery::default()).await;
            assert!(matches!(list, Err(OpError::NotFound)));
        }
        assert_eq!(page(&desk, &support, &issued, None).await.page.rows.len(), 3);
        let unknown = RequestId::new(desk.now(), desk.id_entropy());
        assert!(matches!(look(&at, &unknown).await, Ok(Found::NoSuchSecret(_))));
    }
);

on_both!(
    fn other_gateways_settle_without_an_error(desk: TestDesk) {
        if !matches!(desk.db, keydesk_core::store::Db::Postgres(..)) {
            return;
        }
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (secret, now) = (desk.secret_id(&issued).await, desk.now());
        let id = RequestId::new(now, desk.id_entropy());
        desk.execute(&format!(
            "SELECT keydesk_settle_v1('{id}', '{}', '{}', '{secret}', NULL, 'gpt-5', '/v1/responses', 500, 1, 2, 0, 3, {ms}, 4, NULL,
                '', '', 0, {ms}, {ms}, {ms}, '2026-11-27')",
            at.org.id,
            issued.id,
            ms = now.ms()
        ))
        .await
        .unwrap();
        let rows = page(&desk, &at, &issued, None).await.page.rows;
        assert_eq!((rows[0].status, rows[0].error.as_str()), (500, ""));
        assert_eq!(rows[0].words().unwrap(), "The request was interrupted");
    }
);
