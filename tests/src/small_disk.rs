//! A disk that can be full: a small file system in memory, mounted where only the daemon and the test see it.
//!
//! It is in a user and mount namespace of its own, which most systems let everybody make. A process that does nothing
//! keeps the namespace; the daemon enters it, also when it is started again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Daemon;
use crate::daemon::new_directory;

/// The file system. It is gone when this goes out of scope and no daemon uses it.
#[derive(Debug)]
pub struct SmallDisk {
    keeper: Child,
    mounted_on: PathBuf,
}

impl SmallDisk {
    /// A file system of so many MiB and the directory that it is mounted on. `None`, with a line that says why, where
    /// that is not permitted. In CI that is a failure.
    pub fn new(mebibytes: u32) -> Option<(Self, TempDir)> {
        let directory = new_directory();
        match Self::mount(directory.path().to_owned(), mebibytes) {
            Ok(disk) => Some((disk, directory)),
            Err(why) => {
                assert!(std::env::var_os("CI").is_none(), "no file system can be mounted: {why}");
                println!("skipped, no file system can be mounted: {why}");
                None
            }
        }
    }

    fn mount(mounted_on: PathBuf, mebibytes: u32) -> Result<Self, String> {
        // The keeper lives until its input ends.
        let script = "mount -t tmpfs -o size=$1m,mode=700 tmpfs \"$2\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            &mebibytes.to_string(),
        ]);
        command.arg(&mounted_on).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        let stdout = keeper.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        if line != "mounted\n" {
            let output = keeper.wait_with_output().map_err(|error| error.to_string())?;
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Self { keeper, mounted_on })
    }

    /// Starts a daemon that has its data there.
    pub fn start(&self, directory: TempDir, flags: &[&str]) -> Daemon {
        let id = self.keeper.id().to_string();
        let starter = ["nsenter", "--target", &id, "--user", "--mount", "--preserve-credentials", "--"];
        let starter = starter.map(str::to_owned).to_vec();
        Daemon::start_within(starter, directory, flags.iter().map(|flag| (*flag).to_owned()).collect())
    }

    /// Fills what room is left with a file that is not the daemon's.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("the disk is there");
        // Down to the last byte: large blocks first, then small ones.
        for size in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Takes that file away.
    pub fn relieve(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    /// Lets the daemon change nothing there any more but what it has open. What somebody writes to cannot be mounted
    /// anew, so the same directory is mounted over it.
    ///
    /// # Panics
    /// When that is not permitted.
    pub fn make_read_only(&self) {
        self.run_within("mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"");
    }

    /// Undoes that.
    pub fn make_writable(&self) {
        self.run_within("umount \"$1\"");
    }

    fn run_within(&self, script: &str) {
        let id = self.keeper.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &id, "--user", "--mount", "--preserve-credentials", "--"]);
        command.args(["sh", "-c", script, "sh"]).arg(&self.mounted_on);
        let output = command.output().expect("nsenter has started the daemon");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The directory as it is seen from outside of the namespace.
    pub fn path(&self) -> PathBuf {
        let inside = self.mounted_on.strip_prefix("/").expect("the temporary directory has an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.keeper.id())).join(inside)
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
