//! The TCP server: the V2 protocol for clients (spec nsqd-tcp.md).
//!
//! - [`session`]: one connection, one task, one loop: the only part that touches sockets and time.
//! - [`protocol`]: what a connection's commands mean; pure.
//! - [`negotiate`]: puts TLS and compression around a connection.
//! - [`permit`]: what a connection may do where authorization servers decide; pure.
//! - [`execute`]: joins them to the node.
//! - [`outbox`]: what is to be sent.

mod execute;
mod negotiate;
mod outbox;
mod permit;
mod protocol;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nsq::daemon::accept::accept;
use nsq::daemon::listener::Listener;
use nsq::transport::tls::TlsServer;
use nsq::wire::command::Limits;
use nsq::wire::identify::{IdentifyLimits, Offer, Settings};
use tokio::sync::watch;

use crate::auth::AuthServers;
use crate::node::Node;
use protocol::Terms;

/// What every connection is served with.
pub struct Context {
    node: Arc<Node>,
    limits: Limits,
    terms: Terms,
    tls: Option<watch::Receiver<TlsServer>>,
    auth_servers: Option<AuthServers>,
    topology_aware: bool,
    output_buffer_timeout: Duration,
    msg_timeout: Duration,
}

/// What the server's options say about connections.
#[derive(Debug, Clone)]
pub struct TcpSettings {
    /// What a command may be.
    pub limits: Limits,
    /// What a client may ask for.
    pub identify_limits: IdentifyLimits,
    /// What the server says of itself.
    pub offer: Offer,
    /// What speaks TLS, newest files first; `None` where there is none.
    pub tls: Option<watch::Receiver<TlsServer>>,
    /// Whether clients must speak TLS before they do anything else.
    pub tls_required: bool,
    /// Who says what a client may do; `None`: everybody may do everything.
    pub auth_servers: Option<AuthServers>,
    /// Whether messages go to consumers of the same zone or region first.
    pub topology_aware: bool,
    /// How long a message may wait to be sent, unless the client says otherwise.
    pub output_buffer_timeout: Duration,
    /// How long a client may keep a message, unless it says otherwise.
    pub msg_timeout: Duration,
}

impl Context {
    /// What connections to `node` are served with.
    pub fn new(node: Arc<Node>, settings: TcpSettings) -> Self {
        Self {
            node,
            limits: settings.limits,
            terms: Terms {
                limits: settings.identify_limits,
                offer: settings.offer,
                tls_required: settings.tls_required,
            },
            tls: settings.tls,
            auth_servers: settings.auth_servers,
            topology_aware: settings.topology_aware,
            output_buffer_timeout: settings.output_buffer_timeout,
            msg_timeout: settings.msg_timeout,
        }
    }

    /// What speaks TLS with those who connect now.
    fn tls(&self) -> Option<TlsServer> {
        self.tls.as_ref().map(|tls| tls.borrow().clone())
    }

    fn settings_of(&self, host: &str) -> Settings {
        Settings::before_identify(host, self.output_buffer_timeout, self.msg_timeout)
    }
}

/// Serves clients until `stop` is ready: then no more are accepted. Those that are connected end when the node
/// closes them.
pub async fn serve(listener: Listener, context: Arc<Context>, stop: impl Future<Output = ()>) {
    let session = |stream, peer| {
        let context = Arc::clone(&context);
        async move { session::serve(stream, &context, peer).await }
    };
    accept("TCP", listener, stop, session).await;
}
