//! What a form may not hold, over raw HTTP: each mistake is told beside its own field, and nothing is stored.

use super::forms::new_key;
use super::routes::{actions, borrowed, fields_for};
use super::show_once::shown;
use super::support::{Browser, Fields, PASSWORD, TestApp, TestRequest, TestResponse, Who, on_both};

/// One thing wrong with a form that is fine otherwise: the fields that are set, and the one field that the sentence is beside.
struct Wrong {
    set: Vec<(&'static str, String)>,
    beside: &'static str,
}

fn wrong(field: &'static str, value: impl Into<String>) -> Wrong {
    Wrong { set: vec![(field, value.into())], beside: field }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

fn every_mistake() -> Vec<Wrong> {
    let mut all = vec![
        // Names and notes.
        wrong("name", ""),
        wrong("name", "   \t "),
        wrong("name", "x".repeat(101)),
        wrong("name", "é".repeat(101)),
        wrong("name", "a\u{0}b"),
        wrong("name", "a\nb"),
        wrong("name", "a\u{1b}[31mb"),
        wrong("name", "prod\u{202e}dorp"),
        wrong("name", "a\u{200b}b"),
        wrong("name", "a\u{feff}b"),
        wrong("name", "\u{2066}x"),
        wrong("name", "x".repeat(50_000)),
        wrong("note", "n".repeat(201)),
        wrong("note", "a\u{0}b"),
        wrong("note", "a\u{202d}b"),
        // Teams.
        wrong("team", "crew"),
        wrong("team", "team_0"),
        wrong("team", "team_00000000000000000000000000000000"),
        wrong("team", "team_' OR 1=1 --"),
        wrong("team", "\u{0}"),
        // Models.
        Wrong { set: vec![("scope", "".into())], beside: "models" },
        Wrong { set: vec![("scope", "EVERY".into())], beside: "models" },
        Wrong { set: vec![("scope", "all".into())], beside: "models" },
        Wrong { set: vec![("scope", "listed".into())], beside: "models" },
        Wrong { set: vec![("scope", "listed".into()), ("patterns", "gpt 5".into())], beside: "patterns" },
        Wrong {
            set: vec![("scope", "listed".into()), ("patterns", "gpt-5\u{0}".into())],
            beside: "patterns",
        },
        Wrong { set: vec![("scope", "listed".into()), ("patterns", "%".into())], beside: "patterns" },
        Wrong { set: vec![("scope", "listed".into()), ("patterns", "x".repeat(101))], beside: "patterns" },
        Wrong {
            set: vec![("scope", "listed".into()), ("patterns", lines(201, |n| format!("model-{n}")))],
            beside: "patterns",
        },
        Wrong { set: vec![("scope", "listed".into()), ("models][", "gpt 5".into())], beside: "models" },
        // Addresses.
        wrong("addresses", "10.0.0.300"),
        wrong("addresses", "10.0.0.1/8"),
        wrong("addresses", "10.0.0.0/33"),
        wrong("addresses", "10.0.0.0/-1"),
        wrong("addresses", "10.0.0.0/+8"),
        wrong("addresses", "2001:db8::1/32"),
        wrong("addresses", "2001:db8::/129"),
        wrong("addresses", "localhost"),
        wrong("addresses", "0x7f000001"),
        wrong("addresses", "010.0.0.1"),
        wrong("addresses", "fe80::1%eth0"),
        wrong("addresses", "\u{0}"),
        wrong("addresses", lines(101, |n| format!("10.0.{n}.0/24"))),
        // Expiry.
        wrong("expiry", ""),
        wrong("expiry", "keep"),
        wrong("expiry", "91"),
        wrong("expiry", "-90"),
        wrong("expiry", "Never"),
    ];
    for day in [
        "",
        "2026-11-19",
        "1969-12-31",
        "2026-02-30",
        "20/11/2027",
        "2037-12-31",
        "9999-12-31",
        "99999-01-01",
        "-0001-01-01",
        "2027-1-1x",
        "\u{0}",
    ] {
        all.push(Wrong {
            set: vec![("expiry", "date".into()), ("expires_on", day.into())],
            // A zero character is refused in any text, and said beside that.
            beside: if day.contains('\0') { "expires_on" } else { "expiry" },
        });
    }
    const NUMBERS: [&str; 21] = [
        "",
        "0",
        "-1",
        "0.0",
        "1e400",
        "1e5",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "0x10",
        "ten",
        "1,5",
        "1 0",
        "1_000",
        "99999999999999999999999999",
        "-0.000000001",
        "\u{0}",
        "١٢",
        "5;DROP TABLE keys",
        "1.2.3",
    ];
    const NOT_MONEY: [&str; 3] = ["0.0000000001", "9223372036.9", "€5"];
    const NOT_COUNT: [&str; 4] = ["1.5", "1000000001", "$5", "2b2"];
    for (field, mode, of, money) in [
        ("month", "limits][month][mode", "limits][month][value", true),
        ("week", "limits][week][mode", "limits][week][value", true),
        ("day", "limits][day][mode", "limits][day][value", true),
        ("total", "limits][total][mode", "limits][total][value", true),
        ("rpm", "limits][rpm][mode", "limits][rpm][value", false),
        ("tpm", "limits][tpm][mode", "limits][tpm][value", false),
        ("concurrent", "limits][concurrent][mode", "limits][concurrent][value", false),
    ] {
        let own = if money { &NOT_MONEY[..] } else { &NOT_COUNT[..] };
        for value in NUMBERS.iter().chain(own) {
            all.push(Wrong { set: vec![(mode, "limit".into()), (of, (*value).into())], beside: field });
        }
        for word in ["", "Limit", "unlimited", "true"] {
            all.push(Wrong { set: vec![(mode, word.into()), (of, "5".into())], beside: field });
        }
    }
    // A shorter period's budget above a longer one's.
    all.push(Wrong {
        set: vec![("limits][day][mode", "limit".into()), ("limits][day][value", "51".into())],
        beside: "day",
    });
    all
}

/// The fine form with one mistake in it.
fn with(org: &str, set: &[(&str, String)]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> =
        new_key(org, "", "wrong").iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    for (field, value) in set {
        let name = format!("form[key][{field}]");
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => old.clone_from(value),
            None => fields.push((name, value.clone())),
        }
    }
    fields
}

on_both! {
    async fn every_mistake_has_a_sentence_beside_its_own_field(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let before = app.dump().await;
        let mut differs = Vec::new();
        for case in every_mistake() {
            let fields = with(&cast.org.slug, &case.set);
            let answer = app.post(&owner, "keys/create", &borrowed(&fields)).await;
            let shown: String = format!("{:?}", case.set).chars().take(90).collect();
            if answer.status != 422 {
                differs.push(format!("{shown}: {} {}", answer.status, answer.text));
            } else if answer.wrong_fields() != [case.beside] {
                differs.push(format!("{shown}: beside {:?} and not {}", answer.wrong_fields(), case.beside));
            }
        }
        assert!(differs.is_empty(), "{}", differs.join("\n"));
        assert!(app.dump().await == before, "something was stored");
    }
}

on_both! {
    async fn what_is_just_inside_is_taken(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let fine: Vec<Vec<(&str, String)>> = vec![
            vec![("name", "x".into())],
            vec![("name", "é".repeat(100))],
            vec![("name", "Überprüfung 🚀".into())],
            vec![("name", "<script>alert(1)</script>".into())],
            vec![("name", "'; DROP TABLE keys; --".into())],
            vec![("name", "sorted".into()), ("note", "n".repeat(200))],
            vec![("name", "200 patterns".into()), ("scope", "listed".into()), ("patterns", lines(200, |n| format!("model-{n}")))],
            vec![("name", "100 nets".into()), ("addresses", lines(100, |n| format!("10.0.{n}.0/24")))],
            vec![("name", "small".into()), ("limits][month][value", "0.000000001".into())],
            vec![("name", "most".into()), ("limits][rpm][value", "1,000,000,000".into())],
            vec![("name", "today".into()), ("expiry", "date".into()), ("expires_on", "2026-11-20".into())],
            vec![("name", "never".into()), ("expiry", "never".into())],
            // A limit's choice decides: beside No limit no value is meant.
            vec![("name", "no rate"), ("limits][rpm][mode", "none"), ("limits][rpm][value", "many")]
                .into_iter()
                .map(|(field, value)| (field, value.to_owned()))
                .collect(),
        ];
        for set in &fine {
            let answer = app.post(&owner, "keys/create", &borrowed(&with(&cast.org.slug, set))).await;
            assert_eq!(answer.status, 200, "{set:?}: {}", answer.text);
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM keys").await, fine.len() as i64);
        // What looks like markup is shown as text.
        let list = app.get(&owner, "/acme/keys").await;
        assert!(list.text.contains("&lt;script&gt;alert(1)") && !list.text.contains("<script>alert"));
        // A name that is taken is a mistake of its field.
        let answer = app.post(&owner, "keys/create", &borrowed(&with("acme", &[("name", "NEVER".into())]))).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec!["name".to_owned()]));
    }
}

