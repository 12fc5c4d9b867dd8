//! Options of a daemon: what may be typed, what was typed, and from where.
//!
//! A program declares each option once, as an [`Entry`] beside the field of its own struct (see [`options!`]).
//! [`Program::read`] then turns command line and configuration file into [`Typed`], the first of two stages:
//! well-formed, and not yet looked at as a whole. The second stage is the program's struct.
//!
//! An option's value is what its flag says, else what the file says, else its default. The syntax of both is that
//! of NSQ. This module knows no option by name but `config` and `version`.

mod arguments;
mod entry;
mod field;
mod file;
mod reference;
mod value;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind};

pub use self::{
    entry::{Effect, Entry, flag},
    field::{ConfigValue, Field},
    value::{Kind, Value, Words},
};
use super::{
    logging::{LogFormat, fatal},
    version::{NSQ_VERSION, OWN_VERSION, version_line},
};
pub use crate::options;

/// A program and all it can be told.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name, which is also its log prefix before anything was read.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// Options that are answered or ignored here and have no field: [`VERSION`], [`VERBOSE`] and their like.
    pub without_field: &'static [Entry],
    /// All others, under their headings. A text called `config` among them names the file.
    pub sections: &'static [Section],
}

/// Options that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What they are about.
    pub heading: &'static str,
    /// The options.
    pub entries: &'static [Entry],
}

/// `--version`.
pub const VERSION: Entry =
    flag("version").no_key().default("false").described(Kind::Bool, "Prints the version and exits.");

/// `--verbose`, which NSQ gave up long ago and still accepts.
pub const VERBOSE: Entry =
    flag("verbose").no_key().default("false").no_effect().described(Kind::Bool, "Use `--log-level` instead.");

/// Why a program ends before it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked for this text and for nothing else.
    Answer(String),
    /// The command line makes no sense.
    Usage(String),
    /// The options make no sense, or the file cannot be read.
    Fatal(String),
}

impl Stop {
    /// Says so on the proper stream, and gives the exit code: 0 for an answer, 2 for a wrong command line, 1 else.
    #[must_use]
    pub fn report(&self, program: &Program) -> ExitCode {
        match self {
            Self::Answer(text) => {
                // Whoever asked may have closed the pipe after the first lines: that is no failure.
                let _ = writeln!(io::stdout(), "{}", text.trim_end());
                ExitCode::SUCCESS
            }
            Self::Usage(text) => {
                let _ = writeln!(io::stderr(), "{}", text.trim_end());
                ExitCode::from(2)
            }
            Self::Fatal(text) => fatal(program.name, LogFormat::Text, text),
        }
    }
}

impl Program {
    /// Every option, in the order of `--help`.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> {
        self.without_field.iter().chain(self.sections.iter().flat_map(|section| section.entries))
    }

    /// The option with that flag.
    #[must_use]
    pub fn entry(&self, flag: &str) -> Option<&'static Entry> {
        self.entries().find(|entry| entry.flag == flag)
    }

    /// Reads a command line, the program's own name not included, and the file it names.
    ///
    /// # Errors
    /// If the program is not to run: see [`Stop`].
    pub fn read(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<Typed, Stop> {
        let mut given = self.read_flags(arguments)?;
        if given.get(VERSION.flag) == Some(&Value::Bool(true)) {
            return Err(Stop::Answer(version_line(self.name)));
        }
        if let Some(Value::Text(path)) = given.get("config")
            && !path.is_empty()
        {
            self.read_file(Path::new(&path.clone()), &mut given).map_err(Stop::Fatal)?;
        }
        let mut values = self.defaults().values;
        values.extend(given);
        Ok(Typed { values })
    }

    /// What holds when nothing is said.
    #[must_use]
    pub fn defaults(&self) -> Typed {
        Typed { values: self.entries().map(|entry| (entry.flag, entry.default_value())).collect() }
    }

    /// Reads one option from the file again, long after the start.
    ///
    /// # Errors
    /// If the file cannot be read or its value makes no sense.
    pub fn reread<F: Field>(&self, path: &Path, flag: &str) -> Result<Option<F>, String> {
        let table = file::read(path)?;
        let Some(entry) = self.entry(flag) else { return Ok(None) };
        file::value_of(entry, &table)?.map(F::from_value).transpose()
    }

    fn read_flags(
        &self,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<BTreeMap<&'static str, Value>, Stop> {
        let usage = |why: String| Stop::Usage(format!("error: {why}\n\nFor more information, try '--help'."));
        let arguments: Vec<String> = arguments
            .into_iter()
            .map(OsString::into_string)
            .collect::<Result<_, _>>()
            .map_err(|argument| usage(format!("argument is not UTF-8: {}", argument.display())))?;
        let normal = arguments::normalise(arguments, |name| self.entry(name))
            .map_err(|error| usage(error.to_string()))?;
        let mut matches =
            self.command().try_get_matches_from(normal).map_err(|error| match error.kind() {
                ErrorKind::DisplayHelp => Stop::Answer(error.to_string()),
                _ => Stop::Usage(error.to_string()),
            })?;
        let given = |entry: &'static Entry| take_uses(&mut matches, entry).map(|value| (entry.flag, value));
        Ok(self.entries().filter_map(given).collect())
    }

    /// Adds what the file says and the command line does not.
    fn read_file(&self, path: &Path, given: &mut BTreeMap<&'static str, Value>) -> Result<(), String> {
        let table = file::read(path)
            .map_err(|cause| format!("failed to load config file {} - {cause}", path.display()))?;
        for entry in self.entries() {
            let is_given = given.contains_key(entry.flag);
            // Like NSQ, refuse an unknown word even where a flag overrides it, and look at nothing else there.
            if is_given && !matches!(entry.kind, Kind::Words(_)) {
                continue;
            }
            if let Some(value) = file::value_of(entry, &table)?
                && !is_given
            {
                given.insert(entry.flag, value);
            }
        }
        Ok(())
    }

    fn command(&self) -> Command {
        let ours = format!(
            "Flags may be written -flag=value, --flag=value or --flag value; those shown as [=<..>] take a value only \
             behind `=`.\n\n{} {OWN_VERSION}, stands in for NSQ {NSQ_VERSION}.",
            self.name
        );
        let without_field = self.without_field.iter().map(|entry| argument(entry, "Program"));
        let others = self
            .sections
            .iter()
            .flat_map(|section| section.entries.iter().map(|entry| argument(entry, section.heading)));
        Command::new(self.name)
            .about(self.about)
            .after_help(ours)
            .no_binary_name(true)
            .args_override_self(true)
            .disable_help_flag(true)
            .arg(
                Arg::new("help")
                    .long("help")
                    .action(ArgAction::Help)
                    .help("Prints this and exits.")
                    .help_heading("Program"),
            )
            .args(without_field)
            .args(others)
    }
}

