//! How often somebody may try a password.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many wrong passwords an address may give within [`WINDOW`].
const FAILURES_MAX: usize = 5;

/// For how long a wrong password counts.
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are remembered; while there are more, nobody may try.
const ADDRESSES_MAX: usize = 10_000;

/// Why the lock is never poisoned.
const NO_PANIC: &str = "no code panics while it holds the failures";

/// The wrong passwords of late, by whom they came from: an address, or the network of 2^64 addresses that is the least a
/// host of IPv6 has. Locked for a look or an insertion.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

/// When each was given, in the order in which they came; never more than [`FAILURES_MAX`].
type Failures = Vec<Instant>;

impl Throttle {
    /// Counts a try as wrong until [`succeeded`](Self::succeeded) says otherwise, so that many at once do not pass; or
    /// says how long to wait.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn try_once(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = network(address);
        let mut failures = self.0.lock().expect(NO_PANIC);
        let counts = |given: &Instant| now.saturating_duration_since(*given) < WINDOW;
        failures.retain(|_, failed| {
            failed.retain(counts);
            !failed.is_empty()
        });
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address) {
            return Err(WINDOW);
        }
        let failed = failures.entry(address).or_default();
        if failed.len() >= FAILURES_MAX {
            // Then the first of them counts no longer.
            let first = failed.iter().min().copied().unwrap_or(now);
            return Err(WINDOW.saturating_sub(now.saturating_duration_since(first)));
        }
        failed.push(now);
        Ok(())
    }

    /// The password tried at that time was right: that try does not count. The others do, or whoever has an account could go on
    /// guessing the passwords of others.
    pub(super) fn succeeded(&self, address: IpAddr, tried: Instant) {
        let mut failures = self.0.lock().expect(NO_PANIC);
        let Some(failed) = failures.get_mut(&network(address)) else { return };
        if let Some(index) = failed.iter().position(|given| *given == tried) {
            failed.remove(index);
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
    }
}

/// The first 64 bits of an IPv6 address.
const NETWORK: u128 = !(u64::MAX as u128);

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
        // One that was right takes back itself.
        throttle.succeeded(address(1), now + WINDOW);
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.try_once(address(1), now + WINDOW), Ok(()));
        }
        assert_eq!(throttle.try_once(address(1), now + WINDOW), Err(WINDOW));
    }

    #[test]
    fn an_account_of_ones_own_gives_no_more_guesses() {
        let (throttle, now, address) = (Throttle::default(), Instant::now(), IpAddr::from([127, 0, 0, 1]));
        for _ in 0..FAILURES_MAX - 1 {
            assert_eq!(throttle.try_once(address, now), Ok(()));
        }
        assert_eq!(throttle.try_once(address, now), Ok(()));
        throttle.succeeded(address, now);
        assert_eq!(throttle.try_once(address, now), Ok(()));
        assert_eq!(throttle.try_once(address, now), Err(WINDOW));
    }

    #[test]
    fn a_right_password_keeps_no_wrong_one_alive() {
        let (throttle, start, address) = (Throttle::default(), Instant::now(), IpAddr::from([10, 0, 0, 1]));
        let second = |number: u64| start + Duration::from_secs(number);
        // Behind a proxy all have one address: a typing error every half minute, and right ones between them.
        for number in 0..100 {
            assert_eq!(throttle.try_once(address, second(30 * number)), Ok(()));
            let right = second(30 * number + 15);
            assert_eq!(throttle.try_once(address, right), Ok(()));
            throttle.succeeded(address, right);
        }
        // How long to wait is told by the first of those that count.
        let throttle = Throttle::default();
        for number in 0..5 {
            assert_eq!(throttle.try_once(address, second(number)), Ok(()));
        }
        assert_eq!(throttle.try_once(address, second(10)), Err(Duration::from_secs(50)));
        assert_eq!(throttle.try_once(address, second(60)), Ok(()));
        assert_eq!(throttle.try_once(address, second(60)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_network_of_ipv6_is_one_host() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for host in 0..FAILURES_MAX {
            assert_eq!(throttle.try_once(address(&format!("2001:db8::{host}")), now), Ok(()));
        }
        assert_eq!(throttle.try_once(address("2001:db8::ffff:0:0:1"), now), Err(WINDOW));
        assert_eq!(throttle.try_once(address("2001:db8:0:1::1"), now), Ok(()));
    }
}
