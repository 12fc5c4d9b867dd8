//! What a daemon still has after it was stopped, killed, or had no disk to write to: one file a way to lose messages.
//!
//! `DURABILITY_TRIALS=200` sets how often what depends on chance is tried, `DURABILITY_SEED` with which seed the first
//! trial begins. Figures are written past the test runner, to be seen where all goes well, too.

mod backlog;
mod damaged;
mod deferred;
mod few_descriptors;
mod full_disk;
mod kill;
mod published;
mod read_only;
mod stop;
mod topic;
