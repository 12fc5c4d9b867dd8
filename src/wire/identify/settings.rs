//! How a connection is served, and what a client may change of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::error::{ErrorCode, ProtocolError};
use super::request::Request;

/// The settings of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the client calls itself; its IP address before it says so.
    pub client_id: String,
    /// What the client's machine is called; its IP address before it says so.
    pub hostname: String,
    /// The client library and its version.
    pub user_agent: String,
    /// How often a heartbeat is sent; `None`: never.
    pub heartbeat_interval: Option<Duration>,
    /// How long a message may wait in the output buffer; `None`: until it is full.
    pub output_buffer_timeout: Option<Duration>,
    /// How many bytes may wait in the output buffer; 1 where there is none.
    pub output_buffer_size: usize,
    /// How many percent of the messages are delivered, always at most 99; 0: all.
    pub sample_rate: u8,
    /// How long a message may be in flight.
    pub msg_timeout: Duration,
    /// Where the client is, coarsely.
    pub topology_region: String,
    /// Where the client is, finely.
    pub topology_zone: String,
}

/// What a client may ask for, as the server's options say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentifyLimits {
    /// `--max-heartbeat-interval`
    pub heartbeat_interval_max: Duration,
    /// `--min-output-buffer-timeout`
    pub output_buffer_timeout_min: Duration,
    /// `--max-output-buffer-timeout`
    pub output_buffer_timeout_max: Duration,
    /// `--max-output-buffer-size`, in bytes
    pub output_buffer_size_max: usize,
    /// `--max-msg-timeout`
    pub msg_timeout_max: Duration,
}

impl Settings {
    /// The settings of a connection that has not identified itself. `peer` is its IP address, empty for a
    /// Unix socket; the times are those of `--output-buffer-timeout` and `--msg-timeout`.
    pub fn before_identify(peer: &str, output_buffer_timeout: Duration, msg_timeout: Duration) -> Self {
        Self {
            client_id: peer.to_owned(),
            hostname: peer.to_owned(),
            user_agent: String::new(),
            heartbeat_interval: Some(HEARTBEAT_INTERVAL),
            output_buffer_timeout: Some(output_buffer_timeout).filter(|timeout| !timeout.is_zero()),
            output_buffer_size: OUTPUT_BUFFER_SIZE,
            sample_rate: 0,
            msg_timeout,
            topology_region: String::new(),
            topology_zone: String::new(),
        }
    }
}

impl Request {
    /// Changes `settings` as asked for.
    ///
    /// # Errors
    /// `E_BAD_BODY` names the first value that is out of bounds; what stands before it is changed by then.
    pub fn apply(&self, limits: &IdentifyLimits, settings: &mut Settings) -> Result<(), ProtocolError> {
        settings.client_id.clone_from(&self.client_id);
        settings.hostname.clone_from(&self.hostname);
        settings.user_agent.clone_from(&self.user_agent);
        settings.topology_region.clone_from(&self.topology_region);
        settings.topology_zone.clone_from(&self.topology_zone);
        self.apply_heartbeat_interval(limits, settings)?;
        self.apply_output_buffer_timeout(limits, settings)?;
        self.apply_output_buffer_size(limits, settings)?;
        self.apply_sample_rate(settings)?;
        self.apply_msg_timeout(limits, settings)
    }

    fn apply_heartbeat_interval(
        &self,
        limits: &IdentifyLimits,
        settings: &mut Settings,
    ) -> Result<(), ProtocolError> {
        let valid = INTERVAL_MIN..=limits.heartbeat_interval_max;
        match self.heartbeat_interval {
            -1 => settings.heartbeat_interval = None,
            0 => {}
            wish => settings.heartbeat_interval = Some(within(wish, valid, "heartbeat interval")?),
        }
        Ok(())
    }

    fn apply_output_buffer_timeout(
        &self,
        limits: &IdentifyLimits,
        settings: &mut Settings,
    ) -> Result<(), ProtocolError> {
        let valid = limits.output_buffer_timeout_min..=limits.output_buffer_timeout_max;
        match self.output_buffer_timeout {
            -1 => settings.output_buffer_timeout = None,
            0 => {}
            wish => settings.output_buffer_timeout = Some(within(wish, valid, "output buffer timeout")?),
        }
        Ok(())
    }

