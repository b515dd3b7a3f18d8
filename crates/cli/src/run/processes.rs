//! `eplb run --processes N`: this program once more for each rank.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::INTERRUPTED;
use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::run_config::configure_for;

/// How long processes may take to end after rank 0 has, beside what they may wait for each other.
const ENDING: Duration = Duration::from_secs(5);

/// Between two looks at processes.
const NAP: Duration = Duration::from_millis(5);

/// Lines kept of what a rank says on its standard error.
const KEPT_LINES: usize = 20;

/// The flag that this program was started with, and that its copies must not have.
const FLAG: &str = "--processes";

/// Starts the ranks, and passes on the report of rank 0.
pub(super) fn run(
    processes: u32,
    arguments: &RunArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    // What is wrong with the input is said once, here, and not by each rank.
    let run = configure_for(arguments, Some(processes))?;
    super::read_trace(&run, arguments)?;
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::new(format!("a folder to meet in: {error}")))?;
    let mut meeting = OsString::from("file:");
    meeting.push(folder.path().join("group"));
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program's own file: {error}")))?;

    let mut crew = Crew(Vec::new());
    for rank in 0..processes {
        let mut command = Command::new(&program);
        command.args(without_flag(std::env::args_os().skip(1)));
        command.arg("--bootstrap").arg(&meeting).args(["--rank", &rank.to_string()]);
        if arguments.ep_size.is_none() {
            command.args(["--ep_size", &processes.to_string()]);
        }
        let started = RankProcess::start(rank, &mut command);
        crew.0.push(started.map_err(|error| {
            Failure::new(format!("rank {rank} cannot be started as a process: {error}"))
        })?);
    }
    let waits = run.settings.rank_timeout * 3.0;
    crew.follow(Duration::from_secs_f64(waits) + ENDING, out)
}

/// The command line less the flag and its value.
fn without_flag(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut is_value = false;
    for argument in arguments {
        let text = argument.to_string_lossy();
        if is_value {
            is_value = false;
        } else if text == FLAG {
            is_value = true;
        } else if !text.starts_with(&format!("{FLAG}=")) {
            kept.push(argument);
        }
    }
    kept
}

/// All ranks. Dropping it ends those that are left.
#[derive(Debug)]
struct Crew(Vec<RankProcess>);

/// A rank's process, and the threads that read what it says.
#[derive(Debug)]
struct RankProcess {
    rank: u32,
    child: Child,
    output: Option<JoinHandle<Vec<u8>>>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Crew {
    /// Waits for the end of rank 0, which has deadlines of its own, and then for the others.
    fn follow(&mut self, limit: Duration, out: &mut dyn Write) -> Result<ExitCode, Failure> {
        let Some((leader, others)) = self.0.split_first_mut() else {
            return Err(Failure::new("no rank was started"));
        };
        let status = leader.wait(None)?;
        out.write_all(&leader.printed())?;
        out.flush()?;
        let until = Instant::now() + limit;
        let mut trouble = Vec::new();
        for other in others {
            let status = other.wait(Some(until))?;
            if !status.is_some_and(|status| status.success()) {
                trouble.push(other.told(status));
            }
        }
        match status.and_then(|status| status.code()) {
            Some(0) if trouble.is_empty() => Ok(ExitCode::SUCCESS),
            // The report was there already when these failed.
            Some(0) => Err(Failure::interrupted(trouble.join("; "))),
            Some(code) if i32::from(INTERRUPTED) == code || code == 1 => {
                Ok(ExitCode::from(code as u8))
            }
            Some(_) => Err(Failure::new(self.0[0].words())),
            None => {
                let told = self.0[0].told(status);
                let all = std::iter::once(told).chain(trouble).collect::<Vec<_>>();
                Err(Failure::interrupted(all.join("; ")))
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for process in &mut self.0 {
            // It may have ended already; then both change nothing.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl RankProcess {
    fn start(rank: u32, command: &mut Command) -> std::io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let output = child.stdout.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut printed = Vec::new();
                // What was printed before an error still counts.
                let _ = pipe.read_to_end(&mut printed);
                printed
            })
        });
        let listener = child.stderr.take().map(|pipe| {
            let last_words = Arc::clone(&last_words);
            std::thread::spawn(move || listen(pipe, &last_words))
        });
        Ok(Self { rank, child, output, last_words, listener })
    }

    /// Waits for its end; one that is not over in time is killed, and has no status.
    fn wait(&mut self, until: Option<Instant>) -> Result<Option<ExitStatus>, Failure> {
        let failure =
            |error: std::io::Error| Failure::new(format!("a rank cannot be waited for: {error}"));
        loop {
            if let Some(status) = self.child.try_wait().map_err(failure)? {
                return Ok(Some(status));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                self.child.kill().map_err(failure)?;
                self.child.wait().map_err(failure)?;
                return Ok(None);
            }
            std::thread::sleep(NAP);
        }
    }

    /// All that it wrote to its standard output, once it has ended.
    fn printed(&mut self) -> Vec<u8> {
        self.output.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    /// The end of what it wrote to its standard error, without the program's name.
    fn words(&mut self) -> String {
        // The pipe is closed, unless a child of its own holds it.
        if let Some(listener) = self.listener.take() {
            let until = Instant::now() + ENDING;
            while !listener.is_finished() && Instant::now() < until {
                std::thread::sleep(NAP);
            }
        }
        let lines = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.iter().map(|line| line.strip_prefix("eplb: ").unwrap_or(line));
        lines.collect::<Vec<_>>().join("; ")
    }

    /// How it ended, and its last words.
    fn told(&mut self, status: Option<ExitStatus>) -> String {
        let (rank, words) = (self.rank, self.words());
        let ended = match status {
            Some(status) => format!("rank {rank} ended with {status}"),
            None => format!("rank {rank} did not end and was killed"),
        };
        if words.is_empty() { ended } else { format!("{ended}: {words}") }
    }
}

/// Reads all, so that the process never waits for a reader, and keeps the end.
fn listen(pipe: impl Read, kept: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(pipe).lines() {
        let Ok(line) = line else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_started_without_the_flag() {
        for line in ["run --processes 4 --json", "run --processes=4 --json"] {
            let words = line.split(' ').map(OsString::from);
            assert_eq!(without_flag(words), ["run", "--json"], "{line}");
        }
    }
}
