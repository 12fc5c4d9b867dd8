//! How durable a daemon is asked to be.

use crate::table::Row;

/// What an OK to a publish means. The flags are those of v1.3.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The message is in memory.
    Memory,
    /// The operating system has it: a kill does not lose it.
    Os,
    /// The disk has it: a loss of power does not lose it.
    Disk,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Os, Self::Disk];

    /// Those at which a kill loses nothing.
    pub const DURABLE: [Self; 2] = [Self::Os, Self::Disk];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Os => "os",
            Self::Disk => "disk",
        }
    }

    /// The daemon's flags.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Memory => &[],
            Self::Os => &["--mem-queue-size=0"],
            Self::Disk => &["--mem-queue-size=0", "--sync-every=1"],
        }
    }
}

impl Row for Level {
    fn name(&self) -> String {
        Self::name(*self).to_owned()
    }
}
