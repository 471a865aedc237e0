//! What each command prints and how it exits. One transcript holds on both databases.

use super::support::{Place, both};

/// Random and passing parts of a transcript are replaced.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    // Usage names an option that an environment variable has set.
    settings.add_filter(" --database-url <DATABASE_URL>", "");
    settings.add_filter(r"/(setup|invite|reset)/[A-Za-z0-9_-]{20,}", "/$1/TOKEN");
    settings.add_filter(r"\b[0-9a-f]{64}\b", "HASH");
    settings.add_filter(r"\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}\b", "DATE");
    settings.add_filter(r"\b\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME");
    settings.add_filter(r"(?m)^ok   disk: .*\n", "");
    settings.add_filter(r"enough for \d+ connections", "enough for N connections");
    settings.add_filter(r"[ \t]+\n", "\n");
    settings
}

fn assert_transcript(place: &Place, name: &str, commands: &[&[&str]]) {
    let text = place.transcript(commands);
    settings().bind(|| insta::assert_snapshot!(name, text));
}

#[tokio::test]
async fn the_first_steps() {
    for place in both().await {
        assert_transcript(
            &place,
            "first_steps",
            &[
                &["migrate"],
                &["migrate"],
                &["setup-link"],
                &["reset-password", "ana@acme.example"],
                &["reset-password", "ana"],
                &["reset-second-factor", "ana@acme.example"],
                &["audit", "verify"],
                &["spend", "verify"],
                &["orgs", "list"],
            ],
        );
        let doctor = place.run(&["doctor"]);
        assert_eq!(doctor.code, Some(0), "{doctor:?}");
        assert!(doctor.out.contains(&format!("ok   database: {} answers", place.name())), "{doctor:?}");
        settings().bind(|| insta::assert_snapshot!("doctor", doctor.out.replace(place.name(), "DATABASE")));
    }
}

#[tokio::test]
async fn organisations_and_their_balances() {
    for place in both().await {
        assert_transcript(
            &place,
            "organisations",
            &[
                &["orgs", "create", "Acme", "--owner", "ana@acme.example"],
                &["orgs", "create", "Acme", "--owner", "ana@acme.example"],
                &["orgs", "create", "Berg", "--slug", "B", "--zone", "Nowhere", "--owner", "ana"],
                &["orgs", "list"],
                &["orgs", "balance", "acme"],
                &["orgs", "credit", "acme", "250", "--note", "Invoice 1"],
                &["orgs", "debit", "acme", "0.5", "--note", "Refund"],
                &["orgs", "credit", "acme", "much", "--note", ""],
                &["orgs", "credit", "berg", "1", "--note", "Invoice 2"],
                &["orgs", "enforce-balance", "acme", "on"],
                &["orgs", "balance", "acme"],
                &["orgs", "enforce-balance", "acme", "off"],
                &["orgs", "enforce-balance", "acme", "perhaps"],
                &["orgs", "suspend", "acme"],
                &["orgs", "suspend", "acme", "--reason", "Unpaid"],
                &["orgs", "list"],
                &["orgs", "resume", "acme"],
                &["orgs", "resume", "berg"],
                &["orgs", "balance", "berg"],
                &["spend", "verify"],
                &["spend", "verify", "--org", "berg"],
                &["audit", "verify", "--org", "acme"],
                &["audit", "verify", "--org", "berg"],
            ],
        );
    }
}

#[tokio::test]
async fn providers_by_their_names() {
    for place in both().await {
        place.done(&["migrate"]);
        assert_transcript(
            &place,
            "providers",
            &[
                &["providers", "list"],
                &["providers", "add", "OpenAI", "--url", "https://api.openai.com/v1/"],
                &[
                    "providers",
                    "add",
                    "OpenAI",
                    "--url",
                    "https://api.openai.com/v1/",
                    "--credential-env",
                    "OPENAI_API_KEY",
                ],
                &["providers", "add", "OpenAI", "--url", "https://api.openai.com", "--no-credential"],
                &["models", "route", "gpt-5", "gpt-4.1", "--to", "openai"],
                &[
                    "providers",
                    "set",
                    "openai",
                    "--rename",
                    "Local",
                    "--url",
                    "http://localhost:8000",
                    "--no-credential",
                ],
                &["providers", "list"],
                &["providers", "set", "Local"],
                &["providers", "set", "Local", "--idle-timeout", "0", "--protocol", "x"],
                &["providers", "set", "Local", "--url", "http://169.254.169.254"],
                &[
                    "providers",
                    "set",
                    "Local",
                    "--omit",
                    "stream_options",
                    "--header",
                    "X-Team: blue",
                    "--url",
                    "http://localhost:8000/llm",
                    "--exact-url",
                ],
                &["providers", "set", "Local", "--omit", "model"],
                &["providers", "rotate-key"],
                &["providers", "retire", "OpenAI"],
                &["providers", "retire", "Local"],
                &["providers", "list"],
            ],
        );
    }
}

