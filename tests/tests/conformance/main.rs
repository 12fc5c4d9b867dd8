//! What v1.3.0 does, as far as a client, a script or an operator can rely on it: one file a subject.
//!
//! One executable, so that tests that mostly wait for a clock wait at the same time.

mod auth;
mod auth_disabled;
mod auth_servers;
mod command_line;
mod delivery;
mod dpub;
mod ephemeral;
mod fin_req_touch;
mod framing;
mod heartbeats;
mod http_config;
mod http_publish;
mod http_routing;
mod http_stats_json;
mod http_stats_text;
mod http_topics_channels;
mod https;
mod identify;
mod logging;
mod mpub;
mod pause_empty_delete;
mod publish;
mod rdy;
mod restart;
mod shutdown;
mod start_failures;
mod sub;
mod timeouts;
mod tls;
mod topology;
mod upgrades;
