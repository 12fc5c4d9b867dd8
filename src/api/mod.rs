//! The JSON bodies of every HTTP endpoint, once, for daemons, client, tools and admin page.
//!
//! Each type says one body: its keys, their order and when a key is left out. Writing gives the bytes NSQ
//! v1.3.0 gives ([`json::to_go_json`]); reading takes what any version sends: unknown keys are skipped, a
//! missing key or a `null` is the type's default. What the numbers mean is said where they are counted.

/// The header, of any value, by which who asks again and again for what is there says so: the log of a daemon of this project
/// has such a GET at the level debug where it went well. NSQ v1.3.0 knows nothing of it.
pub const WATCHER: &str = "x-nsq-watcher";

pub mod admin;
pub mod error;
pub mod info;
pub mod json;
pub mod lookup;
pub mod metadata;
pub mod stats;
