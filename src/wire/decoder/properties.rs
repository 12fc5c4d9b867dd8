//! What holds for all input: how it is cut into pieces does not matter, and none of it is too strange.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::command::Phase;
use super::super::encode;
use super::super::message::MessageId;
use super::super::name::ChannelName;
use super::tests::{INIT, LIMITS};
use super::*;

/// A command that a client may send, with room for its bodies.
#[derive(Debug, Clone)]
enum Sent {
    Pub(Vec<u8>),
    Mpub(Vec<Vec<u8>>),
    Dpub(Duration, Vec<u8>),
    Rdy(u32),
    Fin(MessageId),
    Req(MessageId, Duration),
    Touch(MessageId),
    Nop,
}

impl Sent {
    fn write_to(&self, out: &mut Vec<u8>) {
        let topic = topic();
        match self {
            Self::Pub(body) => encode::publish(out, &topic, body),
            Self::Mpub(bodies) => encode::multi_publish(out, &topic, bodies),
            Self::Dpub(delay, body) => encode::deferred_publish(out, &topic, *delay, body),
            Self::Rdy(count) => encode::ready(out, *count),
            Self::Fin(id) => encode::finish(out, id),
            Self::Req(id, delay) => encode::requeue(out, id, *delay),
            Self::Touch(id) => encode::touch(out, id),
            Self::Nop => encode::nop(out),
        }
    }

    fn received(command: Command<'_>) -> Self {
        match command {
            Command::Pub { topic: at, body } if at == topic() => Self::Pub(body.to_vec()),
            Command::Mpub { topic: at, messages } if at == topic() => {
                Self::Mpub(messages.map(<[u8]>::to_vec).collect())
            }
            Command::Dpub { topic: at, delay, body } if at == topic() => Self::Dpub(delay, body.to_vec()),
            Command::Rdy(count) => Self::Rdy(count as u32),
            Command::Fin(id) => Self::Fin(id),
            Command::Req { id, delay } => Self::Req(id, delay),
            Command::Touch(id) => Self::Touch(id),
            Command::Nop => Self::Nop,
            command => panic!("nobody sent {command:?}"),
        }
    }
}

fn topic() -> TopicName {
    TopicName::parse("some.topic#ephemeral").unwrap()
}

fn sent() -> impl Strategy<Value = Sent> {
    let body = || vec(any::<u8>(), 1..=LIMITS.msg_size_max);
    let delay = || (0..=3_600_000_u64).prop_map(Duration::from_millis);
    // An id may hold anything that does not end its field or its line.
    let id = || {
        proptest::array::uniform16(any::<u8>().prop_filter("part of an id", |byte| !b" \r\n".contains(byte)))
            .prop_map(MessageId)
    };
    prop_oneof![
        body().prop_map(Sent::Pub),
        vec(vec(any::<u8>(), 1..=6), 1..=6).prop_map(Sent::Mpub),
        (delay(), body()).prop_map(|(delay, body)| Sent::Dpub(delay, body)),
        (0..=2500_u32).prop_map(Sent::Rdy),
        id().prop_map(Sent::Fin),
        (id(), delay()).prop_map(|(id, delay)| Sent::Req(id, delay)),
        id().prop_map(Sent::Touch),
        Just(Sent::Nop),
    ]
}

fn situation() -> impl Strategy<Value = Situation> {
    let phase = prop_oneof![Just(Phase::Init), Just(Phase::Subscribed), Just(Phase::Closing)];
    (phase, any::<bool>(), any::<bool>()).prop_map(|(phase, heartbeats, tls_missing)| Situation {
        phase,
        heartbeats,
        tls_missing,
    })
}

/// Bytes that get past the first checks now and then.
fn almost_commands() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 17] = [
        "IDENTIFY\n",
        "AUTH\n",
        "PUB t\n",
        "MPUB t\n",
        "DPUB t ",
        "SUB t c\n",
        "RDY ",
        "FIN 0123456789abcdef",
        "REQ 0123456789abcdef ",
        "TOUCH 0123456789abcdef",
        "CLS",
        "NOP",
        "\n",
        "\r\n",
        "\0\0\0\x01",
        "\0\0\0\x02",
        "\0\0\0\x0c",
    ];
    let piece = prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec());
    vec(prop_oneof![3 => piece, 1 => vec(any::<u8>(), 0..8)], 0..24).prop_map(|pieces| pieces.concat())
}

