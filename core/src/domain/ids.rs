//! Names for rows that last: a readable prefix and a version 7 uuid. They are made from a moment and ten random
//! bytes that the caller passes in, so tests can foretell them. An id is never a secret and never proves anything.

use super::moment::Moment;

/// Declares one id type. Each is its own type, so that a team's id cannot be passed where a key's is meant.
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id of something created at `at`, unique by `random`. Ids sort by their millisecond.
            pub fn new(at: Moment, random: [u8; 10]) -> Self {
                let uuid = uuid::Builder::from_unix_timestamp_millis(at.ms().max(0) as u64, &random).into_uuid();
                Self(format!(concat!($prefix, "_{}"), uuid.simple()))
            }

            /// `None` unless the text is exactly this prefix, an underscore and 32 lower-case hex digits.
            pub fn parse(text: &str) -> Option<Self> {
                let hex = text.strip_prefix(concat!($prefix, "_"))?;
                let well_formed = hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                well_formed.then(|| Self(text.to_owned()))
            }

            /// The whole id: the prefix, an underscore and 32 lower-case hex digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<Self, NotAnId> {
                Self::parse(&text).ok_or(NotAnId)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )+};
}

/// The text is not an id of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct NotAnId;

id! {
    /// An organisation: whatever has its own keys, people and bill.
    OrgId = "org";
    /// A person who can sign in.
    PersonId = "per";
    /// A team of an organisation.
    TeamId = "team";
    /// A key, for life: it outlasts its secrets.
    KeyId = "key";
    /// One secret of a key; rotation adds another.
    SecretId = "sec";
    /// What a person sees of a session; the cookie's own id is never stored.
    SessionId = "ses";
    /// An invitation to an organisation, for as long as it is open and after.
    InvitationId = "inv";
    /// An ask for more of a budget, or for a key.
    AskId = "ask";
    /// More of a budget for a time.
    GrantId = "grant";
    /// Where models are served.
    ProviderId = "prov";
    /// What a model costs from a moment on.
    PriceId = "price";
    /// One request, of a browser or to the gateway.
    RequestId = "req";
    /// An alert.
    AlertId = "alert";
    /// One alert on its way to one person or channel.
    DeliveryId = "dlv";
    /// A webhook that alerts are sent to.
    ChannelId = "chan";
}

impl RequestId {
    /// The millisecond in which the id was made.
    pub fn made_at(&self) -> Moment {
        let hex = self.0.strip_prefix("req_").and_then(|hex| hex.get(..12)).unwrap_or_default();
        Moment::from_ms(i64::from_str_radix(hex, 16).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_another_kind_is_refused() {
        let id = KeyId::new(Moment::from_ms(1_790_000_000_000), [7; 10]);
        assert_eq!(KeyId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(TeamId::parse(id.as_str()), None);
        assert_eq!(KeyId::parse("key_0"), None);
    }

    #[test]
    fn a_requests_id_tells_when_it_was_made() {
        let at = Moment::from_ms(1_790_000_000_123);
        assert_eq!(RequestId::new(at, [255; 10]).made_at(), at);
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let early = KeyId::new(Moment::from_ms(1_000), [255; 10]);
        let late = KeyId::new(Moment::from_ms(2_000), [0; 10]);
        assert!(early < late);
    }
}