on_both! {
    async fn fields_that_no_form_has_are_refused(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        let before = app.dump().await;
        const EXTRA: [(&str, &str); 12] = [
            ("form[role]", "owner"),
            ("form[status]", "active"),
            ("form[org_id]", "org_1"),
            ("form[person_id]", "person_1"),
            ("role", "owner"),
            ("form", "x"),
            ("", "x"),
            ("form[]", "x"),
            ("form[key][spend]", "1"),
            ("form[key][last_used_at]", "1"),
            ("form[key][id]", "key_1"),
            ("FORM[name]", "x"),
        ];
        for action in actions() {
            let fields = fields_for(&action, &cast, &key, "made");
            for extra in EXTRA {
                let mut fields = borrowed(&fields);
                fields.push(extra);
                let answer = app.post(&owner, &action, &fields).await;
                assert_eq!(answer.status, 400, "{action} {extra:?}: {}", answer.text);
                assert!(answer.location().is_empty() && answer.cookies().is_empty(), "{action} {extra:?}");
                // In front of the others too.
                fields.rotate_right(1);
                assert_eq!(app.post(&owner, &action, &fields).await.status, 400, "{action} {extra:?}");
            }
            // Each field twice, with the same value and with another; but a list has as many as are chosen.
            for (name, value) in borrowed(&fields).into_iter().filter(|(name, _)| !name.ends_with("[]")) {
                for second in [value, "2"] {
                    let mut twice = borrowed(&fields);
                    twice.push((name, second));
                    let answer = app.post(&owner, &action, &twice).await;
                    assert_eq!(answer.status, 400, "{action} {name} twice: {}", answer.text);
                }
            }
        }
        // A value of another kind.
        let edit = fields_for("keys/edit", &cast, &key, "made");
        for version in ["", "one", "1.5", "1e3", "99999999999999999999", "null", "-"] {
            let fields: Vec<_> = borrowed(&edit)
                .into_iter()
                .map(|(name, value)| if name == "form[version]" { (name, version) } else { (name, value) })
                .collect();
            assert_eq!(app.post(&owner, "keys/edit", &fields).await.status, 400, "{version}");
        }
        assert!(app.dump().await == before, "something was stored");
    }
}

