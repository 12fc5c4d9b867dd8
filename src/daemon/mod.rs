//! What every daemon of this project does the same way: options, logging, HTTP conventions.
