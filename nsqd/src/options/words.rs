//! Options that are one of a few words.

use nsq::daemon::options::{Field, Kind, Value, Words};

/// Who must speak TLS. The discriminants are NSQ's, which `GET /config/tls_required` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRequired {
    /// Nobody.
    No = 0,
    /// Clients of the TCP port; HTTP may be plain.
    ExceptHttp = 1,
    /// Everybody.
    Yes = 2,
}

impl Field for TlsRequired {
    const KIND: Kind = Kind::Words(&Words {
        name: "when",
        // Go's words for a boolean, in any case, and one more.
        words: &[("true", 2), ("t", 2), ("1", 2), ("false", 0), ("f", 0), ("0", 0), ("tcp-https", 1)],
        shown: "true, false, tcp-https",
        bare: Some("true"),
    });

    fn from_value(value: Value) -> Result<Self, String> {
        Ok(match i64::from_value(value)? {
            0 => Self::No,
            1 => Self::ExceptHttp,
            // Whatever else a word could stand for is read on the safe side.
            _ => Self::Yes,
        })
    }

    fn to_value(&self) -> Value {
        Value::Int(*self as i64)
    }
}

/// The oldest TLS a client may speak. The discriminants are TLS's own version numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMinVersion {
    /// TLS 1.0.
    Tls10 = 0x301,
    /// TLS 1.1.
    Tls11 = 0x302,
    /// TLS 1.2.
    Tls12 = 0x303,
    /// TLS 1.3.
    Tls13 = 0x304,
}

impl Field for TlsMinVersion {
    const KIND: Kind = Kind::Words(&Words {
        name: "version",
        words: &[("tls1.0", 0x301), ("tls1.1", 0x302), ("tls1.2", 0x303), ("tls1.3", 0x304), ("", 0x301)],
        shown: "tls1.0, tls1.1, tls1.2, tls1.3",
        bare: None,
    });

    fn from_value(value: Value) -> Result<Self, String> {
        Ok(match i64::from_value(value)? {
            0x301 => Self::Tls10,
            0x302 => Self::Tls11,
            0x303 => Self::Tls12,
            // Whatever else a word could stand for is read on the safe side.
            _ => Self::Tls13,
        })
    }

    fn to_value(&self) -> Value {
        Value::Int(*self as i64)
    }
}

/// How an authorisation server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// With the question in the URL.
    Get,
    /// With the question in a form.
    Post,
}

impl Field for AuthMethod {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Result<Self, String> {
        match String::from_value(value)?.as_str() {
            "get" => Ok(Self::Get),
            "post" => Ok(Self::Post),
            _ => Err("must be post or get".to_owned()),
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(match self {
            Self::Get => "get".to_owned(),
            Self::Post => "post".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_the_option_it_names() {
        let required = |text| TlsRequired::from_value(TlsRequired::KIND.parse(text).unwrap()).unwrap();
        for (text, expected) in [
            ("true", TlsRequired::Yes),
            ("T", TlsRequired::Yes),
            ("1", TlsRequired::Yes),
            ("False", TlsRequired::No),
            ("0", TlsRequired::No),
            ("TCP-HTTPS", TlsRequired::ExceptHttp),
        ] {
            assert_eq!(required(text), expected, "{text}");
            assert_eq!(TlsRequired::from_value(expected.to_value()), Ok(expected));
        }
        let version = |text| TlsMinVersion::from_value(TlsMinVersion::KIND.parse(text).unwrap()).unwrap();
        for (text, expected) in [
            ("", TlsMinVersion::Tls10),
            ("tls1.0", TlsMinVersion::Tls10),
            ("TLS1.1", TlsMinVersion::Tls11),
            ("tls1.2", TlsMinVersion::Tls12),
            ("tls1.3", TlsMinVersion::Tls13),
        ] {
            assert_eq!(version(text), expected, "{text}");
            assert_eq!(TlsMinVersion::from_value(expected.to_value()), Ok(expected));
        }
    }

    #[test]
    fn other_words_are_refused() {
        assert!(TlsRequired::KIND.parse("tcp").is_err());
        assert!(TlsMinVersion::KIND.parse("ssl3.0").is_err());
        assert_eq!(AuthMethod::from_value(Value::Text("GET".into())), Err("must be post or get".into()));
    }
}
