//! What stands before each line of text: which program, or which part of one, says it.

use std::borrow::Cow;
use std::thread;

/// The beginning of each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Always this text; may be empty.
    Text(String),
    /// Several daemons share the process, each on threads that bear its name: the thread that logs says whose line it
    /// is. A thread called `nsqd-store` counts to `nsqd`.
    Parts {
        /// The names that threads may bear.
        names: &'static [&'static str],
        /// Whose the lines of all other threads are.
        otherwise: &'static str,
    },
}

impl Prefix {
    /// The text for a line of this thread.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match (self, self.part()) {
            (Self::Text(text), _) => Cow::Borrowed(text),
            (_, part) => Cow::Owned(format!("[{}] ", part.unwrap_or_default())),
        }
    }

    /// Whose line this thread's is, where there are several parts.
    pub(super) fn part(&self) -> Option<&'static str> {
        let Self::Parts { names, otherwise } = self else { return None };
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        let part = name.split('-').next().unwrap_or_default();
        Some(names.iter().find(|name| **name == part).unwrap_or(otherwise))
    }
}

impl From<String> for Prefix {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Prefix = Prefix::Parts { names: &["nsqd", "nsqlookupd"], otherwise: "nsq" };

    #[test]
    fn the_thread_says_whose_line_it_is() {
        for (name, prefix) in [
            ("nsqd", "[nsqd] "),
            ("nsqd-store", "[nsqd] "),
            ("nsqlookupd", "[nsqlookupd] "),
            ("main", "[nsq] "),
            ("nsqdx", "[nsq] "),
        ] {
            let thread = thread::Builder::new().name(name.to_owned());
            let said = thread.spawn(|| PARTS.text().into_owned()).unwrap().join().unwrap();
            assert_eq!(said, prefix, "{name}");
        }
    }

    #[test]
    fn one_program_has_one_prefix() {
        assert_eq!(Prefix::from("[nsqd] ".to_owned()).text(), "[nsqd] ");
    }
}
