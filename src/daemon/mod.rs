//! What every daemon of this project does the same way: options, logging, HTTP conventions.

pub mod accept;
pub mod clock;
pub mod go_duration;
pub mod host;
pub mod http;
pub mod lifetime;
pub mod listener;
pub mod logging;
pub mod options;
pub mod os_error;
pub mod runtime;
pub mod signals;
pub mod version;
