//! What was typed, looked at as a whole: what NSQ refuses, what it accepts and then crashes on, and what would be
//! unsafe to ignore while the feature is not built.
//!
//! The order and the texts of NSQ's own refusals are kept: operators and scripts know them.

use nsq::daemon::options::{Typed, Value};
use nsq::transport::tls::TlsServer;

use super::tls_files;
use super::words::{AuthMethod, TlsRequired};

/// Says why these options must not be run, if so.
pub(super) fn check(typed: &Typed) -> Result<(), String> {
    in_range(typed, "max-deflate-level", 1..=9, "must be [1,9]")?;
    in_range(typed, "node-id", 0..=1023, "must be [0,1024)")?;
    tls_can_be_spoken(typed)?;
    typed.field::<AuthMethod>("auth-http-request-method")?;
    percentiles_are_fractions(typed)?;

    in_range(typed, "mem-queue-size", 0..=i64::MAX, "must be >= 0")?;
    in_range(typed, "min-free-disk", -1..=i64::MAX, "must be >= -1")?;
    longer_than(typed, "sync-timeout", 0, "must be > 0")?;
    longer_than(typed, "output-buffer-timeout", 0, "must be > 0")?;
    if !typed.field::<String>("statsd-address")?.is_empty() {
        longer_than(typed, "statsd-interval", 1_000_000_000, "must be > 1s")?;
    }
    if typed.field::<String>("tcp-address")?.is_empty() {
        return Err("--tcp-address must not be empty".to_owned());
    }
    Ok(())
}

/// The files come to a server, and where TLS is demanded there are files.
fn tls_can_be_spoken(typed: &Typed) -> Result<(), String> {
    let policy: String = typed.field("tls-client-auth-policy")?;
    let files = tls_files(
        typed.field("tls-cert")?,
        typed.field("tls-key")?,
        &policy,
        typed.field("tls-root-ca-file")?,
        typed.field("tls-min-version")?,
    );
    if let Some(files) = &files {
        TlsServer::load(files).map_err(|why| format!("failed to build TLS config - {why}"))?;
    }
    let is_demanded = typed.field::<TlsRequired>("tls-required")? != TlsRequired::No || !policy.is_empty();
    if is_demanded && files.is_none() {
        return Err("cannot require TLS client connections without TLS key and cert".to_owned());
    }
    Ok(())
}

fn percentiles_are_fractions(typed: &Typed) -> Result<(), String> {
    let percentiles: Vec<f64> = typed.field("e2e-processing-latency-percentile")?;
    // Written so that NaN, which is in no relation to anything, is refused as well.
    match percentiles.iter().find(|percentile| !(**percentile > 0.0 && **percentile <= 1.0)) {
        Some(percentile) => Err(format!("invalid E2E processing latency percentile: {percentile}")),
        None => Ok(()),
    }
}

fn in_range(
    typed: &Typed,
    flag: &str,
    range: std::ops::RangeInclusive<i64>,
    must: &str,
) -> Result<(), String> {
    if range.contains(&typed.field(flag)?) { Ok(()) } else { Err(format!("--{flag} {must}")) }
}

fn longer_than(typed: &Typed, flag: &str, bound_ns: i64, must: &str) -> Result<(), String> {
    match typed.value(flag) {
        Value::Duration(ns) if *ns <= bound_ns => Err(format!("--{flag} {must}")),
        _ => Ok(()),
    }
}
