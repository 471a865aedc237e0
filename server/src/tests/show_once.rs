//! A new secret is shown once, to the browser that made it, on the page of its key, soon.

use keydesk_core::domain::key_format;
use percent_encoding::percent_decode_str;

use super::forms::new_key;
use super::support::{Browser, Cast, HTTP, HTTPS, MINUTE, TestApp, TestRequest, Who, hex, on_both};

/// The name of the cookie for the page at `path`.
fn cookie_of(path: &str) -> String {
    format!("keydesk-issued{}", path.replace('/', "."))
}

/// Creates a key and gives the address of the page that shows it.
async fn create(app: &TestApp, cast: &Cast, browser: &Browser, name: &str) -> String {
    let answer = app.post(browser, "keys/create", &new_key(&cast.org.slug, "", name)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.location().ends_with("/issued"), "{}", answer.location());
    answer.location().to_owned()
}

/// The secret on a page, if there is one.
pub fn shown(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("id=\"secret\">")?;
    let secret = rest.split_once('<')?.0;
    key_format::read(secret).ok()?;
    Some(secret.to_owned())
}

fn has_a_secret(text: &str) -> bool {
    text.match_indices("sk-desk-").any(|(at, _)| {
        let tail: String = text[at + 8..].chars().take_while(char::is_ascii_alphanumeric).collect();
        tail.len() >= 38
    })
}

on_both! {
    async fn the_cookie_is_sealed_and_has_every_flag(app: TestApp) {
        let cast = app.cast().await;
        for base in [HTTP, HTTPS] {
            let app = app.at(base);
            let owner = app.sign_in(Who::Owner).await;
            let fields = new_key(&cast.org.slug, "", base);
            let answer = app.post(&owner, "keys/create", &fields).await;
            let page = answer.location().to_owned();
            let prefix = if base == HTTPS { "__Host-" } else { "" };
            let name = format!("{prefix}{}", cookie_of(&page));
            let cookie = answer.cookie(&name).unwrap();
            for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=120"] {
                assert!(cookie.is(attribute), "{attribute}: {:?}", cookie.attributes);
            }
            assert_eq!(cookie.is("Secure"), base == HTTPS);
            assert!(!cookie.attributes.iter().any(|sent| sent.starts_with("Domain")));
            assert!(cookie.name.len() + cookie.value.len() < 4_096);
            assert!(!has_a_secret(&answer.text) && !page.contains("sk-desk-"));

            let answer = app.get(&owner, &page).await;
            let secret = shown(&answer.text).expect("the page shows the secret");
            assert_eq!(app.try_key(&secret).await, 200);
            assert!(answer.header("cache-control").contains("no-store"));
            assert!(answer.header("cache-control").contains("no-transform"));
            assert!(answer.cookie(&name).unwrap().is_removal(), "the page clears the cookie");
            // Neither in clear nor in an encoding that anybody can undo.
            let sealed = percent_decode_str(&cookie.value).decode_utf8().unwrap().into_owned();
            let bytes = base64_decoded(&sealed);
            let readable = format!("{sealed} {} {}", String::from_utf8_lossy(&bytes), hex(&bytes));
            for piece in [&secret[8..], &secret[8..20], &secret[secret.len() - 6..], "sk-desk", "key_id"] {
                assert!(!readable.contains(piece) && !cookie.value.contains(piece), "{piece}");
                assert!(!readable.contains(&hex(piece.as_bytes())), "{piece}");
            }
        }
    }
}

