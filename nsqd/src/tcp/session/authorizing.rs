//! What a session does before it does what not everybody may: it looks what the client may do, and asks for it where
//! that is not known.
//!
//! While an authorization server is waited for, only this connection's commands wait: messages and heartbeats go out, and
//! the connection ends when it is to end, or when the client is gone.

use std::time::Duration;

use nsq::transport::Duplex;
use nsq::wire::error::ProtocolError;
use nsq::wire::frame;
use nsq::wire::name::TopicName;
use tokio::time::{Instant, sleep_until};

use super::{End, Event, Executor, Session};
use crate::auth::{AuthServers, Authorizations, Question};
use crate::node::Authorized;
use crate::tcp::permit::{Verdict, Wish};
use crate::tcp::protocol::{Action, PublishKind};

/// A client whose input has ended may still want its answers, or be gone. It is given two signs of life, so far apart: the
/// system of one that is gone refuses the first, and the second cannot be sent.
const SIGNS_APART: Duration = Duration::from_millis(100);

impl<S: Duplex + 'static> Session<'_, S> {
    /// Sees to it that the client may do this. An error ends the connection; what came before still counts.
    pub(super) async fn authorize(
        &mut self,
        action: &Action<'_>,
        executor: &mut Executor<'_>,
    ) -> Result<(), End> {
        let Some(servers) = self.permit.servers() else { return Ok(()) };
        if let Action::Authorize(secret) = action {
            return self.introduce(servers, secret, executor).await;
        }
        match Wish::of(action) {
            Some(wish) => self.permit(servers, wish, executor).await,
            None => Ok(()),
        }
    }

    /// Sees to it that the client may publish to the topic of an `MPUB` whose body is not there, or not in order.
    pub(super) async fn authorize_mpub(
        &mut self,
        topic: Option<TopicName>,
        executor: &mut Executor<'_>,
    ) -> Result<(), End> {
        let (Some(servers), Some(topic)) = (self.permit.servers(), topic) else { return Ok(()) };
        self.permit(servers, Wish::to_publish(PublishKind::Mpub, topic), executor).await
    }

    /// `AUTH`
    async fn introduce(
        &mut self,
        servers: &AuthServers,
        secret: &[u8],
        executor: &mut Executor<'_>,
    ) -> Result<(), End> {
        if self.permit.is_granted() {
            return self.refused(ProtocolError::auth_already_set(), executor).await;
        }
        let authorizations = Box::pin(self.ask(servers, secret, executor)).await?;
        if authorizations.is_empty() {
            return Err(End::Refused(ProtocolError::no_authorizations()));
        }
        self.out.respond(&authorizations.to_json());
        self.permit.grant(secret, authorizations, Instant::now());
        Ok(())
    }

    async fn permit(
        &mut self,
        servers: &AuthServers,
        wish: Wish,
        executor: &mut Executor<'_>,
    ) -> Result<(), End> {
        let refusal = match self.permit.judge(&wish, Instant::now()) {
            Verdict::Granted => return Ok(()),
            Verdict::Refused(error) => error,
            Verdict::Outdated(secret) => {
                let authorizations = Box::pin(self.ask(servers, &secret, executor)).await?;
                let now = Instant::now();
                self.permit.grant(&secret, authorizations, now);
                match self.permit.judge(&wish, now) {
                    Verdict::Refused(error) => error,
                    Verdict::Granted | Verdict::Outdated(_) => return Ok(()),
                }
            }
        };
        self.refused(refusal, executor).await
    }

    async fn refused(&mut self, error: ProtocolError, executor: &mut Executor<'_>) -> Result<(), End> {
        executor.flush(&mut self.out).await.map_err(End::Refused)?;
        Err(End::Refused(error))
    }

    /// Asks the servers, and goes on with everything else meanwhile. On the heap, please: few sessions ever ask, and
    /// none is to be larger for it.
    async fn ask(
        &mut self,
        servers: &AuthServers,
        secret: &[u8],
        executor: &mut Executor<'_>,
    ) -> Result<Authorizations, End> {
        executor.flush(&mut self.out).await.map_err(End::Refused)?;
        let client = self.client;
        let tls = client.facts().tls;
        let question = Question {
            common_name: tls.as_ref().map_or("", |tls| &tls.common_name),
            remote_ip: client.remote_ip(),
            secret,
            tls: tls.is_some(),
        };
        let mut asked = std::pin::pin!(servers.ask(&question));
        // Nothing that the client says is looked at before the answer. That it says no more is.
        let mut listens = true;
        let mut second_sign = None;
        let answer = loop {
            let event = tokio::select! {
                answer = &mut asked => break answer,
                () = sleep_until(second_sign.unwrap_or_else(Instant::now)), if second_sign.is_some() => {
                    second_sign = None;
                    self.out.respond(frame::HEARTBEAT);
                    continue;
                }
                event = self.wait(listens, true) => event?,
            };
            // It is not the client that is waited for.
            self.times.waiting_since = Instant::now();
            match event {
                Event::Read => listens = false,
                Event::EndOfInput => {
                    listens = false;
                    self.out.respond(frame::HEARTBEAT);
                    second_sign = Some(Instant::now() + SIGNS_APART);
                }
                event => self.go_on(event, executor)?,
            }
            executor.deliver(&mut self.out);
        };
        let authorizations = answer.map_err(|error| {
            tracing::warn!(client = %client.remote_address, "PROTOCOL(V2): [{}] AUTH failed {error}", client.remote_address);
            End::Refused(ProtocolError::auth_failed())
        })?;
        let authorized = (!authorizations.is_empty()).then(|| Authorized {
            identity: authorizations.identity().to_owned(),
            identity_url: authorizations.identity_url().to_owned(),
        });
        client.update(|facts| facts.authorized = authorized);
        Ok(authorizations)
    }
}
