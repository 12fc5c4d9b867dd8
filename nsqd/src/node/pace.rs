//! How often is done what walks all topics while they come and go.

use std::time::Duration;

/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The pause between two walks, as a multiple of what the one before took: so they take a tenth of the time.
const PAUSE_FACTOR: u32 = 9;

/// The longest pause: a walk may have taken long because the machine or the disk stood still.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long to leave the topics alone after a walk that took so long.
pub fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(PAUSE_FACTOR).clamp(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_a_tenth_of_the_time_unless_it_stood_still() {
        let pauses = [0, 1, 2, 3, 100, 9000].map(|ms| pause_after(Duration::from_millis(ms)).as_millis());
        assert_eq!(pauses, [20, 20, 20, 27, 250, 250]);
    }
}
