//! Tells the library which compiler builds it: the daemons' version lines name it, as those of NSQ do.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(compiler).arg("--version").output();
    // "rustc 1.95.0 (59807616e 2026-04-14)": the second word is the version.
    let version = answer
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=NSQ_RUSTC_VERSION={version}");
}
