//! What the handlers work with.

use std::sync::Arc;

use axum::http::StatusCode;
use nsq::daemon::http::HttpError;
use nsq::daemon::lifetime::StopSwitch;
use nsq::daemon::logging::{Level, LogControl};
use nsq::exchange::Exchange;

use crate::access::Access;
use crate::cidr::Cidr;
use crate::cluster::Cluster;
use crate::notify::Notifier;
use crate::options::Options;
use crate::sampler::Sampled;

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
    /// What the sampler heard; `None` where it does not run.
    pub sampled: Option<Arc<Sampled>>,
    /// When streams are to end.
    pub switch: StopSwitch,
    /// Who may use `/config`; `None` for everybody.
    pub config_range: Option<Cidr>,
    /// The log's level.
    pub log_level: Box<dyn LogLevel>,
}

impl Site {
    /// What the sampler heard.
    pub(super) fn sampled(&self) -> Result<&Arc<Sampled>, HttpError> {
        self.sampled.as_ref().ok_or_else(|| HttpError::new(StatusCode::NOT_FOUND, "SAMPLING_OFF"))
    }

    /// Completes when streams are to end.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.switch.stopping()
    }
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
