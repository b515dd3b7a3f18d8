//! The ranks of a benchmark, as processes or as threads, and their orders.

use std::io::{BufReader, Read};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eplb::device::Backend;
use eplb_backends::BackendName;

use super::message::{Moved, Order, Reply, receive, send};
use super::rank::Rank;
use crate::failure::Failure;

/// The hidden command that is one rank.
const RANK_COMMAND: [&str; 2] = ["bench", "transfer-rank"];

/// How long a process may take to end after its last answer.
const ENDING: Duration = Duration::from_secs(10);

/// A rank has waits of its own with the same limit; it is to say itself that one is over.
const GRACE: Duration = Duration::from_secs(5);

/// What is kept of a process's standard error.
const KEPT_BYTES: usize = 2_000;

/// All ranks. Dropping it kills those that are processes; threads end with their last order, or when a
/// wait of theirs is over.
#[derive(Debug)]
pub(super) struct Crew {
    members: Vec<Member>,
    limit: Duration,
}

#[derive(Debug)]
struct Member {
    rank: u32,
    orders: Sender<Order>,
    replies: Receiver<Reply>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    error: Arc<Mutex<Vec<u8>>>,
}

impl Crew {
    /// Starts this program once for each rank.
    pub(super) fn of_processes(
        ranks: u32,
        backend: BackendName,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(format!("this program's own file: {error}")))?;
        let mut crew = Self { members: Vec::new(), limit };
        for rank in 0..ranks {
            let mut command = Command::new(&program);
            command.args(RANK_COMMAND).args(["--backend", &backend.to_string()]);
            let member = Member::of_process(rank, command)
                .map_err(|error| Failure::new(format!("rank {rank} cannot be started: {error}")))?;
            crew.members.push(member);
        }
        Ok(crew)
    }

    /// Starts a thread for each rank; each opens its device for itself.
    pub(super) fn of_threads(
        ranks: u32,
        backend: &Arc<dyn Backend>,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let members = (0..ranks).map(|rank| Member::of_thread(rank, Arc::clone(backend)));
        let members = members.collect::<std::io::Result<_>>();
        let members = members.map_err(|error| Failure::new(format!("no thread: {error}")))?;
        Ok(Self { members, limit })
    }

    /// Gives an order to some ranks, and waits for the answers of all of them.
    fn ask(
        &mut self,
        ranks: Range<u32>,
        order: impl Fn(u32) -> Order,
    ) -> Result<Vec<Reply>, Failure> {
        let ranks = ranks.start as usize..ranks.end as usize;
        for member in &self.members[ranks.clone()] {
            // One that is gone does not answer below.
            let _ = member.orders.send(order(member.rank));
        }
        let until = Instant::now() + self.limit + GRACE;
        let mut replies = Vec::new();
        for member in &mut self.members[ranks] {
            match member.reply(until)? {
                failed @ Reply::Failed(_) => return Err(failed.unexpected(member.rank)),
                reply => replies.push(reply),
            }
        }
        Ok(replies)
    }

    pub(super) fn ask_all(&mut self, order: impl Fn(u32) -> Order) -> Result<Vec<Reply>, Failure> {
        self.ask(0..self.members.len() as u32, order)
    }

    pub(super) fn expect_done(&mut self, order: impl Fn(u32) -> Order) -> Result<(), Failure> {
        for (rank, reply) in (0..).zip(self.ask_all(order)?) {
            let Reply::Done = reply else { return Err(reply.unexpected(rank)) };
        }
        Ok(())
    }

    pub(super) fn expect_moved(
        &mut self,
        ranks: Range<u32>,
        order: impl Fn(u32) -> Order,
    ) -> Result<Vec<Moved>, Failure> {
        let first = ranks.start;
        let replies = (first..).zip(self.ask(ranks, order)?);
        replies
            .map(|(rank, reply)| match reply {
                Reply::Moved(moved) => Ok(moved),
                other => Err(other.unexpected(rank)),
            })
            .collect()
    }

    /// Ends all ranks, and waits for processes to be gone.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.expect_done(|_| Order::End)?;
        for member in &mut self.members {
            let Some(process) = &mut member.process else { continue };
            if let Some(wrong) = process.wait(Instant::now() + ENDING) {
                return Err(Failure::new(format!("rank {} {wrong}", member.rank)));
            }
        }
        Ok(())
    }
}

impl Member {
    fn of_process(rank: u32, mut command: Command) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (orders, todo) = channel::<Order>();
        let (answers, replies) = channel();
        let error = Arc::new(Mutex::new(Vec::new()));
        // Each pipe is there because it was asked for above.
        if let Some(mut stdin) = child.stdin.take() {
            std::thread::spawn(move || {
                for order in todo {
                    if send(&mut stdin, &order).is_err() {
                        return;
                    }
                }
            });
        }
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut pipe = BufReader::new(stdout);
                loop {
                    let reply = match receive(&mut pipe) {
                        Ok(Some(reply)) => reply,
                        Ok(None) => return,
                        Err(error) => Reply::Failed(format!("no answer that can be read: {error}")),
                    };
                    let is_over = matches!(reply, Reply::Failed(_));
                    if answers.send(reply).is_err() || is_over {
                        return;
                    }
                }
            });
        }
        if let Some(stderr) = child.stderr.take() {
            let error = Arc::clone(&error);
            std::thread::spawn(move || keep_end(stderr, &error));
        }
        Ok(Self { rank, orders, replies, process: Some(Process { child, error }) })
    }

    fn of_thread(rank: u32, backend: Arc<dyn Backend>) -> std::io::Result<Self> {
        let (orders, todo) = channel::<Order>();
        let (answers, replies) = channel();
        std::thread::Builder::new().name(format!("eplb-bench-{rank}")).spawn(move || {
            let mut rank = Rank::new(backend);
            for order in todo {
                if answers.send(rank.follow(order)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { rank, orders, replies, process: None })
    }

    fn reply(&mut self, until: Instant) -> Result<Reply, Failure> {
        let rank = self.rank;
        match self.replies.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(reply) => Ok(reply),
            Err(RecvTimeoutError::Timeout) => {
                Err(Failure::new(format!("rank {rank} gave no answer in time; see --deadline")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let words = match &mut self.process {
                    Some(process) => process.last_words(),
                    None => "its thread has ended".to_owned(),
                };
                Err(Failure::new(format!("rank {rank} is gone: {words}")))
            }
        }
    }
}

impl Process {
    /// What is wrong with the way it ended; killed if it has not by then.
    fn wait(&mut self, until: Instant) -> Option<String> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("ended with {status}")),
                Ok(None) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(None) => {
                    self.kill();
                    return Some("did not end, and was killed".to_owned());
                }
                Err(error) => return Some(format!("cannot be waited for: {error}")),
            }
        }
    }

    fn kill(&mut self) {
        // It may have ended already; then both change nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn last_words(&mut self) -> String {
        let wrong = self.wait(Instant::now() + ENDING);
        let wrong = wrong.unwrap_or_else(|| "it ended too early".to_owned());
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let error = String::from_utf8_lossy(&error);
        let words: Vec<_> = error.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if words.is_empty() { wrong } else { format!("{wrong}: {}", words.join("; ")) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads all, so that the process never waits for a reader, and keeps the end.
fn keep_end(mut output: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1_024];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..count]);
        let cut = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..cut);
    }
}
