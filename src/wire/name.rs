//! Names of topics and channels: `^[.a-zA-Z0-9_-]+(#ephemeral)?$`, 1 to 64 bytes in all.

use std::fmt;

/// The longest name, suffix included, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

const EPHEMERAL_SUFFIX: &[u8] = b"#ephemeral";

/// A valid name. It is small, holds no pointer and is copied freely, so that a command which
/// names a topic costs no allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    /// Always 1 to 64; the bytes behind it are always zero, so that the derived order is that of the names.
    len: u8,
}

impl Name {
    fn parse(raw: &[u8]) -> Option<Self> {
        if raw.is_empty() || raw.len() > NAME_BYTES_MAX {
            return None;
        }
        let stem = raw.strip_suffix(EPHEMERAL_SUFFIX).unwrap_or(raw);
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if stem.is_empty() || !stem.iter().all(allowed) {
            return None;
        }
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes[..raw.len()].copy_from_slice(raw);
        Some(Self { bytes, len: raw.len() as u8 })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a name was parsed from ASCII bytes only")
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $type(Name);

        impl $type {
            /// Checks `raw` against the rule for names; `None` where it is broken.
            pub fn parse(raw: impl AsRef<[u8]>) -> Option<Self> {
                Name::parse(raw.as_ref()).map(Self)
            }

            /// The name as it was given.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The name's bytes, which are ASCII.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// Whether the name ends in `#ephemeral`: never written to disk, gone with its last user.
            pub fn is_ephemeral(&self) -> bool {
                self.as_bytes().ends_with(EPHEMERAL_SUFFIX)
            }
        }

        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_bytes().hash(state);
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

name_type! {
    /// The name of a topic.
    TopicName
}
name_type! {
    /// The name of a channel of a topic.
    ChannelName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_the_protocol() {
        for good in ["a", "a.b_c-D9", ".", "..", "x#ephemeral", &"n".repeat(64)] {
            assert_eq!(TopicName::parse(good).expect(good).as_str(), good);
        }
        let long_ephemeral = format!("{}#ephemeral", "n".repeat(55));
        for bad in ["", " ", "a b", "#ephemeral", "a#other", "a#ephemeral#ephemeral", "é", &"n".repeat(65)] {
            assert!(TopicName::parse(bad).is_none(), "{bad:?}");
        }
        assert!(ChannelName::parse(&long_ephemeral).is_none(), "the suffix counts");
    }

    #[test]
    fn names_are_ordered_like_their_text() {
        let mut names: Vec<_> = ["b", "a", "ab", "a.b", "A"].map(|n| TopicName::parse(n).unwrap()).into();
        names.sort();
        assert_eq!(names.iter().map(TopicName::as_str).collect::<Vec<_>>(), ["A", "a", "a.b", "ab", "b"]);
    }

    #[test]
    fn the_suffix_makes_a_name_ephemeral() {
        assert!(ChannelName::parse("c#ephemeral").unwrap().is_ephemeral());
        assert!(!ChannelName::parse("ephemeral").unwrap().is_ephemeral());
    }
}
