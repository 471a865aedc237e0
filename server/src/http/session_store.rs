//! Where tower-sessions keeps sessions: our own table. The cookie's value is stored only as a hash, a session belongs
//! to a person, and saving one that was ended never brings it back.

use std::collections::HashMap;
use std::str::FromStr;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use keydesk_app::actions::session::{ADDRESS, PASSWORD_SET_AT, PERSON, REFUSED, USER_AGENT};
use keydesk_core::Desk;
use keydesk_core::domain::ids::{PersonId, SessionId};
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::account::SessionLife;
use keydesk_core::ops::sessions::{self, Begun, NewSession};
use keydesk_core::store::StoreError;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::state::AppState;

#[derive(Clone)]
pub struct Sessions {
    desk: Desk,
    life: SessionLife,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    pub fn new(desk: Desk, life: SessionLife) -> Self {
        Self { desk, life }
    }
}

/// What the table keeps of a cookie's value.
pub fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

/// Over https with the prefix that keeps other hosts of the domain from setting it.
pub fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-keydesk" } else { "keydesk" }
}

/// A browser takes a cookie of the host's own, also one that removes it, only with the attributes of such a cookie.
pub async fn complete_removal(mut response: Response) -> Response {
    let cookies = response.headers_mut().iter_mut().filter(|(name, _)| *name == header::SET_COOKIE);
    for (_, value) in cookies {
        let text = value.to_str().unwrap_or_default();
        if text.starts_with("__Host-")
            && !text.contains("; Secure")
            && let Ok(whole) = HeaderValue::from_str(&format!("{text}; Secure; HttpOnly"))
        {
            *value = whole;
        }
    }
    response
}

/// The hash of the session that a request names, whether it still lives or not.
pub fn hash_of_cookie(headers: &HeaderMap, state: &AppState) -> Option<Vec<u8>> {
    let name = cookie_name(state.config.secure());
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Id::from_str(value).ok().map(|id| hash(&id))
}

/// The cause is logged here; what goes on is only that it failed.
fn failed(error: StoreError) -> Error {
    tracing::error!(%error, "the session store failed");
    Error::Backend("the session store failed".into())
}

fn text(data: &HashMap<String, serde_json::Value>, name: &str) -> String {
    data.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

#[async_trait::async_trait]
impl SessionStore for Sessions {
    /// Only ever adds: an id that is taken is drawn again. Refuses when the password that was verified is not the person's
    /// any more.
    async fn create(&self, record: &mut Record) -> Result<()> {
        let person = PersonId::parse(&text(&record.data, PERSON))
            .ok_or_else(|| Error::Backend("a session without a person".into()))?;
        let password_set_at = record.data.get(PASSWORD_SET_AT).and_then(|value| value.as_i64());
        let password_set_at = password_set_at
            .map(Moment::from_ms)
            .ok_or_else(|| Error::Backend("a session without a password".into()))?;
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        let now = self.desk.now();
        loop {
            let new = NewSession {
                hash: &hash(&record.id),
                id: &SessionId::new(now, self.desk.id_entropy()),
                person: &person,
                data: &data,
                address: &text(&record.data, ADDRESS),
                user_agent: &text(&record.data, USER_AGENT),
                password_set_at,
            };
            match sessions::begin(&self.desk, &new).await.map_err(failed)? {
                Begun::Yes => return Ok(()),
                Begun::Refused => return Err(Error::Backend(REFUSED.into())),
                Begun::IdTaken => {}
            }
            record.id = Id(i128::from_le_bytes(self.desk.bytes()));
        }
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        sessions::save(&self.desk, &hash(&record.id), &data).await.map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let found = sessions::load(&self.desk, &hash(id), self.life).await.map_err(failed)?;
        let Some(data) = found else { return Ok(None) };
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        let until = self.desk.now().plus_ms(self.life.idle_ms);
        // The table decides how long a session lives; tower-sessions only wants a date that has not come.
        let expiry_date = OffsetDateTime::from_unix_timestamp(until.ms() / 1_000)
            .map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        sessions::end(&self.desk, &hash(id)).await.map_err(failed)
    }
}
