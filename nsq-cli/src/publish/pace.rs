//! When the next record may go, where there is to be no more than so many a second.
//!
//! Pure: the time is an argument. Records go evenly; who was late may catch up for [`BURST`].

use std::time::{Duration, Instant};

/// How far behind its time a record may be without all that follow being later too.
const BURST: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Pace {
    /// `None` where there is no limit.
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// `per_second` records, from `now` on; any number where there is none.
    pub(super) fn new(per_second: Option<f64>, now: Instant) -> Self {
        let interval =
            per_second.map(|rate| Duration::from_secs_f64((1.0 / rate).clamp(0.0, INTERVAL_MAX_S)));
        Self { interval, next: now }
    }

    /// When the next record may go.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// A record went.
    pub(super) fn handle_sent(&mut self, now: Instant) {
        if let Some(interval) = self.interval {
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            self.next = self.next.max(earliest) + interval;
        }
    }
}

/// No pause is longer than this, in seconds, however small the rate.
const INTERVAL_MAX_S: f64 = 86_400.0 * 365.0;

/// Reads a rate.
pub(super) fn parse(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("must be more than 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn records_go_evenly() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(10.0), start);
        for number in 0..5 {
            assert_eq!(pace.next(), start + milliseconds(100 * number));
            pace.handle_sent(pace.next());
        }
    }

    #[test]
    fn who_is_late_catches_up_a_little_only() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(100.0), start);
        let late = start + Duration::from_secs(60);
        let mut at_once = 0;
        while pace.next() <= late {
            pace.handle_sent(late);
            at_once += 1;
        }
        assert_eq!(at_once, 11);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(None, start);
        pace.handle_sent(start);
        assert_eq!(pace.next(), start);
    }

    #[test]
    fn a_rate_is_a_number_above_zero() {
        assert_eq!(parse("0.5"), Ok(0.5));
        for text in ["0", "-1", "NaN", "inf", "x"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let _ = Pace::new(Some(f64::MIN_POSITIVE), Instant::now());
    }
}
