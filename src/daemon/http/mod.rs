//! HTTP as NSQ's daemons speak it (spec nsqd-http.md, §1): routing, errors, parameters, bodies, the access log.
//!
//! A daemon lists its [`Routes`] with the state they need in one flat list and gets an [`App`]: one request in, one
//! response out, without a socket. [`serve()`] puts an app on a listener. Handlers are axum's; they take the
//! [`Path`] parameters and the [`Query`] they need, read their body with [`read_body`] and answer a [`Reply`] or an [`HttpError`].
//! Nothing here knows what a topic is; what may name one is [`names`]. Pages that several
//! daemons have in common are [`config`] and [`debug`].

mod access_log;
mod app;
mod body;
pub mod config;
pub mod debug;
mod error;
mod head_timeout;
pub mod names;
mod parameters;
mod path;
mod pieces;
mod plain;
mod query;
mod reply;
mod routes;
mod serve;

pub use app::{App, Remote};
pub use body::{BodyError, read_body};
pub use error::HttpError;
pub use parameters::Path;
pub use pieces::json_in_pieces;
pub use plain::{is_plain_http, refuse_plain_http};
pub use query::Query;
pub use reply::{Reply, plain_text};
pub use routes::Routes;
pub use serve::{serve, serve_connection, serve_within};
