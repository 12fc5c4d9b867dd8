//! The body of V1's `IDENTIFY`: who a daemon is, for those who look for it.

use super::super::go_json::{self, Object, assign};

/// What a daemon says of itself. As a value it is complete: addresses, ports and version are never empty.
///
/// Ports are as sent: nobody here connects to them, and v1.3.0 does not check their range.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// The address other programs should use for the daemon. Never empty.
    pub broadcast_address: String,
    /// The operating system's name of its host; may be empty.
    pub hostname: String,
    /// Where it speaks HTTP. Never zero.
    pub http_port: i64,
    /// Where it speaks V2. Never zero.
    pub tcp_port: i64,
    /// The wider place its zone lies in; may be empty.
    pub topology_region: String,
    /// Where it runs; may be empty.
    pub topology_zone: String,
    /// The version of NSQ it behaves as. Never empty.
    pub version: String,
}

/// Why a body identifies nobody.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// It is not JSON, not an object, or a key has a value of the wrong type.
    #[error("failed to decode JSON body")]
    Undecodable(#[source] serde_json::Error),
    /// Address, ports or version are not there.
    #[error("missing fields")]
    Incomplete,
}

impl Identity {
    /// Reads the body of an `IDENTIFY`, by the rules of Go's JSON.
    ///
    /// # Errors
    /// If it cannot be read, or lacks what every daemon has.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidIdentity> {
        let identity: Self = go_json::read(body).map_err(InvalidIdentity::Undecodable)?;
        let is_complete = !identity.broadcast_address.is_empty()
            && identity.tcp_port != 0
            && identity.http_port != 0
            && !identity.version.is_empty();
        if is_complete { Ok(identity) } else { Err(InvalidIdentity::Incomplete) }
    }

    /// The body of an `IDENTIFY` that says this.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are always JSON")
    }
}

impl Object for Identity {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "broadcast_address" => assign(&mut self.broadcast_address, value),
            "hostname" => assign(&mut self.hostname, value),
            "http_port" => assign(&mut self.http_port, value),
            "tcp_port" => assign(&mut self.tcp_port, value),
            "topology_region" => assign(&mut self.topology_region, value),
            "topology_zone" => assign(&mut self.topology_zone, value),
            "version" => assign(&mut self.version, value),
            // Where a daemon connects from, the server sees by itself; that it is text is checked all the same.
            "remote_address" => assign(&mut String::new(), value),
            _ => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let identity = Identity {
            broadcast_address: "a<b".into(),
            hostname: "h".into(),
            http_port: -1,
            tcp_port: 99_999_999,
            topology_region: "r".into(),
            topology_zone: "z".into(),
            version: "1".into(),
        };
        assert_eq!(Identity::parse(&identity.to_json()).unwrap(), identity);
    }

    #[test]
    fn address_ports_and_version_are_enough_in_any_letter_case() {
        let identity =
            Identity::parse(br#"{"BROADCAST_address":"a","tcp_port":1,"Http_Port":2,"version":"v","x":[]}"#);
        let identity = identity.unwrap();
        assert_eq!((identity.broadcast_address.as_str(), identity.http_port), ("a", 2));
        assert_eq!((identity.hostname.as_str(), identity.topology_zone.as_str()), ("", ""));
    }

    #[test]
    fn what_is_missing_and_what_cannot_be_read_are_told_apart() {
        for (body, is_incomplete) in [
            (r#"{"broadcast_address":"a","tcp_port":1,"http_port":2}"#, true),
            (r#"{"broadcast_address":"","tcp_port":1,"http_port":2,"version":"v"}"#, true),
            (r#"{"broadcast_address":"a","tcp_port":0,"http_port":2,"version":"v"}"#, true),
            ("null", true),
            ("{}", true),
            ("", false),
            ("[]", false),
            (r#"{"broadcast_address":1,"tcp_port":1,"http_port":2,"version":"v"}"#, false),
            (
                r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v","remote_address":1}"#,
                false,
            ),
            (r#"{"broadcast_address":"a","tcp_port":"1","http_port":2,"version":"v"}"#, false),
        ] {
            let error = Identity::parse(body.as_bytes()).expect_err(body);
            assert_eq!(matches!(error, InvalidIdentity::Incomplete), is_incomplete, "{body}");
        }
    }
}
