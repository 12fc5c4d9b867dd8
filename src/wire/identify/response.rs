//! The answer to an `IDENTIFY` that negotiates: JSON with its keys in the order of v1.3.0.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::negotiate::{Agreement, Compression, Offer};
use super::settings::{IdentifyLimits, Settings};

/// What the connection has come to be. Times are milliseconds. A client reads what an older server does
/// not say as empty, zero or false.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The largest ready count.
    pub max_rdy_count: i64,
    /// The server's version.
    pub version: String,
    /// The longest message timeout, `TOUCH` included.
    pub max_msg_timeout: u64,
    /// This connection's message timeout.
    pub msg_timeout: u64,
    /// Whether the connection goes on in TLS.
    pub tls_v1: bool,
    /// Whether the connection goes on compressed with Deflate.
    pub deflate: bool,
    /// The level Deflate has, or would have.
    pub deflate_level: u32,
    /// The best level of Deflate.
    pub max_deflate_level: u32,
    /// Whether the connection goes on compressed with Snappy.
    pub snappy: bool,
    /// The share of messages this connection gets, in percent; 0: all.
    pub sample_rate: u8,
    /// Whether `AUTH` must come before anything is published or consumed.
    pub auth_required: bool,
    /// In bytes; 1: no buffer.
    pub output_buffer_size: usize,
    /// 0: no timeout.
    pub output_buffer_timeout: u64,
    /// Where the server is, coarsely.
    pub topology_region: String,
    /// Where the server is, finely.
    pub topology_zone: String,
}

impl Response {
    /// What is to be said of a connection with these `settings`, after this `agreement`.
    pub fn new(settings: &Settings, agreement: &Agreement, offer: &Offer, limits: &IdentifyLimits) -> Self {
        Self {
            max_rdy_count: offer.rdy_count_max,
            version: offer.version.clone(),
            max_msg_timeout: milliseconds(limits.msg_timeout_max),
            msg_timeout: milliseconds(settings.msg_timeout),
            tls_v1: agreement.tls,
            deflate: matches!(agreement.compression, Some(Compression::Deflate { .. })),
            deflate_level: agreement.deflate_level,
            max_deflate_level: offer.deflate_level_max,
            snappy: agreement.compression == Some(Compression::Snappy),
            sample_rate: settings.sample_rate,
            auth_required: offer.auth_required,
            output_buffer_size: settings.output_buffer_size,
            output_buffer_timeout: settings.output_buffer_timeout.map_or(0, milliseconds),
            topology_region: offer.topology_region.clone(),
            topology_zone: offer.topology_zone.clone(),
        }
    }

    /// The data of the response frame.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and booleans are always JSON")
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::super::negotiate::tests::everything;
    use super::*;

    const LIMITS: IdentifyLimits = IdentifyLimits {
        heartbeat_interval_max: Duration::from_secs(60),
        output_buffer_timeout_min: Duration::from_millis(25),
        output_buffer_timeout_max: Duration::from_secs(30),
        output_buffer_size_max: 65536,
        msg_timeout_max: Duration::from_secs(900),
    };

    fn response(request: &Request, offer: &Offer) -> String {
        let mut settings = Settings::before_identify("", Duration::from_millis(250), Duration::from_secs(60));
        request.apply(&LIMITS, &mut settings).unwrap();
        let agreement = request.negotiate(offer).unwrap().unwrap();
        String::from_utf8(Response::new(&settings, &agreement, offer, &LIMITS).to_json()).unwrap()
    }

    #[test]
    fn the_response_is_that_of_v1_3_0_to_the_byte() {
        let request = Request { feature_negotiation: true, ..Request::default() };
        assert_eq!(
            response(&request, &everything()),
            r#"{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"msg_timeout":60000,"tls_v1":false,"deflate":false,"deflate_level":6,"max_deflate_level":6,"snappy":false,"sample_rate":0,"auth_required":false,"output_buffer_size":16384,"output_buffer_timeout":250,"topology_region":"","topology_zone":""}"#
        );
    }

    #[test]
    fn the_response_says_what_is_in_effect() {
        let request = Request {
            feature_negotiation: true,
            output_buffer_size: -1,
            sample_rate: 5,
            msg_timeout: 1234,
            tls_v1: true,
            deflate: true,
            deflate_level: 3,
            topology_region: "the client's".into(),
            ..Request::default()
        };
        let offer = Offer {
            auth_required: true,
            topology_region: "r".into(),
            topology_zone: "z".into(),
            ..everything()
        };
        assert_eq!(
            response(&request, &offer),
            r#"{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"msg_timeout":1234,"tls_v1":true,"deflate":true,"deflate_level":3,"max_deflate_level":6,"snappy":false,"sample_rate":5,"auth_required":true,"output_buffer_size":1,"output_buffer_timeout":0,"topology_region":"r","topology_zone":"z"}"#
        );
        let snappy = Request { feature_negotiation: true, snappy: true, ..Request::default() };
        assert!(response(&snappy, &everything()).contains(r#""snappy":true"#));
    }

    #[test]
    fn a_client_reads_what_a_server_wrote_and_misses_nothing_else() {
        let written = Response { max_rdy_count: 1, version: "1.3.0".into(), ..Response::default() };
        assert_eq!(serde_json::from_slice::<Response>(&written.to_json()).unwrap(), written);
        let old = r#"{"max_rdy_count":1,"version":"1.3.0","short_id":"x"}"#;
        assert_eq!(serde_json::from_str::<Response>(old).unwrap(), written);
    }
}
