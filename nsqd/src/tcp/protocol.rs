//! What one connection's commands mean, one after another: commands in, actions out.
//!
//! Pure: the phase and the settings of the connection, and nothing of topics, sockets or clocks. What a command
//! needs to be in order, the decoder has checked before (spec nsqd-tcp.md, §3).

use std::time::Duration;

use nsq::wire::command::{Command, Messages, Phase, Situation};
use nsq::wire::error::ProtocolError;
use nsq::wire::frame;
use nsq::wire::identify::{Agreement, IdentifyLimits, Offer, Request, Response, Settings};
use nsq::wire::message::MessageId;
use nsq::wire::name::{ChannelName, TopicName};

/// What the server's options say about every connection.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// What a client may ask for.
    pub(super) limits: IdentifyLimits,
    /// What the server says of itself.
    pub(super) offer: Offer,
    /// Whether clients must speak TLS before they do anything else.
    pub(super) tls_required: bool,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    /// Nothing, and nothing is said.
    Nothing,
    /// The connection has new settings; this is the answer, and what the connection is to become behind it.
    Identified { response: Vec<u8>, upgrade: Option<Agreement> },
    /// The client shows this secret to be authorized.
    Authorize(&'a [u8]),
    /// Messages are to be taken into a topic.
    Publish { kind: PublishKind, topic: TopicName, bodies: Bodies<'a>, delay: Duration },
    /// The client is to become a consumer.
    Subscribe { topic: TopicName, channel: ChannelName },
    /// So many messages may be in flight.
    Ready(u64),
    /// The client is done with a message.
    Finish(MessageId),
    /// The client gives a message back.
    Requeue(MessageId, Duration),
    /// The client needs a message for this long from now.
    Touch(MessageId, Duration),
    /// No more messages are to be sent; the client is told so.
    StartClose,
}

impl Action<'_> {
    /// What the connection is to become once this is done.
    pub(super) fn upgrade(&self) -> Option<Agreement> {
        match self {
            Self::Identified { upgrade, .. } => *upgrade,
            _ => None,
        }
    }
}

/// Which command brought messages: the errors differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishKind {
    Pub,
    Mpub,
    Dpub,
}

/// The bodies of published messages, still in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bodies<'a> {
    One(&'a [u8]),
    Many(Messages<'a>),
}

/// One connection's phase and settings.
#[derive(Debug)]
pub(super) struct Protocol<'t> {
    terms: &'t Terms,
    phase: Phase,
    settings: Settings,
    /// The settings that the sending side keeps: those of the first IDENTIFY, or of none.
    sending: Option<Settings>,
    /// What the connection was wrapped into, if anything.
    upgraded: Option<Agreement>,
}

