//! The library every part of this NSQ shares, and what a Rust user of NSQ imports.
//!
//! [`wire`] and [`api`] are pure: they know bytes and JSON, and neither socket nor clock. Whoever publishes and
//! consumes wants `client`, behind the feature of that name, which is on by default. What a server process needs
//! (options, logging, HTTP conventions) is `daemon`, and what a connection can be wrapped into is `transport`, behind the
//! features of those names. With all three there is `exchange`: how a daemon asks others over HTTP.

pub mod api;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(all(feature = "client", feature = "daemon", feature = "transport"))]
pub mod exchange;
#[cfg(feature = "transport")]
pub mod transport;
pub mod wire;
