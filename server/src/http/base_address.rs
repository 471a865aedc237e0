//! Which address a client uses, and whether that is the one that the installation is known by. At another one its session may be lost: a cookie
//! for https is not kept over http, and a form may count as one of another site.

use axum::extract::Request;
use http::header::HOST;

/// False without a configured address, and where it is not known what the browser sees. `is_proxied` is whether the
/// request comes from a trusted proxy, whose headers are believed.
pub fn is_elsewhere(request: &Request, is_proxied: bool, base_url: Option<&str>) -> bool {
    let Some((scheme, authority)) = base_url.and_then(|base| base.trim_end_matches('/').split_once("://"))
    else {
        return false;
    };
    let header = |name: &str| {
        let text = request.headers().get(name)?.to_str().ok()?;
        // The first of several is the browser's.
        Some(text.split(',').next().unwrap_or_default().trim())
    };
    let forwarded = |name: &str| if is_proxied { header(name) } else { None };
    let host = forwarded("x-forwarded-host").or_else(|| header(HOST.as_str()));
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let other_host = host.is_some_and(|host| plain(host, scheme) != plain(authority, scheme));
    // Browsers tell the site of a request over https, and over http on the machine itself. A proxy that is not trusted may
    // speak https.
    let tells = header("sec-fetch-site").is_some() || header("x-forwarded-proto").is_some();
    let seen = forwarded("x-forwarded-proto").or((!is_proxied && !tells).then_some("http"));
    other_host || seen.is_some_and(|seen| !seen.eq_ignore_ascii_case(scheme))
}

/// The address that a client uses. `None` where its host is none that could be shown. `is_proxied` as above.
pub fn seen(request: &Request, is_proxied: bool) -> Option<String> {
    let header = |name: &str| {
        let text = request.headers().get(name)?.to_str().ok()?;
        Some(text.split(',').next().unwrap_or_default().trim())
    };
    let forwarded = |name: &str| if is_proxied { header(name) } else { None };
    let host = forwarded("x-forwarded-host").or_else(|| header(HOST.as_str()));
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()))?;
    let is_host = (1..=260).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    // Browsers tell the site of a request over https, and over http on the machine itself.
    let is_local = ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local));
    let assumed = if header("sec-fetch-site").is_some() && !is_local { "https" } else { "http" };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(_) => "http",
        None => assumed,
    };
    is_host.then(|| format!("{scheme}://{host}"))
}

fn plain(authority: &str, scheme: &str) -> String {
    let port = if scheme == "https" { ":443" } else { ":80" };
    let lower = authority.to_ascii_lowercase();
    lower.strip_suffix(port).unwrap_or(&lower).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn judged(base: &str, is_proxied: bool, pairs: &[(&str, &str)]) -> bool {
        let request = pairs
            .iter()
            .fold(Request::get("/sign-in"), |request, (name, value)| request.header(*name, *value));
        is_elsewhere(&request.body(Body::empty()).unwrap(), is_proxied, Some(base))
    }

    #[test]
    fn host_and_scheme_are_compared_as_far_as_they_are_known() {
        const HTTPS: &str = "https://keys.example.com";
        const HOST: (&str, &str) = ("host", "keys.example.com");
        for (base, is_proxied, pairs, elsewhere) in [
            ("http://keys.example.com", false, &[HOST][..], false),
            ("http://keys.example.com/", false, &[("host", "KEYS.example.com:80")], false),
            ("http://keys.example.com", false, &[("host", "10.0.0.5:3000")], true),
            ("http://keys.example.com:3000", false, &[HOST], true),
            // Straight from a browser, and so over http.
            (HTTPS, false, &[HOST], true),
            (HTTPS, false, &[HOST, ("sec-fetch-site", "none")], false),
            (HTTPS, false, &[("host", "keys.example.com:443"), ("sec-fetch-site", "none")], false),
            (HTTPS, false, &[("host", "localhost:3000"), ("sec-fetch-site", "none")], true),
            // A proxy that is not trusted: its word counts neither way.
            (HTTPS, false, &[HOST, ("x-forwarded-proto", "http")], false),
            (HTTPS, false, &[("host", "evil.example"), ("x-forwarded-host", "keys.example.com")], true),
            // A trusted one.
            (HTTPS, true, &[HOST], false),
            (HTTPS, true, &[HOST, ("x-forwarded-proto", "https")], false),
            (HTTPS, true, &[HOST, ("x-forwarded-proto", "http")], true),
            (HTTPS, true, &[HOST, ("x-forwarded-proto", "http, https")], true),
            (HTTPS, true, &[("host", "127.0.0.1:3000"), ("x-forwarded-host", "keys.example.com")], false),
            (HTTPS, true, &[("host", "keys.example.com"), ("x-forwarded-host", "other.example.com")], true),
        ] {
            assert_eq!(judged(base, is_proxied, pairs), elsewhere, "{base} {is_proxied} {pairs:?}");
        }
        let request = Request::get("/sign-in").header("host", "anything").body(Body::empty()).unwrap();
        assert!(!is_elsewhere(&request, false, None));
    }

    #[test]
    fn the_address_that_is_used_is_known_as_far_as_it_can_be() {
        let none = None;
        for (is_proxied, pairs, expected) in [
            (false, &[("host", "desk.lan:3000")][..], Some("http://desk.lan:3000")),
            (false, &[("host", "[fe80::1]:3000")], Some("http://[fe80::1]:3000")),
            // Over https, through a proxy that is not trusted.
            (false, &[("host", "desk.lan"), ("sec-fetch-site", "none")], Some("https://desk.lan")),
            (false, &[("host", "localhost:3000"), ("sec-fetch-site", "none")], Some("http://localhost:3000")),
            (false, &[("host", "a.lan"), ("x-forwarded-host", "evil.example")], Some("http://a.lan")),
            (
                true,
                &[
                    ("host", "127.0.0.1:3000"),
                    ("x-forwarded-host", "keys.lan"),
                    ("x-forwarded-proto", "https"),
                ],
                Some("https://keys.lan"),
            ),
            (false, &[("host", "evil.example/\"><script>")], none),
            (false, &[("host", "user@desk.lan")], none),
            (false, &[("host", "")], none),
        ] {
            let request =
                pairs.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
            let found = seen(&request.body(Body::empty()).unwrap(), is_proxied);
            assert_eq!(found.as_deref(), expected, "{pairs:?}");
        }
    }
}
