//! `POST /pub` and `POST /mpub`: messages in.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use nsq::daemon::http::{BodyError, HttpError, Query, Reply, read_body};
use tracing::warn;

use super::{HttpState, Limits, arguments};
use crate::node::PublishError;

/// The body is one message.
pub(super) async fn one(
    State(state): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Reply, HttpError> {
    let message = read_body(body, state.limits.message_bytes_max)
        .await
        .map_err(|error| unread(error, too_large("MSG_TOO_BIG")))?;
    if message.is_empty() {
        return Err(bad_request("MSG_EMPTY"));
    }
    let query = Query::parse(query.as_deref())?;
    let topic = arguments::topic(&query)?;
    let Ok(delay) = delay(&query, state.limits.delay_max) else {
        // By then v1.3.0 has made the topic.
        state.node.create_topic(topic);
        return Err(bad_request("INVALID_DEFER"));
    };
    state.node.publish(topic, &[message], delay).await.map_err(refused)?;
    Ok(Reply::ok())
}

/// The body is a message a line, or with `binary` a count and messages with their lengths.
pub(super) async fn many(
    State(state): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Reply, HttpError> {
    let Limits { message_bytes_max, body_bytes_max, .. } = state.limits;
    if announced_bytes(&body) > body_bytes_max as u64 {
        return Err(too_large("BODY_TOO_BIG"));
    }
    let query = Query::parse(query.as_deref())?;
    let topic = arguments::topic(&query)?;
    state.node.create_topic(topic);
    let body =
        read_body(body, body_bytes_max).await.map_err(|error| unread(error, too_large("BODY_TOO_BIG")))?;
    let messages = match is_binary(&query) {
        true => split_counted(body, message_bytes_max, body_bytes_max)?,
        false => split_lines(&body, message_bytes_max)?,
    };
    state.node.publish(topic, &messages, None).await.map_err(refused)?;
    Ok(Reply::ok())
}

fn announced_bytes(body: &Body) -> u64 {
    body.size_hint().lower()
}

/// The parameter `defer`, in milliseconds. Multiplying wraps, as it does in v1.3.0.
fn delay(query: &Query, longest: Duration) -> Result<Option<Duration>, InvalidDelay> {
    let Some(text) = query.first("defer") else { return Ok(None) };
    let milliseconds: i64 = text.parse().map_err(|_| InvalidDelay)?;
    let nanoseconds = milliseconds.wrapping_mul(NANOSECONDS_PER_MILLISECOND);
    let delay = u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| InvalidDelay)?;
    if delay > longest {
        return Err(InvalidDelay);
    }
    Ok((!delay.is_zero()).then_some(delay))
}

#[derive(Debug, PartialEq, Eq)]
struct InvalidDelay;

/// Anything but a word for no is a yes.
fn is_binary(query: &Query) -> bool {
    match query.first("binary") {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(other) => {
            warn!("deprecated value '{other}' used for /mpub binary param");
            true
        }
    }
}

/// Empty lines are no messages; a carriage return belongs to its message.
fn split_lines(body: &Bytes, message_bytes_max: usize) -> Result<Vec<Bytes>, HttpError> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| match line.len() > message_bytes_max {
            true => Err(too_large("MSG_TOO_BIG")),
            false => Ok(body.slice_ref(line)),
        })
        .collect()
}

/// A count of messages, then each with its length before it, all big-endian. What follows is ignored.
fn split_counted(
    mut body: Bytes,
    message_bytes_max: usize,
    body_bytes_max: usize,
) -> Result<Vec<Bytes>, HttpError> {
    // No body could hold more messages: each takes its length and a byte.
    let count_max = body_bytes_max.saturating_sub(4) / 5;
    let count = body.try_get_i32().ok().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| (1..=count_max).contains(count)).ok_or_else(|| too_large("BAD_BODY"))?;
    let mut messages = Vec::with_capacity(count.min(body.len() / 5));
    for _ in 0..count {
        let length = body.try_get_i32().ok().and_then(|length| usize::try_from(length).ok());
        let is_good = |length: &usize| *length > 0 && *length <= message_bytes_max && *length <= body.len();
        let length = length.filter(is_good).ok_or_else(|| too_large("BAD_MESSAGE"))?;
        messages.push(body.split_to(length));
    }
    Ok(messages)
}

fn unread(error: BodyError, too_big: HttpError) -> HttpError {
    match error {
        BodyError::TooBig { .. } => too_big,
        BodyError::Broken(_) => HttpError::internal_error(),
    }
}

/// Whatever the cause, v1.3.0 has this one code.
fn refused(error: PublishError) -> HttpError {
    warn!("failed to publish - {error}");
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "EXITING")
}

fn bad_request(code: &'static str) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, code)
}

