//! Create, edit, extend, disable, enable, revoke, look up.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::{KeyId, RequestId};
use keydesk_core::domain::key_filter::{KeyFilter, MAX_SEARCH, Sort, StateFilter};
use keydesk_core::domain::key_format::{hint, looks_like_secret, unmask};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::person::PersonName;
use keydesk_core::domain::scope::no_match_words;
use keydesk_core::domain::team::Team;
use keydesk_core::forms::key::{CreateForm, EditForm, ExtendKeyForm, KeyRef, RevokeForm, SearchForm};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::find::find_names;
use keydesk_core::ops::keys::{self, Found, IssuedKey};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{edit_conflict, tell};
use crate::ask::{act, answer, caller, desk};
use crate::error::AppError;
use crate::key_status::status_word;
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, Issued, Tone};

#[server(endpoint = "keys/create")]
pub async fn create_key(form: CreateForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        let caller = reauthenticate(&desk, &caller, &form.reauth).await?;
        let issued = keys::create(&desk, &caller, &form.org, &form.key.parse()?).await?;
        Ok(show_once(&form.org, &issued, desk.now()))
    })
    .await
}

/// The one way a secret leaves: sealed, to the page that shows it.
pub(super) fn show_once(org: &str, issued: &IssuedKey, now: Moment) -> LocalPath {
    let page = LocalPath::issued(org, &issued.id);
    let once = Issued { key_id: issued.id.to_string(), secret: issued.secret.reveal().to_owned() };
    sealed::send(ISSUED, page.as_str(), once, now);
    page
}

#[server(endpoint = "keys/edit")]
pub async fn edit_key(form: EditForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        let edit = form.parse()?;
        match keys::edit(&desk, &caller, &edit).await? {
            Outcome::Saved(id) => {
                let saved = format!("Key {} saved.", form.key.name.trim());
                let none = keys::without_a_model(&desk, &edit.mine.spec.models).await?;
                match no_match_words(&none) {
                    None => tell(Tone::Good, saved)?,
                    Some(words) => tell(Tone::Warn, format!("{saved} {words}"))?,
                }
                Ok(LocalPath::key(&form.org, &id))
            }
            Outcome::Unchanged(id) => {
                tell(Tone::Good, "No changes to save.")?;
                Ok(LocalPath::key(&form.org, &id))
            }
            Outcome::Conflict(conflict) => {
                let models = keys::edit_form(&desk, &caller, &form.org, &form.id).await?.models;
                Err(edit_conflict(*conflict, |merged| form.merged(&merged, &models)))
            }
        }
    })
    .await
}

#[server(endpoint = "keys/extend")]
pub async fn extend_key(form: ExtendKeyForm) -> Result<(), AppError> {
    act(async {
        let (id, name) = keys::extend(&desk()?, &caller()?, &form.parse()?).await?;
        tell(Tone::Good, format!("Key {name} extended. Requests with it are allowed again."))?;
        Ok(LocalPath::key(&form.org, &id))
    })
    .await
}