impl<'t> Protocol<'t> {
    /// A connection that has said nothing yet.
    pub(super) fn new(terms: &'t Terms, settings: Settings) -> Self {
        Self { terms, phase: Phase::Init, settings, sending: None, upgraded: None }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// What the connection's commands are judged by.
    pub(super) fn situation(&self) -> Situation {
        Situation {
            phase: self.phase,
            heartbeats: self.settings.heartbeat_interval.is_some(),
            tls_missing: self.terms.tls_required && !self.upgraded.is_some_and(|upgraded| upgraded.tls),
        }
    }

    /// The newest settings: deadlines of reading and writing, TOUCH, `/stats`.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings for what is sent: heartbeats, sampling, time-outs of deliveries. A second IDENTIFY does not
    /// change them, as in v1.3.0.
    pub(super) fn sending(&self) -> &Settings {
        self.sending.as_ref().unwrap_or(&self.settings)
    }

    /// What the client said of itself first; `None` if it did not.
    pub(super) fn introduction(&self) -> Option<&Settings> {
        self.sending.as_ref()
    }

    /// Carries the connection over the command, and says what is to be done. An error ends the connection.
    pub(super) fn apply<'a>(&mut self, command: Command<'a>) -> Result<Action<'a>, ProtocolError> {
        let one =
            |kind, topic, body, delay| Action::Publish { kind, topic, bodies: Bodies::One(body), delay };
        Ok(match command {
            Command::Identify(body) => self.identify(body)?,
            Command::Auth(secret) if self.terms.offer.auth_required => Action::Authorize(secret),
            Command::Auth(_) => return Err(ProtocolError::auth_disabled()),
            Command::Sub { topic, channel } => {
                self.phase = Phase::Subscribed;
                Action::Subscribe { topic, channel }
            }
            Command::Rdy(count) => Action::Ready(count.unsigned_abs()),
            Command::Fin(id) => Action::Finish(id),
            Command::Req { id, delay } => Action::Requeue(id, delay),
            Command::Touch(id) => Action::Touch(id, self.settings.msg_timeout),
            Command::Cls => {
                self.phase = Phase::Closing;
                Action::StartClose
            }
            Command::Nop => Action::Nothing,
            Command::RdyIgnored => {
                tracing::info!("RDY ignored: the client is closing");
                Action::Nothing
            }
            Command::Pub { topic, body } => one(PublishKind::Pub, topic, body, Duration::ZERO),
            Command::Dpub { topic, delay, body } => one(PublishKind::Dpub, topic, body, delay),
            Command::Mpub { topic, messages } => Action::Publish {
                kind: PublishKind::Mpub,
                topic,
                bodies: Bodies::Many(messages),
                delay: Duration::ZERO,
            },
        })
    }

    /// Takes the client's wishes over, and says what came of them.
    fn identify<'a>(&mut self, body: &[u8]) -> Result<Action<'a>, ProtocolError> {
        let request = Request::parse(body)?;
        request.apply(&self.terms.limits, &mut self.settings)?;
        self.sending.get_or_insert_with(|| self.settings.clone());
        let Some(agreement) = request.negotiate(&self.terms.offer)? else {
            return Ok(Action::Identified { response: frame::OK.to_vec(), upgrade: None });
        };
        let Terms { limits, offer, .. } = self.terms;
        let response = Response::new(&self.settings, &agreement, offer, limits).to_json();
        let upgrade = Some(agreement).filter(|agreement| agreement.tls || agreement.compression.is_some());
        if upgrade.is_some() {
            // One layer more on each IDENTIFY would be more than anybody means.
            if self.upgraded.is_some() {
                return Err(ProtocolError::identify_failed("the connection is upgraded already"));
            }
            self.upgraded = upgrade;
        }
        Ok(Action::Identified { response, upgrade })
    }
}