    fn apply_output_buffer_size(
        &self,
        limits: &IdentifyLimits,
        settings: &mut Settings,
    ) -> Result<(), ProtocolError> {
        let valid = OUTPUT_BUFFER_SIZE_MIN..=limits.output_buffer_size_max;
        match self.output_buffer_size {
            -1 => {
                settings.output_buffer_size = 1;
                settings.output_buffer_timeout = None;
            }
            0 => {}
            wish => {
                settings.output_buffer_size = usize::try_from(wish)
                    .ok()
                    .filter(|size| valid.contains(size))
                    .ok_or_else(|| not_valid("output buffer size", wish))?;
            }
        }
        Ok(())
    }

    fn apply_sample_rate(&self, settings: &mut Settings) -> Result<(), ProtocolError> {
        settings.sample_rate = u8::try_from(self.sample_rate)
            .ok()
            .filter(|rate| *rate <= SAMPLE_RATE_MAX)
            .ok_or_else(|| not_valid("sample rate", self.sample_rate.into()))?;
        Ok(())
    }

    fn apply_msg_timeout(
        &self,
        limits: &IdentifyLimits,
        settings: &mut Settings,
    ) -> Result<(), ProtocolError> {
        if self.msg_timeout != 0 {
            settings.msg_timeout =
                within(self.msg_timeout, INTERVAL_MIN..=limits.msg_timeout_max, "msg timeout")?;
        }
        Ok(())
    }
}

fn within(milliseconds: i64, valid: RangeInclusive<Duration>, name: &str) -> Result<Duration, ProtocolError> {
    u64::try_from(milliseconds)
        .ok()
        .map(Duration::from_millis)
        .filter(|wish| valid.contains(wish))
        .ok_or_else(|| not_valid(name, milliseconds))
}

fn not_valid(name: &str, value: i64) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadBody, format!("IDENTIFY {name} ({value}) is invalid"))
}

/// How often a connection that did not say anything gets a heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// The shortest heartbeat interval and message timeout a client may ask for.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The output buffer of a connection that did not say anything, in bytes.
const OUTPUT_BUFFER_SIZE: usize = 16 * 1024;

/// The smallest output buffer a client may ask for, in bytes.
const OUTPUT_BUFFER_SIZE_MIN: usize = 64;

