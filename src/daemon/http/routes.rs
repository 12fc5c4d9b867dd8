//! The routes of a server in one flat list, and what a method and a path come to under it: a route's handler, or, for
//! paths that are almost right ([`Table::resolve`]), what is right: other methods, another letter case, slashes too many or
//! too few.

use std::pin::Pin;

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use super::app::App;
use super::path;
use super::query::has_valid_escapes;

/// A server's routes while they are listed. A path's parameters are whole elements, as in `/config/{option}`; a handler is
/// given them as [`Path`](super::Path).
pub struct Routes<S> {
    table: Table,
    state: S,
    /// What every path begins with; without a slash at its end, and empty for nothing.
    base: String,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes. The handlers of those that are added may ask for this state.
    pub fn new(state: S) -> Self {
        Self::under("/", state)
    }

    /// No routes, and those that are added lie below this path: with `/base`, `/` means `/base`, and `/x` means
    /// `/base/x`.
    pub fn under(base: &str, state: S) -> Self {
        Self { table: Table::default(), state, base: base.trim_end_matches('/').to_owned() }
    }

    /// Answers `GET path` with `handler`, and not `HEAD`.
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::GET, path, handler)
    }

    /// Answers `POST path` with `handler`.
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::POST, path, handler)
    }

    /// Answers `PUT path` with `handler`.
    pub fn put<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::PUT, path, handler)
    }

    /// Answers `DELETE path` with `handler`.
    pub fn delete<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::DELETE, path, handler)
    }

    /// With the routes that `add` lists.
    pub fn with(self, add: impl FnOnce(Self) -> Self) -> Self {
        add(self)
    }

    /// Keeps the route listed last out of the access log.
    pub fn unlogged(mut self) -> Self {
        if let Some(route) = self.table.routes.last_mut() {
            route.logged = false;
        }
        self
    }

    /// The app these routes make.
    pub fn app(self) -> App {
        App::new(self.table)
    }

    fn add<H: Handler<T, S>, T: 'static>(mut self, method: Method, path: &'static str, handler: H) -> Self {
        let state = self.state.clone();
        let answer = move |request| -> Answering { Box::pin(handler.clone().call(request, state.clone())) };
        let below = if path == "/" && !self.base.is_empty() { "" } else { path };
        let elements = self.base.split('/').map(|element| Element::Literal(element.to_owned()));
        // What is below begins with a slash: before it is nothing of its own.
        let elements: Vec<_> = elements.chain(below.split('/').skip(1).map(Element::of)).collect();
        let is_listed =
            self.table.routes.iter().any(|route| route.method == method && route.elements == elements);
        assert!(!is_listed, "{method} {path} is listed twice");
        self.table.routes.push(Route { method, elements, logged: true, answer: Box::new(answer) });
        self
    }
}

