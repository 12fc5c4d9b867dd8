//! What is typed on the command line, checked once and kept as what it is.

use std::time::Duration;

use nsq::daemon::go_duration::GoDuration;
use nsq::wire::name::{ChannelName, TopicName};

const NAME_RULE: &str = "must be 1 to 64 of the characters a-z A-Z 0-9 . _ - and may end with #ephemeral";

/// The name of a topic.
pub(crate) fn topic(text: &str) -> Result<TopicName, String> {
    TopicName::parse(text).ok_or_else(|| format!("a topic's name {NAME_RULE}"))
}

/// The name of a channel.
pub(crate) fn channel(text: &str) -> Result<ChannelName, String> {
    ChannelName::parse(text).ok_or_else(|| format!("a channel's name {NAME_RULE}"))
}

/// The TCP or HTTP address of a daemon.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
    if text.contains("://") {
        return Err("an address is HOST:PORT, without a scheme".to_owned());
    }
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("an address is HOST:PORT".to_owned()),
    }
}

/// A duration, as everywhere in NSQ: `250ms`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let GoDuration(nanoseconds) = text.parse::<GoDuration>().map_err(|error| error.to_string())?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| "must not be negative".to_owned())
}

/// A duration of which something is left.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["127.0.0.1:4150", "host:1", "[::1]:4150"] {
            assert_eq!(address(good).unwrap(), good);
        }
        for bad in ["", "host", ":4150", "host:", "host:99999", "http://host:4151", "host:4151/"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_those_of_nsq() {
        assert_eq!(duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert_eq!(duration("-1s").unwrap_err(), "must not be negative");
        assert_eq!(positive_duration("0s").unwrap_err(), "must be more than 0");
        assert!(duration("5").is_err());
    }

    #[test]
    fn names_are_refused_with_their_rule() {
        assert!(topic("t#ephemeral").is_ok() && channel("c").is_ok());
        assert!(topic("a b").unwrap_err().starts_with("a topic's name must be 1 to 64"));
        assert!(channel("").unwrap_err().starts_with("a channel's name must be 1 to 64"));
    }
}
