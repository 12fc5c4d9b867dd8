//! A disk that loses power, fails when it is told to, and fills up.
//!
//! What is written is seen by every reader at once, and is on the disk after a sync. When the power goes, each sector
//! of what was not synced is there or not, whatever was written before or behind it; of the changes to the directory
//! some first ones are.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::files::{File, Files};

/// What is on the disk as a whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

/// A disk. Clones are the same one.
#[derive(Clone)]
pub(super) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: fastrand::Rng,
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    names_on_disk: BTreeMap<String, usize>,
    /// Changes to the directory that are not synced.
    changes: Vec<Renaming>,
    operations: u64,
    faults: Vec<Fault>,
    /// How many bytes there is room for.
    capacity: u64,
    /// Before which operation a copy is made, and the copy.
    copy_before: Option<u64>,
    copy: Option<Box<State>>,
}

/// Which operations fail: those that so many went before, up to so many.
struct Fault {
    operations: std::ops::Range<u64>,
    kind: io::ErrorKind,
}

#[derive(Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    on_disk: Vec<u8>,
    unsynced: Vec<Write>,
}

#[derive(Clone)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

/// The file that has a name from now on, if any.
#[derive(Clone)]
struct Renaming(Vec<(String, Option<usize>)>);

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self::of(State {
            random: fastrand::Rng::with_seed(seed),
            contents: Vec::new(),
            names: BTreeMap::new(),
            names_on_disk: BTreeMap::new(),
            changes: Vec::new(),
            operations: 0,
            faults: Vec::new(),
            capacity: u64::MAX,
            copy_before: None,
            copy: None,
        })
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }

    /// How many operations there were.
    pub(super) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets operations fail, counted from the next one on.
    pub(super) fn fail(&self, operations: std::ops::Range<u64>, kind: io::ErrorKind) {
        let mut state = self.state();
        let now = state.operations;
        state.faults.push(Fault { operations: now + operations.start..now + operations.end, kind });
    }

    pub(super) fn recover(&self) {
        self.state().faults.clear();
    }

    pub(super) fn set_capacity(&self, capacity: u64) {
        self.state().capacity = capacity;
    }

    /// The power goes and comes back.
    pub(super) fn lose_power(&self) {
        let state = &mut *self.state();
        let kept = state.random.usize(0..=state.changes.len());
        for change in state.changes.drain(..).take(kept) {
            change.apply(&mut state.names_on_disk);
        }
        state.names = state.names_on_disk.clone();
        for content in &mut state.contents {
            content.lose(&mut state.random);
            content.bytes = content.on_disk.clone();
        }
    }

    /// The names of the files with their lengths.
    pub(super) fn lengths(&self) -> BTreeMap<String, usize> {
        let state = self.state();
        state.names.iter().map(|(name, id)| (name.clone(), state.contents[*id].bytes.len())).collect()
    }

    /// A disk that has what is on this one now.
    pub(super) fn copy(&self, seed: u64) -> Self {
        Self::of(State { random: fastrand::Rng::with_seed(seed), ..self.state().copy() })
    }

    /// Lets the next [`take_copy`](Self::take_copy) be of the disk before an operation, counted from the next one on.
    pub(super) fn copy_before(&self, operation: u64) {
        let mut state = self.state();
        state.copy_before = Some(state.operations + operation);
    }

    /// A disk that has what was on this one before the operation that was named, or what is there now if it was not
    /// reached.
    pub(super) fn take_copy(&self, seed: u64) -> Self {
        let copy = self.state().copy.take().map(|copy| *copy);
        copy.map_or_else(
            || self.copy(seed),
            |copy| Self::of(State { random: fastrand::Rng::with_seed(seed), ..copy }),
        )
    }

    /// Changes a file behind everybody's back.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *self.state();
        let content = &mut state.contents[state.names[name]];
        change(&mut content.bytes);
        content.on_disk = content.bytes.clone();
        content.unsynced.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The state, if the operation that is begun now does not fail.
    fn begin(&self) -> Result<MutexGuard<'_, State>, (MutexGuard<'_, State>, io::Error)> {
        let mut state = self.state();
        let operation = state.operations;
        state.operations += 1;
        if state.copy_before == Some(operation) {
            state.copy = Some(Box::new(state.copy()));
        }
        let fault = state.faults.iter().find(|fault| fault.operations.contains(&operation));
        match fault.map(|fault| fault.kind) {
            Some(kind) => {
                Err((state, io::Error::new(kind, format!("operation {operation} was told to fail"))))
            }
            None => Ok(state),
        }
    }

    fn perform<T>(&self, operation: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        match self.begin() {
            Ok(mut state) => operation(&mut state),
            Err((_, error)) => Err(error),
        }
    }

    fn file(&self, id: usize) -> Arc<dyn File> {
        Arc::new(SimulatedFile { disk: self.clone(), id })
    }
}

