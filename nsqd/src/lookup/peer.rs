//! One lookup service, one task: connected, told what we have, kept alive, connected again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nsq::client::dial;
use nsq::daemon::os_error::os_error_text;
use nsq::wire::lookup::{Answer, Command, InvalidAnswer, InvalidResponse, MAGIC_V1, take_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Settings;
use super::diff::changes;
use crate::node::Registrations;

/// How long connecting, and each answer, may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a service that is told nothing else hears that we are there.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// The pauses before connecting again: the first, and the longest they double to. A service that comes back after any
/// time knows everything within two seconds.
const RECONNECT_MIN: Duration = Duration::from_millis(250);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// How often a failure that is the same as before is logged.
const REPEAT_AFTER: Duration = Duration::from_secs(15);

/// How many registrations are sent before their answers are awaited.
const PIPELINE_MAX: usize = 512;

/// A lookup service that we keep informed.
pub(super) struct Peer {
    /// `host:port` of its TCP listener, as it was configured.
    pub(super) address: String,
    pub(super) settings: Arc<Settings>,
    /// What it should know.
    pub(super) desired: watch::Receiver<Arc<Registrations>>,
    /// Where it can be asked.
    pub(super) reach: watch::Sender<Reach>,
    /// True from the moment this daemon stops.
    pub(super) stopping: watch::Receiver<bool>,
}

/// Whether a lookup service can be asked over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody has connected to it yet, nor failed to.
    Untried,
    /// At `host:port`, as it said when it was last connected to.
    At(String),
    /// It could not be connected to, or does not say where.
    Nowhere,
}

/// Why a connection to a lookup service ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{}", os_error_text(.0))]
    Io(#[from] io::Error),
    #[error("no answer within {PATIENCE:?}")]
    Silent,
    #[error("{0}")]
    Response(#[from] InvalidResponse),
    #[error("{0}")]
    Answer(#[from] InvalidAnswer),
    #[error("it refused: {0}")]
    Refused(String),
    #[error("it said something nobody asked for")]
    Unasked,
}

/// A connection to a lookup service.
struct Link {
    stream: TcpStream,
    input: BytesMut,
    answer_bytes_max: usize,
}

impl Peer {
    /// Keeps the service informed until the daemon stops; then takes back what it was told.
    pub(super) async fn run(mut self) {
        let mut pause = RECONNECT_MIN;
        let mut last_said: Option<(String, Instant)> = None;
        loop {
            let begun = Instant::now();
            let Err(broken) = self.keep_informed().await else { return };
            let why = broken.to_string();
            let is_repeated =
                last_said.as_ref().is_some_and(|(said, at)| *said == why && at.elapsed() < REPEAT_AFTER);
            if !is_repeated {
                tracing::error!("LOOKUPD({}): {why}", self.address);
                last_said = Some((why, Instant::now()));
            }
            self.reach.send_if_modified(|reach| {
                let was_first_try = *reach == Reach::Untried;
                if was_first_try {
                    *reach = Reach::Nowhere;
                }
                was_first_try
            });
            // A connection that held for a while was no failure to connect.
            pause = if begun.elapsed() > RECONNECT_MAX { RECONNECT_MIN } else { pause };
            tokio::select! {
                () = sleep(pause) => pause = (2 * pause).min(RECONNECT_MAX),
                () = stopped(&mut self.stopping) => return,
            }
        }
    }

    /// One connection from its first byte to its end. `Ok`: the daemon stops.
    async fn keep_informed(&mut self) -> Result<(), Broken> {
        let mut link = self.connect().await?;
        let mut registered = Arc::new(Registrations::new());
        let mut ping_at = Instant::now() + PING_INTERVAL;
        loop {
            let desired = Arc::clone(&self.desired.borrow_and_update());
            for commands in changes(&registered, &desired).chunks(PIPELINE_MAX) {
                link.ask(commands).await?;
                ping_at = Instant::now() + PING_INTERVAL;
            }
            registered = desired;
            tokio::select! {
                // The sender lives as long as the daemon.
                _ = self.desired.changed() => {}
                () = tokio::time::sleep_until(ping_at) => {
                    link.ask(&[Command::Ping]).await?;
                    ping_at = Instant::now() + PING_INTERVAL;
                }
                broken = link.until_broken() => return Err(broken),
                () = stopped(&mut self.stopping) => {
                    return link.ask(&changes(&registered, &Registrations::new())).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Link, Broken> {
        let stream = timeout(PATIENCE, dial(&self.address)).await;
        let stream = stream.map_err(|_| Broken::Silent)??;
        stream.set_nodelay(true)?;
        let answer_bytes_max = self.settings.answer_bytes_max;
        let mut link = Link { stream, input: BytesMut::new(), answer_bytes_max };
        let mut hello = MAGIC_V1.to_vec();
        Command::Identify(self.settings.identity.clone()).write_to(&mut hello);
        link.write(&hello).await?;
        let answer = link.read_answer().await?;
        if answer.starts_with(b"E_") {
            return Err(Broken::Refused(answer.escape_ascii().to_string()));
        }
        let answer = Answer::parse(&answer)?;
        tracing::info!(
            "LOOKUPD({}): connected, it calls itself {} (version {})",
            self.address,
            answer.broadcast_address.escape_default(),
            answer.version.escape_default()
        );
        let http_address = answer.http_address();
        if http_address.is_none() {
            tracing::error!(
                "LOOKUPD({}): it says no address to dial, and will not be asked over HTTP",
                self.address
            );
        }
        self.reach.send_replace(http_address.map_or(Reach::Nowhere, Reach::At));
        Ok(link)
    }
}

impl Link {
    /// Sends commands and waits for the answer to each. What the answers say is not looked at: a command that is
    /// refused would be refused again.
    async fn ask(&mut self, commands: &[Command]) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| command.write_to(&mut bytes));
        self.write(&bytes).await?;
        for _ in commands {
            self.read_answer().await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        Ok(timeout(PATIENCE, self.stream.write_all(bytes)).await.map_err(|_| Broken::Silent)??)
    }

    async fn read_answer(&mut self) -> Result<Bytes, Broken> {
        let answer = async {
            loop {
                if let Some(answer) = take_response(&mut self.input, self.answer_bytes_max)? {
                    return Ok(answer);
                }
                if self.stream.read_buf(&mut self.input).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
        };
        timeout(PATIENCE, answer).await.map_err(|_| Broken::Silent)?
    }

    /// Waits until the service ends the connection: it is not spoken to, so it has nothing to say.
    async fn until_broken(&mut self) -> Broken {
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
            Ok(_) => Broken::Unasked,
            Err(error) => error.into(),
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Were the sender gone, that would mean the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