#[tokio::test]
async fn models_by_their_names() {
    for place in both().await {
        place.done(&["providers", "add", "vLLM", "--url", "http://vllm:8000", "--no-credential"]);
        let write = |file: &str, text: &str| {
            let path = place.folder().join(file);
            std::fs::write(&path, text).unwrap();
            path.into_os_string().into_string().unwrap()
        };
        let entry = |id: &str, more: &str| {
            format!(
                r#"[{{"id": "{id}", "provider": "OpenAI", "input": "8", "output": "2", "cached": "0"{more}}}]"#
            )
        };
        let price = write("price.json", &entry("gpt-5", ""));
        let route = write("route.json", &entry("gpt-6", r#", "route": "vLLM", "upstream": "six""#));
        let nowhere = write("nowhere.json", &entry("gpt-7", r#", "route": "Nowhere""#));
        let broken = write("broken.json", "[{");
        let price_of = ["--input", "0.2", "--output", "$0.8", "--cached", "0.1"];
        let add = [&["models", "set", "meta/llama-4", "--vendor", "Meta"], &price_of[..]].concat();
        assert_transcript(
            &place,
            "models",
            &[
                &["models", "set", "meta/llama-4", "--vendor", "Meta"],
                &add,
                &["models", "set", "meta/llama-4"],
                &["models", "route", "meta/llama-4", "--to", "vLLM"],
                &[
                    "models",
                    "set",
                    "meta/llama-4",
                    "--input",
                    "0.25",
                    "--upstream",
                    "llama",
                    "--default-output",
                    "4k",
                ],
                // All of them or none.
                &["models", "route", "gpt-5", "gpt-0", "--to", "vLLM"],
                &["models", "route", "gpt-5"],
                &["models", "route", "gpt-5", "--to", "vLLM"],
                // What a file does not say stays as it is.
                &["models", "import", &price, "--dry-run"],
                &["models", "import", &price],
                &["models", "import", &price, "--confirm-all"],
                &["models", "import", &price, "--confirm", "gpt-5"],
                &["models", "import", &route],
                &["models", "import", &nowhere],
                &["models", "import", &broken],
                &["models", "import", "/nowhere.json"],
                &["models", "import"],
                &["models", "import", "--shipped"],
                &["models", "route", "meta/llama-4", "--not-served"],
                &["models", "retire", "gpt-4.1"],
                &["models", "retire", "gpt-4.1"],
                // Prices of every kind.
                &[
                    "models",
                    "set",
                    "gpt-5-mini",
                    "--price",
                    "audio_input=40",
                    "--line",
                    "272000:input=4,output=15",
                ],
                &[
                    "models",
                    "set",
                    "gpt-5-mini",
                    "--factor",
                    "tier:flex=0.5",
                    "--source",
                    "OpenAI, 1 Dec 2026",
                ],
                &["models", "set", "gpt-5-mini", "--price", "tokens=1"],
                &["models", "set", "gpt-5-mini", "--line", "272000"],
                &["models", "set", "gpt-5-mini", "--starts", "2020-01-01", "--input", "9"],
                &["models", "set", "gpt-5-mini", "--starts", "2099-12-01T00:00", "--input", "9"],
                &["models", "set", "gpt-5-nano", "--replace-prices"],
                &["models", "catalogue-price", "gpt-5-nano"],
                &["models", "catalogue-price", "gpt-5-nano"],
                &["models", "withdraw-price", "gpt-5-mini", "price_0"],
                &["models", "show", "gpt-0"],
            ],
        );
        let list: Vec<serde_json::Value> = serde_json::from_str(&place.done(&["models", "list"])).unwrap();
        let known = |id: &str| list.iter().find(|entry| entry["id"] == id);
        assert_eq!(known("gpt-4.1"), None);
        for (id, input, route, upstream) in [
            ("gpt-5", "8", Some("vLLM"), None),
            ("gpt-6", "8", Some("vLLM"), Some("six")),
            ("meta/llama-4", "0.25", None, Some("llama")),
        ] {
            let found = known(id).unwrap();
            assert_eq!(found["price"]["input"], input, "{id}");
            assert_eq!(
                found.get("route").and_then(|name| name.as_str()).filter(|name| !name.is_empty()),
                route,
                "{id}"
            );
            assert_eq!(found.get("upstream").and_then(|name| name.as_str()), upstream, "{id}");
        }
        let whole = write("whole.json", &place.done(&["models", "list"]));
        assert_eq!(
            place.done(&["models", "import", &whole, "--only"]),
            format!("{0} unchanged.\n{0} models imported.\n", list.len())
        );
        let shown = place.done(&["models", "show", "gpt-5-mini"]);
        let coming = shown.lines().find(|line| line.contains("will start")).unwrap();
        assert!(coming.contains("1 Dec 2099 00:00:00 UTC") && coming.contains("input $9.00"), "{shown}");
        assert_eq!(shown.lines().filter(|line| line.contains("ended")).count(), 2, "{shown}");
        let id = coming.split('\t').next().unwrap();
        assert_eq!(
            place.done(&["models", "withdraw-price", "gpt-5-mini", id]),
            "The price of gpt-5-mini is withdrawn.\n"
        );
    }
}

/// The demonstration has people, so what needs them is tested with it.
#[tokio::test]
async fn the_demonstration() {
    let place = Place::sqlite();
    let out = place.done(&["demo"]);
    let mut lines = out.lines();
    let counts = lines.next().unwrap();
    assert!(counts.ends_with(" requests over 90 days."), "{counts}");
    insta::assert_snapshot!("demo_people", lines.collect::<Vec<_>>().join("\n"));
    assert_transcript(
        &place,
        "with_people",
        &[
            &["demo"],
            &["setup-link"],
            &["reset-password", "ana@northwind.example"],
            &["reset-second-factor", "ana@northwind.example"],
        ],
    );
    place.done(&["audit", "verify"]);
    place.done(&["spend", "verify"]);
    re_rated(&place).await;
    place
        .tamper("UPDATE counters SET spent = spent + 1 WHERE holder_kind = 'org' AND period = 'total'")
        .await;
    let ran = place.run(&["spend", "verify", "--org", "fjord-robotics"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains(" requests, DIFFERS\n"), "{ran:?}");
    assert_eq!(ran.err, "keydesk: The spend of one organisation does not add up.\n");
    let repaired = place.done(&["spend", "repair", "fjord-robotics"]);
    assert!(
        repaired.starts_with("totals put right\t1\nbefore\t$") && repaired.contains("\nafter\t$"),
        "{repaired}"
    );
    place.done(&["spend", "verify", "--org", "fjord-robotics"]);
    place.done(&["audit", "verify"]);
}

/// As if the requests were from before meters were kept, and each cost a nano-dollar too much.
async fn re_rated(place: &Place) {
    place
        .tamper("UPDATE usage SET meters = '', price_id = NULL, is_priced = 1, cost = cost + 1 WHERE model_id = 'gpt-5'")
        .await;
    let ran = place.run(&["spend", "verify"]);
    for line in ran.out.lines().filter(|line| line.ends_with(", DIFFERS")) {
        place.done(&["spend", "repair", line.split(':').next().unwrap()]);
    }
    place.done(&["spend", "verify"]);
    let rerate = |from: &'static str, more: &[&'static str]| {
        [
            &["spend", "rerate", "--model", "gpt-5", "--from", from, "--to", "2100-01-01", "--at", "current"],
            more,
        ]
        .concat()
    };
    let shown = place.done(&rerate("2020-01-01", &[]));
    assert!(shown.contains(" with nothing but input, cached and output tokens\n"), "{shown}");
    assert!(shown.ends_with("run the same with --confirm.\n"), "{shown}");
    assert_eq!(place.done(&rerate("2020-01-01", &[])), shown, "nothing was changed");
    let done = place.done(&rerate("2020-01-01", &["--confirm"]));
    assert!(done.ends_with(" organisations.\n") || done.ends_with(" organisation.\n"), "{done}");
    assert!(place.done(&rerate("2020-01-01", &["--confirm"])).ends_with("There is nothing to change.\n"));
    place.done(&["spend", "verify"]);
    place.done(&["audit", "verify"]);
    let wrong = place.run(&rerate("soon", &[]));
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("--from: Enter a day such as"), "{wrong:?}");
}

#[tokio::test]
async fn a_rewritten_audit_and_a_wrong_counter_fail_their_checks() {
    for place in both().await {
        place.done(&["orgs", "create", "Acme", "--owner", "ana@acme.example"]);
        place.done(&["orgs", "credit", "acme", "250", "--note", "Invoice 1"]);
        let off = match place.postgres {
            Some(_) => "ALTER TABLE audit_events DISABLE TRIGGER USER",
            None => "DROP TRIGGER audit_events_no_update",
        };
        place.tamper(off).await;
        place.tamper("UPDATE audit_events SET subject_name = 'Other' WHERE kind = 'org.created' AND org_id IS NOT NULL").await;
        let ran = place.run(&["audit", "verify"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.out.contains("acme: BROKEN after "), "{ran:?}");
        assert_eq!(ran.err, "keydesk: One audit chain is broken.\n");
    }
}
