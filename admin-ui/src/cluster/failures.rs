//! Who did not answer, and how that is told.

use nsq::api::admin::Warning;

use super::upstream::{AskError, Service};

/// One that did not do its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it is.
    pub service: Service,
    /// Its `host:port`.
    pub host: String,
    /// Why not.
    pub reason: String,
}

impl Failure {
    /// It failed with this error.
    #[must_use]
    pub fn new(service: Service, host: &str, error: &AskError) -> Self {
        Self { service, host: host.to_owned(), reason: error.to_string() }
    }
}

/// Those that failed while others did not: one list for each time that all were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures(Vec<Vec<Failure>>);

/// Nobody answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to query any {service}: {}", joined(.failures))]
pub struct NobodyAnswered {
    /// What was asked.
    pub service: Service,
    /// All of them; none where there is nobody to ask.
    pub failures: Vec<Failure>,
}

impl Failures {
    /// Adds those of one time that all were asked.
    pub fn add(&mut self, failures: Vec<Failure>) {
        if !failures.is_empty() {
            self.0.push(failures);
        }
    }

    /// Whether the one at that `host:port` is among them.
    #[must_use]
    pub fn name(&self, host: &str) -> bool {
        self.0.iter().flatten().any(|failure| failure.host == host)
    }

    /// Whether nobody failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As `message` in a body: empty, or `WARNING: ` and all of them.
    #[must_use]
    pub fn message(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let stages: Vec<String> = self.0.iter().map(|stage| joined(stage)).collect();
        format!("WARNING: {}", stages.join("; "))
    }

    /// As `warnings` in a body: each node once for each reason.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = Vec::new();
        for Failure { service, host, reason } in self.0.iter().flatten() {
            let warning =
                Warning { node: host.clone(), service: service.to_string(), reason: reason.clone() };
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        warnings
    }
}

fn joined(failures: &[Failure]) -> String {
    let one = |failure: &Failure| format!("{} {}: {}", failure.service, failure.host, failure.reason);
    failures.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_as_in_v1_3_0_and_one_by_one() {
        let failure = |host: &str, reason: &str| Failure {
            service: Service::Nsqd,
            host: host.to_owned(),
            reason: reason.to_owned(),
        };
        let mut failures = Failures::default();
        failures.add(Vec::new());
        assert_eq!((failures.message(), failures.warnings()), (String::new(), Vec::new()));
        failures.add(vec![failure("a:1", "x"), failure("b:2", "y")]);
        failures.add(vec![failure("a:1", "x")]);
        assert_eq!(failures.message(), "WARNING: nsqd a:1: x\nnsqd b:2: y; nsqd a:1: x");
        let nodes: Vec<String> = failures.warnings().into_iter().map(|warning| warning.node).collect();
        assert_eq!(nodes, ["a:1", "b:2"]);
        let nobody = NobodyAnswered { service: Service::Nsqlookupd, failures: Vec::new() };
        assert_eq!(nobody.to_string(), "failed to query any nsqlookupd: ");
    }
}
