//! When the database is away, nobody is let in and everybody is told; only that the program runs is still true.

use std::time::Duration;

use super::routes::{actions, borrowed, fields_for};
use super::support::{Browser, PASSWORD, TestApp, TestRequest, TestResponse, Who, on_both};

fn check(what: &str, answer: &TestResponse) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    assert!(answer.header("x-request-id").starts_with("req_"), "{what}");
    assert!(answer.text.contains("database"), "{what} says nothing: {}", answer.text);
    for word in ["sqlx", "PoolClosed", "closed pool", "postgres", "sqlite", "panicked"] {
        assert!(
            !answer.text.to_lowercase().contains(&word.to_lowercase()),
            "{what} tells {word}: {}",
            answer.text
        );
    }
    assert!(answer.cookies().iter().all(|cookie| cookie.name != "keydesk"), "{what}");
}

on_both! {
    async fn a_database_that_is_away_is_told_and_nobody_is_let_in(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        app.state.desk.db.close().await;

        assert_eq!(app.ask(TestRequest::get("/healthz")).await.status, 200);
        check("readyz", &app.ask(TestRequest::get("/readyz")).await);
        let key_page = format!("/acme/keys/{}", key.id);
        for path in ["/", "/acme/keys", "/acme/keys/new", &key_page, "/sign-in", "/acme/nothing"] {
            let answer = app.get(&owner, path).await;
            check(path, &answer);
            let id = answer.header("x-request-id");
            assert!(answer.text.contains(id), "{path} does not tell the request's number: {}", answer.text);
        }
        for action in actions() {
            let fields = fields_for(&action, &cast, &key, "made");
            check(&action, &app.post(&owner, &action, &borrowed(&fields)).await);
            check(&action, &app.post_page(&owner, "/acme/keys", &action, &borrowed(&fields)).await);
        }
        // Without a cookie there is nobody to recognise.
        let nobody = Browser::default();
        let fields = [("form[email]", "owner@example.com"), ("form[password]", PASSWORD)];
        check("sign-in", &app.post(&nobody, "session/sign-in", &fields).await);
        for page in ["/setup/x", "/reset/x"] {
            let answer = app.get(&nobody, page).await;
            check(page, &answer);
            assert!(answer.text.contains(answer.header("x-request-id")));
        }
        assert_eq!(app.get(&nobody, "/acme/keys").await.status, 303);
        for path in ["/v1/models", "/v1beta/models"] {
            check(path, &app.ask(TestRequest::get(path).header("x-api-key", &key.secret)).await);
        }
    }
}

on_both! {
    async fn a_migration_that_waits_is_not_ready(app: TestApp) {
        assert_eq!(app.ask(TestRequest::get("/readyz")).await.status, 200);
        // What was found is good for a second.
        let a_second = || tokio::time::sleep(Duration::from_millis(1_100));
        app.execute("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)").await;
        a_second().await;
        let answer = app.ask(TestRequest::get("/readyz")).await;
        assert_eq!((answer.status, answer.text.as_str()), (503, "the database waits for migrations\n"));
        assert_eq!(app.ask(TestRequest::get("/healthz")).await.status, 200);
        app.execute("DROP TABLE _sqlx_migrations").await;
        a_second().await;
        assert_eq!(app.ask(TestRequest::get("/readyz")).await.status, 503);
    }
}
