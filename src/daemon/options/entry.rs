//! One option: all that is said about it is said in its entry.

use super::value::{Kind, Value};

/// An option's flag, file key, kind, default and explanation. Command line, file, `--help`, `GET /config` and
/// the reference in the documents are all made from it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The flag without dashes: `mem-queue-size`.
    pub flag: &'static str,
    /// What the value is.
    pub kind: Kind,
    /// What it does, in whole sentences.
    pub help: &'static str,
    /// Whether it does anything.
    pub effect: Effect,
    key: Key,
    default: Default,
}

/// Whether an option does anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what its help says.
    Full,
    /// It is accepted for the sake of existing command lines, and nothing here depends on it.
    None,
}

#[derive(Clone, Copy, Debug)]
enum Key {
    /// The flag with `_` for `-`.
    Derived,
    Named(&'static str),
    /// The option is of the command line alone.
    Absent,
}

#[derive(Clone, Copy, Debug)]
enum Default {
    /// As it would be typed.
    Fixed(&'static str),
    /// Depends on the machine: how it is described, and how it is found.
    Computed(&'static str, fn() -> String),
}

/// Begins the entry of the option with that flag. Its default is the empty text or list until it is given one;
/// kind and help come from the field it belongs to.
#[must_use]
pub const fn flag(flag: &'static str) -> Entry {
    Entry {
        flag,
        kind: Kind::Text,
        help: "",
        effect: Effect::Full,
        key: Key::Derived,
        default: Default::Fixed(""),
    }
}

impl Entry {
    /// Names the key in the file where it is not the flag's own name.
    #[must_use]
    pub const fn key(mut self, key: &'static str) -> Self {
        self.key = Key::Named(key);
        self
    }

    /// Keeps the option out of the file, and out of `GET /config`.
    #[must_use]
    pub const fn no_key(mut self) -> Self {
        self.key = Key::Absent;
        self
    }

    /// Gives the default as it would be typed.
    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Default::Fixed(text);
        self
    }

    /// Gives a default that depends on the machine, and the words that describe it.
    #[must_use]
    pub const fn computed(mut self, description: &'static str, value: fn() -> String) -> Self {
        self.default = Default::Computed(description, value);
        self
    }

    /// Says that the option is accepted and nothing depends on it.
    #[must_use]
    pub const fn no_effect(mut self) -> Self {
        self.effect = Effect::None;
        self
    }

    /// Gives kind and help; `options!` does that from the field's type and comment.
    #[must_use]
    pub const fn described(mut self, kind: Kind, help: &'static str) -> Self {
        self.kind = kind;
        self.help = help;
        self
    }

    /// The key in the file, if the option may stand there.
    #[must_use]
    pub fn file_key(&self) -> Option<String> {
        match self.key {
            Key::Derived => Some(self.flag.replace('-', "_")),
            Key::Named(key) => Some(key.to_owned()),
            Key::Absent => None,
        }
    }

    /// The default.
    ///
    /// # Panics
    /// If the entry contradicts itself: its default is not of its kind.
    #[must_use]
    pub fn default_value(&self) -> Value {
        let computed;
        let text = match self.default {
            Default::Fixed(text) => text,
            Default::Computed(_, value) => {
                computed = value();
                &computed
            }
        };
        match (self.kind, text) {
            (Kind::List, "") => Value::List(Vec::new()),
            (Kind::Floats, "") => Value::Floats(Vec::new()),
            _ => self.kind.parse(text).unwrap_or_else(|why| panic!("the default of --{}: {why}", self.flag)),
        }
    }

    /// The default in words, for people; empty if there is nothing to say.
    #[must_use]
    pub fn default_shown(&self) -> &'static str {
        match self.default {
            Default::Fixed(text) => text,
            Default::Computed(description, _) => description,
        }
    }

    /// The help, with what is to be said about the effect behind it.
    #[must_use]
    pub fn explanation(&self) -> String {
        // Each line of a comment begins with a space, the first one too.
        let help = self.help.trim();
        match self.effect {
            Effect::Full => help.to_owned(),
            Effect::None => format!("{help} Accepted; has no effect here."),
        }
    }
}
