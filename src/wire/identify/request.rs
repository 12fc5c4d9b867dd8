//! The body of `IDENTIFY`: JSON, read as leniently and as strictly as v1.3.0 reads it.
//!
//! Clients in many languages write it, so it is read by the rules of Go's JSON.

use super::super::error::{ErrorCode, ProtocolError};
use super::super::go_json::{self, Object, assign};

/// What a client says of itself and asks for. What it leaves out is empty, zero or false; zero means
/// "as it is". Times are milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Request {
    /// What the client calls itself.
    pub client_id: String,
    /// What the client's machine is called.
    pub hostname: String,
    /// The client library and its version.
    pub user_agent: String,
    /// Whether the client wants the JSON response, and TLS and compression with it.
    pub feature_negotiation: bool,
    /// -1: no heartbeats.
    pub heartbeat_interval: i64,
    /// -1: no timeout.
    pub output_buffer_timeout: i64,
    /// In bytes; -1: no buffer.
    pub output_buffer_size: i64,
    /// In percent.
    pub sample_rate: i32,
    /// How long this client's messages may be in flight.
    pub msg_timeout: i64,
    /// Whether to go on in TLS.
    pub tls_v1: bool,
    /// Whether to go on compressed with Snappy.
    pub snappy: bool,
    /// Whether to go on compressed with Deflate.
    pub deflate: bool,
    /// Zero and less: the usual one.
    pub deflate_level: i64,
    /// Where the client is, coarsely.
    pub topology_region: String,
    /// Where the client is, finely.
    pub topology_zone: String,
}

impl Request {
    /// Reads the body of an `IDENTIFY`.
    ///
    /// # Errors
    /// `E_BAD_BODY`: the body is not JSON, not an object, or holds a value of the wrong type.
    pub fn parse(body: &[u8]) -> Result<Self, ProtocolError> {
        let undecodable = ProtocolError::fixed(ErrorCode::BadBody, "IDENTIFY failed to decode JSON body");
        go_json::read(body).map_err(|_| undecodable)
    }

    /// The body of an `IDENTIFY` that asks for this.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and booleans are always JSON")
    }
}

