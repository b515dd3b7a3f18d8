//! Running one case with its ranks as processes: the suite's side.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::board::Message;
use crate::case::Case;
use crate::runner::Ground;
use crate::subject::{Processes, RankOrder};

/// How long a process may take to end after its rank is done, or after the case has failed.
const ENDING: Duration = Duration::from_secs(5);

/// How long the end of a dead process's standard error may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is kept of a process's standard error.
const KEPT_BYTES: usize = 2_000;

/// A rank's process.
#[derive(Debug)]
struct Process {
    rank: u32,
    child: Child,
    /// Lines for its standard input; gone when it is to end.
    input: Option<Sender<String>>,
    error: Arc<Mutex<String>>,
    /// Closed once all of the standard error has been read.
    error_ended: Receiver<()>,
    done: bool,
}

/// What a rank's process did.
#[derive(Debug)]
enum News {
    Told(u32, Message),
    Nonsense(u32, String),
    Closed(u32),
}

/// Runs a case with processes as ranks. None of them is left when this returns.
pub(crate) fn run_processes(
    case: &Case,
    ground: &Ground,
    processes: &Processes,
) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(case.deadline_s);
    let (told, news) = channel();
    let mut group = Group(Vec::new());
    for rank in 0..ground.ranks {
        let order = RankOrder {
            case: case.name.clone(),
            rank,
            ranks: ground.ranks,
            devices: ground.ordinals.to_vec(),
            deadline_s: case.deadline_s,
        };
        let started = Process::start(processes.command(&order), &order, &told);
        let process = started.map_err(|error| format!("rank {rank} cannot be started: {error}"))?;
        group.0.push(process);
    }
    drop(told);
    let result = group.follow(&news, until, case.deadline_s);
    let ended = group.end(result.is_ok());
    result.and(ended)
}

/// All processes of a case; dropping it ends them.
#[derive(Debug)]
struct Group(Vec<Process>);

impl Group {
    /// Carries what ranks tell to the others until all are done or one fails.
    fn follow(
        &mut self,
        news: &Receiver<News>,
        until: Instant,
        deadline_s: u64,
    ) -> Result<(), String> {
        while self.0.iter().any(|process| !process.done) {
            let left = until.saturating_duration_since(Instant::now());
            match news.recv_timeout(left) {
                Ok(News::Told(rank, Message::Done { .. })) => {
                    self.0[rank as usize].done = true;
                }
                Ok(News::Told(rank, message)) => {
                    self.pass_on(rank, &message);
                    if let Message::Failed { text, .. } = message {
                        return Err(format!("rank {rank} has failed: {text}"));
                    }
                }
                Ok(News::Nonsense(rank, line)) => {
                    return Err(format!("rank {rank} says {line:?}, which is no message"));
                }
                Ok(News::Closed(rank)) => {
                    let process = &mut self.0[rank as usize];
                    if !process.done {
                        return Err(format!("rank {rank} died: {}", process.last_words()));
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let silent: Vec<String> = self
                        .0
                        .iter()
                        .filter(|process| !process.done)
                        .map(|process| process.rank.to_string())
                        .collect();
                    return Err(format!(
                        "no end within {deadline_s} s: nothing was heard from rank {}",
                        silent.join(", ")
                    ));
                }
            }
        }
        Ok(())
    }

    fn pass_on(&self, from: u32, message: &Message) {
        let Ok(line) = serde_json::to_string(message) else { return };
        for process in self.0.iter().filter(|process| process.rank != from) {
            if let Some(input) = &process.input {
                // A process that has gone is missed elsewhere.
                let _ = input.send(line.clone());
            }
        }
    }

    /// Lets all processes end and waits for them; those that don't are killed.
    fn end(&mut self, expect_success: bool) -> Result<(), String> {
        for process in &mut self.0 {
            process.input = None;
        }
        let until = Instant::now() + ENDING;
        let mut result = Ok(());
        for process in &mut self.0 {
            let wrong = match process.wait(until) {
                Ok(Some(status)) if status.success() => continue,
                Ok(Some(status)) => format!("ended with {status}"),
                Ok(None) => "did not end after it was done, and was killed".to_owned(),
                Err(error) => format!("cannot be waited for: {error}"),
            };
            if expect_success {
                result = result.and(Err(format!("rank {} {wrong}", process.rank)));
            }
        }
        result
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for process in &mut self.0 {
            // It may have ended already; then both change nothing.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Process {
    fn start(
        mut command: Command,
        order: &RankOrder,
        told: &Sender<News>,
    ) -> std::io::Result<Self> {
        let rank = order.rank;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, lines) = channel();
        let error = Arc::new(Mutex::new(String::new()));
        // Taken at once, and there because they were asked for above.
        if let Some(mut stdin) = child.stdin.take() {
            std::thread::spawn(move || {
                for line in lines {
                    if writeln!(stdin, "{line}").and_then(|()| stdin.flush()).is_err() {
                        return;
                    }
                }
            });
        }
        if let Some(stdout) = child.stdout.take() {
            let told = told.clone();
            std::thread::spawn(move || listen(rank, stdout, &told));
        }
        let (reading, error_ended) = channel::<()>();
        if let Some(stderr) = child.stderr.take() {
            let error = Arc::clone(&error);
            std::thread::spawn(move || {
                keep_end(stderr, &error);
                drop(reading);
            });
        }
        let first = serde_json::to_string(order)?;
        // If it is gone already, its closed output says so.
        let _ = input.send(first);
        Ok(Self { rank, child, input: Some(input), error, error_ended, done: false })
    }

    /// Waits for the end of the process, and kills it when that does not come.
    fn wait(&mut self, until: Instant) -> std::io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How it ended, and the end of what it wrote to standard error.
    fn last_words(&mut self) -> String {
        let status = match self.wait(Instant::now() + ENDING) {
            Ok(Some(status)) => status.to_string(),
            Ok(None) => "its output is closed, but it did not end".to_owned(),
            Err(error) => error.to_string(),
        };
        // Of a process that has gone; a child of its own might still hold the pipe.
        let _ = self.error_ended.recv_timeout(LAST_WORDS);
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        match error.trim() {
            "" => status,
            words => format!("{status}: {}", words.replace('\n', "; ")),
        }
    }
}

fn listen(rank: u32, output: impl Read, told: &Sender<News>) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { break };
        let news = match serde_json::from_str(&line) {
            Ok(message) => News::Told(rank, message),
            Err(_) => News::Nonsense(rank, line),
        };
        if told.send(news).is_err() {
            return;
        }
    }
    let _ = told.send(News::Closed(rank));
}

/// Reads all, so that the process never waits for a reader, and keeps the end.
fn keep_end(mut output: impl Read, kept: &Mutex<String>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let mut cut = kept.len().saturating_sub(KEPT_BYTES);
        while !kept.is_char_boundary(cut) {
            cut += 1;
        }
        kept.drain(..cut);
    }
}
