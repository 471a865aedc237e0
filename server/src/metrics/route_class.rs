//! What a request is for, in ten words: a route has parameters, and a path has anything.

use http::Method;

/// A class of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteClass {
    /// A request that is forwarded to a model.
    Forward,
    /// The list of models.
    Models,
    /// What a key asks about itself.
    Key,
    /// What another gateway or a proxy asks.
    Gateway,
    Page,
    /// A form or a button of a page.
    Action,
    /// A file that a page offers.
    Download,
    /// What pages are made of.
    Asset,
    /// Whether the program works, and its metrics.
    Probe,
    /// Every other address.
    Other,
}

impl RouteClass {
    pub const ALL: [RouteClass; 10] = [
        RouteClass::Forward,
        RouteClass::Models,
        RouteClass::Key,
        RouteClass::Gateway,
        RouteClass::Page,
        RouteClass::Action,
        RouteClass::Download,
        RouteClass::Asset,
        RouteClass::Probe,
        RouteClass::Other,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            RouteClass::Forward => "forward",
            RouteClass::Models => "models",
            RouteClass::Key => "key",
            RouteClass::Gateway => "gateway",
            RouteClass::Page => "page",
            RouteClass::Action => "action",
            RouteClass::Download => "download",
            RouteClass::Asset => "asset",
            RouteClass::Probe => "probe",
            RouteClass::Other => "other",
        }
    }

    /// By the route as the router has it, such as `/{org}/keys/{id}`; `None` where no route has the path.
    pub fn of(method: &Method, route: Option<&str>) -> Self {
        let Some(route) = route else { return RouteClass::Other };
        let is_under = |path: &str| route.starts_with(path);
        match route {
            "/healthz" | "/readyz" | "/metrics" => RouteClass::Probe,
            "/robots.txt" | "/favicon.ico" => RouteClass::Asset,
            "/csp-report" => RouteClass::Other,
            // Gemini's actions stand behind a model's name.
            "/v1/models/{*id}" | "/v1beta/models/{*id}" if method == Method::POST => RouteClass::Forward,
            _ if is_under("/v1/models") || is_under("/v1beta/models") => RouteClass::Models,
            _ if is_under("/v1/key") => RouteClass::Key,
            "/v1" | "/v1/" | "/v1/{*rest}" => RouteClass::Other,
            _ if is_under("/v1beta") => RouteClass::Other,
            _ if is_under("/v1/") => RouteClass::Forward,
            _ if is_under("/gateway/") => RouteClass::Gateway,
            _ if is_under("/pkg/") => RouteClass::Asset,
            _ if is_under("/api/") => RouteClass::Action,
            _ if route.ends_with(".csv") || route.ends_with(".json") => RouteClass::Download,
            _ => RouteClass::Page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_class() {
        for (method, route, class) in [
            (Method::POST, "/v1/chat/completions", RouteClass::Forward),
            (Method::GET, "/v1/responses", RouteClass::Forward),
            (Method::POST, "/v1beta/models/{*id}", RouteClass::Forward),
            (Method::GET, "/v1beta/models/{*id}", RouteClass::Models),
            (Method::GET, "/v1/models/", RouteClass::Models),
            (Method::GET, "/v1/key/limits", RouteClass::Key),
            (Method::POST, "/v1/{*rest}", RouteClass::Other),
            (Method::POST, "/v1beta/{*rest}", RouteClass::Other),
            (Method::GET, "/gateway/forward-auth", RouteClass::Gateway),
            (Method::POST, "/api/keys/create", RouteClass::Action),
            (Method::GET, "/{org}/spend.csv", RouteClass::Download),
            (Method::GET, "/{org}/keys/{id}/limits.json", RouteClass::Download),
            (Method::GET, "/pkg/{version}/{name}", RouteClass::Asset),
            (Method::GET, "/readyz", RouteClass::Probe),
            (Method::GET, "/{org}/keys/{id}", RouteClass::Page),
            (Method::GET, "/", RouteClass::Page),
        ] {
            assert_eq!(RouteClass::of(&method, Some(route)), class, "{method} {route}");
        }
        assert_eq!(RouteClass::of(&Method::GET, None), RouteClass::Other);
    }

    #[test]
    fn no_two_classes_have_one_word() {
        let mut words = RouteClass::ALL.map(RouteClass::as_str);
        words.sort_unstable();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{words:?}");
    }
}
