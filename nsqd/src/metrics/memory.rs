//! The process's memory under the nine names Go's runtime gave it. There is no Go runtime here, and no garbage
//! collector, so the numbers are the nearest that mean something:
//!
//! | name | here |
//! | --- | --- |
//! | `heap_in_use_bytes` | anonymous memory that is resident |
//! | `heap_idle_bytes` | data memory that is reserved and not resident |
//! | `heap_released_bytes` | resident memory given back since its peak |
//! | `heap_objects`, `gc_*`, `next_gc_bytes` | always 0 |
//!
//! Where the system has no `/proc/self/status`, all are 0.

use nsq::api::stats::MemoryStats;

/// The numbers of this moment.
pub fn read() -> MemoryStats {
    from_status(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn from_status(status: &str) -> MemoryStats {
    let bytes = |key: &str| kilobytes(status, key).unwrap_or_default().saturating_mul(1024);
    let in_use = bytes("RssAnon");
    MemoryStats {
        heap_in_use_bytes: in_use,
        heap_idle_bytes: bytes("VmData").saturating_sub(in_use),
        heap_released_bytes: bytes("VmHWM").saturating_sub(bytes("VmRSS")),
        ..MemoryStats::default()
    }
}

/// The number in a line such as `VmRSS:      5824 kB`.
fn kilobytes(status: &str, key: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_come_from_the_process_status() {
        let status = "Name:\tnsqd\nVmHWM:\t    9000 kB\nVmRSS:\t    8000 kB\nRssAnon:\t    5000 kB\n\
                      VmData:\t  120000 kB\nThreads:\t4\n";
        let memory = from_status(status);
        assert_eq!(memory.heap_in_use_bytes, 5000 * 1024);
        assert_eq!(memory.heap_idle_bytes, 115_000 * 1024);
        assert_eq!(memory.heap_released_bytes, 1000 * 1024);
        assert_eq!(from_status("VmRSS: many\n"), MemoryStats::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_uses_memory() {
        assert!(read().heap_in_use_bytes > 0);
    }
}