fn too_large(code: &'static str) -> HttpError {
    HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, code)
}

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{BODY_BYTES_MAX, MESSAGE_BYTES_MAX, Server, chunked, post};

    #[tokio::test]
    async fn a_message_is_checked_before_its_topic() {
        let server = Server::new();
        for (target, body, answer) in [
            ("/pub?topic=a", "m".repeat(MESSAGE_BYTES_MAX), "200 OK"),
            ("/pub?topic=$", "m".repeat(MESSAGE_BYTES_MAX + 1), "413 MSG_TOO_BIG"),
            ("/pub?topic=%zz", String::new(), "400 MSG_EMPTY"),
            ("/pub?topic=%zz", "m".into(), "400 INVALID_REQUEST"),
            ("/pub?topic=a;b", "m".into(), "400 INVALID_REQUEST"),
            ("/pub", "m".into(), "400 MISSING_ARG_TOPIC"),
            ("/pub?topic=", "m".into(), "400 INVALID_TOPIC"),
            ("/pub?topic=b%23ephemeral", "m".into(), "200 OK"),
        ] {
            assert_eq!(server.ask(post(target, &body)).await.code(), answer, "{target}");
        }
        let long = "m".repeat(MESSAGE_BYTES_MAX + 1);
        assert_eq!(server.ask(chunked("/pub?topic=a", &long)).await.code(), "413 MSG_TOO_BIG");
        assert_eq!(server.topics().await, "a=1 b#ephemeral=1");
    }

    #[tokio::test]
    async fn a_delay_is_checked_after_the_topic_is_made() {
        let server = Server::new();
        for (defer, answer) in [
            ("0", "200 OK"),
            ("%2B5", "200 OK"),
            ("3600000", "200 OK"),
            ("3600001", "400 INVALID_DEFER"),
            ("-1", "400 INVALID_DEFER"),
            ("", "400 INVALID_DEFER"),
            ("1s", "400 INVALID_DEFER"),
            ("9223372036854775808", "400 INVALID_DEFER"),
            ("18446744073710", "200 OK"),
        ] {
            let answered = server.ask(post(&format!("/pub?topic=d&defer={defer}"), "m")).await;
            assert_eq!(answered.code(), answer, "{defer}");
        }
        assert_eq!(server.ask(post("/pub?topic=e&defer=x", "m")).await.code(), "400 INVALID_DEFER");
        assert_eq!(server.topics().await, "d=4 e=0");
    }

    #[test]
    fn a_delay_of_nothing_is_none() {
        let delay = |query| super::delay(&Query::parse(Some(query)).unwrap(), Duration::from_secs(3600));
        assert_eq!(delay(""), Ok(None));
        assert_eq!(delay("defer=0"), Ok(None));
        assert_eq!(delay("defer=1500&defer=x"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(delay("defer=18446744073710"), Ok(Some(Duration::from_nanos(448_384))));
    }

    #[tokio::test]
    async fn each_line_is_a_message() {
        let server = Server::new();
        assert_eq!(server.ask(post("/mpub?topic=t", "a\n\nb\r\n\r\nc")).await.code(), "200 OK");
        assert_eq!(server.topics().await, "t=4", "the carriage return alone is one");
        assert_eq!(server.ask(post("/mpub?topic=u", "")).await.code(), "200 OK");
        assert_eq!(server.topics().await, "t=4 u=0");
        let line = "m".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(server.ask(post("/mpub?topic=t&binary=0", &line)).await.code(), "200 OK");
        let lines = format!("a\n{line}m\n");
        assert_eq!(server.ask(post("/mpub?topic=t", &lines)).await.code(), "413 MSG_TOO_BIG");
        let body = "m\n".repeat(BODY_BYTES_MAX / 2) + "\n";
        assert_eq!(server.ask(post("/mpub", &body)).await.code(), "413 BODY_TOO_BIG");
        assert_eq!(server.ask(post("/mpub", "m")).await.code(), "400 MISSING_ARG_TOPIC");
        assert_eq!(server.topics().await, "t=5 u=0", "a refused body leaves no message");
        assert_eq!(server.ask(chunked("/mpub?topic=v", &body)).await.code(), "413 BODY_TOO_BIG");
        assert_eq!(server.topics().await, "t=5 u=0 v=0");
    }

    #[tokio::test]
    async fn counted_messages_are_taken_all_or_none() {
        let server = Server::new();
        for (binary, body, answer) in [
            ("true", "\0\0\0\u{2}\0\0\0\u{1}x\0\0\0\u{2}yzrest", "200 OK"),
            ("yes", "\0\0\0\u{1}\0\0\0\u{1}x", "200 OK"),
            ("", "\0\0\0\u{1}\0\0\0\u{1}x", "200 OK"),
            ("1", "", "413 BAD_BODY"),
            ("1", "\0\0\0", "413 BAD_BODY"),
            ("1", "\0\0\0\0", "413 BAD_BODY"),
            ("1", "\u{7f}\0\0\u{1}\0\0\0\u{1}x", "413 BAD_BODY"),
            ("1", "\0\0\0\u{2}\0\0\0\u{1}x", "413 BAD_MESSAGE"),
            ("1", "\0\0\0\u{1}\0\0\0\0", "413 BAD_MESSAGE"),
            ("1", "\0\0\0\u{1}\0\0\0\u{2}x", "413 BAD_MESSAGE"),
            ("1", "\0\0\0\u{1}\0\0\u{7f}\0x", "413 BAD_MESSAGE"),
        ] {
            let answered = server.ask(post(&format!("/mpub?topic=t&binary={binary}"), body)).await;
            assert_eq!(answered.code(), answer, "{binary} {body:?}");
        }
        assert_eq!(server.topics().await, "t=4");
        let long = "m".repeat(BODY_BYTES_MAX + 1);
        assert_eq!(server.ask(chunked("/mpub?topic=t&binary=1", &long)).await.code(), "413 BODY_TOO_BIG");
    }

    #[test]
    fn negative_numbers_are_neither_counts_nor_lengths() {
        let split = |bytes: &'static [u8]| split_counted(Bytes::from_static(bytes), 100, 1000);
        assert_eq!(split(b"\xff\xff\xff\xff\0\0\0\x01x").unwrap_err().message(), "BAD_BODY");
        assert_eq!(split(b"\0\0\0\x01\xff\xff\xff\xffx").unwrap_err().message(), "BAD_MESSAGE");
        assert_eq!(split(b"\0\0\0\x01\0\0\0\x01x").unwrap(), ["x"]);
    }
}
