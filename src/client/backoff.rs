//! How long to wait after failures in a row: twice as long after each, up to a limit.
//!
//! Pure: neither clock nor chance. Who waits says how often it failed, and hands in the random number that keeps
//! many clients from coming back at the same moment.

use std::time::Duration;

/// No wait is longer, whatever is asked for or said by a server: the time it ends at must be one that the clock has.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Delays that double from a first to a longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after one failure.
    pub first: Duration,
    /// No delay is longer.
    pub max: Duration,
}

impl Backoff {
    /// The delay after this many failures in a row; none after no failure.
    ///
    /// ```
    /// use std::time::Duration;
    /// use nsq::client::Backoff;
    ///
    /// let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
    /// assert_eq!(backoff.delay(3), Duration::from_secs(4));
    /// assert_eq!(backoff.delay(30), Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max).min(LONGEST)
    }

    /// [`delay`](Self::delay), shortened by chance to between half of it and all of it. `random` is in 0 to 1.
    #[must_use]
    pub fn jittered(&self, failures: u32, random: f64) -> Duration {
        self.delay(failures).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    const SECONDS: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(120) };

    #[test]
    fn delays_double_up_to_the_limit() {
        for (failures, seconds) in
            [(0, 0), (1, 1), (2, 2), (3, 4), (7, 64), (8, 120), (32, 120), (u32::MAX, 120)]
        {
            assert_eq!(SECONDS.delay(failures), Duration::from_secs(seconds), "{failures} failures");
        }
    }

    #[test]
    fn chance_takes_at_most_half() {
        for (random, milliseconds) in [(0.0, 2000), (0.5, 3000), (1.0, 4000), (-1.0, 2000), (7.0, 4000)] {
            assert_eq!(SECONDS.jittered(3, random), Duration::from_millis(milliseconds), "{random}");
        }
    }

    #[test]
    fn no_delay_is_beyond_the_clock() {
        let endless = Backoff { first: Duration::MAX, max: Duration::MAX };
        assert_eq!(endless.jittered(1, 1.0), LONGEST);
        assert!(Instant::now().checked_add(LONGEST).is_some());
    }

    proptest! {
        #[test]
        fn no_delay_is_shorter_after_more_failures(first in 0_u64..10_000, max in 0_u64..100_000_000, failures in 0_u32..80) {
            let backoff = Backoff { first: Duration::from_millis(first), max: Duration::from_millis(max) };
            prop_assert!(backoff.delay(failures) <= backoff.delay(failures + 1));
            prop_assert!(backoff.delay(failures) <= backoff.max);
        }
    }
}