on_both! {
    async fn only_forms_are_taken_and_only_by_post(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        let before = app.dump().await;
        for action in actions() {
            let fields = fields_for(&action, &cast, &key, "made");
            let form = TestRequest::form(&action, &borrowed(&fields)).same_origin().header("accept", "application/json");
            for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x", "application/cbor", ""] {
                let answer = app.send(&owner, form.clone().header("content-type", kind)).await;
                assert_eq!(answer.status, 415, "{action} {kind:?}: {}", answer.text);
            }
            for body in [r#"{"form":{}}"#, "[1]", "\u{0}", "form", "%", "form[%", "form[org]", "=&="] {
                let answer = app.send(&owner, form.clone().body(body)).await;
                assert!([400, 404, 422].contains(&answer.status), "{action} {body:?}: {} {}", answer.status, answer.text);
            }
            for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
                let query = String::from_utf8(form.body.clone()).unwrap();
                let ask = TestRequest { path: format!("{}?{query}", form.path), ..form.clone() };
                let answer = app.send(&owner, ask.method(method.parse().unwrap())).await;
                assert_eq!(answer.status, 405, "{method} {action}");
                assert!(answer.header("allow").contains("POST"), "{method} {action}");
            }
        }
        assert!(app.dump().await == before, "something was stored");
    }
}

