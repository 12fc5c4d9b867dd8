//! Keeps a database open that may fail, fill the disk, rot or grow too large.
//!
//! ```text
//!   is there  ── not what sled wrote ──▶ new epoch with what is legible; the old is set aside
//!    │
//!    ▼       write failed              written again: closed, opened anew
//!   open ───────────────▶ refuses writes ───────────────▶ open
//!    │ mostly dead                                          │ cannot be read
//!    └──▶ new epoch with what lives; the old is deleted     └──▶ new epoch with what can be read;
//!                                                                the old is set aside
//! ```
//!
//! It knows when a database is to be left and not what is asked of it: that comes in as closures.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bodies::Bodies;
use super::carry::{Carried, carry_over};
use super::database::{Database, Fault};
use super::epoch::Epochs;
use super::wreck::{self, Legible};
use crate::store::files::{Directory, is_missing};
use crate::store::reserve::{RESERVE_BYTES, Reserve};
use crate::store::{Damage, LogError};

/// A database below this size in bytes is not left, however little of it lives, unless the disk is full.
const EPOCH_BYTES_MIN: u64 = 48 * 1024 * 1024;

/// What the entry of a batch takes in a database, about, in bytes.
const ENTRY_BYTES: u64 = 128;

/// A database is left when its size is this many times what lives in it.
const EPOCH_DEAD_FACTOR: u64 = 10;

/// The most entries that are carried over to a new database: everything waits for it.
const CARRY_ENTRIES_MAX: u64 = 100_000;

/// What must be free on the disk before a database that failed is opened again, in bytes: sled writes
/// when it opens, and would leave us without what can still be read.
const ROOM_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct Keeper {
    home: PathBuf,
    pub(super) epochs: Epochs,
    pub(super) epoch: u64,
    pub(super) reserve: Reserve,
    /// `None` exactly when it failed and could not be opened again yet.
    database: Option<Database>,
    /// Set exactly when a write failed: sled refuses all writes from then on, until it is opened again.
    refuses_writes: bool,
    /// Whether something was written since the last sync.
    unsynced: bool,
    /// Whether something written since the last sync was lost by opening the database again.
    lost: bool,
    /// Whether the entries may be others than were counted, and with them what lives in which file: something written may
    /// be undone, was damaged, or was made anew.
    pub(super) is_count_doubtful: bool,
    /// [`EPOCH_BYTES_MIN`], but for tests.
    pub(super) epoch_bytes_min: u64,
    pub(super) bodies: Bodies,
    /// How many entries of batches are here. Kept by the owner.
    pub(super) entries: u64,
    /// The most that are carried over now: less after it failed, so that it is not tried all the time.
    carry_entries_max: u64,
    pub(super) damage: Damage,
}

impl Keeper {
    /// Opens the databases in `home`, whose batches are `bodies`.
    pub(super) fn open(home: &Path, bodies: Bodies) -> Result<Self, LogError> {
        let epochs = Epochs::open(home)?;
        let epoch = match epochs.current()? {
            Some(epoch) => epoch,
            None => epochs.next()?,
        };
        let mut keeper = Self {
            home: home.to_owned(),
            epochs,
            epoch,
            reserve: Reserve::open(Arc::new(Directory::at(home)), RESERVE_BYTES),
            database: None,
            refuses_writes: false,
            unsynced: false,
            lost: false,
            is_count_doubtful: false,
            epoch_bytes_min: EPOCH_BYTES_MIN,
            bodies,
            entries: 0,
            carry_entries_max: CARRY_ENTRIES_MAX,
            damage: Damage::default(),
        };
        keeper.bodies.take_back(&keeper.epochs.path(epoch))?;
        let holes = match wreck::holes(&keeper.epochs.path(epoch)) {
            Err(error) if is_missing(&error) => Vec::new(),
            holes => holes?,
        };
        // sled would take the first of them for the end, and overwrite what is behind it.
        if !holes.is_empty() {
            keeper.begin_anew("part of it is not what was written")?;
        }
        keeper.database()?;
        Ok(keeper)
    }

