//! What an authorization server is asked about a client, in the two forms in which it may be asked.

use std::collections::BTreeMap;

use nsq::api::json::to_go_json;
use nsq::wire::go_json::mend_text;

/// Who wants to be authorized.
pub struct Question<'a> {
    /// The common name in the client's certificate; empty if it has none.
    pub common_name: &'a str,
    /// The IP address of the client; empty behind a Unix socket.
    pub remote_ip: &'a str,
    /// What the client sent with `AUTH`. It never goes into a log.
    pub secret: &'a [u8],
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl Question<'_> {
    /// As a query, its keys sorted.
    pub(super) fn to_query(&self) -> String {
        let pairs = self.pairs().map(|(key, value)| format!("{key}={}", escape(value)));
        pairs.join("&")
    }

    /// As the JSON of a POST.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let pairs = self.pairs().map(|(key, value)| (key, [mend_text(value)]));
        to_go_json(&BTreeMap::from(pairs))
    }

    fn pairs(&self) -> [(&'static str, &[u8]); 4] {
        [
            ("common_name", self.common_name.as_bytes()),
            ("remote_ip", self.remote_ip.as_bytes()),
            ("secret", self.secret),
            ("tls", if self.tls { b"true" } else { b"false" }),
        ]
    }
}

/// A value as forms spell it.
fn escape(value: &[u8]) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(*byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_as_v1_3_0_writes_it() {
        let question =
            Question { common_name: "a b", remote_ip: "::1", secret: b"s&<\xff\xc3\xa9~", tls: true };
        assert_eq!(
            question.to_query(),
            "common_name=a+b&remote_ip=%3A%3A1&secret=s%26%3C%FF%C3%A9~&tls=true"
        );
        let json = String::from_utf8(question.to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"common_name":["a b"],"remote_ip":["::1"],"secret":["s\u0026\u003c�é~"],"tls":["true"]}"#
        );
    }
}