/// The largest share of messages below all of them, in percent.
const SAMPLE_RATE_MAX: u8 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: IdentifyLimits = IdentifyLimits {
        heartbeat_interval_max: Duration::from_secs(60),
        output_buffer_timeout_min: Duration::from_millis(25),
        output_buffer_timeout_max: Duration::from_secs(30),
        output_buffer_size_max: 65536,
        msg_timeout_max: Duration::from_secs(900),
    };

    fn settings() -> Settings {
        Settings::before_identify("10.0.0.1", Duration::from_millis(250), Duration::from_secs(60))
    }

    fn apply(json: &str) -> Result<Settings, String> {
        let mut settings = settings();
        let request = Request::parse(json.as_bytes()).unwrap();
        request.apply(&LIMITS, &mut settings).map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn a_connection_begins_with_the_defaults() {
        let settings = settings();
        assert_eq!((settings.client_id.as_str(), settings.hostname.as_str()), ("10.0.0.1", "10.0.0.1"));
        assert_eq!(settings.heartbeat_interval, Some(Duration::from_secs(30)));
        assert_eq!(settings.output_buffer_timeout, Some(Duration::from_millis(250)));
        assert_eq!(settings.output_buffer_size, 16384);
        assert_eq!(settings.msg_timeout, Duration::from_secs(60));
        assert_eq!(settings.sample_rate, 0);
    }

    #[test]
    fn an_empty_request_changes_only_the_names() {
        let expected = Settings { client_id: String::new(), hostname: String::new(), ..settings() };
        assert_eq!(apply("{}"), Ok(expected));
    }

    #[test]
    fn everything_asked_for_is_set() {
        let settings = apply(
            r#"{"client_id":"a","hostname":"b","user_agent":"c","heartbeat_interval":1000,
                "output_buffer_timeout":25,"output_buffer_size":64,"sample_rate":99,"msg_timeout":1000,
                "topology_region":"r","topology_zone":"z"}"#,
        );
        let expected = Settings {
            client_id: "a".into(),
            hostname: "b".into(),
            user_agent: "c".into(),
            heartbeat_interval: Some(Duration::from_secs(1)),
            output_buffer_timeout: Some(Duration::from_millis(25)),
            output_buffer_size: 64,
            sample_rate: 99,
            msg_timeout: Duration::from_secs(1),
            topology_region: "r".into(),
            topology_zone: "z".into(),
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn minus_one_turns_things_off() {
        assert_eq!(apply(r#"{"heartbeat_interval":-1}"#).unwrap().heartbeat_interval, None);
        assert_eq!(apply(r#"{"output_buffer_timeout":-1}"#).unwrap().output_buffer_timeout, None);
        let unbuffered = apply(r#"{"output_buffer_size":-1,"output_buffer_timeout":100}"#).unwrap();
        assert_eq!((unbuffered.output_buffer_size, unbuffered.output_buffer_timeout), (1, None));
    }

    #[test]
    fn bounds_are_part_of_what_is_valid() {
        for json in [
            r#"{"heartbeat_interval":60000,"output_buffer_timeout":30000}"#,
            r#"{"output_buffer_size":65536,"msg_timeout":900000}"#,
        ] {
            apply(json).unwrap();
        }
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        for (json, text) in [
            (r#"{"heartbeat_interval":999}"#, "heartbeat interval (999)"),
            (r#"{"heartbeat_interval":60001}"#, "heartbeat interval (60001)"),
            (r#"{"heartbeat_interval":-2}"#, "heartbeat interval (-2)"),
            (r#"{"output_buffer_timeout":24}"#, "output buffer timeout (24)"),
            (r#"{"output_buffer_timeout":30001}"#, "output buffer timeout (30001)"),
            (r#"{"output_buffer_timeout":-2}"#, "output buffer timeout (-2)"),
            (r#"{"output_buffer_size":63}"#, "output buffer size (63)"),
            (r#"{"output_buffer_size":65537}"#, "output buffer size (65537)"),
            (r#"{"output_buffer_size":-2}"#, "output buffer size (-2)"),
            (r#"{"sample_rate":100}"#, "sample rate (100)"),
            (r#"{"sample_rate":-1}"#, "sample rate (-1)"),
            (r#"{"msg_timeout":999}"#, "msg timeout (999)"),
            (r#"{"msg_timeout":900001}"#, "msg timeout (900001)"),
            (r#"{"msg_timeout":-1}"#, "msg timeout (-1)"),
            (r#"{"msg_timeout":9223372036854775807}"#, "msg timeout (9223372036854775807)"),
        ] {
            assert_eq!(apply(json), Err(format!("E_BAD_BODY IDENTIFY {text} is invalid")));
        }
    }

    #[test]
    fn the_first_of_several_bad_values_is_named() {
        let mut bad = vec![
            (r#""heartbeat_interval":1"#, "heartbeat interval (1)"),
            (r#""output_buffer_timeout":1"#, "output buffer timeout (1)"),
            (r#""output_buffer_size":1"#, "output buffer size (1)"),
            (r#""sample_rate":-1"#, "sample rate (-1)"),
            (r#""msg_timeout":1"#, "msg timeout (1)"),
        ];
        while let Some((_, first)) = bad.first() {
            let fields: Vec<_> = bad.iter().rev().map(|(field, _)| *field).collect();
            let json = format!("{{{}}}", fields.join(","));
            assert_eq!(apply(&json), Err(format!("E_BAD_BODY IDENTIFY {first} is invalid")));
            bad.remove(0);
        }
    }

    #[test]
    fn a_second_request_builds_on_the_first() {
        let mut settings = apply(r#"{"output_buffer_size":-1,"msg_timeout":5000}"#).unwrap();
        let second = Request { output_buffer_timeout: 100, ..Request::default() };
        second.apply(&LIMITS, &mut settings).unwrap();
        assert_eq!(settings.output_buffer_size, 1);
        assert_eq!(settings.output_buffer_timeout, Some(Duration::from_millis(100)));
        assert_eq!(settings.msg_timeout, Duration::from_secs(5));
    }
}
