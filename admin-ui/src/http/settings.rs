//! `GET /api/settings`: what the page must know of this server.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use nsq::api::admin::Settings;
use nsq::daemon::http::Reply;

use super::Site;

pub(super) async fn show(State(site): State<Arc<Site>>, headers: HeaderMap) -> Reply {
    Reply::json(&site.settings(&headers))
}

impl Site {
    /// The settings for whoever sends these headers: one who must log in is told only what that takes.
    pub(super) fn settings(&self, headers: &HeaderMap) -> Settings {
        let options = &self.options;
        if self.visitor(headers).is_none() {
            return Settings {
                version: crate::VERSION.to_owned(),
                base_path: options.base_path.clone(),
                has_login: true,
                ..Settings::default()
            };
        }
        Settings {
            version: crate::VERSION.to_owned(),
            base_path: options.base_path.clone(),
            graph_enabled: !options.graphite_url.is_empty(),
            graphite_url: match options.proxy_graphite {
                true => String::new(),
                // A user and a password in it are this server's, not the viewers'.
                false => nsq::exchange::Url::parse(&options.graphite_url)
                    .map(|url| url.to_string())
                    .unwrap_or_default(),
            },
            statsd_interval: options.statsd_interval.as_secs(),
            statsd_counter_format: options.statsd_counter_format.clone(),
            statsd_gauge_format: options.statsd_gauge_format.clone(),
            statsd_prefix: options.statsd_prefix.clone(),
            // As they are now: `/config` changes them.
            nsqlookupd: self.cluster.lookupd_addresses(),
            has_login: self.access.has_login(),
            sample_interval_ms: u64::try_from(options.sample_interval.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
