//! Several hosts on one machine: each daemon listens on a loopback address of its own and broadcasts that.
//!
//! A daemon that is started again in its place finds its ports free: nobody else has its address.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Daemon, Lookupd, differences};

/// An address that no other host of this test program has, nor, but for a chance, one of another test program.
pub fn host() -> IpAddr {
    static HOSTS: AtomicU16 = AtomicU16::new(1);
    let [high, low] = HOSTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let program = (std::process::id() % 254) as u8 + 1;
    Ipv4Addr::new(127, program, high, low).into()
}

/// Starts an nsqlookupd on a host of its own.
pub fn lookupd(flags: &[&str]) -> Lookupd {
    let mut all = addresses(host());
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Lookupd::with(&all)
}

/// Starts an nsqd on a host of its own that registers with these.
pub fn nsqd(lookupds: &[&Lookupd], flags: &[&str]) -> Daemon {
    nsqd_on(host(), lookupds, flags)
}

/// Starts an nsqd on this host that registers with these.
pub fn nsqd_on(host: IpAddr, lookupds: &[&Lookupd], flags: &[&str]) -> Daemon {
    let mut all = addresses(host);
    all.extend(lookupds.iter().map(|lookupd| format!("--lookupd-tcp-address={}", lookupd.tcp)));
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Daemon::start_in(crate::daemon::new_directory(), all)
}

/// Makes an nsqd look whether its lookup services are there. This project's does so by itself; the original sees
/// with its next command that one is gone, and connects with the command after.
pub fn nudge(daemon: &Daemon) {
    if !differences::notices_a_lost_service() {
        for topic in ["nudge_one", "nudge_two"] {
            daemon.act(&format!("/topic/create?topic={topic}"));
            daemon.act(&format!("/topic/delete?topic={topic}"));
        }
    }
}

fn addresses(host: IpAddr) -> Vec<String> {
    vec![
        format!("--tcp-address={host}:0"),
        format!("--http-address={host}:0"),
        format!("--broadcast-address={host}"),
    ]
}
