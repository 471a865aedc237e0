//! A client: requests as programs and browsers send them, their answers, and a browser that keeps cookies.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

pub type Fields<'a> = &'a [(&'a str, &'a str)];

/// One request, without cookies of its own.
#[derive(Clone, Debug)]
pub struct TestRequest {
    pub method: Method,
    /// Without the pairs of `query`.
    pub path: String,
    pub query: Vec<String>,
    pub headers: HeaderMap,
    /// Where it comes from; none when the server cannot know.
    pub address: Option<IpAddr>,
    pub body: Vec<u8>,
}

impl TestRequest {
    pub fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: vec![],
            headers: HeaderMap::new(),
            address: Some(IpAddr::from([203, 0, 113, 7])),
            body: vec![],
        }
    }

    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// A form for an action, as text that a browser would send.
    pub fn form(action: &str, fields: Fields<'_>) -> Self {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        Self::get(&format!("/api/{action}"))
            .method(Method::POST)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.finish())
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Path and query.
    pub fn uri(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query.join("&"))
        }
    }

    /// As a client of the gateway posts.
    pub fn post_json(path: &str, body: &str) -> Self {
        Self::get(path).method(Method::POST).header("content-type", "application/json").body(body)
    }

    pub fn same_origin(self) -> Self {
        self.header("sec-fetch-site", "same-origin")
    }

    /// In place of any of this name.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// Beside any of this name.
    pub fn another(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub fn anthropic(self) -> Self {
        self.header("anthropic-version", "2023-06-01")
    }

    pub fn bearer(self, key: &str) -> Self {
        self.key_in(Spot::Bearer, key.as_bytes())
    }

    /// Leaves out what cannot stand in a header.
    pub fn key_in(mut self, spot: Spot, key: &[u8]) -> Self {
        let (name, value) = match spot {
            Spot::Bearer => ("authorization", [b"Bearer ", key].concat()),
            Spot::XApiKey => ("x-api-key", key.to_vec()),
            Spot::Goog => ("x-goog-api-key", key.to_vec()),
            Spot::Query => {
                self.query.push(format!("key={}", percent_encoded(key)));
                return self;
            }
        };
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            self.headers.append(name, value);
        }
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        self.address = address.parse().ok();
        self
    }
}

/// Where a key can stand in a request.
#[derive(Clone, Copy, Debug)]
pub enum Spot {
    Bearer,
    XApiKey,
    Goog,
    Query,
}

pub const SPOTS: [Spot; 4] = [Spot::Bearer, Spot::XApiKey, Spot::Goog, Spot::Query];

fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

#[derive(Clone, Debug)]
pub struct TestResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl TestResponse {
    /// Empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.find_header(name).unwrap_or_default()
    }

    pub fn find_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The sentence of an error of the API.
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }

    /// The ids of a list of the API.
    pub fn ids(&self) -> Vec<String> {
        let data = self.json()["data"].as_array().unwrap().clone();
        data.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn is_success(&self) -> bool {
        StatusCode::from_u16(self.status).unwrap().is_success()
    }

    pub fn cookies(&self) -> Vec<Cookie> {
        let values = self.headers.get_all("set-cookie").iter();
        values.map(|value| Cookie::read(value.to_str().unwrap())).collect()
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie> {
        self.cookies().into_iter().find(|cookie| cookie.name == name)
    }

    /// The names of the fields that a refused form was refused for.
    pub fn wrong_fields(&self) -> Vec<String> {
        let json = self.json();
        let fields = json["fields"].as_array().unwrap_or_else(|| panic!("no fields: {}", self.text));
        for field in fields {
            let sentence = field["problem"].as_str().unwrap_or_default();
            assert!(sentence.len() > 10 && sentence.ends_with('.'), "not a sentence: {sentence:?}");
        }
        fields.iter().map(|field| field["field"].as_str().unwrap().to_owned()).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// Everything behind the first semicolon, as it was sent.
    pub attributes: Vec<String>,
}

impl Cookie {
    fn read(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        Self { name: name.into(), value: value.into(), attributes: parts.map(str::to_owned).collect() }
    }

    pub fn is(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|sent| sent == attribute)
    }

    fn path(&self) -> &str {
        self.attributes.iter().find_map(|sent| sent.strip_prefix("Path=")).unwrap_or("/")
    }

    pub fn is_removal(&self) -> bool {
        self.value.is_empty() || self.is("Max-Age=0")
    }
}

/// Keeps cookies by name and path and sends them to the paths they are for.
#[derive(Clone, Default)]
pub struct Browser(Arc<Mutex<Vec<Cookie>>>);

impl Browser {
    pub fn keep(&self, answer: &TestResponse) {
        let mut kept = self.0.lock().unwrap();
        for cookie in answer.cookies() {
            kept.retain(|old| (&old.name, old.path()) != (&cookie.name, cookie.path()));
            if !cookie.is_removal() {
                kept.push(cookie);
            }
        }
    }

    pub fn header_for(&self, path: &str) -> String {
        let kept = self.0.lock().unwrap();
        let under = |cookie: &&Cookie| {
            let base = cookie.path().trim_end_matches('/');
            path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let pairs: Vec<_> =
            kept.iter().filter(under).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie> {
        self.0.lock().unwrap().iter().find(|cookie| cookie.name == name).cloned()
    }

    /// Puts a cookie in by hand, for every path.
    pub fn plant(&self, name: &str, value: &str) {
        let cookie = Cookie { name: name.into(), value: value.into(), attributes: vec!["Path=/".to_owned()] };
        self.0.lock().unwrap().push(cookie);
    }
}
