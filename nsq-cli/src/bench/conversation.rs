//! What a client says where nothing stands in the place of an nsqd but who answers: `OK` to each command that wants it and to
//! each request over HTTP, and its messages for whoever has subscribed. Pure.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use nsq::wire::command::{Command, Limits, Phase, Situation};
use nsq::wire::decoder::{Decoder, Refusal};
use nsq::wire::message::{MessageId, write_message_frame};
use nsq::wire::{MAGIC_V2, frame};

use super::http_connection;
use crate::failure::{Failure, printable};

/// What the commands may be that it is told.
const LIMITS: Limits = Limits {
    msg_size_max: 1024 * 1024,
    body_size_max: 1024 * 1024,
    rdy_count_max: 2500,
    req_timeout_max: Duration::ZERO,
};

/// Every message has this one: nobody asks what was finished.
pub(super) const ID: MessageId = MessageId([b'0'; 16]);

/// What nsqd says to a request that went well, but for the time.
const HTTP_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nX-Nsq-Content-Type: nsq; version=1.0\r\nContent-Length: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nOK";

/// What one client has said so far.
pub(super) struct Conversation {
    decoder: Decoder,
    situation: Situation,
    /// `None` until that can be told.
    speech: Option<Speech>,
    /// What has come and is no complete command yet.
    input: BytesMut,
}

/// What a client speaks, which its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Commands,
    Http,
}

/// What is to be written after some input.
#[derive(Default)]
pub(super) struct Said {
    /// To whoever sent it.
    pub answers: Vec<u8>,
    /// To whoever has subscribed.
    pub messages: Vec<u8>,
}

impl Default for Conversation {
    fn default() -> Self {
        let situation = Situation { phase: Phase::Init, heartbeats: true, tls_missing: false };
        Self { decoder: Decoder::new(LIMITS), situation, speech: None, input: BytesMut::new() }
    }
}

impl Conversation {
    /// Whether it wants messages.
    pub(super) fn is_subscribed(&self) -> bool {
        self.situation.phase == Phase::Subscribed
    }

    /// Says what is to be said to what is complete with what has come.
    pub(super) fn take(&mut self, arrived: &[u8], is_heard: bool, said: &mut Said) -> Result<(), Failure> {
        self.input.extend_from_slice(arrived);
        if self.speech.is_none() && self.input.len() >= MAGIC_V2.len() {
            let is_magic = self.input.starts_with(MAGIC_V2);
            self.speech = Some(if is_magic { Speech::Commands } else { Speech::Http });
            self.input.advance(if is_magic { MAGIC_V2.len() } else { 0 });
        }
        match self.speech {
            Some(Speech::Commands) => self.take_commands(is_heard, said),
            Some(Speech::Http) => {
                self.take_requests(said);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take_requests(&mut self, said: &mut Said) {
        while let Some(end) = http_connection::end(&self.input).filter(|end| *end <= self.input.len()) {
            said.answers.extend_from_slice(HTTP_ANSWER);
            self.input.advance(end);
        }
    }

    fn take_commands(&mut self, is_heard: bool, said: &mut Said) -> Result<(), Failure> {
        while let Some(decoded) = self.decoder.decode(&self.input, self.situation).map_err(refused)? {
            match decoded.command {
                Command::Identify(_) => {}
                Command::Sub { .. } => self.situation.phase = Phase::Subscribed,
                Command::Pub { body, .. } if is_heard => {
                    write_message_frame(&mut said.messages, 0, 1, &ID, body);
                }
                Command::Pub { .. } => {}
                Command::Rdy(_) | Command::Fin(_) => {
                    self.input.advance(decoded.consumed);
                    continue;
                }
                other => return Err(Failure::Failed(format!("only an nsqd understands {other:?}"))),
            }
            frame::encode_response(&mut said.answers, frame::OK);
            self.input.advance(decoded.consumed);
        }
        Ok(())
    }
}

fn refused(refusal: Refusal) -> Failure {
    let said = refusal.error.map(|error| error.to_bytes()).unwrap_or_default();
    Failure::Failed(format!("no nsqd understands that: {}", printable(&String::from_utf8_lossy(&said))))
}