impl Object for Request {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "client_id" => assign(&mut self.client_id, value),
            "hostname" => assign(&mut self.hostname, value),
            "user_agent" => assign(&mut self.user_agent, value),
            "feature_negotiation" => assign(&mut self.feature_negotiation, value),
            "heartbeat_interval" => assign(&mut self.heartbeat_interval, value),
            "output_buffer_timeout" => assign(&mut self.output_buffer_timeout, value),
            "output_buffer_size" => assign(&mut self.output_buffer_size, value),
            "sample_rate" => assign(&mut self.sample_rate, value),
            "msg_timeout" => assign(&mut self.msg_timeout, value),
            "tls_v1" => assign(&mut self.tls_v1, value),
            "snappy" => assign(&mut self.snappy, value),
            "deflate" => assign(&mut self.deflate, value),
            "deflate_level" => assign(&mut self.deflate_level, value),
            "topology_region" => assign(&mut self.topology_region, value),
            "topology_zone" => assign(&mut self.topology_zone, value),
            _ => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: impl AsRef<[u8]>) -> Request {
        Request::parse(json.as_ref()).unwrap()
    }

    #[test]
    fn every_key_is_read() {
        let request = Request {
            client_id: "a".into(),
            hostname: "b".into(),
            user_agent: "c/1".into(),
            feature_negotiation: true,
            heartbeat_interval: 1000,
            output_buffer_timeout: -1,
            output_buffer_size: 64,
            sample_rate: 99,
            msg_timeout: 2000,
            tls_v1: true,
            snappy: true,
            deflate: true,
            deflate_level: 3,
            topology_region: "r".into(),
            topology_zone: "z".into(),
        };
        let json = br#"{"client_id":"a","hostname":"b","user_agent":"c/1","feature_negotiation":true,
            "heartbeat_interval":1000,"output_buffer_timeout":-1,"output_buffer_size":64,"sample_rate":99,
            "msg_timeout":2000,"tls_v1":true,"snappy":true,"deflate":true,"deflate_level":3,
            "topology_region":"r","topology_zone":"z"}"#;
        assert_eq!(parse(json), request);
        assert_eq!(parse(request.to_json()), request, "what a client writes is what a server reads");
    }

    #[test]
    fn what_is_absent_or_null_stays_empty() {
        assert_eq!(parse("{}"), Request::default());
        assert_eq!(parse(" \t\r\n{ } \n"), Request::default());
        assert_eq!(parse("null"), Request::default());
        assert_eq!(parse(r#"{"client_id":null,"tls_v1":null,"msg_timeout":null}"#), Request::default());
        assert_eq!(parse(r#"{"client_id":"a","client_id":null}"#).client_id, "a");
    }

    #[test]
    fn keys_match_in_any_case_and_the_last_one_wins() {
        assert_eq!(parse(r#"{"client_id":"a","CLIENT_ID":"b"}"#).client_id, "b");
        assert_eq!(parse(r#"{"Client_Id":"a","client_id":"b","cLIENT_ID":"c"}"#).client_id, "c");
        assert!(parse("{\"\u{17f}nappy\":true}").snappy);
        assert_eq!(parse(r#"{"client\u005fid":"a"}"#).client_id, "a");
    }

    #[test]
    fn unknown_keys_are_ignored_whatever_they_hold() {
        let deep = format!(r#"{{"x":{}1{},"client_id":"a"}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(parse(deep).client_id, "a");
        assert_eq!(parse(r#"{"":1e999,"short_id":{"client_id":1},"client_id":"a"}"#).client_id, "a");
    }

    #[test]
    fn broken_text_is_mended() {
        assert_eq!(parse(b"{\"client_id\":\"a\xff\xe2\x82b\"}").client_id, "a\u{fffd}\u{fffd}\u{fffd}b");
        assert_eq!(parse(b"{\"x\xff\":1,\"client_id\":\"a\"}").client_id, "a");
        assert_eq!(parse(r#"{"client_id":"\ud800x\udc00"}"#).client_id, "\u{fffd}x\u{fffd}");
        assert_eq!(
            parse(r#"{"client_id":"\ud83d\ude00 \" \\ \/ \b\f\n\r\t"}"#).client_id,
            "😀 \" \\ / \x08\x0c\n\r\t"
        );
        assert_eq!(parse(r#"{"\ud800":1,"client_id":"a"}"#).client_id, "a");
    }

    #[test]
    fn integers_are_integers_within_their_range() {
        assert_eq!(parse(r#"{"msg_timeout":-0}"#).msg_timeout, 0);
        assert_eq!(parse(r#"{"msg_timeout":-9223372036854775808}"#).msg_timeout, i64::MIN);
        assert_eq!(parse(r#"{"sample_rate":2147483647}"#).sample_rate, i32::MAX);
    }

    #[test]
    fn everything_else_cannot_be_decoded() {
        for body in [
            &b" "[..],
            b"{",
            b"{}x",
            b"{} {}",
            b"[]",
            b"1",
            b"true",
            br#""{}""#,
            b"nul",
            b"{'client_id':'a'}",
            br#"{"client_id":"a",}"#,
            b"{\"client_id\":\"a\nb\"}",
            b"{\"client\n_id\":\"a\"}",
            br#"{"client_id":"\x"}"#,
            br#"{"client_id":1}"#,
            br#"{"client_id":["a"]}"#,
            br#"{"client_id":[97]}"#,
            br#"{"client_id":true}"#,
            br#"{"tls_v1":"true"}"#,
            br#"{"tls_v1":1}"#,
            br#"{"msg_timeout":"1000"}"#,
            br#"{"msg_timeout":1000.0}"#,
            br#"{"msg_timeout":1e3}"#,
            br#"{"msg_timeout":+1}"#,
            br#"{"msg_timeout":01}"#,
            br#"{"msg_timeout":9223372036854775808}"#,
            br#"{"msg_timeout":true}"#,
            br#"{"msg_timeout":{}}"#,
            br#"{"sample_rate":2147483648}"#,
            br#"{"sample_rate":-2147483649}"#,
            br#"{"msg_timeout":1.0,"msg_timeout":1}"#,
            b"\xff{}",
            b"\xef\xbb\xbf{}",
        ] {
            let error = Request::parse(body).expect_err(&body.escape_ascii().to_string());
            assert_eq!(error.to_string(), "E_BAD_BODY IDENTIFY failed to decode JSON body");
        }
    }
}
