//! Several daemons, or one and a lookup service played by the test.

mod discovery;
mod registration;
