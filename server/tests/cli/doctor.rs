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
        assert_eq!(ran.code, Some(0), "{ran:?}");
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
        assert_eq!(ran.code, Some(0), "{ran:?}");
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
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.out
                .contains("FAIL provider keys: the stored API key of Far cannot be opened with the key in "),
            "{ran:?}"
        );
        assert!(ran.err.contains("One check failed.") && !ran.out.contains("origins"), "{ran:?}");
    }
}
