//! Time, as the broker is told it.

use std::time::Duration;

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds on a clock that never goes back; deadlines are on this one.
    pub monotonic_ns: u64,
    /// Nanoseconds of Unix time; time stamps, ids and what is kept over a restart are on this one.
    pub unix_ns: i64,
}

impl Now {
    /// The monotonic moment `delay` from now.
    pub(crate) fn after(self, delay: Duration) -> u64 {
        self.monotonic_ns.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The Unix time of a monotonic moment, as far as can be said now.
    pub(crate) fn unix_ns_of(self, monotonic_ns: u64) -> i64 {
        let ahead = i128::from(monotonic_ns) - i128::from(self.monotonic_ns);
        (i128::from(self.unix_ns) + ahead).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// How long ago a Unix time was, in milliseconds, and at least one: also where the clock was set back since.
    pub(crate) fn age_ms(self, unix_ns: i64) -> u64 {
        let age_ms = self.unix_ns.saturating_sub(unix_ns) / 1_000_000;
        u64::try_from(age_ms).unwrap_or(0).max(1)
    }

    /// The monotonic moment of a Unix time; one that has passed is now.
    pub(crate) fn monotonic_ns_of(self, unix_ns: i64) -> u64 {
        let ahead = (i128::from(unix_ns) - i128::from(self.unix_ns)).max(0);
        u64::try_from(i128::from(self.monotonic_ns) + ahead).unwrap_or(u64::MAX)
    }
}
