//! A terminal, played by the test: what a program writes to it, and what a screen would then show.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nsq_tests::process::program;
use nsq_tests::stats::eventually;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program whose output is a terminal.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    written: Arc<Mutex<Vec<u8>>>,
    width: usize,
    height: usize,
}

impl Terminal {
    /// Starts `nsq` with its output in a terminal of this size.
    pub(crate) fn start(arguments: &[&str], width: u16, height: u16) -> Self {
        Self::launch(width, height, |command, slave| {
            command.args(arguments).stdout(slave).stderr(Stdio::null());
        })
    }

    /// Starts `nsq` with what it tells a person in a terminal of this size.
    pub(crate) fn start_for_errors(arguments: &[&str], width: u16, height: u16) -> Self {
        Self::launch(width, height, |command, slave| {
            command.args(arguments).stdout(Stdio::null()).stderr(slave);
        })
    }

    fn launch(width: u16, height: u16, with: impl FnOnce(&mut Command, File)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let size = Winsize { ws_col: width, ws_row: height, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a terminal has a size");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let path = OsStr::from_bytes(name.to_bytes());
        let slave = OpenOptions::new().read(true).write(true).open(path).expect("it can be opened");
        let mut command = Command::new(program("nsq"));
        with(command.stdin(Stdio::null()), slave);
        let child = command.spawn().expect("the program starts");
        // The command holds the other end too, and would keep it open.
        drop(command);
        let written = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&written);
        let mut master = File::from(master);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of a terminal is an error.
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                collected
                    .lock()
                    .expect("nobody panics while holding it")
                    .extend_from_slice(&buffer[..length]);
            }
        });
        Self { child, written, width: width.into(), height: height.into() }
    }

    /// All that was written.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("nobody panics while holding it")).into_owned()
    }

    /// What the screen shows.
    pub(crate) fn screen(&self) -> Vec<String> {
        show(&self.written(), self.width, self.height)
    }

    /// Waits until the screen shows what is wanted.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        eventually(what, || self.screen(), |screen| screen.iter().any(|line| wanted(line)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal of a few sequences: up, erase the line or its rest, the rest of the screen or all of it, home.
fn show(written: &str, width: usize, height: usize) -> Vec<String> {
    let mut rows = vec![String::new(); height];
    let (mut row, mut column) = (0, 0);
    let mut characters = written.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => column = 0,
            '\n' if row + 1 == height => {
                rows.remove(0);
                rows.push(String::new());
            }
            '\n' => row += 1,
            '\u{1b}' => {
                assert_eq!(characters.next(), Some('['), "{written:?}");
                let mut number = String::new();
                while characters.peek().is_some_and(char::is_ascii_digit) {
                    number.extend(characters.next());
                }
                match (characters.next(), number.as_str()) {
                    (Some('A'), count) => {
                        row =
                            row.checked_sub(count.parse().expect("it is digits")).expect("not above the top")
                    }
                    (Some('K'), "") => rows[row].truncate(column),
                    (Some('K'), "2") => rows[row].clear(),
                    (Some('J'), "") => {
                        rows[row].truncate(column);
                        rows[row + 1..].iter_mut().for_each(String::clear);
                    }
                    (Some('J'), "2") => rows.iter_mut().for_each(String::clear),
                    (Some('H'), "") => (row, column) = (0, 0),
                    other => panic!("an unknown sequence {other:?}"),
                }
            }
            visible => {
                assert!(column < width, "a line is wider than the terminal: {:?}", rows[row]);
                if rows[row].len() > column {
                    rows[row].replace_range(column..=column, &visible.to_string());
                } else {
                    rows[row].push(visible);
                }
                column += 1;
            }
        }
    }
    rows
}
