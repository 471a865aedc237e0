//! Asking for more, from the form over the mails to the answer.

use std::sync::Arc;

use super::mails::Outbox;
use super::routes::{borrowed, fields_for};
use super::support::{TestApp, Who, on_sqlite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ask_is_mailed_to_those_who_can_answer_and_the_answer_to_who_asked() {
    on_sqlite(async |app: TestApp| {
        let outbox = Arc::new(Outbox::default());
        let app = app.with_mailer(outbox.clone());
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        app.execute(&format!(
            "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount)
            VALUES ('key', '{}', 'month', '{}', 1000000000)",
            key.id, cast.org.id
        ))
        .await;
        let own = app.sign_in(Who::KeyOwner).await;
        let page = app.get(&own, &format!("/{}/keys/{}/ask", cast.org.slug, key.id)).await;
        assert!(page.text.contains("This key’s budget of $1.00 per month"), "{}", page.text);
        assert!(page.text.contains(&Who::TeamAdmin.email()), "the page names who can answer");
        let answer =
            app.post(&own, "asks/budget", &borrowed(&fields_for("asks/budget", &cast, &key, "ask"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let letters = std::mem::take(&mut *outbox.0.lock().unwrap());
        let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
        assert_eq!(to, [Who::TeamAdmin.email()]);
        let (_, path) = letters[0].text.rsplit_once("/asks/").unwrap();
        let ask = path.trim();

        let lead = app.sign_in(Who::TeamAdmin).await;
        let page = app.get(&lead, &format!("/{}/asks/{ask}", cast.org.slug)).await;
        assert!(page.text.contains("$5.00 more for ci"), "{}", page.text);
        let list = app.get(&lead, &format!("/{}/asks", cast.org.slug)).await;
        assert!(list.text.contains(ask));
        let fields = [
            ("form[org]", cast.org.slug.as_str()),
            ("form[id]", ask),
            ("form[amount]", "4"),
            ("form[note]", "Fine"),
        ];
        let answer = app.post(&lead, "asks/grant", &fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let letters = std::mem::take(&mut *outbox.0.lock().unwrap());
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].to, Who::KeyOwner.email());
        assert_eq!(letters[0].subject, "You have $4.00 more for ci");
        let page = app.get(&own, &format!("/{}/keys/{}", cast.org.slug, key.id)).await;
        assert!(page.text.contains("of $5.00 this month, of which $4.00 until"), "{}", page.text);
        // The list has it too, in the column and in the line for phones.
        let list = app.get(&own, &format!("/{}/keys", cast.org.slug)).await.text;
        assert!(list.contains("of $5/month") && list.contains("$0.00 of $5/mo"), "{list}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_never_resets_is_asked_for_until_a_day() {
    on_sqlite(async |app: TestApp| {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let budget = async |period: &str| {
            app.execute(&format!(
                "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount)
                VALUES ('key', '{}', '{period}', '{}', 1000000000)",
                key.id, cast.org.id
            ))
            .await;
        };
        budget("total").await;
        let own = app.sign_in(Who::KeyOwner).await;
        let path = format!("/{}/keys/{}/ask", cast.org.slug, key.id);
        let page = app.get(&own, &path).await.text;
        assert!(page.contains("Last day"), "{page}");
        assert!(!page.contains("Until the budget resets"), "{page}");

        let key_id = key.id.to_string();
        let fields = [
            ("form[org]", cast.org.slug.as_str()),
            ("form[key]", key_id.as_str()),
            ("form[budget]", "key-total"),
            ("form[amount]", "5"),
            ("form[until]", "reset"),
            ("form[reason]", "The backfill"),
        ];
        let answer = app.post(&own, "asks/budget", &fields).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(answer.text.contains("This budget never resets. Choose the last day."), "{}", answer.text);

        // Beside one that resets both are offered, and the choice that is not possible is marked for the style.
        budget("month").await;
        let page = app.get(&own, &path).await.text;
        assert!(page.contains("Until the budget resets"), "{page}");
        assert_eq!(page.matches("data-never-resets").count(), 1, "{page}");
    })
    .await;
}
