//! The keys of services that report leaked secrets, and the check of their signatures: ECDSA P-256 with SHA-256 over the
//! whole body, in the headers of GitHub's secret scanning partner program.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde::Deserialize;

const KEY_ID: &str = "github-public-key-identifier";
const SIGNATURE: &str = "github-public-key-signature";

/// The public keys with which reports are signed, by their identifiers.
pub struct LeakKeys(Vec<(String, VerifyingKey)>);

#[derive(Deserialize)]
struct PublicKeys {
    public_keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct PublicKey {
    key_identifier: String,
    key: String,
}

impl LeakKeys {
    /// # Errors
    /// The end of a sentence that begins with the file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let keys: PublicKeys = serde_json::from_str(text).map_err(|_| {
            "must be JSON: {\"public_keys\": [{\"key_identifier\": …, \"key\": …}]}.".to_owned()
        })?;
        if keys.public_keys.is_empty() {
            return Err("have no key.".into());
        }
        let read = |PublicKey { key_identifier, key }| {
            let key = VerifyingKey::from_public_key_pem(&key).map_err(|_| {
                format!("have a key {key_identifier} that is not an ECDSA P-256 key in PEM form.")
            })?;
            Ok((key_identifier, key))
        };
        keys.public_keys.into_iter().map(read).collect::<Result<_, String>>().map(Self)
    }

    /// Whether one of these keys signed the body.
    pub fn signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(signature)) = (header(KEY_ID), header(SIGNATURE)) else { return false };
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        let Ok(signature) = DerSignature::from_bytes(&signature) else { return false };
        self.0.iter().any(|(known, key)| known == id && key.verify(body, &signature).is_ok())
    }
}
