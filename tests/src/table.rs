//! Tables of cases: all rows are tried, and the failure names those that do not hold.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Checks every row; the first element of a row is its name.
///
/// # Panics
/// When a row's check panics: with the names of all such rows and what they said.
pub fn each<R: Row>(rows: impl IntoIterator<Item = R>, check: impl Fn(&R)) {
    let mut failures = String::new();
    let mut tried = 0;
    for row in rows {
        tried += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&row))) {
            let _ = writeln!(failures, "row `{}`: {}", row.name(), said(panic.as_ref()));
        }
    }
    assert!(tried > 0, "an empty table proves nothing");
    assert!(failures.is_empty(), "\n{failures}");
}

/// A row of a table: anything whose first element is its name.
pub trait Row {
    /// What the row is called when it fails.
    fn name(&self) -> String;
}

impl Row for &str {
    fn name(&self) -> String {
        (*self).to_owned()
    }
}

impl<A: ToString, B> Row for (A, B) {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl<A: ToString, B, C> Row for (A, B, C) {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl<A: ToString, B, C, D> Row for (A, B, C, D) {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl<A: ToString, B, C, D, E> Row for (A, B, C, D, E) {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic.downcast_ref::<&str>().copied().unwrap_or("panicked without words"),
    }
}
