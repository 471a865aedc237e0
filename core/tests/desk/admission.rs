//! Who is let in, and everybody who is not.

use keydesk_core::store::Unaudited;
use std::net::IpAddr;

use keydesk_core::admission::{AdmissionError, AuthContext, Presented, authenticate, models_in_scope};
use keydesk_core::domain::api_error::Stop;
use keydesk_core::domain::gate::{Gate, Rejection};
use keydesk_core::forms::key::{EditForm, KeyForm};
use keydesk_core::ops;
use keydesk_core::ops::keys::IssuedKey;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::submit;
use crate::support::*;

fn bearer(key: &str) -> Presented {
    let mut presented = Presented::default();
    presented.authorization(format!("Bearer {key}").as_bytes());
    presented
}

fn address() -> Option<IpAddr> {
    Some("203.0.113.7".parse().unwrap())
}

async fn knock(desk: &TestDesk, issued: &IssuedKey) -> Result<AuthContext, AdmissionError> {
    authenticate(desk, &bearer(issued.secret.reveal()), address()).await
}

fn rejection(result: Result<AuthContext, AdmissionError>) -> Rejection {
    match result {
        Err(AdmissionError::Rejected(rejection, _)) => rejection,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("let in"),
    }
}

#[track_caller]
fn assert_refused(
    result: Result<AuthContext, AdmissionError>,
    gate: Gate,
    status: u16,
    code: &str,
) -> Rejection {
    let rejection = rejection(result);
    assert_eq!(
        (rejection.gate(), rejection.status(), rejection.code()),
        (gate, status, code),
        "{rejection:?}"
    );
    rejection
}

const INVALID: &str = "invalid_api_key";

on_both!(
    fn a_good_key_is_let_in_wherever_it_stands(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let secret = issued.secret.reveal();
        let mut bare = Presented::default();
        bare.bare(secret.as_bytes());
        let mut twice = bearer(secret);
        twice.bare(secret.as_bytes());
        let mut odd_case = Presented::default();
        odd_case.authorization(format!("bEARER {secret}").as_bytes());
        for presented in [bearer(secret), bare, twice, odd_case] {
            let context = authenticate(&desk, &presented, None).await.unwrap();
            assert_eq!((context.key(), context.org()), (&issued.id, &at.org.id));
            assert_eq!(*context.secret(), desk.secret_id(&issued).await);
            assert!(context.team().is_none());
        }
    }
);

on_both!(
    fn no_credential_two_and_malformed_ones_stop_at_their_gates(desk: TestDesk) {
        let at = desk.owner().await;
        let (one, two) = (desk.create_key(&at, "one").await, desk.create_key(&at, "two").await);
        let none = authenticate(&desk, &Presented::default(), address()).await;
        assert_refused(none, Gate::Credential, 401, INVALID);
        let mut basic = Presented::default();
        basic.authorization(b"Basic YTpi");
        assert_refused(authenticate(&desk, &basic, address()).await, Gate::Credential, 401, INVALID);
        let mut both = bearer(one.secret.reveal());
        both.bare(two.secret.reveal().as_bytes());
        let result = authenticate(&desk, &both, address()).await;
        assert_refused(result, Gate::Credential, 400, "conflicting_credentials");

        let whole = one.secret.reveal();
        let mut damaged = vec![
            String::new(),
            whole[..whole.len() - 1].to_owned(),
            format!("{whole}a"),
            format!("{whole} "),
            format!(" {whole}"),
            format!("\"{whole}\""),
            format!("Bearer {whole}"),
            format!("{}****{}", &whole[..8], &whole[whole.len() - 4..]),
            whole.to_uppercase(),
            "sk-ant-api03-abcdefghijklmnopqrstuvwxyz".into(),
        ];
        let other = if whole.as_bytes()[20] == b'a' { "b" } else { "a" };
        damaged.push(format!("{}{other}{}", &whole[..20], &whole[21..]));
        for text in damaged {
            let result = authenticate(&desk, &bearer(&text), address()).await;
            let rejection = assert_refused(result, Gate::WellFormed, 401, INVALID);
            assert!(!rejection.sentence("https://desk").contains(&whole[8..]), "{text}");
        }
        // The hash is no credential.
        let hash = hex(one.secret.hash().as_bytes());
        assert_refused(authenticate(&desk, &bearer(&hash), address()).await, Gate::WellFormed, 401, INVALID);
    }
);

