//! nsqd's `GET /info`: who this daemon is and what a client may ask of it (spec nsqd-http.md, §2).

use serde::{Deserialize, Serialize};

/// The body of nsqd's `GET /info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The version of NSQ this daemon behaves as.
    pub version: String,
    /// The address other programs should use for this daemon.
    pub broadcast_address: String,
    /// The operating system's name of this host.
    pub hostname: String,
    /// The port HTTP listens on: -1 for a unix socket, 0 for none.
    pub http_port: i32,
    /// The port TCP listens on: -1 for a unix socket.
    pub tcp_port: i32,
    /// When the daemon started, in Unix seconds.
    pub start_time: i64,
    /// The longest heartbeat interval a client may ask for, in nanoseconds.
    pub max_heartbeat_interval: i64,
    /// The largest output buffer a client may ask for, in bytes.
    pub max_output_buffer_size: i64,
    /// The longest output buffer timeout a client may ask for, in nanoseconds.
    pub max_output_buffer_timeout: i64,
    /// The strongest deflate level a client may ask for, 1 to 9.
    pub max_deflate_level: i32,
    /// Where the daemon runs, for consumers that prefer the near.
    pub topology_zone: String,
    /// The wider place the zone lies in.
    pub topology_region: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::to_go_json;

    #[test]
    fn what_v1_3_0_sent_is_written_back_byte_for_byte() {
        let captured = r#"{"version":"1.3.0","broadcast_address":"bh","hostname":"host1","http_port":24151,"tcp_port":24150,"start_time":1795456482,"max_heartbeat_interval":60000000000,"max_output_buffer_size":65536,"max_output_buffer_timeout":30000000000,"max_deflate_level":6,"topology_zone":"","topology_region":""}"#;
        let info: Info = serde_json::from_str(captured).unwrap();
        assert_eq!(String::from_utf8(to_go_json(&info)).unwrap(), captured);
    }
}
