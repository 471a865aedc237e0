//! The rotation of the cookie key: what it sealed in the database is sealed with the new one.

use keydesk_core::Vault;
use keydesk_core::domain::moment::Moment;

use super::support::{Place, both, seed_org};

/// A person with a second factor whose secret this key has sealed.
async fn with_second_factor(place: &Place, key: &[u8; 64]) {
    let desk = place.desk(Moment::from_ms(1_795_176_000_000)).await;
    let (_, caller) = seed_org(&desk).await;
    desk.db.close().await;
    std::fs::write(place.data().join("cookie.key"), key).unwrap();
    let sealed = Vault::derive(key).seal(&caller.person.id, [1; 12], b"twenty bytes of it..").unwrap();
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = if place.postgres.is_some() { format!("'\\x{hex}'") } else { format!("X'{hex}'") };
    place.tamper(&format!("UPDATE people SET totp_since = 1, totp_secret = {bytes}")).await;
}

fn opens(place: &Place) -> bool {
    !place.run(&["doctor"]).out.contains("FAIL cookie key: the two-factor authentication of 1 people")
}

#[tokio::test]
async fn second_factors_open_with_the_new_key_and_the_old_one_is_kept_or_forgotten() {
    for place in both().await {
        let path = |name: &str| place.data().join(name);
        assert!(place.run(&["rotate-cookie-key"]).err.contains("There is no key to rotate"));
        with_second_factor(&place, &[5; 64]).await;
        assert!(opens(&place));
        let out = place.done(&["rotate-cookie-key"]);
        assert!(out.contains("encrypted with the new cookie key: 1."), "{out}");
        let second = std::fs::read(path("cookie.key")).unwrap();
        assert!(second.len() == 64 && second != [5; 64] && !path("cookie.key.new").exists());
        assert_eq!(std::fs::read(path("cookie.key.old")).unwrap(), [5; 64]);
        assert!(opens(&place));
        // The old one alone does not open it any more.
        std::fs::remove_file(path("cookie.key.old")).unwrap();
        assert!(opens(&place));
        std::fs::write(path("cookie.key"), [5; 64]).unwrap();
        assert!(!opens(&place));
        std::fs::write(path("cookie.key"), &second).unwrap();

        // One that was stopped after it had made the new key goes on with that one.
        std::fs::write(path("cookie.key.new"), [7; 64]).unwrap();
        let out = place.done(&["rotate-cookie-key", "--forget-old"]);
        assert!(out.contains("key: 1.") && !out.contains("accepted"), "{out}");
        assert_eq!(std::fs::read(path("cookie.key")).unwrap(), [7; 64]);
        assert!(opens(&place) && !path("cookie.key.old").exists());
        assert_eq!(
            place.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'cookie_key.rotated'").await,
            2
        );
        place.done(&["audit", "verify"]);
    }
}
