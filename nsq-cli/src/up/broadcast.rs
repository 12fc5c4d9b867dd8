//! What other programs are told to reach this machine by, where nobody said.

use std::net::{IpAddr, TcpListener, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::Duration;

use nsq::daemon::host::host_name;

/// How long finding out may take: where no name server answers, the system would wait far longer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// An address, and a sentence for the log.
pub(super) struct Broadcast {
    pub(super) address: String,
    pub(super) why: String,
}

/// What was `given`, else the address that is `bound` where it is a certain one, else the host's name where that leads
/// to this machine.
pub(super) fn choose(given: Option<&str>, bound: &str) -> Broadcast {
    choose_among(given, bound, &host_name(), leads_here)
}

fn choose_among(
    given: Option<&str>,
    bound: &str,
    host: &str,
    leads_here: impl Fn(&str) -> bool,
) -> Broadcast {
    let (address, why) = if let Some(given) = given {
        (given, "as it was told")
    } else if !is_any(bound) {
        (bound, "the address that is bound")
    } else if leads_here(host) {
        (host, "the host's name")
    } else {
        ("127.0.0.1", "the host's name does not lead to this machine; --broadcast-address says a better one")
    };
    Broadcast { address: address.to_owned(), why: format!("other programs are told to use {address}: {why}") }
}

/// Whether all addresses of the machine are meant.
fn is_any(bound: &str) -> bool {
    bound.is_empty() || bound.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified())
}

/// Whether the name has an address of this machine's: one that can be listened on.
fn leads_here(name: &str) -> bool {
    let (say, said) = mpsc::channel();
    let name = name.to_owned();
    std::thread::spawn(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        let leads_here = addresses.is_ok_and(|mut all| all.any(|address| TcpListener::bind(address).is_ok()));
        // It may have come too late.
        let _ = say.send(leads_here);
    });
    said.recv_timeout(LOOKUP_TIMEOUT).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_address_is_chosen() {
        for (given, bound, is_known, address) in [
            (Some("told"), "0.0.0.0", true, "told"),
            (None, "0.0.0.0", true, "host"),
            (None, "::", true, "host"),
            (None, "", true, "host"),
            (None, "0.0.0.0", false, "127.0.0.1"),
            (None, "192.0.2.1", true, "192.0.2.1"),
            (None, "localhost", true, "localhost"),
        ] {
            let chosen = choose_among(given, bound, "host", |_| is_known);
            assert_eq!(chosen.address, address, "{given:?} {bound} {is_known}");
            assert!(chosen.why.contains(address), "{}", chosen.why);
        }
    }

    #[test]
    fn names_of_this_machine_lead_here() {
        assert!(leads_here("127.0.0.1"));
        assert!(!leads_here("192.0.2.1"), "an address for documents is nobody's");
        assert!(!leads_here(""), "nothing leads nowhere");
    }
}
