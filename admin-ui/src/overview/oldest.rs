//! How old the oldest message of a channel is, as it grows from one answer of its node to the next.

/// What the node takes to say it, and what the clocks of two machines drift apart meanwhile: less than this is no news.
const NOISE_MS: u64 = 100;

/// The oldest message of a channel, or of a topic without one, on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Oldest {
    /// The node does not say.
    #[default]
    Unknown,
    /// No message waits.
    None,
    /// It was published at that moment on our clock, which began before: negative before that.
    Since(i64),
}

impl Oldest {
    /// What a node says at that moment. The same message keeps its moment, so that nothing seems to change while it waits.
    pub(super) fn heard(self, age_ms: Option<i64>, now_ms: u64) -> Self {
        match age_ms {
            None => Self::Unknown,
            Some(age_ms) if age_ms <= 0 => Self::None,
            Some(age_ms) => {
                let since = signed(now_ms).saturating_sub(age_ms);
                match self {
                    Self::Since(before) if before.abs_diff(since) <= NOISE_MS => self,
                    _ => Self::Since(since),
                }
            }
        }
    }

    /// The older one. That one node has none says nothing where another does not say.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Since(one), Self::Since(another)) => Self::Since(one.min(another)),
            (Self::Since(_), _) | (Self::Unknown, Self::None) => self,
            _ => other,
        }
    }

    /// How old it is now, in milliseconds: 0 exactly when there is none.
    pub(super) fn age_ms(self, now_ms: u64) -> Option<i64> {
        match self {
            Self::Unknown => None,
            Self::None => Some(0),
            Self::Since(since) => Some(signed(now_ms).saturating_sub(since).max(1)),
        }
    }
}

/// Whether an age is that of the same message, `passed_ms` later.
pub(super) fn has_only_grown(before: Option<i64>, now: Option<i64>, passed_ms: i64) -> bool {
    match (before, now) {
        (Some(before), Some(now)) if before > 0 && now > 0 => (now - before).abs_diff(passed_ms) <= NOISE_MS,
        _ => before == now,
    }
}

fn signed(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_waits_keeps_its_moment() {
        let first = Oldest::default().heard(Some(500), 10_000);
        assert_eq!(first, Oldest::Since(9_500));
        let again = first.heard(Some(1_540), 11_000);
        assert_eq!(again, first);
        assert_eq!(again.age_ms(12_000), Some(2_500));
        assert_eq!(first.heard(Some(20), 11_000), Oldest::Since(10_980));
        assert_eq!(first.heard(Some(0), 11_000).age_ms(12_000), Some(0));
        assert_eq!(first.heard(None, 11_000).age_ms(12_000), None);
        // It was there before we were.
        assert_eq!(Oldest::default().heard(Some(60_000), 1_000).age_ms(2_000), Some(61_000));
    }

    #[test]
    fn the_oldest_of_all_nodes_counts() {
        let (old, young) = (Oldest::Since(-5), Oldest::Since(7));
        for (one, another, expected) in [
            (old, young, old),
            (young, Oldest::None, young),
            (young, Oldest::Unknown, young),
            (Oldest::None, Oldest::None, Oldest::None),
            (Oldest::None, Oldest::Unknown, Oldest::Unknown),
            (Oldest::Unknown, Oldest::Unknown, Oldest::Unknown),
        ] {
            assert_eq!(one.or(another), expected);
            assert_eq!(another.or(one), expected);
        }
    }

    #[test]
    fn growing_as_time_passes_is_no_news() {
        assert!(has_only_grown(Some(1_000), Some(2_010), 1_000));
        assert!(!has_only_grown(Some(1_000), Some(1_000), 1_000));
        assert!(!has_only_grown(Some(0), Some(1_000), 1_000));
        assert!(has_only_grown(Some(0), Some(0), 1_000) && has_only_grown(None, None, 1_000));
        assert!(!has_only_grown(None, Some(0), 1_000));
    }
}
