//! Everything nsqlookupd can be told: one entry an option, and the struct the rest of the daemon works with.

#[cfg(test)]
mod tests;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use nsq::daemon::{
    host::host_name,
    logging::{Level, LogFormat, LogSettings},
    options::{Program, Stop, VERBOSE, VERSION, flag, options},
};

use crate::registry::Settings;

/// nsqlookupd and all it can be told.
pub const PROGRAM: Program = Program {
    name: "nsqlookupd",
    about: "The daemon that knows which nsqd has which topic.",
    without_field: &[VERSION, VERBOSE],
    sections: Options::SECTIONS,
};

options! {
    /// What the daemon needs to know, each field with the option it comes from.
    ///
    /// The comment of a field is also the option's help.
    pub struct Options {
        "Basics" {
            /// The configuration file, in TOML. What it says is overridden by flags.
            pub config: PathBuf = flag("config").no_key(),
            /// Log lines below this level are not written: debug, info, warn, error or fatal.
            pub log_level: Level = flag("log-level").default("info"),
            /// What stands before each log line.
            pub log_prefix: String = flag("log-prefix").default("[nsqlookupd] "),
            /// How log lines are written: text, or json for one object a line.
            pub log_format: LogFormat = flag("log-format").default("text"),
        }
        "Addresses" {
            /// Where nsqd registers: `host:port`.
            pub tcp_address: String = flag("tcp-address").default("0.0.0.0:4160"),
            /// Where HTTP clients connect: `host:port`.
            pub http_address: String = flag("http-address").default("0.0.0.0:4161"),
            /// The host name this daemon tells nsqd to ask it by.
            pub broadcast_address: String =
                flag("broadcast-address").computed("the host's name", host_name),
        }
        "Producers" {
            /// After how long without a ping an nsqd is hidden from look-ups.
            pub inactive_producer_timeout: Duration = flag("inactive-producer-timeout").default("5m0s"),
            /// How long a tombstone hides an nsqd from the look-ups of a topic.
            pub tombstone_lifetime: Duration = flag("tombstone-lifetime").default("45s"),
        }
    }
}

impl Default for Options {
    /// What holds when nothing is said.
    fn default() -> Self {
        Self::from_typed(&PROGRAM.defaults()).expect("defaults are in range, which a test asserts")
    }
}

impl Options {
    /// Reads a command line, the program's own name not included, and the file it names.
    ///
    /// # Errors
    /// If the daemon is not to run with it.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        let typed = PROGRAM.read(arguments)?;
        let fatal = |why| Stop::Fatal(format!("failed to instantiate nsqlookupd - {why}"));
        Self::from_typed(&typed).map_err(fatal)
    }

    /// What the log is to be like.
    #[must_use]
    pub fn log_settings(&self) -> LogSettings {
        LogSettings { prefix: self.log_prefix.clone().into(), level: self.log_level, format: self.log_format }
    }

    /// The log level the configuration file asks for now; `None` if there is no file, or it says nothing of it.
    ///
    /// # Errors
    /// If the file cannot be read or its value makes no sense.
    pub fn reread_log_level(&self) -> Result<Option<Level>, String> {
        if self.config.as_os_str().is_empty() {
            return Ok(None);
        }
        PROGRAM.reread(&self.config, "log-level")
    }

    /// How long what is registered counts.
    #[must_use]
    pub fn registry_settings(&self) -> Settings {
        Settings {
            inactive_producer_timeout: self.inactive_producer_timeout,
            tombstone_lifetime: self.tombstone_lifetime,
            ..Settings::default()
        }
    }
}
