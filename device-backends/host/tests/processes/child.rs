//! A process that plays a part in a check: this program again, told by lines what to be and to do.

#![allow(unsafe_code, reason = "a process is stopped by a signal")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The part that a process plays.
pub(crate) const PART: &str = "EPLB_TEST_PART";

/// More than anything takes that comes to an end.
const LIMIT: Duration = Duration::from_secs(20);

/// A started process, which is killed when this is dropped.
pub(crate) struct Player {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Player {
    pub(crate) fn start(part: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, input, lines }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    pub(crate) fn hear(&mut self) -> String {
        let line = self.lines.recv_timeout(LIMIT);
        line.unwrap_or_else(|error| panic!("the process said nothing: {error}"))
    }

    /// May have been done before.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Lets the process stand still.
    pub(crate) fn stop(&mut self) {
        let number = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: takes plain numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(number, libc::SIGSTOP) }, 0);
    }

    /// Waits until the process ends, as it should by itself.
    pub(crate) fn end(mut self) {
        // It may have ended without being told.
        let _ = writeln!(self.input, "end");
        let until = std::time::Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(std::time::Instant::now() < until, "the process does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says a line to the process that started this one.
pub(crate) fn say(line: &str) {
    let mut out = stdout();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// The next line from the process that started this one. When that has gone, so does this one.
pub(crate) fn listen() -> String {
    let mut line = String::new();
    if stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(3);
    }
    line.trim_end().to_owned()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
