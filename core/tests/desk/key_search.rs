//! The search for keys, by any text and by a pasted secret.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::ops::keys::{Found, IssuedKey};
use keydesk_core::ops::{self, OpError};

use crate::support::*;

pub async fn search(desk: &TestDesk, at: &At, text: &str) -> Result<Found, OpError> {
    ops::keys::search(desk, &at.caller, &at.org.slug, &Hidden::new(text)).await
}

pub fn is_key(found: &Result<Found, OpError>, issued: &IssuedKey) -> bool {
    matches!(found, Ok(Found::Key(id) | Found::Secret(id, _)) if *id == issued.id)
}

pub fn minted_elsewhere() -> String {
    let secret = keydesk_core::domain::key_format::PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(7));
    secret.unwrap().reveal().to_owned()
}

on_both!(
    fn hostile_names_are_data(desk: TestDesk) {
        let at = desk.owner().await;
        let long = "é".repeat(100);
        let names = [
            "%",
            "100% sure",
            "%%%",
            "_",
            "a_b_c",
            "___",
            "\\",
            "back\\slash",
            "\\%\\_",
            "\"",
            "say \"hi\" twice",
            "'",
            "it's o'clock",
            "'; DROP TABLE keys; --",
            "<script>alert(1)</script>",
            "{{7*7}} ${x}",
            "🦀",
            "🦀🦀🦀 crabs",
            "👩‍🔬",
            "שלום עולם",
            "İstanbul",
            "ß sharp",
            "NULL",
            "OR 1=1",
            "name_folded : x",
            "(a OR b) NOT c*",
            "^caret",
            "日本語の鍵",
            &long,
        ];
        let mut made = Vec::new();
        for name in names {
            let issued = desk.create(&at, form(name)).await.unwrap();
            assert_eq!(desk.show(&at, &issued).await.name, name);
            made.push(name);
        }
        for name in &made {
            let found = desk.search_names(&at, name).await;
            assert!(found.iter().any(|other| other == name), "{name}: {found:?}");
            let folded = name.to_lowercase();
            assert!(found.iter().all(|other| other.to_lowercase().contains(&folded)), "{name}: {found:?}");
        }
        for (text, expected) in [
            ("%", &["%", "%%%"][..]),
            ("0% s", &["100% sure"]),
            ("_", &["_", "___"]),
            ("_b_", &["a_b_c"]),
            ("a%c", &[]),
            ("\\", &["\\", "\\%\\_", "back\\slash"][..2]),
            ("k\\s", &["back\\slash"]),
            ("y \"h", &["say \"hi\" twice"]),
            ("🦀", &["🦀", "🦀🦀🦀 crabs"]),
            ("🦀🦀🦀", &["🦀🦀🦀 crabs"]),
            ("本語の", &["日本語の鍵"]),
            ("t>a", &["<script>alert(1)</script>"]),
            ("a OR b", &["(a OR b) NOT c*"]),
            ("hi* OR", &[]),
        ] {
            assert_eq!(desk.search_names(&at, text).await, expected, "{text}");
        }
    }
);

on_both!(
    fn a_search_may_hold_any_character(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        for text in [
            "\0",
            "ci\0prod",
            "\0\0\0\0",
            "\u{10ffff}",
            "\u{10ffff}\u{10ffff}\u{10ffff}",
            "a\nb\rc",
            "\u{feff}ab c",
        ] {
            assert_eq!(desk.search_names(&at, text).await, [""; 0], "{text:?}");
            assert!(matches!(search(&desk, &at, text).await, Ok(Found::Text(_))));
        }
    }
);

on_both!(
    fn a_pasted_secret_that_was_rotated_away_says_so(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let ends = desk.now().plus_ms(HOUR).ms();
        desk.execute(&format!("UPDATE key_secrets SET expires_at = {ends}")).await.unwrap();
        assert!(is_key(&search(&desk, &at, issued.secret.reveal()).await, &issued));
        desk.clock.advance(HOUR);
        let found = search(&desk, &at, issued.secret.reveal()).await;
        assert!(matches!(found, Ok(Found::Secret(id, _)) if id == issued.id));
    }
);

on_both!(
    fn searching_for_secrets_by_the_thousand_is_slowed_down(desk: TestDesk) {
        let at = desk.owner().await;
        let secret = minted_elsewhere();
        for _ in 0..60 {
            assert!(matches!(search(&desk, &at, &secret).await, Ok(Found::NoSuchSecret(_))));
        }
        assert!(matches!(search(&desk, &at, &secret).await, Err(OpError::TooMany { .. })));
        // Other searches go on, and so does everything a minute later.
        assert!(matches!(search(&desk, &at, "ci-prod").await, Ok(Found::Text(_))));
        desk.clock.advance(MINUTE);
        assert!(matches!(search(&desk, &at, &secret).await, Ok(Found::NoSuchSecret(_))));
    }
);
