//! The one place a daemon reads the time.
//!
//! What decides about time takes it as an argument; the drivers ask here, once a turn, and pass it on.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::ZonedDateTime;

/// Counts from the moment it was made. Cheap to copy: every copy counts from the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: SystemTime,
}

impl Clock {
    /// Starts counting.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two clocks made by default would not agree")]
    pub fn new() -> Self {
        Self { started: Instant::now(), started_at: SystemTime::now() }
    }

    /// Nanoseconds since the start, which never go back, and nanoseconds since 1970, which follow the
    /// system's clock wherever it is set.
    #[must_use]
    pub fn now(&self) -> (u64, i64) {
        (self.monotonic_ns(), unix_ns(SystemTime::now()))
    }

    /// Nanoseconds since the start; they never go back.
    #[must_use]
    pub fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When the clock was made, in seconds since 1970: `start_time` in the JSON of `/stats` and `/info`.
    #[must_use]
    pub fn start_unix_s(&self) -> i64 {
        unix_ns(self.started_at).div_euclid(1_000_000_000)
    }

    /// When the clock was made, as RFC 3339 in local time: `2026-11-23T17:55:07Z`.
    #[must_use]
    pub fn start_time(&self) -> String {
        // A system clock beyond year 9999 has no such text; the epoch then says that it is nonsense.
        let zoned = ZonedDateTime::try_from(self.started_at).unwrap_or_else(|_| {
            ZonedDateTime::new(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::system())
        });
        rfc3339(&zoned)
    }
}

/// Nanoseconds since 1970; negative before it, and held at the ends of what an `i64` can count.
fn unix_ns(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Whole seconds, and `Z` where the offset is zero.
fn rfc3339(time: &ZonedDateTime) -> String {
    let offset = if time.offset().is_zero() { "Z" } else { "%:z" };
    time.strftime(&format!("%Y-%m-%dT%H:%M:%S{offset}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn monotonic_time_never_goes_back() {
        let clock = Clock::new();
        let readings: Vec<u64> = (0..1000).map(|_| clock.now().0).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn copies_count_from_the_same_moment() {
        let clock = Clock::new();
        let copy = clock;
        let (first, second, third) = (clock.monotonic_ns(), copy.monotonic_ns(), clock.monotonic_ns());
        assert!(first <= second && second <= third);
        assert_eq!(clock.start_time(), copy.start_time());
    }

    #[test]
    fn unix_time_counts_from_1970_in_both_directions() {
        assert_eq!(unix_ns(UNIX_EPOCH + Duration::from_nanos(1_500)), 1_500);
        assert_eq!(unix_ns(UNIX_EPOCH - Duration::from_nanos(1_500)), -1_500);
    }

    #[test]
    fn start_time_is_rfc3339_with_z_or_offset() {
        for (text, expected) in [
            ("2026-11-23T17:55:07.9[UTC]", "2026-11-23T17:55:07Z"),
            ("2026-11-23T17:55:07.9+05:30[+05:30]", "2026-11-23T17:55:07+05:30"),
            ("2026-11-23T17:55:07-03:00[-03:00]", "2026-11-23T17:55:07-03:00"),
        ] {
            assert_eq!(rfc3339(&text.parse().unwrap()), expected);
        }
    }
}
