//! Balances and the organisation's budgets as browsers meet them.

use super::routes::{borrowed, fields_for};
use super::support::{Browser, TestApp, TestResponse, Who, on_both};

const PAGE: &str = "/operator/acme/balance";

async fn enter(
    app: &TestApp,
    operator: &Browser,
    seq: &str,
    kind: &str,
    amount: &str,
    note: &str,
) -> TestResponse {
    let fields = [
        ("form[org]", "acme"),
        ("form[seq]", seq),
        ("form[entry][kind]", kind),
        ("form[entry][amount]", amount),
        ("form[entry][note]", note),
    ];
    app.post_page(operator, PAGE, "orgs/enter-balance", &fields).await
}

async fn enforce(app: &TestApp, operator: &Browser, on: &str) -> TestResponse {
    app.post_page(operator, PAGE, "orgs/enforce-balance", &[("form[org]", "acme"), ("form[enforce]", on)])
        .await
}

on_both! {
    async fn an_operator_enters_and_enforces_and_the_owner_reads_it(app: TestApp) {
        let cast = app.cast().await;
        let (operator, owner) = (app.sign_in(Who::Operator).await, app.sign_in(Who::Owner).await);
        let none = app.get(&owner, "/acme/settings/balance").await.text;
        assert!(none.contains("No prepaid balance"), "{none}");
        assert!(!app.get(&owner, "/acme/settings").await.text.contains("The prepaid balance is"));
        let blank = app.get(&operator, PAGE).await.text;
        for words in ["Not enforced", "No entries yet", "Nothing is left.", "name=\"form[seq]\" value=\"1\""] {
            assert!(blank.contains(words), "{words}: {blank}");
        }

        let done = enter(&app, &operator, "1", "credit", "1,250.50", "Invoice <7>").await;
        assert_eq!((done.status, done.location()), (303, PAGE));
        let page = app.get(&operator, PAGE).await.text;
        for words in ["$1,250.50 added to the balance of Acme", "+$1,250.50", "Invoice &lt;7&gt;", "value=\"2\""] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert_eq!(enforce(&app, &operator, "on").await.location(), PAGE);
        let page = app.get(&operator, PAGE).await.text;
        assert!(page.contains("is now enforced. It is $1,250.50."), "{page}");
        assert!(page.contains("Stop enforcing") && page.contains("Opening"), "{page}");

        let settings = app.get(&owner, "/acme/settings").await.text;
        assert!(settings.contains("The prepaid balance is $1,250.50."), "{settings}");
        let own = app.get(&owner, "/acme/settings/balance").await.text;
        assert!(own.contains("$1,250.50") && own.contains("Invoice &lt;7&gt;"), "{own}");
        assert!(!own.contains("orgs/enter-balance") && !own.contains("orgs/enforce-balance"), "{own}");

        // With nothing left every key says so.
        assert_eq!(enter(&app, &operator, "3", "debit", "1,250.50", "Returned").await.status, 303);
        let key = app.key(&cast, "ci").await;
        for path in ["/acme/keys".to_owned(), format!("/acme/keys/{}", key.id)] {
            let text = app.get(&owner, &path).await.text;
            assert!(text.contains("Out of balance"), "{text}");
        }
        let page = app.get(&operator, PAGE).await.text;
        assert!(page.contains("Out of balance") && page.contains("-$1,250.50"), "{page}");
        let off = enforce(&app, &operator, "off").await;
        assert_eq!(off.status, 303);
        assert!(!app.get(&owner, "/acme/keys").await.text.contains("Out of balance"));
        assert_eq!(enforce(&app, &operator, "off").await.status, 409);
    }
}

on_both! {
    async fn a_form_that_is_sent_twice_is_entered_once_and_the_second_answer_says_so(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        assert_eq!(enter(&app, &operator, "1", "credit", "50", "Invoice 7").await.status, 303);
        let again = enter(&app, &operator, "1", "credit", "50", "Invoice 7").await;
        assert_eq!(again.status, 409);
        assert!(again.text.contains("This entry was already added"), "{}", again.text);
        assert!(again.text.contains("name=\"form[seq]\" value=\"2\""), "{}", again.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM ledger").await, 1);
        // Another entry is kept in the form, under the number that is free now.
        let other = enter(&app, &operator, "1", "debit", "20", "Returned").await;
        assert_eq!(other.status, 409);
        for words in ["added a credit of $50.00 in the meantime", "value=\"20\"", "value=\"Returned\"", "value=\"2\""] {
            assert!(other.text.contains(words), "{words}: {}", other.text);
        }
        assert_eq!(enter(&app, &operator, "2", "debit", "20", "Returned").await.status, 303);
        assert_eq!(app.number("SELECT CAST(SUM(amount) AS BIGINT) FROM ledger").await, 30_000_000_000);
    }
}

on_both! {
    async fn a_mistake_in_an_entry_keeps_what_was_typed(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let wrong = enter(&app, &operator, "1", "debit", "a lot", "Returned").await;
        assert_eq!(wrong.status, 422);
        for words in ["value=\"a lot\"", "value=\"Returned\"", "value=\"debit\" checked", "amount-error"] {
            assert!(wrong.text.contains(words), "{words}: {}", wrong.text);
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM ledger").await, 0);
        for odd in ["?page=x", "?page=next~0~0~", "?page=previous~0~99~", "?page=next~0~-1~"] {
            assert_eq!(app.get(&operator, &format!("{PAGE}{odd}")).await.status, 200, "{odd}");
        }
    }
}

on_both! {
    async fn an_organisations_budget_shows_on_its_settings_its_teams_and_its_keys(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let key = app.key(&cast, "ci").await;
        let mut fields = fields_for("orgs/save", &cast, &key, "");
        for (name, value) in &mut fields {
            match name.as_str() {
                "form[settings][org_month][mode]" => *value = "limit".into(),
                "form[settings][org_month][value]" => *value = "500".into(),
                _ => {}
            }
        }
        assert_eq!(app.post(&owner, "orgs/save", &borrowed(&fields)).await.status, 200);
        for path in ["/acme/settings".to_owned(), format!("/acme/teams/{}", cast.team.id)] {
            let text = app.get(&owner, &path).await.text;
            assert!(text.contains("of $500.00 this month"), "{path}: {text}");
        }
        let text = app.get(&owner, &format!("/acme/keys/{}", key.id)).await.text;
        assert!(text.contains("$500.00 of the organisation’s $500.00 left this month. Resets"), "{text}");
        let month = format!(
            "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
            SELECT 'org', o.id, 'total', 0, o.id, 500000000000, 1, 1 FROM orgs o WHERE o.id = '{}'",
            cast.org.id
        );
        app.execute(&month).await;
        // Counted in all, and not in this month: the month's budget is as it was.
        assert!(!app.get(&owner, "/acme/keys").await.text.contains("Org over budget"));
        app.execute("UPDATE budgets SET period = 'total' WHERE holder_kind = 'org'").await;
        for path in ["/acme/keys".to_owned(), format!("/acme/keys/{}", key.id)] {
            let text = app.get(&owner, &path).await.text;
            assert!(text.contains("Org over budget"), "{path}: {text}");
        }
    }
}
