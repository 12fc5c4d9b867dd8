//! How often is done what walks all topics while they come and go.

use std::time::Duration;

/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The pause between two walks, as a multiple of what the one before took: so they take a tenth of the time at most,
/// however many topics there are.
const PAUSE_FACTOR: u32 = 9;

/// How long to leave the topics alone after a walk that took so long.
pub(crate) fn pause_after(took: Duration) -> Duration {
    PAUSE_MIN.max(PAUSE_FACTOR * took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_a_tenth_of_the_time_at_most() {
        let pauses = [0, 1, 2, 3, 100].map(|ms| pause_after(Duration::from_millis(ms)).as_millis());
        assert_eq!(pauses, [20, 20, 20, 27, 900]);
    }
}
