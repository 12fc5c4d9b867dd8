//! The machine a daemon runs on.

/// The operating system's name of this host.
#[must_use]
pub fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
