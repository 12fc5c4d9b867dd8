//! What the black-box tests share: daemons on free ports, and clients that speak raw bytes.
//!
//! Nothing here uses the code that is judged: the harness knows the wire and HTTP by itself, so a mistake
//! of ours cannot hide by being made twice. The daemon is the built program next to the test executable, or
//! the one that `NSQD` (`NSQLOOKUPD`, `NSQADMIN`) names; where the original differs on purpose is listed in [`differences`].

pub mod admin;
pub mod authorization;
pub mod certificates;
pub mod cluster;
pub mod daemon;
pub mod differences;
pub mod endpoint;
pub mod http;
pub mod layers;
pub mod ledger;
pub mod level;
pub mod load;
pub mod lookupd;
pub mod numbered;
pub mod process;
pub mod random;
pub mod raw;
pub mod report;
pub mod small_disk;
pub mod stats;
pub mod table;

pub use admin::Admin;
pub use daemon::{Daemon, shared};
pub use level::Level;
pub use lookupd::Lookupd;
pub use raw::{Client, Message};
pub use table::each;

use std::time::Duration;

/// How long a test waits for something that must happen; only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a test watches for something that must not happen.
pub const SILENCE: Duration = Duration::from_millis(200);
