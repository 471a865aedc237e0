//! The proxy on the way to providers, as `HTTPS_PROXY` and `NO_PROXY` say. Only https goes through it, as a tunnel that the
//! proxy cannot look into; hosts of one's own network are called directly in any case, and plain http is for those alone.
//! The live test and webhooks use no proxy, because what a proxy connects to cannot be checked here.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use keydesk_core::domain::base_url::is_own_host;
use reqwest::{Proxy, Url};

/// Which proxy, and for which hosts none. Clones share it.
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Configured>>);

struct Configured {
    proxy: Url,
    direct: Vec<Direct>,
}

/// One entry of `NO_PROXY`.
enum Direct {
    Every,
    Network(IpNet),
    /// A name and all names below it, with a port where one is written.
    Name(String, Option<u16>),
}

impl Proxies {
    /// As the environment says; `variable` reads it. Names in lower case are those that other programs read.
    ///
    /// # Errors
    /// A sentence for the terminal, without a password.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let read = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(&variable).map(|value| value.trim().to_owned());
            values.find(|value| !value.is_empty())
        };
        let https = read(["https_proxy", "HTTPS_PROXY"]).or_else(|| read(["all_proxy", "ALL_PROXY"]));
        let Some(text) = https else { return Ok(Self::default()) };
        let text = if text.contains("://") { text } else { format!("http://{text}") };
        let proxy = Url::parse(&text).ok().filter(|url| url.scheme() == "http" && url.host_str().is_some());
        let proxy = proxy.ok_or(
            "HTTPS_PROXY is not understood. Write it as http://proxy.example.com:3128; other kinds of proxies are not supported.",
        )?;
        let direct = read(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        let direct = direct.split([',', ' ']).filter_map(Direct::parse).collect();
        Ok(Self(Some(Arc::new(Configured { proxy, direct }))))
    }

    /// For the HTTP client, which asks for each connection.
    pub fn proxy(&self) -> Option<Proxy> {
        self.0.as_ref()?;
        let proxies = self.clone();
        Some(Proxy::custom(move |url| proxies.of(url).cloned()))
    }

    fn of(&self, url: &Url) -> Option<&Url> {
        let configured = self.0.as_ref()?;
        let host = url.host_str()?;
        let direct = url.scheme() != "https"
            || is_own_host(host)
            || configured.direct.iter().any(|entry| entry.is_for(host, url.port_or_known_default()));
        (!direct).then_some(&configured.proxy)
    }

    /// Host and port of the proxy for a URL.
    pub fn name_for(&self, url: &str) -> Option<String> {
        let url = Url::parse(url).ok()?;
        let proxy = self.of(&url)?;
        let port = proxy.port_or_known_default().unwrap_or(80);
        Some(format!("{}:{port}", proxy.host_str().unwrap_or_default()))
    }
}

impl Direct {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Direct::Every);
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Direct::Network(network));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Direct::Network(IpNet::from(address)));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let name = name.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then_some(Direct::Name(name, port))
    }

    fn is_for(&self, host: &str, port: Option<u16>) -> bool {
        match self {
            Direct::Every => true,
            Direct::Network(network) => {
                let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
                address.is_ok_and(|address| network.contains(&address))
            }
            Direct::Name(name, wanted) => {
                let host = host.trim_end_matches('.');
                let below = || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (host == name || below()) && wanted.is_none_or(|wanted| Some(wanted) == port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &[(&str, &str)]) -> Result<Proxies, String> {
        Proxies::from_env(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn https_to_other_networks_goes_through_the_proxy_and_nothing_else_does() {
        let set = [
            ("HTTPS_PROXY", "http://ana:hunter2@proxy.example.com:3128"),
            ("NO_PROXY", "direct.example.com, .below.example.org,203.0.113.0/24 port.example.com:8443"),
        ];
        let proxies = proxies(&set).unwrap();
        for (url, through) in [
            ("https://api.openai.com/v1", true),
            ("https://direct.example.com", false),
            ("https://a.direct.example.com", false),
            ("https://notdirect.example.com", true),
            ("https://x.below.example.org", false),
            ("https://203.0.113.9", false),
            ("https://198.51.100.9", true),
            ("https://port.example.com:8443", false),
            ("https://port.example.com", true),
            // One's own network, and plain http, which is for that alone.
            ("http://api.openai.com", false),
            ("http://localhost:11434", false),
            ("https://10.1.2.3", false),
            ("https://vllm:8000", false),
            ("https://[::1]:8000", false),
        ] {
            let found = proxies.name_for(url);
            assert_eq!(found.as_deref(), through.then_some("proxy.example.com:3128"), "{url}");
        }
    }

    #[test]
    fn without_one_there_is_none_and_what_is_not_understood_stops_the_start() {
        assert!(proxies(&[]).unwrap().proxy().is_none());
        assert!(proxies(&[("HTTPS_PROXY", " ")]).unwrap().proxy().is_none());
        // Plain http has a proxy of its own in other programs; here it has none.
        assert!(proxies(&[("HTTP_PROXY", "http://p:1")]).unwrap().proxy().is_none());
        let all = proxies(&[("all_proxy", "proxy:3128")]).unwrap();
        assert_eq!(all.name_for("https://api.openai.com").as_deref(), Some("proxy:3128"));
        let every = proxies(&[("https_proxy", "http://p:1"), ("no_proxy", "*")]).unwrap();
        assert_eq!(every.name_for("https://api.openai.com"), None);
        for wrong in ["socks5://p:1080", "https://p", "http://", "ftp://ana:hunter2@p"] {
            let sentence = proxies(&[("HTTPS_PROXY", wrong)]).err().unwrap();
            assert!(!sentence.contains("hunter2"), "{sentence}");
        }
    }
}
