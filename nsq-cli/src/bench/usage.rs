//! What a process has used of the machine, as the system counts it: processor time and memory. Or one thread of this one.
//!
//! Linux's `/proc`; elsewhere nothing is known, and nothing is shown.

use std::fs;
use std::time::Duration;

/// Whose is counted, by its id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage {
    Process(u32),
    /// A thread of this process.
    Thread(u32),
}

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// The processor time that somebody has had until some moment, in user mode and in the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessorTime {
    /// Of all its threads, also of those that have ended; in ticks, see [`tick`].
    all: Duration,
    /// Of the threads that run, to the nanosecond; `None` where the system does not say.
    running: Option<Duration>,
}

impl ProcessorTime {
    /// What it has had since then.
    pub(super) fn since(self, before: Self) -> Duration {
        let coarse = self.all.saturating_sub(before.all);
        let fine = self.running.zip(before.running).map(|(now, before)| now.saturating_sub(before));
        // A thread that has ended since has taken its part with it: then ticks must do.
        fine.filter(|fine| fine.abs_diff(coarse) <= 2 * tick()).unwrap_or(coarse)
    }
}

impl Usage {
    /// The thread that asks; `None` where the system does not say which it is.
    pub(super) fn of_this_thread() -> Option<Self> {
        let directory = fs::read_link("/proc/thread-self").ok()?;
        Some(Self::Thread(directory.file_name()?.to_str()?.parse().ok()?))
    }

    pub(super) fn processor_time(self) -> Option<ProcessorTime> {
        let stat = match self {
            Self::Process(id) => format!("/proc/{id}/stat"),
            Self::Thread(id) => format!("/proc/self/task/{id}/stat"),
        };
        let stat = fs::read_to_string(stat).ok()?;
        let all = tick() * u32::try_from(ticks(&stat)?).unwrap_or(u32::MAX);
        Some(ProcessorTime { all, running: self.running() })
    }

    fn running(self) -> Option<Duration> {
        let mut sum = Duration::ZERO;
        match self {
            Self::Process(id) => {
                for thread in fs::read_dir(format!("/proc/{id}/task")).ok()? {
                    // One that ends meanwhile is no longer one that runs.
                    let Ok(counted) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else {
                        continue;
                    };
                    sum += scheduled(&counted)?;
                }
            }
            Self::Thread(id) => {
                sum = scheduled(&fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?)?;
            }
        }
        Some(sum).filter(|sum| !sum.is_zero())
    }

    /// A thread has none of its own.
    pub(super) fn memory(self) -> Option<Memory> {
        match self {
            Self::Process(id) => memory(&fs::read_to_string(format!("/proc/{id}/status")).ok()?),
            Self::Thread(_) => None,
        }
    }
}

/// How long a thread was on a processor, in its `schedstat`: the first field.
fn scheduled(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(schedstat.split_whitespace().next()?.parse().ok()?))
}

/// The resolution of processor times, where there is no better one.
fn tick() -> Duration {
    let a_second = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(0);
    Duration::from_secs(1) / a_second.max(1)
}

/// User and system time in `/proc/ID/stat`: its 14th and 15th field. The second is a name in brackets, which may hold
/// anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn memory(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "42 (a) b 1 2) S 1 42 42 0 -1 4194560 1 2 3 4 120 30 7 8 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("42"), None);
    }

    #[test]
    fn what_threads_took_with_them_is_in_the_ticks() {
        let seconds = Duration::from_secs;
        let before = ProcessorTime { all: seconds(1), running: Some(seconds(1)) };
        let exact = seconds(1) + Duration::from_micros(1);
        let after = |running| ProcessorTime { all: seconds(2), running };
        assert_eq!(after(Some(seconds(1) + exact)).since(before), exact);
        assert_eq!(after(Some(seconds(1))).since(before), seconds(1));
        assert_eq!(after(None).since(before), seconds(1));
    }

    #[test]
    fn memory_is_counted_in_kibibytes() {
        let status = "Name:\tnsqd\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory(status), Some(Memory { resident: 1 << 20, peak: 2 << 20 }));
        assert_eq!(memory("Name:\tnsqd\n"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let own = Usage::Process(std::process::id());
        assert!(own.memory().unwrap().resident > 0);
        let before = own.processor_time().unwrap();
        assert_eq!(before.since(before), Duration::ZERO);
    }

    #[test]
    fn a_thread_uses_no_more_than_its_process() {
        let all = Usage::Process(std::process::id());
        let own = Usage::of_this_thread().unwrap();
        let thread = own.processor_time().unwrap();
        assert!(thread.running <= all.processor_time().unwrap().running);
        assert_eq!(own.memory(), None);
    }
}
