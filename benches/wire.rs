//! How fast bytes become commands, and messages become bytes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nsq::wire::command::{Command, Limits, Phase, Situation};
use nsq::wire::decoder::Decoder;
use nsq::wire::encode;
use nsq::wire::frame::{self, Frame};
use nsq::wire::message::{MessageId, write_message_frame};
use nsq::wire::name::TopicName;

const LIMITS: Limits = Limits {
    msg_size_max: 1024 * 1024,
    body_size_max: 5 * 1024 * 1024,
    rdy_count_max: 2500,
    req_timeout_max: Duration::from_secs(3600),
};

const CONSUMER: Situation = Situation { phase: Phase::Subscribed, heartbeats: true, tls_missing: false };

const BODY: [u8; 200] = [b'x'; 200];

/// What is decoded and encoded at a time: about as much as a busy connection reads at once.
const BATCH: usize = 300;

fn decode_pubs(c: &mut Criterion) {
    let topic = TopicName::parse("orders.created").expect("a valid name");
    let input = repeated(|out| encode::publish(out, &topic, &BODY));
    decode(c, "decode PUB of 200 bytes", &input);
}

fn decode_mpubs(c: &mut Criterion) {
    let topic = TopicName::parse("orders.created").expect("a valid name");
    let mut input = Vec::new();
    for _ in 0..10 {
        encode::multi_publish(&mut input, &topic, &[BODY; 200]);
    }
    decode(c, "decode MPUB of 200 times 200 bytes", &input);
}

fn decode_fins(c: &mut Criterion) {
    let input = repeated(|out| encode::finish(out, &MessageId::from_u64(7)));
    decode(c, "decode FIN", &input);
}

fn encode_messages(c: &mut Criterion) {
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| {
        out.clear();
        for id in 0..BATCH as u64 {
            write_message_frame(
                out,
                1_700_000_000_000_000_000,
                1,
                &MessageId::from_u64(id),
                black_box(&BODY),
            );
        }
    };
    write(&mut out);
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("encode message of 200 bytes", |b| b.iter(|| write(&mut out)));
    group.finish();
}

fn parse_frames(c: &mut Criterion) {
    let id = MessageId::from_u64(7);
    let input = repeated(|out| write_message_frame(out, 0, 1, &id, &BODY));
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.bench_function("parse message frame of 200 bytes", |b| {
        b.iter(|| {
            let mut rest = &input[..];
            while let Some((frame, consumed)) = Frame::parse(rest, LIMITS.msg_size_max).expect("a frame") {
                black_box(frame);
                rest = &rest[consumed..];
            }
            rest.len()
        });
    });
    group.finish();
}

fn encode_responses(c: &mut Criterion) {
    let mut out = Vec::new();
    c.bench_function("wire/encode 300 OK", |b| {
        b.iter(|| {
            out.clear();
            for _ in 0..BATCH {
                frame::encode_response(&mut out, frame::OK);
            }
            black_box(out.len())
        });
    });
}

/// Decodes all of `input`, and looks at every message in it.
fn decode(c: &mut Criterion, name: &str, input: &[u8]) {
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            let mut decoder = Decoder::new(LIMITS);
            let mut rest = black_box(input);
            while let Some(decoded) = decoder.decode(rest, CONSUMER).expect("commands in order") {
                match decoded.command {
                    Command::Mpub { messages, .. } => messages.for_each(|body| {
                        black_box(body);
                    }),
                    command => {
                        black_box(&command);
                    }
                }
                rest = &rest[decoded.consumed..];
            }
            assert!(rest.is_empty());
        });
    });
    group.finish();
}

fn repeated(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    (0..BATCH).for_each(|_| write(&mut out));
    out
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_secs(1));
    targets = decode_pubs, decode_mpubs, decode_fins, encode_messages, encode_responses, parse_frames
}
criterion_main!(benches);