impl PublishKind {
    /// The command's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pub => "PUB",
            Self::Mpub => "MPUB",
            Self::Dpub => "DPUB",
        }
    }

    /// The error of a publish that could not be carried out.
    pub(super) fn failed(self, cause: impl std::fmt::Display) -> ProtocolError {
        match self {
            Self::Pub => ProtocolError::pub_failed(cause),
            Self::Mpub => ProtocolError::mpub_failed(cause),
            Self::Dpub => ProtocolError::dpub_failed(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            limits: IdentifyLimits {
                heartbeat_interval_max: Duration::from_secs(60),
                output_buffer_timeout_min: Duration::from_millis(25),
                output_buffer_timeout_max: Duration::from_secs(30),
                output_buffer_size_max: 65536,
                msg_timeout_max: Duration::from_secs(900),
            },
            offer: Offer {
                version: "1.3.0".to_owned(),
                rdy_count_max: 2500,
                tls: false,
                snappy: false,
                deflate: false,
                deflate_level_max: 6,
                auth_required: false,
                topology_region: String::new(),
                topology_zone: String::new(),
            },
            tls_required: false,
        }
    }

    fn settings() -> Settings {
        Settings::before_identify("127.0.0.1", Duration::from_millis(250), Duration::from_secs(60))
    }

    #[test]
    fn a_connection_goes_from_init_to_subscribed_to_closing() {
        let terms = terms();
        let mut protocol = Protocol::new(&terms, settings());
        let (topic, channel) = (TopicName::parse("t").unwrap(), ChannelName::parse("c").unwrap());
        assert_eq!(protocol.situation().phase, Phase::Init);
        assert_eq!(
            protocol.apply(Command::Sub { topic, channel }).unwrap(),
            Action::Subscribe { topic, channel }
        );
        assert_eq!(protocol.situation().phase, Phase::Subscribed);
        assert_eq!(protocol.apply(Command::Cls).unwrap(), Action::StartClose);
        assert_eq!(protocol.situation().phase, Phase::Closing);
        assert_eq!(protocol.apply(Command::RdyIgnored).unwrap(), Action::Nothing);
    }

    #[test]
    fn the_first_identify_settles_what_is_sent_and_the_newest_everything_else() {
        let terms = terms();
        let mut protocol = Protocol::new(&terms, settings());
        let first = br#"{"heartbeat_interval":1000,"msg_timeout":2000,"sample_rate":5}"#;
        let second = br#"{"heartbeat_interval":3000,"msg_timeout":4000,"sample_rate":7}"#;
        let answered = Action::Identified { response: frame::OK.to_vec(), upgrade: None };
        assert_eq!(protocol.apply(Command::Identify(first)).unwrap(), answered);
        protocol.apply(Command::Identify(second)).unwrap();
        assert_eq!(protocol.sending().heartbeat_interval, Some(Duration::from_secs(1)));
        assert_eq!(protocol.sending().msg_timeout, Duration::from_secs(2));
        assert_eq!(protocol.settings().heartbeat_interval, Some(Duration::from_secs(3)));
        let id = MessageId::from_u64(1);
        assert_eq!(protocol.apply(Command::Touch(id)).unwrap(), Action::Touch(id, Duration::from_secs(4)));
    }

    #[test]
    fn a_client_without_heartbeats_is_known_as_such() {
        let terms = terms();
        let mut protocol = Protocol::new(&terms, settings());
        assert!(protocol.situation().heartbeats);
        protocol.apply(Command::Identify(br#"{"heartbeat_interval":-1}"#)).unwrap();
        assert!(!protocol.situation().heartbeats);
    }

    #[test]
    fn auth_is_refused_where_there_is_none() {
        let terms = terms();
        let refused = Protocol::new(&terms, settings()).apply(Command::Auth(b"secret"));
        assert_eq!(refused.unwrap_err().to_bytes(), b"E_AUTH_DISABLED AUTH disabled");
        let mut terms = terms;
        terms.offer.auth_required = true;
        let asked = Protocol::new(&terms, settings())
            .apply(Command::Auth(b"secret"))
            .map(|action| action == Action::Authorize(b"secret"));
        assert_eq!(asked, Ok(true));
    }

    #[test]
    fn a_connection_is_upgraded_once() {
        let mut terms = terms();
        terms.offer.snappy = true;
        let mut protocol = Protocol::new(&terms, settings());
        let wish = br#"{"feature_negotiation":true,"snappy":true,"tls_v1":true}"#;
        let Action::Identified { upgrade: Some(agreement), .. } =
            protocol.apply(Command::Identify(wish)).unwrap()
        else {
            panic!("it is to be upgraded")
        };
        assert!(!agreement.tls && agreement.compression.is_some(), "only what the server offers");
        let refused = protocol.apply(Command::Identify(wish)).unwrap_err();
        assert_eq!(
            refused.to_bytes(),
            b"E_IDENTIFY_FAILED IDENTIFY failed the connection is upgraded already"
        );
        let again = protocol.apply(Command::Identify(br#"{"feature_negotiation":true}"#)).unwrap();
        assert!(matches!(again, Action::Identified { upgrade: None, .. }));
    }

    #[test]
    fn tls_is_missed_until_it_is_there() {
        let mut terms = terms();
        terms.tls_required = true;
        terms.offer.tls = true;
        let mut protocol = Protocol::new(&terms, settings());
        assert!(protocol.situation().tls_missing);
        protocol.apply(Command::Identify(br#"{"feature_negotiation":true,"tls_v1":true}"#)).unwrap();
        assert!(!protocol.situation().tls_missing);
    }
}
