//! What client and server agree on: how the connection goes on after the response.

use super::super::error::{ErrorCode, ProtocolError};
use super::request::Request;

/// What the server is able and willing to do, and says of itself to each client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The server's version.
    pub version: String,
    /// The largest ready count (`--max-rdy-count`).
    pub rdy_count_max: i64,
    /// Whether there are certificate and key for TLS.
    pub tls: bool,
    /// Whether Snappy is allowed (`--snappy`).
    pub snappy: bool,
    /// Whether Deflate is allowed (`--deflate`).
    pub deflate: bool,
    /// The best level of Deflate (`--max-deflate-level`).
    pub deflate_level_max: u32,
    /// Whether a client must authorise before it publishes or subscribes.
    pub auth_required: bool,
    /// Where the server is, coarsely (`--topology-region`).
    pub topology_region: String,
    /// Where the server is, finely (`--topology-zone`).
    pub topology_zone: String,
}

/// How the connection goes on: TLS first, then compression within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// Whether in TLS.
    pub tls: bool,
    /// Whether compressed, and how.
    pub compression: Option<Compression>,
    /// The level of Deflate that the response speaks of, whether Deflate is used or not.
    pub deflate_level: u32,
}

/// How a connection is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Snappy's framing format.
    Snappy,
    /// A raw Deflate stream of this level.
    Deflate {
        /// 1 to 9.
        level: u32,
    },
}

impl Request {
    /// What comes of the client's wishes; `None` where it does not negotiate: then it is answered `OK`, and
    /// nothing is upgraded.
    ///
    /// # Errors
    /// `E_IDENTIFY_FAILED`: both compressions would be used.
    pub fn negotiate(&self, offer: &Offer) -> Result<Option<Agreement>, ProtocolError> {
        if !self.feature_negotiation {
            return Ok(None);
        }
        let deflate = self.deflate && offer.deflate;
        let snappy = self.snappy && offer.snappy;
        let wished_level = if deflate && self.deflate_level > 0 {
            u32::try_from(self.deflate_level).unwrap_or(u32::MAX)
        } else {
            DEFLATE_LEVEL
        };
        let deflate_level = wished_level.min(offer.deflate_level_max);
        let compression = match (snappy, deflate) {
            (false, false) => None,
            (true, false) => Some(Compression::Snappy),
            (false, true) => Some(Compression::Deflate { level: deflate_level }),
            (true, true) => return Err(two_compressions()),
        };
        Ok(Some(Agreement { tls: self.tls_v1 && offer.tls, compression, deflate_level }))
    }
}

fn two_compressions() -> ProtocolError {
    ProtocolError::fixed(ErrorCode::IdentifyFailed, "cannot enable both deflate and snappy compression")
}

/// The level of Deflate where the client does not ask for one.
const DEFLATE_LEVEL: u32 = 6;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn everything() -> Offer {
        Offer {
            version: "1.3.0".into(),
            rdy_count_max: 2500,
            tls: true,
            snappy: true,
            deflate: true,
            deflate_level_max: 6,
            auth_required: false,
            topology_region: String::new(),
            topology_zone: String::new(),
        }
    }

    fn negotiate(json: &str, offer: &Offer) -> Result<Option<Agreement>, String> {
        Request::parse(json.as_bytes()).unwrap().negotiate(offer).map_err(|error| error.to_string())
    }

    #[test]
    fn without_feature_negotiation_nothing_is_agreed() {
        let json = r#"{"tls_v1":true,"snappy":true,"deflate":true}"#;
        assert_eq!(negotiate(json, &everything()), Ok(None));
    }

    #[test]
    fn only_what_is_asked_for_and_offered_is_agreed() {
        let plain = Agreement { tls: false, compression: None, deflate_level: 6 };
        let nothing = Offer { tls: false, snappy: false, deflate: false, ..everything() };
        let all =
            r#"{"feature_negotiation":true,"tls_v1":true,"snappy":true,"deflate":true,"deflate_level":1}"#;
        assert_eq!(negotiate(all, &nothing), Ok(Some(plain)));
        assert_eq!(negotiate(r#"{"feature_negotiation":true}"#, &everything()), Ok(Some(plain)));
        assert_eq!(
            negotiate(r#"{"feature_negotiation":true,"tls_v1":true,"snappy":true}"#, &everything()),
            Ok(Some(Agreement { tls: true, compression: Some(Compression::Snappy), ..plain }))
        );
        assert_eq!(
            negotiate(all, &Offer { deflate: false, ..everything() }),
            Ok(Some(Agreement { tls: true, compression: Some(Compression::Snappy), ..plain }))
        );
    }

    #[test]
    fn the_level_of_deflate_is_bounded_by_the_server() {
        for (wish, max, level) in [(0, 6, 6), (-1, 6, 6), (1, 6, 1), (9, 6, 6), (0, 3, 3), (i64::MAX, 9, 9)] {
            let json = format!(r#"{{"feature_negotiation":true,"deflate":true,"deflate_level":{wish}}}"#);
            let offer = Offer { deflate_level_max: max, ..everything() };
            let agreement = negotiate(&json, &offer).unwrap().unwrap();
            assert_eq!(agreement.compression, Some(Compression::Deflate { level }), "{wish} of {max}");
            assert_eq!(agreement.deflate_level, level);
        }
        let unused = r#"{"feature_negotiation":true,"deflate_level":1}"#;
        assert_eq!(negotiate(unused, &everything()).unwrap().unwrap().deflate_level, 6);
    }

    #[test]
    fn there_is_only_one_compression() {
        let json = r#"{"feature_negotiation":true,"snappy":true,"deflate":true}"#;
        let error = "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression";
        assert_eq!(negotiate(json, &everything()), Err(error.into()));
    }
}
