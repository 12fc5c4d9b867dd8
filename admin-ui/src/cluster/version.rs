//! Versions of NSQ, for telling which is older.

use std::cmp::Ordering;

/// A version as `major.minor.patch`, maybe with `-pre-release` behind it. What is none counts as 0.0.0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    /// Empty for a release.
    pre_release: String,
}

impl Version {
    /// Reads it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::try_parse(text).unwrap_or_default()
    }

    fn try_parse(text: &str) -> Option<Self> {
        let text = text.split('+').next()?;
        let (numbers, pre_release) = text.split_once('-').unwrap_or((text, ""));
        let mut parts = numbers.split('.');
        let mut next = || parts.next()?.parse().ok();
        let numbers = [next()?, next()?, next()?];
        parts.next().is_none().then(|| Self { numbers, pre_release: pre_release.to_owned() })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let releases_last = self.pre_release.is_empty().cmp(&other.pre_release.is_empty());
        let by_text = || self.pre_release.cmp(&other.pre_release);
        self.numbers.cmp(&other.numbers).then(releases_last).then_with(by_text)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order() {
        let ascending = ["nonsense", "0.2.31-alpha", "0.2.31", "1.2.9", "1.2.10", "1.3.0-rc1", "1.3.0"];
        for pair in ascending.windows(2) {
            assert!(Version::parse(pair[0]) < Version::parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::parse("1.3.0+build"), Version::parse("1.3.0"));
        assert_eq!(Version::parse("1.3"), Version::parse("0.0.0"));
    }
}
