//! What the handlers work with.

use std::sync::Arc;

use nsq::daemon::logging::{Level, LogControl};

use crate::access::Access;
use crate::cidr::Cidr;
use crate::cluster::Cluster;
use crate::exchange::Exchange;
use crate::notify::Notifier;
use crate::options::Options;

/// Everything that a request may need.
pub struct Site {
    /// As they were at the start.
    pub options: Options,
    /// The nodes.
    pub cluster: Arc<Cluster>,
    /// How others than nodes are asked.
    pub exchange: Exchange,
    /// Who may do what.
    pub access: Access,
    /// Who is told of changes.
    pub notifier: Notifier,
    /// Who may use `/config`; `None` for everybody.
    pub config_range: Option<Cidr>,
    /// The log's level.
    pub log_level: Box<dyn LogLevel>,
}

/// A level that can be asked for and changed.
pub trait LogLevel: Send + Sync {
    /// The level now.
    fn level(&self) -> Level;
    /// Asks for another, at once.
    fn set_level(&self, level: Level);
}

impl LogLevel for LogControl {
    fn level(&self) -> Level {
        self.level()
    }

    fn set_level(&self, level: Level) {
        self.set_level(level);
    }
}
