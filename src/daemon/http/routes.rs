//! The routes of a server in one flat list, and what a method and a path come to under it.
//!
//! The one list is the source of everything: axum's router for the handlers, and the answers for paths that
//! are almost right ([`Table::resolve`]): other methods, another letter case, slashes too many or too few.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use percent_encoding::percent_decode_str;

use super::app::App;
use super::path;
use super::query::has_valid_escapes;

/// A server's routes while they are listed. A path's parameters are whole elements, as in `/config/{option}`.
pub struct Routes<S> {
    table: Table,
    router: Router<S>,
    /// What every path begins with; without a slash at its end, and empty for nothing.
    base: String,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    pub fn new() -> Self {
        Self::under("/")
    }

    /// No routes, and those that are added lie below this path: with `/base`, `/` means `/base`, and `/x` means
    /// `/base/x`. A base that holds braces would be taken for parameters.
    pub fn under(base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { table: Table::default(), router: Router::new(), base }
    }

    /// Answers `GET path` with `handler`. Unlike axum's, it does not answer `HEAD`.
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::GET, MethodFilter::GET, path, handler)
    }

    /// Answers `POST path` with `handler`.
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::POST, MethodFilter::POST, path, handler)
    }

    /// Answers `PUT path` with `handler`.
    pub fn put<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path, handler)
    }

    /// Answers `DELETE path` with `handler`.
    pub fn delete<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path, handler)
    }

    /// Keeps the route listed last out of the access log.
    pub fn unlogged(mut self) -> Self {
        if let Some(route) = self.table.routes.last_mut() {
            route.logged = false;
        }
        self
    }

    /// The app these routes make with the state their handlers ask for.
    pub fn with_state(self, state: S) -> App {
        App::new(self.table, self.router.with_state(state))
    }

    fn add<H: Handler<T, S>, T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        handler: H,
    ) -> Self {
        let pattern = match path {
            "/" if !self.base.is_empty() => self.base.clone(),
            _ => format!("{}{path}", self.base),
        };
        let pattern_escaped = match self.base.is_empty() {
            true => path.to_owned(),
            false => path::escape(&self.base) + &pattern[self.base.len()..],
        };
        self.table.routes.push(Route { method, pattern, logged: true });
        self.router = self.router.route(&pattern_escaped, on(filter, handler));
        self
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    /// A route matches the path, which is given without escapes.
    Found { path: String, logged: bool },
    /// A path close to this one has a route for the method.
    Redirect { location: String },
    /// `OPTIONS`: what the path allows. Empty for `OPTIONS *`.
    Options { allow: String },
    /// The path has routes, for other methods.
    MethodNotAllowed { allow: String },
    /// Nothing is there.
    NotFound,
    /// The path's escapes cannot be read.
    Malformed,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    method: Method,
    pattern: String,
    logged: bool,
}

impl Table {
    pub(super) fn resolve(&self, method: &Method, uri: &Uri) -> Resolution {
        let raw = uri.path();
        if raw == "*" && method == Method::OPTIONS {
            return Resolution::Options { allow: String::new() };
        }
        if !has_valid_escapes(raw) {
            return Resolution::Malformed;
        }
        let path = percent_decode_str(raw).decode_utf8_lossy();
        if let Some(route) = self.of_method(method).find(|route| route.matches(&path)) {
            return Resolution::Found { path: path.into_owned(), logged: route.logged };
        }
        if let Some(corrected) = self.corrected(method, &path) {
            return Resolution::Redirect { location: location(uri, &corrected) };
        }
        match self.allowed(&path) {
            allow if allow.is_empty() => Resolution::NotFound,
            allow if method == Method::OPTIONS => Resolution::Options { allow },
            allow => Resolution::MethodNotAllowed { allow },
        }
    }

    fn of_method<'a>(&'a self, method: &'a Method) -> impl Iterator<Item = &'a Route> {
        self.routes.iter().filter(move |route| route.method == *method)
    }

    /// The path of a route for this method that differs only in letter case, slashes and dots.
    fn corrected(&self, method: &Method, path: &str) -> Option<String> {
        let cleaned = path::clean(path);
        let toggled = match cleaned.strip_suffix('/') {
            Some(without) => without.to_owned(),
            None => format!("{cleaned}/"),
        };
        [cleaned, toggled].iter().find_map(|candidate| {
            self.of_method(method).find_map(|route| route.matches_in_any_case(candidate))
        })
    }

