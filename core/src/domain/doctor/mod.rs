//! The key doctor's knowledge: a request as a person describes it, what its gates say, and the likely cause in words with
//! what to do. Pure: `admission::diagnose` asks the gates.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::api_error::{Protocol, Stop};
use super::gate::Gate;
use super::route::Route;

mod cause;
#[cfg(test)]
mod tests;

pub use cause::{Cause, Facts, Remedy, causes, nearest};

/// Where the client puts its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyPlace {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// Anthropic's header.
    XApiKey,
    /// Google's header.
    XGoogApiKey,
    /// Google's parameter `?key=`.
    Query,
}

impl KeyPlace {
    /// In the order of the form.
    pub const ALL: [KeyPlace; 4] =
        [KeyPlace::Bearer, KeyPlace::XApiKey, KeyPlace::XGoogApiKey, KeyPlace::Query];

    /// The word in forms and addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyPlace::Bearer => "bearer",
            KeyPlace::XApiKey => "x-api-key",
            KeyPlace::XGoogApiKey => "x-goog-api-key",
            KeyPlace::Query => "query",
        }
    }

    /// Reads the word that [`KeyPlace::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.as_str() == text)
    }

    /// As pages name it.
    pub const fn label(self) -> &'static str {
        match self {
            KeyPlace::Bearer => "Authorization: Bearer KEY",
            KeyPlace::XApiKey => "x-api-key: KEY",
            KeyPlace::XGoogApiKey => "x-goog-api-key: KEY",
            KeyPlace::Query => "?key=KEY",
        }
    }
}

/// What a request may use, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSize {
    /// Input tokens.
    pub input: i64,
    /// The most input tokens, where they are an estimate.
    pub max_input: i64,
    /// The most output tokens.
    pub output: i64,
}

impl Default for RequestSize {
    /// About the smallest request that people send: "Say hello" and a short answer.
    fn default() -> Self {
        Self { input: 10, max_input: 10, output: 16 }
    }
}

/// A request as a person describes it, apart from its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// `None` for the list of models.
    pub route: Option<Route>,
    /// The model's name as the client sends it; empty for the list of models.
    pub model: String,
    /// Where the client puts the key.
    pub place: KeyPlace,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The `Origin` that a browser sends; empty for other clients.
    pub origin: String,
    /// The base URL that the client is configured with; empty when it is not known.
    pub base_url: String,
    /// How large the request is.
    pub size: RequestSize,
}

impl Described {
    /// Route and model; `None` for the list of models.
    pub fn target(&self) -> Option<(Route, &str)> {
        self.route.map(|route| (route, self.model.as_str()))
    }

    /// The request's path.
    pub fn path(&self) -> String {
        self.route.map_or_else(|| "/v1/models".to_owned(), |route| route.path(&self.model))
    }

    /// The protocol in which the gateway answers. `sent` are its headers, which are not known when a key was picked.
    pub fn protocol(&self, sent: Option<&[Header]>) -> Protocol {
        Protocol::of(&self.path(), |name| match sent {
            None => name == self.place.as_str(),
            Some(sent) => sent.iter().any(|header| header.name == name),
        })
    }
}

/// A header as the gateway receives it. Its value may be a secret.
pub struct Header {
    /// In lower case; `?key` for the parameter.
    pub name: String,
    /// Without spaces and tabs at its ends, which HTTP removes.
    pub value: Zeroizing<String>,
    /// Whether there were such at its end.
    pub padded: bool,
}

/// The headers that a client sends: the lines of `raw` as they are, or else the secret in its place. A line of `raw`
/// without a header's name is the value of the place's header.
pub fn headers(place: KeyPlace, secret: &str, raw: &str) -> Vec<Header> {
    let header = |name: &str, value: String| {
        let value = Zeroizing::new(value);
        if name == "?key" {
            return Header { name: name.to_owned(), value, padded: false };
        }
        let kept = Zeroizing::new(value.trim_matches([' ', '\t']).to_owned());
        Header { name: name.to_owned(), padded: value.ends_with([' ', '\t']), value: kept }
    };
    let own = match place {
        KeyPlace::Bearer => "authorization",
        KeyPlace::Query => "?key",
        KeyPlace::XApiKey | KeyPlace::XGoogApiKey => place.as_str(),
    };
    if raw.trim().is_empty() {
        let value = if place == KeyPlace::Bearer { format!("Bearer {secret}") } else { secret.to_owned() };
        return if secret.is_empty() { vec![] } else { vec![header(own, value)] };
    }
    let is_name = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let lines = raw.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && is_name(name) => {
                header(&name.to_ascii_lowercase(), value.to_owned())
            }
            _ => header(own, line.to_owned()),
        })
        .collect()
}

/// What one gate says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    /// The request may go on.
    Passed,
    /// The request stops here.
    Failed,
    /// An earlier gate stops the request.
    NotReached,
    /// The gate does not apply, or no secret was given.
    NotChecked,
}

impl GateState {
    /// The word beside the gate.
    pub const fn label(self) -> &'static str {
        match self {
            GateState::Passed => "Passed",
            GateState::Failed => "Failed",
            GateState::NotReached => "Not reached",
            GateState::NotChecked => "Not checked",
        }
    }
}

/// Each gate in order, and after the model's the question whether it is served on the route.
pub fn steps(stop: Option<&Stop>, has_secret: bool, has_model: bool) -> Vec<(&'static str, GateState)> {
    const SERVED: &str = "The model is served here, on this route";
    // Places on the line from 1; the target stands between gates 6 and 7.
    let place = |gate: Gate| i32::from(gate.number()) + i32::from(gate > Gate::Model);
    let failed = match stop {
        None => i32::MAX,
        Some(Stop::Gate(rejection)) => place(rejection.gate()),
        Some(Stop::NoTarget(_)) => place(Gate::Model) + 1,
    };
    let state = |at: i32| {
        let asked = (has_secret || at > place(Gate::WellFormed)) && (has_model || at < place(Gate::Model));
        match at.cmp(&failed) {
            _ if !asked => GateState::NotChecked,
            std::cmp::Ordering::Less => GateState::Passed,
            std::cmp::Ordering::Equal => GateState::Failed,
            std::cmp::Ordering::Greater => GateState::NotReached,
        }
    };
    let mut steps: Vec<_> = Gate::ALL.into_iter().map(|gate| (gate.label(), state(place(gate)))).collect();
    steps.insert(usize::from(Gate::Model.number()), (SERVED, state(place(Gate::Model) + 1)));
    steps
}
