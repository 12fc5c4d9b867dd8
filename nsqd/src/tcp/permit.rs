//! What one connection may do, where authorization servers decide that (spec nsqd-tcp.md, §9).
//!
//! Pure: it judges by what was answered last, and says when that is too old. Whom to ask it knows, how it does not.

use nsq::wire::error::ProtocolError;
use nsq::wire::name::{ChannelName, TopicName};
use tokio::time::Instant;

use super::protocol::{Action, PublishKind};
use crate::auth::{AuthServers, Authorizations, Permission};

/// What a client wants to do and may need a right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    word: &'static str,
    permission: Permission,
    topic: TopicName,
    /// `None` for a publish.
    channel: Option<ChannelName>,
}

/// What becomes of a wish.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is granted.
    Granted,
    /// What the client may do has to be asked for again first, with this secret.
    Outdated(Vec<u8>),
    /// It is not, and the connection ends.
    Refused(ProtocolError),
}

/// What a connection may do.
pub(super) struct Permit<'c> {
    servers: Option<&'c AuthServers>,
    /// Set exactly when the client was authorized. Most connections are not.
    grant: Option<Box<Grant>>,
}

/// What a client was authorized to.
struct Grant {
    secret: Vec<u8>,
    authorizations: Authorizations,
    /// `None`: for ever.
    until: Option<Instant>,
    /// The topic that it published to last: who publishes much publishes to the same, and no pattern is matched again.
    published: Option<TopicName>,
}

impl Wish {
    /// What an action needs a right to; `None` for what everybody may do.
    pub(super) fn of(action: &Action<'_>) -> Option<Self> {
        match action {
            Action::Subscribe { topic, channel } => Some(Self {
                word: "SUB",
                permission: Permission::Subscribe,
                topic: *topic,
                channel: Some(*channel),
            }),
            Action::Publish { kind, topic, .. } => Some(Self::to_publish(*kind, *topic)),
            _ => None,
        }
    }

    pub(super) fn to_publish(kind: PublishKind, topic: TopicName) -> Self {
        Self { word: kind.word(), permission: Permission::Publish, topic, channel: None }
    }
}

impl<'c> Permit<'c> {
    /// What a connection may do that has shown nothing yet: everything, where nobody is asked.
    pub(super) fn new(servers: Option<&'c AuthServers>) -> Self {
        Self { servers, grant: None }
    }

    /// Who is to be asked; `None` where everybody may do everything.
    pub(super) fn servers(&self) -> Option<&'c AuthServers> {
        self.servers
    }

    /// Whether the client was authorized.
    pub(super) fn is_granted(&self) -> bool {
        self.grant.is_some()
    }

    /// Takes over what was answered at the moment `now`.
    pub(super) fn grant(&mut self, secret: &[u8], authorizations: Authorizations, now: Instant) {
        let (secret, until) = (secret.to_owned(), now.checked_add(authorizations.time_to_live()));
        self.grant = Some(Box::new(Grant { secret, authorizations, until, published: None }));
    }

    /// Judges a wish of the moment `now`.
    pub(super) fn judge(&mut self, wish: &Wish, now: Instant) -> Verdict {
        if self.servers.is_none() {
            return Verdict::Granted;
        }
        let Some(grant) = &mut self.grant else {
            return Verdict::Refused(ProtocolError::auth_first(wish.word));
        };
        if grant.until.is_some_and(|until| until < now) {
            return Verdict::Outdated(grant.secret.clone());
        }
        let publishes = wish.permission == Permission::Publish;
        if publishes && grant.published == Some(wish.topic) {
            return Verdict::Granted;
        }
        if !grant.authorizations.allow(wish.permission, &wish.topic, wish.channel.as_ref()) {
            let refusal = ProtocolError::unauthorized(wish.word, &wish.topic, wish.channel.as_ref());
            return Verdict::Refused(refusal);
        }
        if publishes {
            grant.published = Some(wish.topic);
        }
        Verdict::Granted
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::auth::AuthSettings;
    use crate::options::AuthMethod;

    fn servers() -> AuthServers {
        let settings = AuthSettings {
            addresses: vec!["127.0.0.1:1".to_owned()],
            method: AuthMethod::Get,
            connect_timeout: Duration::ZERO,
            request_timeout: Duration::ZERO,
            authorities: PathBuf::new(),
            only_tls_1_3: false,
        };
        AuthServers::new(settings).unwrap().unwrap()
    }

    /// What allows to publish to this topic, and to subscribe to it.
    fn answer(topic: &str) -> Authorizations {
        let body = format!(
            r#"{{"ttl":60,"authorizations":[{{"topic":"^{topic}$","channels":[".*"],"permissions":["publish","subscribe"]}}]}}"#
        );
        Authorizations::parse(body.as_bytes()).unwrap()
    }

    fn publish(topic: &str) -> Wish {
        Wish::to_publish(PublishKind::Dpub, TopicName::parse(topic).unwrap())
    }

    fn refusal(verdict: Verdict) -> String {
        match verdict {
            Verdict::Refused(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn where_nobody_is_asked_everything_is_granted() {
        assert_eq!(Permit::new(None).judge(&publish("t"), Instant::now()), Verdict::Granted);
    }

    #[test]
    fn who_was_not_authorized_may_do_nothing() {
        let servers = servers();
        let judged = Permit::new(Some(&servers)).judge(&publish("t"), Instant::now());
        assert_eq!(refusal(judged), "E_AUTH_FIRST AUTH required before DPUB");
    }

    #[test]
    fn what_was_granted_is_granted_until_its_time_is_over() {
        let (servers, now) = (servers(), Instant::now());
        let mut permit = Permit::new(Some(&servers));
        permit.grant(b"secret", answer("t"), now);
        let end = now + Duration::from_secs(60);
        for moment in [now, now, end] {
            assert_eq!(permit.judge(&publish("t"), moment), Verdict::Granted);
        }
        let late = end + Duration::from_nanos(1);
        assert_eq!(permit.judge(&publish("t"), late), Verdict::Outdated(b"secret".to_vec()));
    }

    #[test]
    fn the_topic_published_to_last_grants_no_other_and_nothing_else() {
        let (servers, now) = (servers(), Instant::now());
        let mut permit = Permit::new(Some(&servers));
        permit.grant(b"secret", answer("t"), now);
        assert_eq!(permit.judge(&publish("t"), now), Verdict::Granted);
        let refused = refusal(permit.judge(&publish("u"), now));
        assert_eq!(refused, "E_UNAUTHORIZED AUTH failed for DPUB on \"u\" \"\"");
        permit.grant(b"secret", answer("u"), now);
        assert!(matches!(permit.judge(&publish("t"), now), Verdict::Refused(_)), "it is another grant");
        let action = Action::Subscribe {
            topic: TopicName::parse("t").unwrap(),
            channel: ChannelName::parse("c").unwrap(),
        };
        let refused = refusal(permit.judge(&Wish::of(&action).unwrap(), now));
        assert_eq!(refused, "E_UNAUTHORIZED AUTH failed for SUB on \"t\" \"c\"");
    }
}
