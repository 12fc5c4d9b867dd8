//! How many files this process and those that it starts may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Failure;

/// What is open besides sockets to be measured.
const OTHERS: u64 = 64;

/// Raises the limit as far as anybody may. Those that are started later inherit it.
pub(super) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be raised, it is as it was, and `expect` says whether that will do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Fails where so many sockets cannot be had at once.
pub(super) fn expect(sockets: u64) -> Result<(), Failure> {
    suffices(sockets, getrlimit(Resource::Nofile).current)
}

/// Without a limit everything does.
fn suffices(sockets: u64, limit: Option<u64>) -> Result<(), Failure> {
    let wanted = sockets + OTHERS;
    match limit {
        Some(limit) if limit < wanted => Err(Failure::Failed(format!(
            "it wants {wanted} open files, and the limit is {limit}: raise it (ulimit -Hn), or ask for fewer \
             connections or consumers"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_told() {
        assert!(suffices(10_000, None).is_ok());
        assert!(suffices(100, Some(164)).is_ok());
        let Err(Failure::Failed(why)) = suffices(100, Some(163)) else { panic!("it is too low") };
        assert!(why.starts_with("it wants 164 open files, and the limit is 163: raise it"), "{why}");
    }
}
