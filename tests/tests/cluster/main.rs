//! Several daemons, or one and a lookup service played by the test: what holds while some of them fail.
//!
//! `NSQD` and `NSQLOOKUPD` may each name the original: all four pairs get on with each other.

mod discovery;
mod following;
mod hung_service;
mod leaving;
mod new_topics;
mod registration;
mod same_address;
mod service_restarts;
mod tombstones;
mod vanished_host;
