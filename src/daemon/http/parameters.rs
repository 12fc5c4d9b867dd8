//! The parameters of a path: what stands in it where its route has names.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Takes the one parameter of a route's path, or both, without escapes, in the path's order.
///
/// A handler that asks for another number than its route has panics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// An extension of a request to a route with parameters.
#[derive(Clone)]
pub(super) struct Parameters(pub(super) Vec<String>);

impl<S: Sync> FromRequestParts<S> for Path<String> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let [parameter] = take(parts);
        Ok(Self(parameter))
    }
}

impl<S: Sync> FromRequestParts<S> for Path<(String, String)> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let [first, second] = take(parts);
        Ok(Self((first, second)))
    }
}

fn take<const COUNT: usize>(parts: &mut Parts) -> [String; COUNT] {
    let parameters = parts.extensions.remove::<Parameters>().map(|Parameters(list)| list);
    let parameters = parameters.and_then(|list| list.try_into().ok());
    parameters.expect("a handler asks for as many parameters as the path of its route has")
}
