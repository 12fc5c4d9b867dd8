//! Where a listener is to be found.

use std::{fmt, path::PathBuf};

use nsq::daemon::options::{Field, Kind, Value};

/// The address of a listener: `host:port`, and anything else is the path of a unix socket, as in NSQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// No listener: the address was empty.
    Off,
    /// `host:port` as it was typed. The host may be empty (every interface) or an IPv6 address in brackets;
    /// neither it nor the port has been looked up.
    Tcp(String),
    /// A path in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Every text is an address of one kind or another.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "" => Self::Off,
            _ if has_host_and_port(text) => Self::Tcp(text.to_owned()),
            _ => Self::Unix(text.into()),
        }
    }
}

/// Whether Go would split the text into a host and a port: one colon outside brackets, the last one.
fn has_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host = match host.strip_prefix('[') {
        Some(bracketed) => match bracketed.strip_suffix(']') {
            Some(host) => host,
            None => return false,
        },
        None if host.contains(':') => return false,
        None => host,
    };
    !host.contains(['[', ']']) && !port.contains(['[', ']'])
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => Ok(()),
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Field for Address {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Result<Self, String> {
        String::from_value(value).map(|text| Self::parse(&text))
    }

    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_splits_into_host_and_port_is_tcp() {
        for text in
            ["0.0.0.0:4150", ":4150", "host:", "host:http", "[::1]:4150", "[::]:0", "[]:1", "/run/x:1"]
        {
            assert_eq!(Address::parse(text), Address::Tcp(text.into()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_a_path_and_nothing_is_off() {
        for text in [
            "/run/nsqd.sock",
            "nsqd.sock",
            "::1",
            "::1:4150",
            "[::1]",
            "[::1:4150",
            "a[b:1",
            "[a]b:1",
            "a:1]",
        ] {
            assert_eq!(Address::parse(text), Address::Unix(text.into()), "{text}");
        }
        assert_eq!(Address::parse(""), Address::Off);
    }

    #[test]
    fn addresses_print_as_they_were_typed() {
        for text in ["", "[::1]:4150", "/run/nsqd.sock"] {
            assert_eq!(Address::parse(text).to_string(), text);
        }
    }
}