    /// Reads with `operation`. After an error what cannot be read is gone, or the disk refused.
    pub(super) fn read<T>(
        &mut self,
        operation: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, LogError> {
        let outcome = operation(self.database()?);
        outcome.map_err(|fault| self.after(fault))
    }

    /// Writes with `operation`. After an error it may have been done or not.
    pub(super) fn write<T>(
        &mut self,
        operation: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, LogError> {
        self.prepare_to_write()?;
        self.unsynced = true;
        let outcome = operation(self.database()?);
        outcome.map_err(|fault| {
            self.refuses_writes = true;
            self.is_count_doubtful = true;
            self.after(fault)
        })
    }

    /// Opens the database again where it refuses writes.
    pub(super) fn prepare_to_write(&mut self) -> Result<(), LogError> {
        if self.refuses_writes {
            self.reserve.release();
            self.check_room()?;
            self.close();
        }
        self.database()?;
        Ok(())
    }

    /// Makes what was written safe from a crash; an error where any of it may be lost.
    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        let nothing_but_open = |_: &Database| Ok(());
        let mut outcome = if self.refuses_writes { self.write(nothing_but_open) } else { Ok(()) };
        if outcome.is_ok() && self.lost {
            outcome = Err(io::Error::other("what was written since the last sync is lost").into());
        }
        if outcome.is_ok() {
            outcome = self.write(Database::flush);
        }
        // The caller is told now: the next sync speaks of what comes after this one.
        (self.unsynced, self.lost) = (false, false);
        outcome
    }

    /// Begins a new epoch where the one in use is mostly dead. Where that fails the old one stays in use.
    pub(super) fn leave_if_dead(&mut self) {
        if self.entries > self.carry_entries_max {
            return;
        }
        let Ok(size) = self.read(Database::bytes_on_disk) else {
            return;
        };
        let small = size < self.epoch_bytes_min && self.reserve.is_held();
        if small || self.entries.saturating_mul(ENTRY_BYTES * EPOCH_DEAD_FACTOR) > size {
            return;
        }
        match self.begin_epoch() {
            Ok(()) => self.carry_entries_max = CARRY_ENTRIES_MAX,
            Err(fault) => {
                let reason = LogError::from(fault);
                tracing::warn!(%reason, "could not begin a new epoch of the store; the old one stays in use");
                self.carry_entries_max = self.entries / 2;
            }
        }
    }

    /// Closes the database. What was not synced is given up.
    pub(super) fn close(&mut self) {
        self.lost |= self.unsynced;
        // Also what was written before a sync that failed is perhaps undone.
        self.is_count_doubtful |= self.unsynced || self.refuses_writes;
        self.unsynced = false;
        if let Some(database) = self.database.take() {
            database.close();
        }
    }

    /// The open database, opened again if need be.
    fn database(&mut self) -> Result<&Database, Fault> {
        if self.database.is_none() {
            let path = self.epochs.path(self.epoch);
            let begun = self.epochs.is_complete(self.epoch);
            match if begun { Database::open(&path) } else { Database::create(&path) } {
                Err(Fault::Corrupt(reason)) => self.begin_anew(&reason)?,
                outcome => self.database = Some(outcome?),
            }
            self.epochs.complete(self.epoch)?;
            self.refuses_writes = false;
        }
        Ok(self.database.as_ref().expect("it was just opened if it was not open"))
    }

    fn check_room(&self) -> io::Result<()> {
        let probe = self.home.join("room.tmp");
        let outcome = fs::write(&probe, vec![1; ROOM_BYTES]);
        let removed = fs::remove_file(&probe);
        outcome.and(removed)
    }

    /// What there is to say after `fault`. A database that cannot be read is left, so that it is not in the
    /// way of what comes.
    fn after(&mut self, fault: Fault) -> LogError {
        if let Fault::Corrupt(reason) = &fault {
            tracing::error!(epoch = self.epoch, reason, "the store cannot be read; saving what can");
            let saved = match self.begin_epoch() {
                Err(Fault::Corrupt(reason)) => {
                    self.close();
                    self.begin_anew(&reason)
                }
                outcome => outcome,
            };
            if let Err(fault) = saved {
                let reason = LogError::from(fault);
                tracing::error!(%reason, "could not leave a store that cannot be read");
            }
        }
        fault.into()
    }

    /// Leaves the closed database for a new one with what is legible in its file.
    fn begin_anew(&mut self, reason: &str) -> Result<(), Fault> {
        let old = self.epoch;
        let legible = match Legible::read(&self.epochs.path(old)) {
            Err(error) if is_missing(&error) => Legible::default(),
            legible => legible?,
        };
        if legible.is_empty() {
            return self.begin_empty(reason);
        }
        let next = self.epochs.next()?;
        let fresh = Database::create(&self.epochs.path(next))?;
        let batches = match legible.fill(&fresh) {
            Ok(batches) => batches,
            Err(fault) => {
                fresh.close();
                self.epochs.remove(next)?;
                return Err(fault);
            }
        };
        self.epochs.complete(next)?;
        self.epoch = next;
        self.database = Some(fresh);
        self.refuses_writes = false;
        self.is_count_doubtful = true;
        self.damage.indexes += 1;
        let aside = self.epochs.set_aside(old)?;
        tracing::error!(
            directory = %aside.display(), reason, batches,
            "the store's database was made anew from what is legible of it; some messages may come again"
        );
        Ok(())
    }

    /// Sets the closed database aside with the batches, of which nothing is known, and opens an empty one.
    fn begin_empty(&mut self, reason: &str) -> Result<(), Fault> {
        // In this order, so that a crash in between leaves nothing that a start takes for finished.
        self.bodies.move_to(&self.epochs.path(self.epoch))?;
        let aside = self.epochs.set_aside(self.epoch)?;
        tracing::error!(
            directory = %aside.display(), reason,
            "the store would not open and was set aside; its messages are not delivered"
        );
        self.damage.databases += 1;
        self.entries = 0;
        self.epoch = self.epochs.next()?;
        self.database = Some(Database::create(&self.epochs.path(self.epoch))?);
        self.refuses_writes = false;
        Ok(self.epochs.complete(self.epoch)?)
    }

    /// Carries what lives, and can be read, over to a new database, and puts it in the place of the old.
    fn begin_epoch(&mut self) -> Result<(), Fault> {
        let next = self.epochs.next()?;
        match self.prepare(next) {
            Ok((fresh, carried)) => {
                self.change_to(next, fresh, carried);
                Ok(())
            }
            Err(fault) => {
                self.epochs.remove(next)?;
                Err(fault)
            }
        }
    }

    /// Fills a new database, and makes it the one that a restart finds.
    pub(super) fn prepare(&mut self, next: u64) -> Result<(Database, Carried), Fault> {
        let path = self.epochs.path(next);
        self.database()?;
        let old = self.database.as_ref().expect("it was just opened if it was not open");
        let fresh = Database::create(&path)?;
        match carry_over(old, &fresh, &mut self.bodies, &self.home) {
            Ok(carried) => {
                self.epochs.complete(next)?;
                Ok((fresh, carried))
            }
            Err(fault) => {
                fresh.close();
                Err(fault)
            }
        }
    }

    fn change_to(&mut self, next: u64, fresh: Database, carried: Carried) {
        let old_epoch = std::mem::replace(&mut self.epoch, next);
        if let Some(old) = self.database.replace(fresh) {
            old.close();
        }
        self.refuses_writes = false;
        self.entries = carried.entries;
        self.is_count_doubtful = true;
        tracing::info!(epoch = next, batches = carried.entries, "began a new epoch of the store");
        if carried.damage == Damage::default() {
            if let Err(reason) = self.epochs.remove(old_epoch) {
                tracing::warn!(epoch = old_epoch, %reason, "could not remove an epoch; the next start does");
            }
            return;
        }
        self.damage.batches += carried.damage.batches;
        self.damage.images += carried.damage.images;
        match self.epochs.set_aside(old_epoch) {
            Ok(aside) => tracing::error!(
                directory = %aside.display(), batches = carried.damage.batches, states = carried.damage.images,
                "part of the store could not be read and is lost; all of it was set aside"
            ),
            Err(reason) => tracing::warn!(epoch = old_epoch, %reason, "could not set a damaged epoch aside"),
        }
    }
}
