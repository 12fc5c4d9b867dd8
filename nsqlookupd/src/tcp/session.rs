//! One connection: reads commands, carries them out, answers in order.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use nsq::daemon::go_duration::GoDuration;
use nsq::daemon::listener::{Peer, Stream};
use nsq::wire::error::{ErrorCode, ProtocolError};
use nsq::wire::lookup::{Command, Identity, MAGIC_V1, OK, Registration, write_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::Context;
use super::protocol::{Protocol, Refusal};
use crate::directory::Directory;
use crate::registry::{Full, Key, ProducerId};

/// How long the four bytes of the magic may take. (v1.3.0 waits for ever.)
const MAGIC_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer that was refused may go on sending.
const LINGER: Duration = Duration::from_millis(500);

/// How much is read at once, in bytes; more than any command of nsqd.
const READ_BYTES: usize = 4 * 1024;

/// Serves a peer until it goes, breaks a rule, or `stop` is ready. What it registered is forgotten then.
pub(super) async fn serve(mut stream: Stream, context: &Context, peer: Peer, stop: impl Future<Output = ()>) {
    let mut session = Session { context, peer: &peer.address, membership: None };
    let ended = tokio::select! {
        ended = session.converse(&mut stream) => ended,
        () = stop => Ended::Stopped,
    };
    let client = &peer.address;
    match &ended {
        Ended::NoMagic(why) => return error!(%client, "failed to read protocol version - {why}"),
        Ended::BadMagic(magic) => {
            return error!(%client, "client({client}) bad protocol magic '{}'", magic.escape_ascii());
        }
        _ => info!(%client, "PROTOCOL(V1): [{client}] exiting ioloop"),
    }
    drop(session);
    match ended {
        // v1.3.0 says this at the same level, also of a peer that just went.
        Ended::Gone => error!(%client, "client({client}) - EOF"),
        Ended::Failed(why) => error!(%client, "client({client}) - {why}"),
        Ended::Refused(refusal) => error!(%client, "client({client}) - {refusal}"),
        Ended::Stopped | Ended::NoMagic(_) | Ended::BadMagic(_) => {}
    }
}

/// How a conversation came to its end.
enum Ended {
    NoMagic(String),
    BadMagic([u8; 4]),
    Gone,
    Failed(io::Error),
    Refused(ProtocolError),
    Stopped,
}

struct Session<'a> {
    context: &'a Context,
    peer: &'a str,
    /// Set from `IDENTIFY` on.
    membership: Option<Membership<'a>>,
}