on_both!(
    fn unknown_and_retired_secrets_stop_at_the_third_gate(desk: TestDesk) {
        let at = desk.owner().await;
        let unknown =
            keydesk_core::domain::key_format::PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(9));
        let result = authenticate(&desk, &bearer(unknown.unwrap().reveal()), address()).await;
        assert_eq!(assert_refused(result, Gate::Known, 401, INVALID), Rejection::Unknown);

        let issued = desk.create_key(&at, "ci-prod").await;
        let ends = desk.now().plus_ms(HOUR);
        desk.execute(&format!("UPDATE key_secrets SET expires_at = {}", ends.ms())).await.unwrap();
        desk.clock.set(ends.plus_ms(-1));
        assert!(knock(&desk, &issued).await.is_ok());
        desk.clock.set(ends);
        let rejection = assert_refused(knock(&desk, &issued).await, Gate::Known, 401, INVALID);
        let last_four = issued.secret.last_four().to_owned();
        assert_eq!(rejection, Rejection::Retired { last_four, since: ends });
    }
);

on_both!(
    fn a_key_that_is_not_alive_stops_at_the_fourth_gate(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Search").await;
        let short = KeyForm { team: team.id.to_string(), expiry: "7".into(), ..form("ci-prod") };
        let issued = desk.create(&at, short).await.unwrap();
        assert!(knock(&desk, &issued).await.unwrap().team().is_some());
        let refused_live = async || assert_refused(knock(&desk, &issued).await, Gate::Live, 401, INVALID);

        desk.disable(&at, &issued).await.unwrap();
        assert!(matches!(refused_live().await, Rejection::Disabled { .. }));
        desk.enable(&at, &issued).await.unwrap();
        assert!(knock(&desk, &issued).await.is_ok());

        desk.execute("UPDATE orgs SET suspended_at = 1").await.unwrap();
        assert!(matches!(refused_live().await, Rejection::OrgSuspended));
        desk.execute("UPDATE orgs SET suspended_at = NULL").await.unwrap();
        desk.execute("UPDATE teams SET archived_at = 1").await.unwrap();
        assert_eq!(refused_live().await, Rejection::TeamArchived { team: "Search".into() });
        desk.execute("UPDATE teams SET archived_at = NULL").await.unwrap();
        assert!(knock(&desk, &issued).await.is_ok());

        let end = START.plus_days(7);
        desk.clock.set(end.plus_ms(-1));
        assert!(knock(&desk, &issued).await.is_ok());
        desk.clock.set(end);
        let since = end;
        let last_four = issued.secret.last_four().to_owned();
        assert_eq!(refused_live().await, Rejection::Expired { last_four, since });
        let mut tx = desk.db.write().await.unwrap();
        keydesk_core::store::keys::expire_due(&mut tx, desk.now()).await.unwrap();
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        desk.clock.set(START);
        assert!(matches!(refused_live().await, Rejection::Expired { .. }));
        desk.revoke(&at, &issued, "").await.unwrap();
        assert!(matches!(refused_live().await, Rejection::Revoked { .. }));
    }
);

on_both!(
    fn once_revoke_has_answered_nobody_is_let_in(desk: TestDesk) {
        let at = desk.owner().await;
        for round in 0..5 {
            let issued = desk.create_key(&at, &format!("key {round}")).await;
            assert!(knock(&desk, &issued).await.is_ok());
            desk.revoke(&at, &issued, "").await.unwrap();
            let mut knocks = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let desk = desk.clone();
                let presented = bearer(issued.secret.reveal());
                knocks.spawn(async move { authenticate(&desk, &presented, address()).await.is_ok() });
            }
            while let Some(done) = knocks.join_next().await {
                assert!(!done.unwrap(), "let in after the revocation was answered");
            }
            let result = knock(&desk, &issued).await;
            assert!(matches!(rejection(result), Rejection::Revoked { since, .. } if since == desk.now()));
        }
    }
);

on_both!(
    fn addresses_outside_the_list_stop_at_the_fifth_gate(desk: TestDesk) {
        let at = desk.owner().await;
        let key = KeyForm { addresses: "203.0.113.0/24 2001:db8::/32".into(), ..form("ci-prod") };
        let issued = desk.create(&at, key).await.unwrap();
        let from = async |address: Option<&str>| {
            let address = address.map(|address| address.parse().unwrap());
            authenticate(&desk, &bearer(issued.secret.reveal()), address).await
        };
        for address in ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::5"] {
            assert!(from(Some(address)).await.is_ok(), "{address}");
        }
        for address in [Some("203.0.114.7"), Some("::1"), Some("::ffff:10.0.0.1"), None] {
            assert_refused(from(address).await, Gate::Address, 403, "address_not_allowed");
        }
        // The gates are tried in order: a revoked key says so, from wherever it is used.
        desk.revoke(&at, &issued, "").await.unwrap();
        assert_refused(from(None).await, Gate::Live, 401, INVALID);
    }
);

