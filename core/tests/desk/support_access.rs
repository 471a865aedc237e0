//! What support looks at is written into the organisation's audit, once a minute and without secrets.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::key_filter::KeyFilter;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::keys::{self, Found};
use keydesk_core::ops::{OpError, support as lookup};

use crate::support::submit;
use crate::support::*;

async fn looks(desk: &TestDesk) -> Vec<String> {
    desk.texts(
        "SELECT subject_name || ' ' || changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'support.accessed' ORDER BY seq",
    )
    .await
}

async fn search(desk: &TestDesk, at: &At, text: &str) -> Found {
    keys::search(desk, &at.caller, &at.org.slug, &Hidden::new(text)).await.unwrap()
}

on_both!(
    fn each_look_of_support_leaves_one_event_a_minute(desk: TestDesk) {
        let at = desk.owner().await;
        let (ci, web) = (desk.create_key(&at, "ci-prod").await, desk.create_key(&at, "web").await);
        let support = desk.platform(&at, PlatformRole::Support).await;
        for _ in 0..3 {
            desk.show(&support, &ci).await;
        }
        desk.show(&support, &web).await;
        assert_eq!(looks(&desk).await, ["ci-prod []", "web []"]);
        desk.clock.advance(MINUTE);
        desk.show(&support, &ci).await;
        assert_eq!(looks(&desk).await.len(), 3, "a minute later it is another look");

        let other = desk.platform(&at, PlatformRole::Support).await;
        desk.show(&other, &ci).await;
        assert_eq!(looks(&desk).await.len(), 4, "somebody else's look is another one");
    }
);

on_both!(
    fn searches_of_support_are_told_with_their_words(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let list = |text: &str| KeyFilter { search: text.into(), ..everything() };
        for text in ["", "ci", "ci", "prod"] {
            keys::list(&desk, &support.caller, &at.org.slug, &list(text)).await.unwrap();
        }
        let of_keys = r#"{"field":"list","before":null,"after":{"text":"keys"}}"#;
        let words = |text: &str| {
            format!(r#"Northwind [{of_keys},{{"field":"search","before":null,"after":{{"text":"{text}"}}}}]"#)
        };
        assert_eq!(looks(&desk).await, [format!("Northwind [{of_keys}]"), words("ci"), words("prod")]);

        // As somebody types into the palette.
        for text in ["x", "xy", "xyz", "q"] {
            keys::suggest(&desk, &support.caller, &at.org.slug, &list(text)).await.unwrap();
        }
        assert_eq!(looks(&desk).await[3..], [words("x"), words("q")]);
    }
);

on_both!(
    fn a_secret_that_support_looks_up_is_not_written_down(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let secret = issued.secret.reveal().to_owned();
        assert!(matches!(search(&desk, &support, &secret).await, Found::Secret(..)));
        assert_eq!(looks(&desk).await, ["ci-prod []"]);

        let other = desk.other_org("Elsewhere", "UTC").await;
        let theirs = desk.create_key(&other, "theirs").await.secret.reveal().to_owned();
        assert!(matches!(search(&desk, &support, &theirs).await, Found::NoSuchSecret(_)));
        keys::list(
            &desk,
            &support.caller,
            &at.org.slug,
            &KeyFilter { search: theirs.clone(), ..everything() },
        )
        .await
        .unwrap();
        let looks = looks(&desk).await;
        assert_eq!(looks.len(), 3);
        for secret in [&secret, &theirs] {
            assert!(!desk.dump().await.contains(secret.as_str()));
        }
        assert!(
            looks[1..].iter().all(|look| look.contains(r#""search","before":null,"after":"secret""#)),
            "{looks:?}"
        );
    }
);

on_both!(
    fn people_of_the_organisation_look_without_a_trace(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        desk.show(&admin, &issued).await;
        desk.names(&admin, &everything()).await;
        search(&desk, &admin, issued.secret.reveal()).await;
        assert_eq!(looks(&desk).await, Vec::<String>::new());
    }
);

on_both!(
    fn a_look_is_not_taken_for_a_change(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut late = desk.drawn(&at, &issued).await;
        let mut first = late.clone();
        first.key.note = "first".into();
        submit::edit_key(&desk, &at.caller, &first).await.unwrap();
        let support = desk.platform(&at, PlatformRole::Support).await;
        desk.show(&support, &issued).await;
        late.key.note = "late".into();
        let Outcome::Conflict(conflict) = submit::edit_key(&desk, &at.caller, &late).await.unwrap() else {
            panic!("two people wrote the note");
        };
        assert!(
            conflict.sentence.starts_with("You changed this key in another tab"),
            "{}",
            conflict.sentence
        );
    }
);

on_both!(
    fn support_finds_a_key_by_what_a_customer_reads_out(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let mine = desk.create_key(&at, "seo-titles-prod").await;
        let theirs = desk.create_key(&other, "seo-titles-dev").await;
        desk.create_key(&other, "nightly").await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let find = async |text: &str| {
            let view = lookup::search(&desk, &support.caller, text).await.unwrap();
            view.keys.into_iter().map(|hit| (hit.org, hit.key.name)).collect::<Vec<_>>()
        };
        let (acme, others) = (at.org.name.clone(), other.org.name.clone());
        let expected = (acme.clone(), "seo-titles-prod".to_owned());
        assert_eq!(find("SEO-titles").await, [(others, "seo-titles-dev".to_owned()), expected.clone()]);

        let set = |id: &str, four: &str| {
            format!("UPDATE key_secrets SET last_four = '{four}' WHERE key_id = '{id}'")
        };
        desk.execute(&set(mine.id.as_str(), "QFcT")).await.unwrap();
        desk.execute(&set(theirs.id.as_str(), "qfct")).await.unwrap();
        for text in ["QFcT", "sk-…QFcT", "sk-desk-…QFcT", "…QFcT", "sk-...QFcT", "sk-**QFcT"] {
            let found = find(text).await;
            assert_eq!((found.len(), &found[0]), (2, &expected), "{text}: exact first");
        }
        assert_eq!(find("qfct").await[1], expected);
        assert_eq!(find("nothing like it").await, []);
        assert!(matches!(lookup::search(&desk, &at.caller, "seo").await, Err(OpError::NotFound)));
        // Each organisation can see each look.
        let looks = "SELECT COUNT(*) FROM audit_events WHERE kind = 'support.accessed' AND org_id = ";
        for org in [&at.org, &other.org] {
            assert_eq!(desk.number(&format!("{looks}'{}'", org.id)).await, 3, "{}", org.name);
        }
    }
);