impl State {
    /// The same, without what is to fail.
    fn copy(&self) -> Self {
        Self {
            random: self.random.clone(),
            contents: self.contents.clone(),
            names: self.names.clone(),
            names_on_disk: self.names_on_disk.clone(),
            changes: self.changes.clone(),
            operations: 0,
            faults: Vec::new(),
            capacity: u64::MAX,
            copy_before: None,
            copy: None,
        }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, change: Vec<(String, Option<usize>)>) {
        let change = Renaming(change);
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn used(&self) -> u64 {
        self.names.values().map(|id| self.contents[*id].bytes.len() as u64).sum()
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        for (name, id) in &self.0 {
            match id {
                Some(id) => drop(names.insert(name.clone(), *id)),
                None => drop(names.remove(name)),
            }
        }
    }
}

impl Content {
    fn write(&mut self, write: Write) {
        write.apply(&mut self.bytes);
        self.unsynced.push(write);
    }

    fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            write.apply(&mut self.on_disk);
        }
    }

    /// Puts on the disk what chance has of it, and forgets that there was more.
    fn lose(&mut self, random: &mut fastrand::Rng) {
        let kept = random.u8(0..=100);
        for write in std::mem::take(&mut self.unsynced) {
            match write {
                Write::Length(length) => {
                    if random.bool() {
                        self.on_disk.resize(length, 0);
                    }
                }
                Write::Bytes(offset, bytes) => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let sector_end = (offset + from + 1).next_multiple_of(SECTOR_BYTES);
                        let to = bytes.len().min(sector_end - offset);
                        if random.u8(0..100) < kept {
                            Write::Bytes(offset + from, bytes[from..to].to_vec()).apply(&mut self.on_disk);
                        }
                        from = to;
                    }
                }
            }
        }
    }
}

impl Write {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Bytes(offset, bytes) => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Files for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.perform(|state| Ok(state.names.keys().cloned().collect()))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let id = self.perform(|state| {
            if let Ok(id) = state.find(name) {
                state.contents[id].write(Write::Length(0));
                return Ok(id);
            }
            let id = state.contents.len();
            state.contents.push(Content::default());
            state.rename(vec![(name.to_owned(), Some(id))]);
            Ok(id)
        })?;
        Ok(self.file(id))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.perform(|state| state.find(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.perform(|state| {
            let id = state.find(from)?;
            state.rename(vec![(from.to_owned(), None), (to.to_owned(), Some(id))]);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.perform(|state| {
            state.find(name)?;
            state.rename(vec![(name.to_owned(), None)]);
            Ok(())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.perform(|state| {
            for change in state.changes.drain(..) {
                change.apply(&mut state.names_on_disk);
            }
            Ok(())
        })
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    id: usize,
}

impl SimulatedFile {
    fn perform<T>(&self, operation: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        self.disk.perform(|state| operation(&mut state.contents[self.id]))
    }
}

impl File for SimulatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, outcome) = match self.disk.begin() {
            Ok(state) => {
                let grows =
                    (offset + bytes.len() as u64).saturating_sub(state.contents[self.id].bytes.len() as u64);
                let full = state.used() + grows > state.capacity;
                (state, if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) })
            }
            Err((state, error)) => (state, Err(error)),
        };
        // What fails may have been done in part.
        let length = if outcome.is_ok() { bytes.len() } else { state.random.usize(0..=bytes.len()) };
        let full = matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::StorageFull);
        if !full {
            state.contents[self.id].write(Write::Bytes(offset as usize, bytes[..length].to_vec()));
        }
        outcome
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.perform(|content| {
            let rest = content.bytes.get(offset as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.disk.begin() {
            Ok(mut state) => {
                state.contents[self.id].sync();
                Ok(())
            }
            Err((mut state, error)) => {
                // The system forgets what it could not write, and the next sync will not tell.
                let state = &mut *state;
                state.contents[self.id].lose(&mut state.random);
                Err(error)
            }
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.perform(|content| {
            content.write(Write::Length(length as usize));
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.perform(|content| Ok(content.bytes.len() as u64))
    }
}