on_both! {
    async fn a_body_that_is_too_large_is_refused_whole(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let before = app.dump().await;
        for action in actions() {
            for size in [64 * 1024 + 1, 1024 * 1024] {
                let ask = TestRequest::form(&action, &[("form[org]", &cast.org.slug)]).same_origin();
                let body = [ask.body.as_slice(), b"&form[note]=", "n".repeat(size).as_bytes()].concat();
                let answer = app.send(&owner, ask.header("accept", "text/html").body(body)).await;
                assert_eq!(answer.status, 413, "{action}");
                assert!(answer.text.contains("too large"));
            }
        }
        assert!(app.dump().await == before);
    }
}

fn leads_to(answer: &TestResponse, page: &str) {
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.location(), page);
}

/// The form's page, drawn again in the answer to its own post.
async fn back(app: &TestApp, browser: &Browser, page: &str, action: &str, fields: Fields<'_>) -> String {
    let answer = app.post_page(browser, page, action, fields).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.header("cache-control").contains("no-store") && answer.location().is_empty());
    answer.text
}

on_both! {
    async fn a_plain_form_comes_back_with_what_was_typed(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let typed = [
            ("name", "typed <b>name".to_owned()),
            ("note", "typed note".to_owned()),
            ("scope", "listed".to_owned()),
            ("patterns", "claude-*\naws/*".to_owned()),
            ("limits][rpm][value", "many".to_owned()),
            ("limits][month][value", "12.34".to_owned()),
            ("addresses", "198.51.100.0/24".to_owned()),
        ];
        let fields = with(&cast.org.slug, &typed);
        let html = back(&app, &owner, "/acme/keys/new", "keys/create", &borrowed(&fields)).await;
        for value in ["typed &lt;b&gt;name", "typed note", "claude-*", "aws/*", "\"many\"", "12.34", "198.51.100.0/24"] {
            assert!(html.contains(value), "{value} was lost");
        }
        assert!(!html.contains("<b>name"), "typed markup is shown as text");
        assert!(html.contains("id=\"rpm-error\"") && html.contains("This is not a number."));
        assert!(html.contains("aria-invalid=\"true\""));
        // Only once.
        assert!(!app.get(&owner, "/acme/keys/new").await.text.contains("typed note"));
        assert_eq!(app.number("SELECT COUNT(*) FROM keys").await, 0);

        // An edit too.
        let key = app.key(&cast, "ci").await;
        let page = format!("/acme/keys/{}/edit", key.id);
        let mut fields = fields_for("keys/edit", &cast, &key, "");
        fields.iter_mut().filter(|(name, _)| name == "form[key][note]").for_each(|(_, v)| *v = "edited note".into());
        let html = back(&app, &owner, &page, "keys/edit", &borrowed(&fields)).await;
        assert!(html.contains("edited note") && html.contains("id=\"name-error\""));

        // A password never comes back.
        let nobody = Browser::default();
        let secret = "not the right password 11";
        let fields = [("form[email]", "owner@example.com"), ("form[password]", secret), ("form[next]", "/acme/keys")];
        let html = back(&app, &nobody, "/sign-in", "session/sign-in", &fields).await;
        assert!(html.contains("owner@example.com") && html.contains("/acme/keys"));
        assert!(html.contains("id=\"password-error\"") && !html.contains(secret));
        assert!(!html.contains("name=\"form[password]\" value=") || html.contains("value=\"\""));
    }
}

