//! What nsqlookupd v1.3.0 does, as far as nsqd, a consumer or an operator can rely on it: one file a subject.

mod command_line;
mod dialogue;
mod http_api;
mod http_routing;
mod identify;
mod lifecycle;
mod logging;
mod protocol;
mod registrations;
mod tombstones;