on_both!(
    fn a_model_must_be_in_the_scope_of_key_team_and_organisation(desk: TestDesk) {
        let at = desk.owner().await;
        ops::catalogue::seed(&desk).await.unwrap();
        let team = desk.team(&at, "Search").await;
        let key = KeyForm {
            scope: "listed".into(),
            patterns: "gpt-5*\nclaude-*".into(),
            team: team.id.to_string(),
            ..form("ci-prod")
        };
        let issued = desk.create(&at, key).await.unwrap();
        let allows = async |model: &str| match knock(&desk, &issued).await.unwrap().admit_model(model) {
            Ok(()) => true,
            Err(Stop::NoTarget(why)) => panic!("{why:?}"),
            Err(Stop::Gate(rejection)) => {
                let (gate, status, code) = (rejection.gate(), rejection.status(), rejection.code());
                assert_eq!((gate, status, code), (Gate::Model, 403, "model_not_allowed"));
                false
            }
        };
        assert!(allows("gpt-5").await && allows("claude-opus-4-5").await && !allows("gemini-2.5-pro").await);
        assert!(!allows("").await && !allows("GPT-5").await && !allows("xgpt-5").await);

        let (org, team) = (&at.org.id, &team.id);
        desk.execute(&format!("UPDATE teams SET model_scope = 'listed' WHERE id = '{team}'")).await.unwrap();
        // A list without an entry is no model at all.
        assert!(!allows("gpt-5").await);
        desk.execute(&format!("INSERT INTO scopes VALUES ('team', '{team}', 'gpt-*', '{org}')"))
            .await
            .unwrap();
        assert!(allows("gpt-5").await && !allows("claude-opus-4-5").await && !allows("gpt-4.1").await);
        desk.execute("UPDATE orgs SET model_scope = 'listed'").await.unwrap();
        desk.execute(&format!("INSERT INTO scopes VALUES ('org', '{org}', '*-mini', '{org}')"))
            .await
            .unwrap();
        assert!(allows("gpt-5-mini").await && !allows("gpt-5").await);
        let context = knock(&desk, &issued).await.unwrap();
        let listed: Vec<String> =
            models_in_scope(&desk, &context).await.unwrap().into_iter().map(|model| model.id).collect();
        assert!(listed.contains(&"gpt-5-mini".to_owned()));
        assert!(listed.iter().all(|id| id.starts_with("gpt-") && id.ends_with("-mini")), "{listed:?}");
    }
);

on_both!(
    fn an_edit_holds_for_the_next_request(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        assert!(knock(&desk, &issued).await.unwrap().admit_model("gpt-5").is_ok());
        let drawn = desk.drawn(&at, &issued).await;
        let key = KeyForm { scope: "listed".into(), patterns: "claude-*".into(), ..drawn.key.clone() };
        submit::edit_key(&desk, &at.caller, &EditForm { key, ..drawn }).await.unwrap();
        let context = knock(&desk, &issued).await.unwrap();
        assert!(context.admit_model("gpt-5").is_err() && context.admit_model("claude-opus-4-5").is_ok());
    }
);

on_both!(
    fn a_rejection_shows_the_last_four_and_no_more(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.disable(&at, &issued).await.unwrap();
        let sentence = rejection(knock(&desk, &issued).await).sentence("https://desk.example");
        let whole = issued.secret.reveal();
        assert!(sentence.contains(issued.secret.last_four()));
        for start in 8..whole.len() - 5 {
            assert!(!sentence.contains(&whole[start..start + 5]));
        }
    }
);

on_both!(
    fn nobody_is_let_in_while_the_database_is_away(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.db.close().await;
        assert!(matches!(knock(&desk, &issued).await, Err(AdmissionError::Unavailable(_))));
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bytes_in_any_place_get_in_or_do_harm() {
    on_sqlite(async |desk: TestDesk| {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let whole = issued.secret.reveal().as_bytes().to_vec();
        let near = (0..whole.len(), any::<u8>(), 0..3_u8).prop_map({
            let whole = whole.clone();
            move |(place, byte, how)| {
                let mut text = whole.clone();
                match how {
                    0 => text[place] = byte,
                    1 => text.insert(place, byte),
                    _ => drop(text.remove(place)),
                }
                text
            }
        });
        let value =
            prop_oneof![any::<Vec<u8>>(), near.clone(), near.prop_map(|key| [b"Bearer ", &key[..]].concat())];
        let places = prop::collection::vec((any::<bool>(), value), 0..4);
        let mut runner =
            TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&places, |places| {
            let mut presented = Presented::default();
            let mut damaged = true;
            for (header, value) in &places {
                damaged &= *value != whole && value.strip_prefix(b"Bearer ") != Some(&whole[..]);
                match header {
                    true => presented.authorization(value),
                    false => presented.bare(value),
                }
            }
            prop_assume!(damaged);
            let result = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(authenticate(&desk, &presented, None))
            });
            prop_assert!(matches!(result, Err(AdmissionError::Rejected(..))));
            Ok(())
        });
        outcome.unwrap();
    })
    .await;
}