on_both! {
    async fn a_form_that_no_database_takes_is_answered_with_the_form(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        app.state.desk.db.close().await;
        let fields = with(&cast.org.slug, &[("note", "typed <b>note".into())]);
        let answer = app.post_page(&owner, "/acme/keys/new", "keys/create", &borrowed(&fields)).await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        for kept in ["typed &lt;b&gt;note", "action=\"/api/keys/create\"", "The database is not available."] {
            assert!(answer.text.contains(kept), "{kept}: {}", answer.text);
        }
        let answer = app.post(&owner, "keys/create", &borrowed(&fields)).await;
        assert_eq!(answer.status, 503);
        assert!(answer.text.contains("\"unavailable\""), "{}", answer.text);
    }
}

on_both! {
    async fn a_plain_form_that_is_right_leads_on(app: TestApp) {
        let cast = app.cast().await;
        let browser = Browser::default();
        let fields =
            [("form[email]", "Owner@Example.com"), ("form[password]", PASSWORD), ("form[next]", "/acme/keys?q=x")];
        let answer = app.post_page(&browser, "/sign-in", "session/sign-in", &fields).await;
        leads_to(&answer, "/acme/keys?q=x");
        assert!(answer.text.is_empty());
        let answer = app.post_page(&browser, "/acme/keys/new", "keys/create", &new_key("acme", "", "plain")).await;
        assert_eq!(answer.status, 303);
        assert!(answer.location().ends_with("/issued"));
        let page = app.get(&browser, answer.location()).await;
        assert!(shown(&page.text).is_some());
        // What is not theirs to do is a page with its true status.
        let key = app.key(&cast, "ci").await;
        let support = app.sign_in(Who::Support).await;
        let fields = fields_for("keys/revoke", &cast, &key, "");
        let answer = app.post_page(&support, "/acme/keys", "keys/revoke", &borrowed(&fields)).await;
        assert_eq!(answer.status, 403);
        assert!(answer.header("content-type").starts_with("text/html"));
    }
}

on_both! {
    async fn nothing_in_an_address_breaks_a_page(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        for (path, expected) in [
            ("/acme/keys?q=%00", 400),
            ("/acme/keys?q=%FF%FE", 200),
            ("/acme/keys?q=%25%25%25%25%25%25", 200),
            ("/acme/keys?q=%27%20OR%201=1--", 200),
            ("/acme/keys?page=next~99999999999999999999~x~", 200),
            ("/acme/keys?page=next~0~1~%00&sort=name", 400),
            ("/acme/keys?sort=spend&page=next~0~9223372036854775807~9223372036854775807", 200),
            ("/acme/keys?page=previous~18446744073709551615~-1~-9223372036854775808&sort=used", 200),
            ("/acme/keys?state=none&team=team_%00&sort=x&dir=y&page=-1", 400),
            ("/acme/keys?team=team_00000000000000000000000000000000", 200),
            ("/acme%00/keys", 400),
            ("/%F0%9F%9A%80/keys", 404),
            ("/acme/keys/key_%00", 400),
            ("/acme/keys/%FF", 404),
            ("/acme/keys/..%2f..%2fetc%2fpasswd", 404),
            ("/acme/keys/key_00000000000000000000000000000000", 404),
            ("/acme/nothing", 404),
        ] {
            let answer = app.get(&owner, path).await;
            assert_eq!(answer.status, expected, "{path}: {}", answer.text);
        }
        let long = format!("/acme/keys?q={}", "x".repeat(8_000));
        assert_eq!(app.get(&owner, &long).await.status, 200);
        let found = app.get(&owner, "/acme/keys?q=%25").await;
        assert!(!found.text.contains(key.id.as_str()), "% is text, not a wildcard");
    }
}
