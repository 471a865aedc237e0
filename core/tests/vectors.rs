//! `docs/vectors.json` is what people who write gateways check themselves against. The program agrees with it here.

use keydesk_core::domain::addresses::AllowList;
use keydesk_core::domain::key_format;
use keydesk_core::domain::scope::ModelPattern;
use serde_json::Value;

fn vectors(name: &str) -> Vec<Value> {
    let whole: Value = serde_json::from_str(include_str!("../../docs/vectors.json")).unwrap();
    let list = whole[name].as_array().unwrap().clone();
    assert!(!list.is_empty(), "{name}");
    list
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}

#[test]
fn every_published_key_reads_and_has_its_hash() {
    for vector in vectors("keys") {
        let secret = key_format::read(text(&vector, "key")).unwrap();
        assert_eq!(secret.prefix(), text(&vector, "prefix"));
        assert!(text(&vector, "key").starts_with(&format!("{}{}", secret.prefix(), text(&vector, "body"))));
        let hash: String = secret.hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, text(&vector, "sha256"));
    }
}

#[test]
fn every_published_malformed_credential_is_refused() {
    for vector in vectors("malformed") {
        assert!(key_format::read(vector.as_str().unwrap()).is_err(), "{vector}");
    }
}

#[test]
fn published_patterns_match_as_they_say() {
    for vector in vectors("patterns") {
        let pattern = ModelPattern::parse(text(&vector, "pattern")).unwrap();
        assert_eq!(Value::from(pattern.matches(text(&vector, "model"))), vector["matches"], "{vector}");
    }
}

#[test]
fn published_address_lists_allow_as_they_say() {
    for vector in vectors("addresses") {
        let list = AllowList::parse_lines(text(&vector, "list")).unwrap();
        let allowed = list.allows(text(&vector, "address").parse().unwrap());
        assert_eq!(Value::from(allowed), vector["allowed"], "{vector}");
    }
}
