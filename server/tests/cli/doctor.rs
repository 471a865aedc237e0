//! What `keydesk doctor` says about a database that is in use, on both databases.

use super::provider_keys::with_input;
use super::support::{Place, Ran, both};

const SECRET: &str = "sk-proj-canary0123456789wxyz";

fn examined(place: &Place, origins: &str) -> Ran {
    place.command(&["doctor"]).env("KEYDESK_ALLOW_ORIGINS", origins).output().unwrap().into()
}

#[test]
fn who_can_read_the_metrics_is_said() {
    let place = Place::sqlite();
    place.done(&["migrate"]);
    let token = "metrics-token-0123456789abcdef012345";
    for (listen, token, line) in [
        ("127.0.0.1:9464", "", "ok   metrics: at http://127.0.0.1:9464/metrics\n"),
        ("0.0.0.0:9464", token, "ok   metrics: at http://0.0.0.0:9464/metrics\n"),
        (
            "0.0.0.0:9464",
            "",
            "warn metrics: everyone who can reach 0.0.0.0:9464 can read them. Set KEYDESK_METRICS_TOKEN,",
        ),
    ] {
        let mut command = place.command(&["doctor"]);
        command.env("KEYDESK_METRICS_LISTEN", listen);
        if !token.is_empty() {
            command.env("KEYDESK_METRICS_TOKEN", token);
        }
        let ran: Ran = command.output().unwrap().into();
        assert_eq!(ran.code, Some(i32::from(line.starts_with("warn"))), "{ran:?}");
        assert!(ran.out.contains(line), "{line}: {ran:?}");
    }
    assert!(!place.run(&["doctor"]).out.contains("metrics"));
}

#[tokio::test]
async fn origins_image_prices_and_stored_keys_are_named() {
    for place in both().await {
        let add = ["providers", "add", "Far", "--url", "https://api.far.example", "--api-key-stdin"];
        assert_eq!(with_input(&place, &add, SECRET).code, Some(0));
        for model in ["gpt-image-far", "gpt-image-unserved", "gpt-far"] {
            place.done(&["models", "set", model, "--vendor", "OpenAI", "--input", "5", "--output", "40"]);
        }
        place.done(&["models", "route", "gpt-image-far", "gpt-far", "--to", "Far"]);

        let ran = examined(&place, "app://obsidian.md,http://localhost:1420,https://chat.example.com");
        // 1 is for warnings.
        assert_eq!(ran.code, Some(1), "{ran:?}");
        for line in [
            "ok   origins: desktop programs at app://obsidian.md, http://localhost:1420 may call the gateway with a key\n",
            "warn origins: https://chat.example.com may be a web page, and everyone can read a key in one.",
            "warn images: gpt-image-far has no price for image output, so its images are refused, or not counted. Set the price under Models.\n",
        ] {
            assert!(ran.out.contains(line), "{line}: {ran:?}");
        }
        for unnamed in ["unserved", "gpt-far", "provider keys", "FAIL", "canary"] {
            assert!(!ran.out.contains(unnamed), "{unnamed}: {ran:?}");
        }
        let ran = examined(&place, "*");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("is not an origin"), "{ran:?}");

        std::fs::write(place.data().join("provider.key"), [8; 64]).unwrap();
        let ran: Ran = place.run(&["doctor"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(
            ran.out
                .contains("FAIL provider keys: the stored API key of Far cannot be opened with the key in "),
            "{ran:?}"
        );
        assert!(ran.err.contains("One check failed.") && !ran.out.contains("origins"), "{ran:?}");
    }
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The status and the message of the first check of this name.
fn check<'a>(report: &'a serde_json::Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {report}"));
    (found["status"].as_str().unwrap(), found["message"].as_str().unwrap())
}

#[tokio::test]
async fn a_report_for_programs_has_a_status_for_each_check() {
    for place in both().await {
        place.done(&["migrate"]);
        let ran = place.run(&["doctor", "--json"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        let report = json(&ran);
        assert_eq!(report["status"], "ok");
        assert_eq!(check(&report, "migrations"), ("ok", "all are in"));
        assert!(check(&report, "backup").1.contains("none is recorded"));
        assert!(check(&report, "open files").1.contains("connections"));
        let space = report["checks"].as_array().unwrap().iter().any(|check| check["check"] == "disk");
        assert_eq!(space, place.postgres.is_none());

        // A proxy that is not named, and one that is everything.
        let ran: Ran = place
            .command(&["doctor", "--json", "--base-url", "https://keys.example.com"])
            .output()
            .unwrap()
            .into();
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let report = json(&ran);
        assert_eq!((report["status"].as_str(), check(&report, "proxies").0), (Some("warn"), "warn"));
        let ran = place.run(&["doctor", "--json", "--trusted-proxy", "0.0.0.0/0"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(check(&json(&ran), "proxies").0, "fail");
    }
}

#[tokio::test]
async fn the_age_of_the_last_backup_is_known() {
    for place in both().await {
        place.done(&["migrate"]);
        place.done(&["backup", "--record"]);
        let ran = place.run(&["doctor", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(check(&json(&ran), "backup").1.contains("the last one was made at"), "{ran:?}");
        place.tamper("UPDATE last_backup SET made_at = made_at - 9 * 86400000").await;
        let ran = place.run(&["doctor", "--json"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let report = json(&ran);
        assert_eq!(check(&report, "backup").0, "warn");
        assert!(check(&report, "backup").1.contains("9 days old. Run: keydesk backup FILE"), "{ran:?}");
    }
}

#[tokio::test]
async fn what_does_not_answer_is_named_when_it_is_asked_for() {
    for place in both().await {
        place.done(&["providers", "add", "Far", "--url", "http://127.0.0.1:9/v4", "--no-credential"]);
        // Nothing is called without the option.
        let addresses = ["--base-url", "http://127.0.0.1:9", "--smtp-url", "smtp://127.0.0.1:9"];
        let doctor = |more: &[&'static str]| -> Ran {
            let options =
                [&["doctor", "--json", "--mail-from", "desk@example.com"], more, &addresses].concat();
            place.run(&options)
        };
        assert_eq!(doctor(&[]).code, Some(0));
        let ran = doctor(&["--online"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let report = json(&ran);
        for name in ["base URL", "mail server", "providers"] {
            assert_eq!(check(&report, name).0, "fail", "{name}: {ran:?}");
        }
        assert!(check(&report, "providers").1.starts_with("Far: "), "{ran:?}");
        // A running server answers at its own address.
        let serving = super::serving::Serving::start(&place);
        let base = format!("http://{}", serving.address);
        let ran = place.run(&["doctor", "--json", "--online", "--base-url", &base]);
        assert_eq!(check(&json(&ran), "base URL").0, "ok", "{ran:?}");
    }
}
