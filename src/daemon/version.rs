//! The versions a daemon speaks of: the NSQ it stands in for, and its own.

/// The version of NSQ whose behaviour is offered. Clients and tools compare it, so it is what the protocols,
/// the HTTP answers and `--version` report.
pub const NSQ_VERSION: &str = "1.3.0";

/// The version of this project, for people: the log's first line and the foot of `--help`.
pub const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// `nsqd v1.3.0 (built w/rustc1.95.0)`: what `--version` prints and the log opens with.
#[must_use]
pub fn version_line(program: &str) -> String {
    format!("{program} v{NSQ_VERSION} (built w/rustc{})", env!("NSQ_RUSTC_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_line_names_nsq_version_and_compiler() {
        let line = version_line("nsqd");
        assert!(line.starts_with("nsqd v1.3.0 (built w/rustc1."), "{line}");
        assert!(line.ends_with(')'), "{line}");
    }
}