    fn allowed(&self, path: &str) -> String {
        let mut methods: Vec<&str> = self
            .routes
            .iter()
            .filter(|route| route.matches(path))
            .map(|route| route.method.as_str())
            .collect();
        if !methods.is_empty() {
            methods.push(Method::OPTIONS.as_str());
        }
        methods.sort_unstable();
        methods.dedup();
        methods.join(", ")
    }
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        self.pattern == path || self.corrected_elements(path, |literal, element| literal == element).is_some()
    }

    /// The path with the route's own letter case; parameters keep theirs.
    fn matches_in_any_case(&self, path: &str) -> Option<String> {
        self.corrected_elements(path, str::eq_ignore_ascii_case).map(|elements| elements.join("/"))
    }

    fn corrected_elements<'a>(
        &'a self,
        path: &'a str,
        is_same: impl Fn(&str, &str) -> bool,
    ) -> Option<Vec<&'a str>> {
        let mut elements = path.split('/');
        let corrected = self
            .pattern
            .split('/')
            .map(|expected| {
                let element = elements.next()?;
                match expected.starts_with('{') {
                    true => (!element.is_empty()).then_some(element),
                    false => is_same(expected, element).then_some(expected),
                }
            })
            .collect::<Option<Vec<_>>>()?;
        elements.next().is_none().then_some(corrected)
    }
}

/// Where to go instead: the corrected path with the query of the request, absolute if the request was.
fn location(uri: &Uri, path: &str) -> String {
    let mut location = String::new();
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        location.push_str(&format!("{scheme}://{authority}"));
    }
    location.push_str(&path::escape(path));
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// Calls the handler the path belongs to.
pub(super) async fn dispatch(router: Router, request: Request) -> Response {
    let answer: Result<Response, Infallible> = tower::ServiceExt::oneshot(router, request).await;
    match answer {
        Ok(response) => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        for (method, pattern) in [
            (Method::GET, "/ping"),
            (Method::POST, "/pub"),
            (Method::GET, "/config/{option}"),
            (Method::PUT, "/config/{option}"),
            (Method::GET, "/debug/pprof/"),
        ] {
            table.routes.push(Route { method, pattern: pattern.to_owned(), logged: true });
        }
        table
    }

    fn check(request: &str, expected: &str) {
        let (method, target) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = match table().resolve(&method, &target.parse().unwrap()) {
            Resolution::Found { path, .. } => format!("found {path}"),
            Resolution::Redirect { location } => format!("see {location}"),
            Resolution::Options { allow } => format!("options {allow}"),
            Resolution::MethodNotAllowed { allow } => format!("not allowed {allow}"),
            Resolution::NotFound => "not found".to_owned(),
            Resolution::Malformed => "malformed".to_owned(),
        };
        assert_eq!(found, expected, "{request}");
    }

    #[test]
    fn a_path_is_found_by_its_unescaped_text() {
        check("GET /ping", "found /ping");
        check("GET /%70ing", "found /ping");
        check("GET /config/log%5Flevel", "found /config/log_level");
        check("PUT /config/x?y", "found /config/x");
        check("GET /config/a%2Fb", "not found");
        check("GET /config/%zz", "malformed");
    }

    #[test]
    fn routes_may_lie_below_a_path() {
        let handler = || async {};
        let routes = Routes::<()>::under("/a b/c").get("/", handler).get("/x/{y}", handler);
        let patterns: Vec<&str> = routes.table.routes.iter().map(|route| route.pattern.as_str()).collect();
        assert_eq!(patterns, ["/a b/c", "/a b/c/x/{y}"]);
        let routes = Routes::<()>::under("/").get("/", handler).get("/x", handler);
        let patterns: Vec<&str> = routes.table.routes.iter().map(|route| route.pattern.as_str()).collect();
        assert_eq!(patterns, ["/", "/x"]);
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for request in
            ["GET /", "GET /nope", "GET /config", "GET /config/", "GET /config/a/b", "OPTIONS /nope"]
        {
            check(request, "not found");
        }
        check("GET /PUB", "not found");
    }

    #[test]
    fn known_paths_name_the_methods_they_allow() {
        check("HEAD /ping", "not allowed GET, OPTIONS");
        check("FOO /pub", "not allowed OPTIONS, POST");
        check("POST /config/x", "not allowed GET, OPTIONS, PUT");
        check("OPTIONS /config/x", "options GET, OPTIONS, PUT");
        check("OPTIONS *", "options ");
    }

    #[test]
    fn almost_right_paths_are_redirected() {
        check("GET /ping/", "see /ping");
        check("GET /PING?a=b", "see /ping?a=b");
        check("GET //ping", "see /ping");
        check("GET /x/../ping", "see /ping");
        check("GET /./ping/?", "see /ping?");
        check("GET /%50ing", "see /ping");
        check("POST /Pub/", "see /pub");
        check("GET /CONFIG/LOG_LEVEL/", "see /config/LOG_LEVEL");
        check("GET /debug/pprof", "see /debug/pprof/");
        check("GET /Config/a%20b%3F", "see /config/a%20b%3F");
        check("GET http://h:1/ping/", "see http://h:1/ping");
    }
}