/// Standard or URL alphabet, with or without padding.
fn base64_decoded(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let byte = match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let six = ALPHABET.iter().position(|known| *known == byte).expect("base64") as u32;
        bits = (bits << 6) | six;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

on_both! {
    async fn it_opens_once_and_for_nobody_else(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let admin = app.sign_in(Who::Admin).await;
        let page = create(&app, &cast, &owner, "once").await;

        let stranger = app.get(&admin, &page).await;
        assert_eq!(stranger.status, 200);
        assert!(!has_a_secret(&stranger.text) && stranger.text.contains("sk-…"));

        let first = app.get(&owner, &page).await;
        let secret = shown(&first.text).unwrap();
        for again in [app.get(&owner, &page).await, app.get(&admin, &page).await] {
            assert_eq!(again.status, 200);
            assert!(!has_a_secret(&again.text));
            assert!(again.text.contains(&format!("sk-…{}", &secret[secret.len() - 4..])), "{}", again.text);
        }
        // Not on the other pages of the key either.
        let key_page = page.trim_end_matches("/issued");
        for path in [key_page.to_owned(), format!("{key_page}/edit"), format!("/{}/keys", cast.org.slug)] {
            assert!(!has_a_secret(&app.get(&owner, &path).await.text), "{path}");
        }
    }
}

on_both! {
    async fn late_it_opens_no_more(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let page = create(&app, &cast, &owner, "late").await;
        app.clock.advance(3 * MINUTE);
        let answer = app.get(&owner, &page).await;
        assert_eq!(answer.status, 200);
        assert!(!has_a_secret(&answer.text));
        let page = create(&app, &cast, &owner, "soon").await;
        app.clock.advance(MINUTE);
        assert!(shown(&app.get(&owner, &page).await.text).is_some());
    }
}

on_both! {
    async fn one_keys_cookie_does_not_open_at_anothers_page(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let first = create(&app, &cast, &owner, "first").await;
        let second = create(&app, &cast, &owner, "second").await;
        let session = owner.cookie("keydesk").unwrap();
        // A cookie's path is only the browser's promise: by hand it is sent anywhere.
        let planted = |page: &str| owner.cookie(&cookie_of(page)).unwrap().value;
        let (other, name) = (planted(&first), cookie_of(&second));
        let ask = TestRequest::get(&second).header("accept", "text/html");
        let ask = ask.header("cookie", &format!("keydesk={}; {name}={other}", session.value));
        let answer = app.ask(ask).await;
        assert_eq!(answer.status, 200);
        assert!(!has_a_secret(&answer.text), "another key's secret was shown");

        // A cookie that was changed, or sealed as something else, opens nothing.
        let flash = app.post(&owner, "session/theme", &[("form[theme]", "dark"), ("form[page]", "/")]).await;
        assert_eq!(flash.status, 200);
        let mine = planted(&second);
        let mut broken = mine.clone();
        broken.replace_range(10..11, if &mine[10..11] == "A" { "B" } else { "A" });
        for wrong in [broken, "x".into(), String::new(), mine.chars().rev().collect()] {
            let ask = TestRequest::get(&second).header("cookie", &format!("keydesk={}; {name}={wrong}", session.value));
            let answer = app.ask(ask).await;
            assert_eq!(answer.status, 200);
            assert!(!has_a_secret(&answer.text));
        }
        // And whole, it opens in the session that it was made in, not in another of the same owner.
        for who in [Who::Anonymous, Who::ForeignOwner, Who::Member, Who::Admin, Who::Owner] {
            let somebody = app.sign_in(who).await;
            somebody.plant(&name, &mine);
            let answer = app.get(&somebody, &second).await;
            assert_eq!(answer.status == 200, matches!(who, Who::Admin | Who::Owner), "{who:?}");
            assert!(!has_a_secret(&answer.text), "{who:?}");
        }
        // A foreign cookie of the same name, before it or behind it, hides nothing.
        for foreign in ["x", "", other.as_str()] {
            for pairs in [format!("{name}={foreign}; {name}={mine}"), format!("{name}={mine}; {name}={foreign}")] {
                let ask = TestRequest::get(&second).header("cookie", &format!("keydesk={}; {pairs}", session.value));
                assert!(shown(&app.ask(ask).await.text).is_some(), "{pairs}");
            }
        }
        let ask = TestRequest::get(&second).header("cookie", &format!("keydesk={}; {name}=x", session.value));
        assert!(app.ask(ask).await.cookie(&name).is_none(), "what did not open is not cleared");
        assert!(shown(&app.get(&owner, &second).await.text).is_some());
    }
}