/// What a request comes to.
pub(super) enum Resolution<'a> {
    /// A route matches the path; these are its parameters, without escapes.
    Found { route: &'a Route, parameters: Vec<String> },
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

/// An answer that is being made.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

#[derive(Default)]
pub(super) struct Table {
    routes: Vec<Route>,
}

pub(super) struct Route {
    method: Method,
    /// What stands between the slashes of the path; the first is what is before the first slash: nothing.
    elements: Vec<Element>,
    /// Whether its requests go to the access log.
    pub(super) logged: bool,
    /// The handler with the state it needs.
    pub(super) answer: Box<dyn Fn(Request) -> Answering + Send + Sync>,
}

#[derive(PartialEq, Eq)]
enum Element {
    Literal(String),
    /// Anything but nothing.
    Parameter,
}

impl Element {
    fn of(text: &str) -> Self {
        let is_parameter = text.starts_with('{') && text.ends_with('}');
        assert!(is_parameter || !text.contains(['{', '}']), "{text} is neither a parameter nor a literal");
        if is_parameter { Self::Parameter } else { Self::Literal(text.to_owned()) }
    }
}

impl Table {
    pub(super) fn resolve(&self, method: &Method, uri: &Uri) -> Resolution<'_> {
        let raw = uri.path();
        if raw == "*" && method == Method::OPTIONS {
            return Resolution::Options { allow: String::new() };
        }
        if !has_valid_escapes(raw) {
            return Resolution::Malformed;
        }
        let path = percent_decode_str(raw).decode_utf8_lossy();
        if let Some(route) = self.of_method(method).find(|route| route.matches(&path)) {
            return Resolution::Found { route, parameters: route.parameters(&path) };
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

    fn of_method(&self, method: &Method) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| route.method == *method)
    }

    /// The path of a route for this method that differs only in letter case, slashes and dots.
    fn corrected(&self, method: &Method, path: &str) -> Option<String> {
        let cleaned = path::clean(path);
        let toggled = match cleaned.strip_suffix('/') {
            Some(without) => without.to_owned(),
            None => format!("{cleaned}/"),
        };
        [cleaned, toggled]
            .iter()
            .find_map(|candidate| self.of_method(method).find_map(|route| route.in_its_own_case(candidate)))
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
        self.is_alike(path, |literal, element| literal == element)
    }

    /// The elements of a path that matches where the route has parameters.
    fn parameters(&self, path: &str) -> Vec<String> {
        let elements = self.elements.iter().zip(path.split('/'));
        elements
            .filter(|(expected, _)| matches!(expected, Element::Parameter))
            .map(|(_, element)| element.to_owned())
            .collect()
    }

    /// The path with the route's own letter case, if nothing else is wrong with it; parameters keep theirs.
    fn in_its_own_case(&self, path: &str) -> Option<String> {
        let elements = self.elements.iter().zip(path.split('/')).map(|(expected, element)| match expected {
            Element::Literal(literal) => literal,
            Element::Parameter => element,
        });
        self.is_alike(path, str::eq_ignore_ascii_case).then(|| elements.collect::<Vec<_>>().join("/"))
    }

    fn is_alike(&self, path: &str, is_same: impl Fn(&str, &str) -> bool) -> bool {
        let mut elements = path.split('/');
        let begins_alike = self.elements.iter().all(|expected| match (expected, elements.next()) {
            (_, None) => false,
            (Element::Literal(literal), Some(element)) => is_same(literal, element),
            (Element::Parameter, Some(element)) => !element.is_empty(),
        });
        begins_alike && elements.next().is_none()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let handler = || async {};
        Routes::new(())
            .get("/ping", handler)
            .post("/pub", handler)
            .get("/config/{option}", handler)
            .put("/config/{option}", handler)
            .get("/debug/pprof/", handler)
            .table
    }

    fn check(request: &str, expected: &str) {
        assert_eq!(resolved(&table(), request), expected, "{request}");
    }

    fn resolved(table: &Table, request: &str) -> String {
        let (method, target) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match table.resolve(&method, &target.parse().unwrap()) {
            Resolution::Found { parameters, .. } => format!("found {}", parameters.join(" ")),
            Resolution::Redirect { location } => format!("see {location}"),
            Resolution::Options { allow } => format!("options {allow}"),
            Resolution::MethodNotAllowed { allow } => format!("not allowed {allow}"),
            Resolution::NotFound => "not found".to_owned(),
            Resolution::Malformed => "malformed".to_owned(),
        }
    }

    #[test]
    fn a_path_is_found_by_its_unescaped_text() {
        check("GET /ping", "found ");
        check("GET /%70ing", "found ");
        check("GET /config/log%5Flevel", "found log_level");
        check("PUT /config/x?y", "found x");
        check("GET /config/a%2Fb", "not found");
        check("GET /config/%zz", "malformed");
    }

    #[test]
    fn routes_may_lie_below_a_path() {
        let handler = || async {};
        let routes = |base| Routes::under(base, ()).get("/", handler).get("/x/{y}", handler).table;
        for (base, request, expected) in [
            ("/a b/c", "GET /a%20b/c", "found "),
            ("/a b/c", "GET /a%20b/c/x/1", "found 1"),
            ("/a b/c", "GET /a%20b/C/X/1", "see /a%20b/c/x/1"),
            ("/a b/c", "GET /x/1", "not found"),
            ("/{a}", "GET /%7Ba%7D/x/1", "found 1"),
            ("/{a}", "GET /b/x/1", "not found"),
            ("/", "GET /", "found "),
            ("/", "GET /x/1", "found 1"),
        ] {
            assert_eq!(resolved(&routes(base), request), expected, "{base} {request}");
        }
    }

    #[test]
    #[should_panic(expected = "GET /x/{z} is listed twice")]
    fn a_route_is_listed_once() {
        let handler = || async {};
        Routes::new(()).get("/x/{y}", handler).post("/x/{y}", handler).get("/x/{z}", handler);
    }

    #[test]
    #[should_panic(expected = "{y is neither")]
    fn a_parameter_is_a_whole_element() {
        Routes::new(()).get("/x/{y", || async {});
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
