//! A connected client: how its session is reached, and what `/stats` tells about it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use nsq::wire::command::Phase;
use nsq::wire::identify::Compression;
use nsq::wire::name::TopicName;

/// What a client said of itself, and what was agreed with it.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The name it gave itself; its address until then.
    pub client_id: String,
    /// The host name it gave; its address until then.
    pub hostname: String,
    /// The library it uses.
    pub user_agent: String,
    /// Per cent of messages it wants; 0: all.
    pub sample_rate: u8,
    /// Its zone.
    pub topology_zone: String,
    /// Its region.
    pub topology_region: String,
}

/// What a connection's TLS came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `TLS1.2` or `TLS1.3`.
    pub version: String,
    /// The name of the cipher suite.
    pub cipher_suite: String,
    /// The common name in the client's certificate; empty if it has none.
    pub common_name: String,
}

/// Whom an authorization server takes a client for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorized {
    /// What the server calls it.
    pub identity: String,
    /// Where to read about that.
    pub identity_url: String,
}

/// A client of the TCP protocol, shared by its session, the topic it is subscribed to, and `/stats`.
pub struct Client {
    /// A number no other client of this process has or had.
    pub number: u64,
    /// `ip:port`; `@` behind a Unix socket.
    pub remote_address: String,
    /// When it connected, in seconds of Unix time.
    pub connected_unix_s: i64,
    /// Locked for a copy or a change of a few fields.
    facts: Mutex<Facts>,
    closed: AtomicBool,
    /// Whether its session is to look at something, and who wakes it: the session alone waits.
    signalled: AtomicBool,
    session: AtomicWaker,
}

/// What changes while a client is connected.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it said of itself.
    pub identity: Identity,
    /// What it may do now.
    pub phase: Phase,
    /// Set exactly when the connection is encrypted.
    pub tls: Option<Tls>,
    /// How the connection is compressed, if it is.
    pub compression: Option<Compression>,
    /// Set exactly when an authorization server has allowed it something.
    pub authorized: Option<Authorized>,
    /// How many messages it published, by topic.
    pub published: BTreeMap<TopicName, u64>,
}

impl Client {
    /// A client that has just connected.
    pub fn new(number: u64, remote_address: String, host: &str, connected_unix_s: i64) -> Self {
        let identity =
            Identity { client_id: host.to_owned(), hostname: host.to_owned(), ..Identity::default() };
        Self {
            number,
            remote_address,
            connected_unix_s,
            facts: Mutex::new(Facts {
                identity,
                phase: Phase::Init,
                tls: None,
                compression: None,
                authorized: None,
                published: BTreeMap::new(),
            }),
            closed: AtomicBool::new(false),
            signalled: AtomicBool::new(false),
            session: AtomicWaker::new(),
        }
    }

    /// Its IP address alone; empty behind a Unix socket.
    pub fn remote_ip(&self) -> &str {
        let (ip, _) = self.remote_address.rsplit_once(':').unwrap_or_default();
        ip.trim_start_matches('[').trim_end_matches(']')
    }

    /// What is known of it now.
    pub fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// Changes what is known of it.
    pub fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.lock());
    }

    /// Counts messages it published.
    pub fn count_published(&self, topic: &TopicName, messages: u64) {
        *self.lock().published.entry(*topic).or_default() += messages;
    }

    /// Makes its session look whether there are messages for it.
    pub fn wake(&self) {
        // Not a store: what others did before their wakes is to be seen with this one.
        self.signalled.swap(true, Ordering::AcqRel);
        self.session.wake();
    }

    /// Makes its session end the connection.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the connection is to be ended.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ready where `wake` or `close` was called since it was ready last. For the session, which is woken by the next.
    pub fn poll_signalled(&self, session: &mut Context<'_>) -> Poll<()> {
        if !self.signalled.load(Ordering::Acquire) {
            self.session.register(session.waker());
        }
        // Between the look and the registration it may have come.
        match self.signalled.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().expect("no code panics while it holds a client's lock")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    #[test]
    fn a_wake_is_seen_once_whether_it_came_before_the_look_or_after_it() {
        struct Counted(AtomicUsize);
        impl Wake for Counted {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let client = Client::new(1, "127.0.0.1:80".to_owned(), "", 0);
        let counted = Arc::new(Counted(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&counted));
        let mut session = Context::from_waker(&waker);
        client.wake();
        assert_eq!(client.poll_signalled(&mut session), Poll::Ready(()));
        assert_eq!(client.poll_signalled(&mut session), Poll::Pending);
        assert_eq!(counted.0.load(Ordering::Relaxed), 0);
        client.close();
        assert_eq!(counted.0.load(Ordering::Relaxed), 1);
        assert_eq!(client.poll_signalled(&mut session), Poll::Ready(()));
        assert_eq!(client.poll_signalled(&mut session), Poll::Pending);
    }

    #[test]
    fn an_address_has_an_ip_address_unless_it_is_a_unix_sockets() {
        for (address, ip) in [("127.0.0.1:80", "127.0.0.1"), ("[::1]:80", "::1"), ("@", "")] {
            assert_eq!(Client::new(1, address.to_owned(), "", 0).remote_ip(), ip);
        }
    }
}
