//! The parameters of a request: they come from the URL's query and from nowhere else.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use tracing::debug;

use super::error::HttpError;

/// A query that could be read. Keys are case-sensitive; of a repeated key the first value counts.
///
/// As an extractor it refuses a query that holds a `;` or a `%` without two hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part of a URL behind its `?`. Bytes that are not UTF-8 become U+FFFD, which no name contains.
    pub fn parse(query: Option<&str>) -> Result<Self, HttpError> {
        let mut pairs = Vec::new();
        for piece in query.unwrap_or_default().split('&').filter(|piece| !piece.is_empty()) {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            match (unescape(key), unescape(value)) {
                (Some(key), Some(value)) => pairs.push((key, value)),
                _ => {
                    debug!("cannot read the query parameter {piece:?}");
                    return Err(HttpError::invalid_request());
                }
            }
        }
        Ok(Self(pairs))
    }

    /// The first value of `key`; `None` when the key is not there at all.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        Self::parse(parts.uri.query())
    }
}

fn unescape(text: &str) -> Option<String> {
    if !text.contains([';', '%', '+']) {
        return Some(text.to_owned());
    }
    if text.contains(';') || !has_valid_escapes(text) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Whether two hexadecimal digits follow each `%`.
pub(super) fn has_valid_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|tail| {
        let digits = tail.as_bytes();
        digits.len() >= 2 && digits[0].is_ascii_hexdigit() && digits[1].is_ascii_hexdigit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_wins_and_keys_are_case_sensitive() {
        let query = Query::parse(Some("topic=a&topic=b&Channel=c&&empty&plus=a+b%2B")).unwrap();
        assert_eq!(query.first("topic"), Some("a"));
        assert_eq!(query.first("channel"), None);
        assert_eq!(query.first("empty"), Some(""));
        assert_eq!(query.first("plus"), Some("a b+"));
        assert_eq!(Query::parse(None).unwrap().first("topic"), None);
    }

    #[test]
    fn a_bad_escape_or_a_semicolon_anywhere_is_an_invalid_request() {
        for bad in ["a=%", "a=%1", "a=%zz", "%g0=1", "a=1&b=%", "a;b", "a=1&b=2;c=3"] {
            assert_eq!(Query::parse(Some(bad)), Err(HttpError::invalid_request()), "{bad}");
        }
        assert_eq!(Query::parse(Some("a=%3B")).unwrap().first("a"), Some(";"), "escaped it is a character");
    }

    #[test]
    fn bytes_that_are_no_text_never_make_a_valid_name() {
        assert_eq!(Query::parse(Some("topic=a%ff")).unwrap().first("topic"), Some("a\u{fffd}"));
    }
}
