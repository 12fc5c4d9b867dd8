//! What nsqadmin v1.3.0 does, as far as a script or an operator can rely on it, and what is beside that: one file a subject.

mod access;
mod command_line;
mod config;
mod failures;
mod graphite;
mod https;
mod notifications;
mod pages;
mod reads;
mod routing;
mod trouble;
mod writes;
