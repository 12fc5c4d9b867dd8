//! Starting on what v1.3.0 left: nsqd-operation.md §6. The files are written by the tests, and in `original` by v1.3.0
//! itself, where `NSQD_PEER_PATH` names its nsqd.

mod interrupted;
mod original;
mod queue_files;
mod whole;
