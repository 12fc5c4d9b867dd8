//! Commands as a client writes them (spec nsqd-tcp.md, §3).
//!
//! Nothing is checked here: sizes and ready counts are limited by the server's options, which a client
//! learns from its errors. A connection begins with [`MAGIC_V2`](super::MAGIC_V2).

use std::time::Duration;

use super::message::MessageId;
use super::name::{ChannelName, TopicName};

/// Appends `IDENTIFY` with `json` as its body.
pub fn identify(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"IDENTIFY\n");
    write_sized(out, json);
}

/// Appends `AUTH` with `secret` as its body.
pub fn auth(out: &mut Vec<u8>, secret: &[u8]) {
    out.extend_from_slice(b"AUTH\n");
    write_sized(out, secret);
}

/// Appends `SUB`.
pub fn subscribe(out: &mut Vec<u8>, topic: &TopicName, channel: &ChannelName) {
    write_line(out, "SUB", &[topic.as_bytes(), channel.as_bytes()]);
}

/// Appends `RDY`: as many messages may be in flight.
pub fn ready(out: &mut Vec<u8>, count: u32) {
    write_line(out, "RDY", &[count.to_string().as_bytes()]);
}

/// Appends `FIN`.
pub fn finish(out: &mut Vec<u8>, id: &MessageId) {
    write_line(out, "FIN", &[&id.0]);
}

/// Appends `REQ`: again after `delay`, in whole milliseconds.
pub fn requeue(out: &mut Vec<u8>, id: &MessageId, delay: Duration) {
    write_line(out, "REQ", &[&id.0, milliseconds(delay).as_bytes()]);
}

/// Appends `TOUCH`.
pub fn touch(out: &mut Vec<u8>, id: &MessageId) {
    write_line(out, "TOUCH", &[&id.0]);
}

/// Appends `CLS`: no more messages.
pub fn start_close(out: &mut Vec<u8>) {
    write_line(out, "CLS", &[]);
}

/// Appends `NOP`, the answer to a heartbeat.
pub fn nop(out: &mut Vec<u8>) {
    write_line(out, "NOP", &[]);
}

/// Appends `PUB`.
pub fn publish(out: &mut Vec<u8>, topic: &TopicName, body: &[u8]) {
    write_line(out, "PUB", &[topic.as_bytes()]);
    write_sized(out, body);
}

/// Appends `MPUB`.
pub fn multi_publish(out: &mut Vec<u8>, topic: &TopicName, bodies: &[impl AsRef<[u8]>]) {
    write_line(out, "MPUB", &[topic.as_bytes()]);
    let bytes: usize = bodies.iter().map(|body| 4 + body.as_ref().len()).sum();
    out.reserve(4 + 4 + bytes);
    write_size(out, 4 + bytes);
    batch(out, bodies);
}

/// Appends several messages as they stand in the body of `MPUB`, and are that of `/mpub?binary=true`.
pub fn batch(out: &mut Vec<u8>, bodies: &[impl AsRef<[u8]>]) {
    write_size(out, bodies.len());
    for body in bodies {
        write_sized(out, body.as_ref());
    }
}

/// Appends `DPUB`: to be delivered after `delay`, in whole milliseconds.
pub fn deferred_publish(out: &mut Vec<u8>, topic: &TopicName, delay: Duration, body: &[u8]) {
    write_line(out, "DPUB", &[topic.as_bytes(), milliseconds(delay).as_bytes()]);
    write_sized(out, body);
}

/// The longest delay that can be said, in milliseconds: a server counts in nanoseconds of 63 bits, and takes what is
/// longer for any other time, mostly none.
const DELAY_MS_MAX: u128 = i64::MAX as u128 / 1_000_000;

fn milliseconds(delay: Duration) -> String {
    delay.as_millis().min(DELAY_MS_MAX).to_string()
}

fn write_line(out: &mut Vec<u8>, word: &str, params: &[&[u8]]) {
    out.extend_from_slice(word.as_bytes());
    for param in params {
        out.push(b' ');
        out.extend_from_slice(param);
    }
    out.push(b'\n');
}

fn write_sized(out: &mut Vec<u8>, body: &[u8]) {
    write_size(out, body.len());
    out.extend_from_slice(body);
}

/// A size beyond what the wire can say is written as the largest one: a server refuses that and closes the
/// connection, so what follows is never taken for commands.
fn write_size(out: &mut Vec<u8>, size: usize) {
    out.extend_from_slice(&i32::try_from(size).unwrap_or(i32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_protocol_says() {
        let topic = TopicName::parse("t").unwrap();
        let channel = ChannelName::parse("c").unwrap();
        let id = MessageId(*b"0123456789abcdef");
        let check = |write: &dyn Fn(&mut Vec<u8>), expected: &[u8]| {
            let mut out = Vec::new();
            write(&mut out);
            assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
        };
        check(&|out| identify(out, b"{}"), b"IDENTIFY\n\0\0\0\x02{}");
        check(&|out| auth(out, b"secret"), b"AUTH\n\0\0\0\x06secret");
        check(&|out| subscribe(out, &topic, &channel), b"SUB t c\n");
        check(&|out| ready(out, 2500), b"RDY 2500\n");
        check(&|out| finish(out, &id), b"FIN 0123456789abcdef\n");
        check(&|out| requeue(out, &id, Duration::from_secs(90)), b"REQ 0123456789abcdef 90000\n");
        check(&|out| touch(out, &id), b"TOUCH 0123456789abcdef\n");
        check(&start_close, b"CLS\n");
        check(&nop, b"NOP\n");
        check(&|out| publish(out, &topic, b"body"), b"PUB t\n\0\0\0\x04body");
        check(
            &|out| multi_publish(out, &topic, &["a", "bc"]),
            b"MPUB t\n\0\0\0\x0f\0\0\0\x02\0\0\0\x01a\0\0\0\x02bc",
        );
        check(
            &|out| deferred_publish(out, &topic, Duration::from_millis(250), b"body"),
            b"DPUB t 250\n\0\0\0\x04body",
        );
        check(&|out| requeue(out, &id, Duration::MAX), b"REQ 0123456789abcdef 9223372036854\n");
        check(
            &|out| deferred_publish(out, &topic, Duration::MAX, b"body"),
            b"DPUB t 9223372036854\n\0\0\0\x04body",
        );
    }
}