/// Where `bytes` are cut into the pieces in which they arrive.
fn cuts(bytes: usize, seeds: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = seeds.iter().map(|seed| seed.index(bytes + 1)).collect();
    cuts.push(bytes);
    cuts.sort_unstable();
    cuts
}

/// Everything the decoder says of `input` if it arrives in pieces that end at `cuts`: the commands as text,
/// and the refusal that ends them.
fn decode_in_pieces(input: &[u8], cuts: &[usize], situation: Situation) -> (Vec<String>, Option<Refusal>) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut commands, mut start) = (Vec::new(), 0);
    for &end in cuts {
        loop {
            match decoder.decode(&input[start..end], situation) {
                Ok(Some(Decoded { command, consumed })) => {
                    assert!(consumed > 0 && consumed <= end - start, "a command has bytes of its own");
                    commands.push(format!("{command:?}"));
                    start += consumed;
                }
                Ok(None) => break,
                Err(refusal) => return (commands, Some(refusal)),
            }
        }
    }
    let refusal = decoder.interrupted(&input[start..], situation);
    (commands, refusal)
}

proptest! {
    #[test]
    fn commands_come_out_as_they_were_sent(
        commands in vec(sent(), 0..12),
        seeds in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut input = Vec::new();
        commands.iter().for_each(|command| command.write_to(&mut input));
        let situation = Situation { phase: Phase::Subscribed, ..INIT };
        let mut decoder = Decoder::new(LIMITS);
        let (mut received, mut start) = (Vec::new(), 0);
        for end in cuts(input.len(), &seeds) {
            while let Some(decoded) = decoder.decode(&input[start..end], situation).unwrap() {
                received.push(Sent::received(decoded.command));
                start += decoded.consumed;
            }
        }
        prop_assert_eq!(start, input.len());
        prop_assert_eq!(format!("{received:?}"), format!("{commands:?}"));
    }

    #[test]
    fn how_input_is_cut_changes_nothing(
        input in almost_commands(),
        seeds in vec(any::<prop::sample::Index>(), 0..40),
        situation in situation(),
    ) {
        let whole = decode_in_pieces(&input, &[input.len()], situation);
        let pieces = decode_in_pieces(&input, &cuts(input.len(), &seeds), situation);
        let bytes: Vec<_> = (0..=input.len()).collect();
        prop_assert_eq!(&pieces, &whole);
        prop_assert_eq!(&decode_in_pieces(&input, &bytes, situation), &whole);
    }

    #[test]
    fn no_bytes_are_too_strange(input in vec(any::<u8>(), 0..300), situation in situation()) {
        decode_in_pieces(&input, &[input.len()], situation);
    }

    #[test]
    fn input_that_is_not_what_it_was_does_no_harm(
        inputs in vec(almost_commands(), 1..8),
        situation in situation(),
    ) {
        let mut decoder = Decoder::new(LIMITS);
        for input in &inputs {
            if let Ok(Some(decoded)) = decoder.decode(input, situation) {
                prop_assert!(decoded.consumed <= input.len());
            }
            decoder.interrupted(input, situation);
        }
    }

    #[test]
    fn names_survive_the_line(topic in "[.a-zA-Z0-9_-]{1,54}(#ephemeral)?", channel in "[.a-zA-Z0-9_-]{1,54}(#ephemeral)?") {
        let topic = TopicName::parse(topic).unwrap();
        let channel = ChannelName::parse(channel).unwrap();
        let mut input = Vec::new();
        encode::subscribe(&mut input, &topic, &channel);
        let decoded = Decoder::new(LIMITS).decode(&input, INIT).unwrap().unwrap();
        prop_assert_eq!(decoded.command, Command::Sub { topic, channel });
    }
}
