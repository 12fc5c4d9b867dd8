//! What nsqlookupd answers to `IDENTIFY`: where else it can be reached.

use super::super::go_json::{self, Object, assign};

/// What an nsqlookupd says of itself. What it leaves out is empty or zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Answer {
    /// The address other programs should use for it. Where it is empty, it cannot be asked over HTTP.
    pub broadcast_address: String,
    /// The operating system's name of its host.
    pub hostname: String,
    /// Where it speaks HTTP.
    pub http_port: i64,
    /// Where it speaks V1.
    pub tcp_port: i64,
    /// The version of NSQ it behaves as.
    pub version: String,
}

/// The answer is no JSON object, or a key has a value of the wrong type.
#[derive(Debug, thiserror::Error)]
#[error("the answer to IDENTIFY cannot be read")]
pub struct InvalidAnswer(#[source] serde_json::Error);

impl Answer {
    /// Reads the answer, by the rules of Go's JSON.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn parse(data: &[u8]) -> Result<Self, InvalidAnswer> {
        go_json::read(data).map_err(InvalidAnswer)
    }

    /// Where it takes HTTP requests, `host:port`; `None` where what it said cannot be dialled.
    #[must_use]
    pub fn http_address(&self) -> Option<String> {
        dialled_address(&self.broadcast_address, self.http_port)
    }

    /// The answer as it is sent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are always JSON")
    }
}

/// What to dial for a host and a port that somebody announced; `None` where that names nothing.
#[must_use]
pub fn dialled_address(host: &str, port: i64) -> Option<String> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
    match host {
        "" => None,
        // An IPv6 address is told from its port by brackets.
        _ if host.contains(':') && !host.starts_with('[') => Some(format!("[{host}]:{port}")),
        _ => Some(format!("{host}:{port}")),
    }
}

impl Object for Answer {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "broadcast_address" => assign(&mut self.broadcast_address, value),
            "hostname" => assign(&mut self.hostname, value),
            "http_port" => assign(&mut self.http_port, value),
            "tcp_port" => assign(&mut self.tcp_port, value),
            "version" => assign(&mut self.version, value),
            _ => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_3_0_sent_is_read_and_written_back_byte_for_byte() {
        let captured = br#"{"broadcast_address":"lkA","hostname":"vm","http_port":34161,"tcp_port":34160,"version":"1.3.0"}"#;
        let answer = Answer::parse(captured).unwrap();
        assert_eq!((answer.broadcast_address.as_str(), answer.http_port), ("lkA", 34161));
        assert_eq!(answer.to_json(), captured);
    }

    #[test]
    fn a_plain_ok_is_no_answer() {
        assert!(Answer::parse(super::super::OK).is_err());
    }
}
