//! `GET` and `PUT /config/{option}`: what the daemon runs with, and the three options that change while it does.
//!
//! A change lasts until the daemon stops.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use nsq::daemon::http::config::{
    LOG_LEVEL, addresses, invalid_option, invalid_value, log_level, read_value, shown,
};
use nsq::daemon::http::{HttpError, Path, Reply};
use nsq::daemon::logging::{Level, LogControl};
use nsq::daemon::options::ConfigValue;
use tokio::sync::watch;

use super::HttpState;

/// What `/config` shows and changes.
pub struct LiveConfig {
    /// The value an option had at start, by its key in the config file.
    pub option: OptionLookup,
    /// The log's level.
    pub log_level: Box<dyn LogLevel>,
    /// Where the nsqlookupds are; `None` once a `null` was put. Receivers are told of every change.
    pub lookupd_addresses: watch::Sender<Option<Vec<String>>>,
    /// What is to stay free of the disk.
    pub min_free_disk: Box<dyn MinFreeDisk>,
}

/// Finds the value of an option by its key; `None` for a key no option has.
pub type OptionLookup = Box<dyn Fn(&str) -> Option<ConfigValue> + Send + Sync>;

/// A level that can be asked for and changed.
pub trait LogLevel: Send + Sync {
    /// The level now.
    fn level(&self) -> Level;
    /// Asks for another, at once.
    fn set_level(&self, level: Level);
}

/// How many bytes of the disk are to stay free, which can be asked for and changed; -1: as is usual.
pub trait MinFreeDisk: Send + Sync {
    /// How many now.
    fn bytes(&self) -> i64;
    /// Asks for another number, at once.
    fn set_bytes(&self, bytes: i64);
}

impl LogLevel for LogControl {
    fn level(&self) -> Level {
        self.level()
    }

    fn set_level(&self, level: Level) {
        self.set_level(level);
    }
}

pub(super) async fn show(
    State(state): State<Arc<HttpState>>,
    Path(option): Path<String>,
) -> Result<Reply, HttpError> {
    told(&state.config, &option)
}

pub(super) async fn change(
    State(state): State<Arc<HttpState>>,
    Path(option): Path<String>,
    body: Body,
) -> Result<Reply, HttpError> {
    let value = read_value(body, state.limits.message_bytes_max).await?;
    match option.as_str() {
        LOG_LEVEL => state.config.log_level.set_level(log_level(&value)?),
        LOOKUPD_ADDRESSES => {
            let addresses = addresses(&value)?;
            state.config.lookupd_addresses.send_replace(addresses);
        }
        MIN_FREE_DISK => state.config.min_free_disk.set_bytes(min_free_disk(&value)?),
        _ => return Err(invalid_option()),
    }
    told(&state.config, &option)
}

fn told(config: &LiveConfig, option: &str) -> Result<Reply, HttpError> {
    match option {
        LOG_LEVEL => Ok(Reply::json(&config.log_level.level().number())),
        LOOKUPD_ADDRESSES => Ok(Reply::json(&*config.lookupd_addresses.borrow())),
        MIN_FREE_DISK => Ok(Reply::json(&config.min_free_disk.bytes())),
        _ => (config.option)(option).map(shown).ok_or_else(invalid_option),
    }
}

fn min_free_disk(value: &Bytes) -> Result<i64, HttpError> {
    let bytes: i64 = serde_json::from_slice(value).map_err(|_| invalid_value())?;
    if bytes < -1 { Err(invalid_value()) } else { Ok(bytes) }
}

const LOOKUPD_ADDRESSES: &str = "nsqlookupd_tcp_addresses";
const MIN_FREE_DISK: &str = "min_free_disk";

#[cfg(test)]
mod tests {
    use crate::http::testing::{MESSAGE_BYTES_MAX, Server, get, put};

    #[tokio::test]
    async fn options_are_shown_as_text_or_json() {
        let server = Server::new();
        let prefix = server.ask(get("/config/log_prefix")).await;
        assert_eq!(
            (prefix.body.as_str(), prefix.content_type.as_str()),
            ("[nsqd] ", "text/plain; charset=utf-8")
        );
        let empty = server.ask(get("/config/statsd_address")).await;
        assert_eq!((empty.body.as_str(), empty.content_type.as_str()), ("", ""));
        let number = server.ask(get("/config/msg_timeout")).await;
        assert_eq!(number.body, "60000000000");
        assert_eq!(number.content_type, "application/json; charset=utf-8");
        assert_eq!(server.ask(get("/config/version")).await.code(), "400 INVALID_OPTION");
    }

    #[tokio::test]
    async fn the_log_level_changes_at_once() {
        let server = Server::new();
        assert_eq!(server.ask(get("/config/log_level")).await.code(), "200 2");
        for (value, answer) in [
            ("DEBUG", "200 1"),
            ("warning", "400 INVALID_VALUE"),
            ("\"info\"", "400 INVALID_VALUE"),
            ("info\n", "400 INVALID_VALUE"),
            ("", "413 INVALID_VALUE"),
        ] {
            assert_eq!(server.ask(put("/config/log_level", value)).await.code(), answer, "{value}");
        }
        assert_eq!(server.ask(get("/config/log_level")).await.code(), "200 1");
    }

    #[tokio::test]
    async fn the_nsqlookupds_change_at_once() {
        let server = Server::new();
        let option = "/config/nsqlookupd_tcp_addresses";
        let mut changes = server.lookupd_addresses();
        assert_eq!(server.ask(get(option)).await.code(), "200 []");
        for (value, answer) in [
            (r#"["a:1","b:2"]"#, r#"200 ["a:1","b:2"]"#),
            ("null", "200 null"),
            (r#"[null,"a:1"]"#, r#"200 ["","a:1"]"#),
            ("[1]", "400 INVALID_VALUE"),
            (r#""a:1""#, "400 INVALID_VALUE"),
            ("[] x", "400 INVALID_VALUE"),
        ] {
            assert_eq!(server.ask(put(option, value)).await.code(), answer, "{value}");
        }
        assert_eq!(*changes.borrow_and_update(), Some(vec![String::new(), "a:1".to_owned()]));
    }

    #[tokio::test]
    async fn what_is_to_stay_free_changes_at_once() {
        let server = Server::new();
        assert_eq!(server.ask(get("/config/min_free_disk")).await.code(), "200 -1");
        for (value, answer) in [
            ("1073741824", "200 1073741824"),
            ("-2", "400 INVALID_VALUE"),
            ("1.5", "400 INVALID_VALUE"),
            ("\"1\"", "400 INVALID_VALUE"),
            ("1GB", "400 INVALID_VALUE"),
            ("99999999999999999999", "400 INVALID_VALUE"),
            ("", "413 INVALID_VALUE"),
        ] {
            assert_eq!(server.ask(put("/config/min_free_disk", value)).await.code(), answer, "{value}");
        }
        assert_eq!(server.ask(get("/config/min_free_disk")).await.code(), "200 1073741824");
    }

    #[tokio::test]
    async fn other_options_do_not_change() {
        let server = Server::new();
        assert_eq!(server.ask(put("/config/msg_timeout", "5")).await.code(), "400 INVALID_OPTION");
        assert_eq!(server.ask(put("/config/nope", "")).await.code(), "413 INVALID_VALUE");
        let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
        assert_eq!(server.ask(put("/config/log_level", &long)).await.code(), "413 INVALID_VALUE");
    }
}