/// The option as clap is to know it.
fn argument(entry: &'static Entry, heading: &'static str) -> Arg {
    let mut help = entry.explanation();
    if !matches!(entry.default_shown(), "" | "false") {
        help.push_str(&format!(" [default: {}]", entry.default_shown()));
    }
    let argument = Arg::new(entry.flag)
        .long(entry.flag)
        .help(help)
        .help_heading(heading)
        .value_name(entry.kind.name())
        .value_parser(|text: &str| entry.kind.parse(text))
        .action(if entry.kind.is_repeatable() { ArgAction::Append } else { ArgAction::Set });
    match entry.kind.bare() {
        Some(bare) => argument.num_args(0..=1).require_equals(true).default_missing_value(bare),
        None => argument.num_args(1),
    }
}

/// What the uses of that flag on the command line amount to.
fn take_uses(matches: &mut ArgMatches, entry: &Entry) -> Option<Value> {
    Value::merge(matches.remove_many(entry.flag)?)
}

/// What was typed: a value for each option of a program, each of its own kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    values: BTreeMap<&'static str, Value>,
}

impl Typed {
    /// The value of that option.
    ///
    /// # Panics
    /// If the program has no such option.
    #[must_use]
    pub fn value(&self, flag: &str) -> &Value {
        self.values.get(flag).unwrap_or_else(|| panic!("the program declares --{flag}"))
    }

    /// The value of an option with that flag, as what the program needs.
    ///
    /// # Errors
    /// What it must be, in a sentence that begins with the flag: `--mem-queue-size must be >= 0`.
    ///
    /// # Panics
    /// If the program has no such option, or one of another kind.
    pub fn field<F: Field>(&self, flag: &str) -> Result<F, String> {
        F::from_value(self.value(flag).clone()).map_err(|must| format!("--{flag} {must}"))
    }
}

/// Declares a program's options struct: each field with its entry, its comment being the option's help.
///
/// ```
/// use nsq::daemon::options::{Field, Typed, flag, options};
///
/// options! {
///     /// What the program needs.
///     pub struct Options {
///         "Queues" {
///             /// Messages of a topic that stay in memory.
///             pub mem_queue_size: usize = flag("mem-queue-size").default("10000"),
///         }
///     }
/// }
/// assert_eq!(Options::SECTIONS[0].entries[0].help.trim(), "Messages of a topic that stay in memory.");
/// ```
///
/// It gives the struct `SECTIONS`, `from_typed` and `value`.
#[macro_export]
macro_rules! options {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $( $heading:literal {
                $( $(#[doc = $help:literal])+ pub $field:ident: $type:ty = $entry:expr, )+
            } )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $( $(#[doc = $help])+ pub $field: $type, )+ )+
        }

        impl $name {
            /// The options of these fields, in the same order.
            pub const SECTIONS: &'static [$crate::daemon::options::Section] = &[
                $( $crate::daemon::options::Section {
                    heading: $heading,
                    entries: &[
                        $( $entry.described(
                            <$type as $crate::daemon::options::Field>::KIND,
                            concat!($($help),+),
                        ), )+
                    ],
                }, )+
            ];

            /// Takes each field from what was typed, and looks at no two of them together.
            ///
            /// # Errors
            /// If a value is nothing the program can work with: which one, and what it must be.
            pub fn from_typed(typed: &$crate::daemon::options::Typed) -> Result<Self, String> {
                Ok(Self {
                    $( $( $field: {
                        const FLAG: &str = $entry.flag;
                        typed.field(FLAG)?
                    }, )+ )+
                })
            }

            /// The present value of the option with that flag, as it would be typed.
            #[must_use]
            pub fn value(&self, flag: &str) -> Option<$crate::daemon::options::Value> {
                $( $(
                    if flag == $entry.flag {
                        return Some($crate::daemon::options::Field::to_value(&self.$field));
                    }
                )+ )+
                None
            }
        }
    };
}
