//! How often somebody may try a password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many wrong passwords an address may give within [`WINDOW`].
const FAILURES_MAX: u32 = 5;

/// After how long without a wrong password an address begins anew.
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are remembered; while there are more, nobody may try.
const ADDRESSES_MAX: usize = 10_000;

/// Why the lock is never poisoned.
const NO_PANIC: &str = "no code panics while it holds the failures";

/// The wrong passwords of late, by the address they came from. Locked for a look or an insertion.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    /// Counts a try as wrong until [`succeeded`](Self::succeeded) says otherwise, so that many at once do not pass; or
    /// says how long to wait.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn try_once(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut failures = self.0.lock().expect(NO_PANIC);
        failures.retain(|_, failed| now.saturating_duration_since(failed.last) < WINDOW);
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address) {
            return Err(WINDOW);
        }
        let failed = failures.entry(address).or_insert(Failures { count: 0, last: now });
        if failed.count >= FAILURES_MAX {
            return Err(WINDOW.saturating_sub(now.saturating_duration_since(failed.last)));
        }
        *failed = Failures { count: failed.count + 1, last: now };
        Ok(())
    }

    /// The password was right.
    pub(super) fn succeeded(&self, address: IpAddr) {
        self.0.lock().expect(NO_PANIC).remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_wrong_a_few_times() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let address = |last: u8| IpAddr::from([127, 0, 0, last]);
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.try_once(address(1), now), Ok(()));
        }
        assert_eq!(throttle.try_once(address(1), now), Err(WINDOW));
        assert_eq!(throttle.try_once(address(2), now), Ok(()));
        assert_eq!(throttle.try_once(address(1), now + WINDOW), Ok(()));
        throttle.succeeded(address(1));
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.try_once(address(1), now + WINDOW), Ok(()));
        }
    }
}
