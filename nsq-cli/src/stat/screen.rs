//! Lines on a terminal that are written over by the next ones.
//!
//! Nothing about the terminal is changed, but for where its cursor stands: so there is nothing to be restored,
//! however the program ends, and the last lines stay to be read.

use std::io::{self, Write};

use rustix::termios::tcgetwinsize;

/// Where nothing is known, terminals are like this.
const USUAL: Size = Size { width: 80, height: 24 };

/// In characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// How large the terminal is; one line is kept free for the cursor.
pub(super) fn size() -> Size {
    let size = tcgetwinsize(io::stdout()).ok();
    let of = |cells: Option<u16>, usual: usize| cells.filter(|count| *count > 0).map_or(usual, usize::from);
    Size {
        width: of(size.as_ref().map(|size| size.ws_col), USUAL.width),
        height: of(size.as_ref().map(|size| size.ws_row), USUAL.height).saturating_sub(1).max(1),
    }
}

/// What was drawn last.
#[derive(Debug, Default)]
pub(super) struct Screen {
    lines: usize,
}

impl Screen {
    /// Writes the lines in place of those before. They must fit the terminal.
    pub(super) fn draw(&mut self, lines: &[String], out: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.lines > 0 {
            write!(bytes, "\r\x1b[{}A", self.lines)?;
        }
        for line in lines {
            // What was there is erased, before and not after: the end of a full line would go too. So are the lines below
            // the last.
            write!(bytes, "\x1b[2K{line}\r\n")?;
        }
        bytes.extend_from_slice(b"\x1b[J");
        self.lines = lines.len();
        out.write_all(&bytes)?;
        out.flush()
    }

    /// The terminal has another size: where the lines are now, nobody knows, so that all is erased.
    pub(super) fn clear(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.lines = 0;
        out.write_all(b"\x1b[2J\x1b[H")?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_over_those_before() {
        let mut screen = Screen::default();
        let mut out = Vec::new();
        screen.draw(&["a".to_owned(), "b".to_owned()], &mut out).unwrap();
        assert_eq!(out, b"\x1b[2Ka\r\n\x1b[2Kb\r\n\x1b[J");
        out.clear();
        screen.draw(&["c".to_owned()], &mut out).unwrap();
        assert_eq!(out, b"\r\x1b[2A\x1b[2Kc\r\n\x1b[J");
        out.clear();
        screen.clear(&mut out).unwrap();
        screen.draw(&["d".to_owned()], &mut out).unwrap();
        assert_eq!(out, b"\x1b[2J\x1b[H\x1b[2Kd\r\n\x1b[J");
    }
}
