//! The registry with what it needs to be asked by many at once: a lock and a clock.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use nsq::daemon::clock::Clock;

use crate::registry::{Registry, Settings};

/// Why the lock is never poisoned.
const NO_PANIC: &str = "no code panics while it holds the registry";

/// The one registry of a daemon.
///
/// The lock is held for one question or one change, never across an await; what is large is asked piece by piece.
#[derive(Debug)]
pub struct Directory {
    clock: Clock,
    registry: RwLock<Registry>,
}

impl Directory {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Clock, settings: Settings) -> Self {
        Self { clock, registry: RwLock::new(Registry::new(settings)) }
    }

    /// To ask.
    pub fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().expect(NO_PANIC)
    }

    /// To change.
    pub fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().expect(NO_PANIC)
    }

    /// The time the registry is to be told.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.monotonic_ns())
    }

    /// A time of the registry, which was past, in Unix nanoseconds.
    #[must_use]
    pub fn unix_ns(&self, time: Duration) -> i64 {
        let (monotonic_ns, unix_ns) = self.clock.now();
        let ago = Duration::from_nanos(monotonic_ns).saturating_sub(time);
        unix_ns.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX))
    }
}