impl Session<'_> {
    async fn converse(&mut self, stream: &mut Stream) -> Ended {
        let mut magic = [0; 4];
        match timeout(MAGIC_TIMEOUT, stream.read_exact(&mut magic)).await {
            Err(_) => return Ended::NoMagic(format!("nothing within {MAGIC_TIMEOUT:?}")),
            Ok(Err(why)) => return Ended::NoMagic(why.to_string()),
            Ok(Ok(_)) => {}
        }
        let client = self.peer;
        info!(%client, "CLIENT({client}): desired protocol magic '{}'", magic.escape_ascii());
        if magic != *MAGIC_V1 {
            // The peer may be gone already; it is told if it is not.
            let _ = respond(stream, &ProtocolError::bad_protocol().to_bytes()).await;
            return Ended::BadMagic(magic);
        }
        match self.serve_commands(stream).await {
            Ok(ended) => ended,
            Err(why) => Ended::Failed(why),
        }
    }

    /// The commands of a peer, until it says nothing more or the wrong thing.
    async fn serve_commands(&mut self, stream: &mut Stream) -> io::Result<Ended> {
        let mut protocol = Protocol::default();
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut output = Vec::new();
        loop {
            let refusal = self.execute_all(&mut protocol, &mut input, &mut output);
            if !output.is_empty() {
                stream.write_all(&output).await?;
                output.clear();
            }
            if let Err(refusal) = refusal {
                return self.refuse(stream, refusal).await;
            }
            input.reserve(READ_BYTES);
            if stream.read_buf(&mut input).await? == 0 {
                return match protocol.at_end(&input) {
                    Some(refusal) => self.refuse(stream, refusal).await,
                    None => Ok(Ended::Gone),
                };
            }
        }
    }

    /// Carries out every command that has come whole; what was answered before a refusal stays answered.
    fn execute_all(
        &mut self,
        protocol: &mut Protocol,
        input: &mut BytesMut,
        output: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        while let Some(command) = protocol.next(input)? {
            match command {
                Command::Ping => self.ping(),
                Command::Identify(identity) => {
                    self.identify(identity);
                    write_response(output, &self.context.answer);
                    continue;
                }
                Command::Register(what) => self.register(&what).map_err(no_room)?,
                Command::Unregister(what) => self.unregister(&what),
            }
            write_response(output, OK);
        }
        Ok(())
    }

    async fn refuse(&self, stream: &mut Stream, refusal: Refusal) -> io::Result<Ended> {
        let client = self.peer;
        let cause = refusal.cause.map(|cause| format!(" - {cause}")).unwrap_or_default();
        error!(%client, "[{client}] - {}{cause}", refusal.error);
        respond(stream, &refusal.error.to_bytes()).await?;
        Ok(Ended::Refused(refusal.error))
    }

    fn identify(&mut self, identity: Identity) {
        let client = self.peer;
        info!(
            %client,
            "CLIENT({client}): IDENTIFY Address:{} TCP:{} HTTP:{} Version:{}",
            identity.broadcast_address, identity.tcp_port, identity.http_port, identity.version,
        );
        let directory = &*self.context.directory;
        let id = directory.write().connect(directory.now(), client.to_owned(), identity);
        self.membership = Some(Membership { directory, peer: client, id });
        info!(%client, "DB: client({client}) REGISTER {}", Key::Client);
    }

    fn ping(&self) {
        // A peer may ping before it says who it is.
        let Some(membership) = &self.membership else { return };
        let directory = &self.context.directory;
        let since = directory.write().ping(directory.now(), membership.id);
        let client = self.peer;
        info!(%client, "CLIENT({client}): pinged (last ping {})", GoDuration::from(since));
    }

    fn register(&self, what: &Registration) -> Result<(), Full> {
        let added = self.context.directory.write().register(self.id(), what)?;
        let client = self.peer;
        for key in added {
            info!(%client, "DB: client({client}) REGISTER {key}");
        }
        Ok(())
    }

    fn unregister(&self, what: &Registration) {
        let removed = self.context.directory.write().unregister(self.id(), what);
        let client = self.peer;
        for key in removed {
            match key {
                Key::Channel(..) if what.channel.is_none() => {
                    warn!(%client, "client({client}) unexpected UNREGISTER {key}");
                }
                _ => info!(%client, "DB: client({client}) UNREGISTER {key}"),
            }
        }
    }

    fn id(&self) -> ProducerId {
        self.membership.as_ref().expect("the protocol lets nobody register before IDENTIFY").id
    }
}

/// A producer in the registry, for as long as its session lives, however that ends.
struct Membership<'a> {
    directory: &'a Directory,
    peer: &'a str,
    id: ProducerId,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let client = self.peer;
        let removed = self.directory.write().disconnect(self.id);
        for key in removed {
            info!(%client, "DB: client({client}) UNREGISTER {key}");
        }
    }
}

fn no_room(full: Full) -> Refusal {
    Refusal { error: ProtocolError::new(ErrorCode::Invalid, format!("REGISTER {full}")), cause: None }
}

/// Sends the last response and reads away what the peer is still sending: closing in the middle of that would destroy
/// the response on its way.
async fn respond(stream: &mut Stream, data: &[u8]) -> io::Result<()> {
    let mut output = Vec::with_capacity(4 + data.len());
    write_response(&mut output, data);
    stream.write_all(&output).await?;
    stream.shutdown().await?;
    let mut scrap = [0; READ_BYTES];
    let rest = async { while stream.read(&mut scrap).await.is_ok_and(|length| length > 0) {} };
    // A peer that goes on sending has had its time.
    let _ = timeout(LINGER, rest).await;
    Ok(())
}