#[server(endpoint = "keys/disable")]
pub async fn disable_key(form: KeyRef) -> Result<(), AppError> {
    act(async {
        let name = keys::disable(&desk()?, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, format!("Key {name} disabled. Requests with it fail immediately."))?;
        Ok(LocalPath::keys(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "keys/enable")]
pub async fn enable_key(form: KeyRef) -> Result<(), AppError> {
    act(async {
        let name = keys::enable(&desk()?, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, format!("Key {name} enabled. Requests with it are allowed again."))?;
        Ok(LocalPath::keys(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "keys/revoke")]
pub async fn revoke_key(form: RevokeForm) -> Result<(), AppError> {
    act(async {
        let name = keys::revoke(&desk()?, &caller()?, &form.org, &form.id, &form.name).await?;
        tell(Tone::Good, format!("Key {name} revoked. Requests with it fail immediately."))?;
        Ok(LocalPath::keys(&form.org).with_id(&form.id))
    })
    .await
}

/// The search box. It posts, so that a pasted secret never stands in an address.
#[server(endpoint = "keys/search")]
pub async fn search_keys(form: SearchForm) -> Result<(), AppError> {
    act(async {
        match keys::search(&desk()?, &caller()?, &form.org, &form.q).await? {
            Found::Key(id) => Ok(LocalPath::key(&form.org, &id)),
            Found::Secret(key, secret) => Ok(LocalPath::secret(&form.org, &key, &secret)),
            Found::Request(id, request) => Ok(LocalPath::request(&form.org, &id, &request)),
            Found::NoSuchSecret(sentence) => {
                tell(Tone::Warn, sentence)?;
                Ok(LocalPath::keys(&form.org).with_query(&rest(&form.rest)))
            }
            Found::Text(text) => {
                // No longer than the list reads it.
                let text: String = text.chars().take(MAX_SEARCH).collect();
                let query = serde_urlencoded::to_string([("q", text)]).unwrap_or_default();
                let rest = rest(&form.rest);
                let query = match (query.as_str(), rest.as_str()) {
                    ("q=", rest) => rest.to_owned(),
                    (query, "") => query.to_owned(),
                    (query, rest) => format!("{query}&{rest}"),
                };
                Ok(LocalPath::keys(&form.org).with_query(&query))
            }
        }
    })
    .await
}

/// The list's other parameters, as they may stand in an address again.
fn rest(text: &str) -> String {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text).unwrap_or_default();
    let kept: Vec<_> = pairs
        .into_iter()
        .filter(|(name, _)| ["state", "older", "team", "sort", "dir"].contains(&name.as_str()))
        .collect();
    serde_urlencoded::to_string(kept).unwrap_or_default()
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FindForm {
    pub org: String,
    pub q: Hidden,
}

/// What the palette lists: a key, a person or a team, as `kind` says.
#[derive(Serialize, Deserialize)]
pub struct Hit {
    pub kind: String,
    pub name: String,
    pub hint: String,
    pub state: String,
    pub href: String,
}

impl Hit {
    fn new(kind: &str, name: impl Into<String>, href: LocalPath) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
            hint: String::new(),
            state: String::new(),
            href: href.into(),
        }
    }
}

/// What the palette shows during typing: a few keys, people and teams. A whole secret comes in the form as here and is
/// looked up by its hash.
#[server(endpoint = "keys/find")]
pub async fn find_keys(form: FindForm) -> Result<Vec<Hit>, AppError> {
    let found = async {
        let (desk, caller) = (desk()?, caller()?);
        let text = unmask(form.q.as_str());
        if looks_like_secret(text) || KeyId::parse(text).is_some() || RequestId::parse(text).is_some() {
            let hit = |words: &str, path| vec![Hit::new("keys", words, path)];
            return Ok(match keys::search(&desk, &caller, &form.org, &form.q).await? {
                Found::Key(id) => hit("The key with this id", LocalPath::key(&form.org, &id)),
                Found::Secret(id, secret) => {
                    hit("The key with this secret", LocalPath::secret(&form.org, &id, &secret))
                }
                Found::Request(id, request) => {
                    hit("The request with this id", LocalPath::request(&form.org, &id, &request))
                }
                Found::NoSuchSecret(_) | Found::Text(_) => vec![],
            });
        }
        let filter = KeyFilter {
            search: text.chars().take(MAX_SEARCH).collect(),
            state: StateFilter::Live,
            older: None,
            team: None,
            owner: None,
            sort: if text.is_empty() { Sort::LastUsed } else { Sort::Created },
            descending: true,
            page: None,
        };
        let view = keys::suggest(&desk, &caller, &form.org, &filter).await?;
        let mut hits: Vec<Hit> = Vec::new();
        for key in view.page.rows.iter().take(keys::MAX_SUGGESTED) {
            hits.push(Hit {
                hint: hint(&key.last_four),
                state: status_word(&key.state(view.now), view.now),
                ..Hit::new("keys", key.name.as_str(), LocalPath::key(&form.org, &key.id))
            });
        }
        let names = find_names(&desk, &caller, &form.org, &filter.search).await?;
        let person = |one: PersonName| Hit::new("people", one.name, LocalPath::member(&form.org, &one.id));
        hits.extend(names.people.into_iter().map(person));
        let team = |one: Team| Hit::new("teams", one.name, LocalPath::team(&form.org, &one.id));
        hits.extend(names.teams.into_iter().map(team));
        Ok(hits)
    }
    .await;
    match found {
        Ok(hits) => Ok(hits),
        Err(error) => answer(Err(error)).map(|()| vec![]),
    }
}
