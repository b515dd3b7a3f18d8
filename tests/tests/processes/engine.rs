//! The engine's master: starts a process a rank, and hands steps to them.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use eplb::core::{RankId, Step};
use eplb::{Carriage, Config, Coordinator, SystemClock};

use super::RANK;
use super::messages::{Order, Reply, Stepped, receive, send};
use super::rank::{shape, start};

/// The longest that a rank may take to answer anything.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Engine {
    config: String,
    ranks: BTreeMap<u32, Rank>,
    pub(crate) coordinator: Coordinator,
    next: Step,
    /// Whether ranks read their weights back after each step.
    pub(crate) verify: bool,
}

struct Rank {
    process: Child,
    orders: ChildStdin,
    replies: Receiver<Reply>,
}

impl Engine {
    /// Starts the ranks, each with this environment.
    pub(crate) fn start(config: &str, environment: &BTreeMap<&str, PathBuf>) -> Self {
        let parsed = Config::parse(config, "engine").unwrap();
        let ranks = (0..parsed.ep_size).map(|rank| (rank, Rank::start(rank, environment)));
        let mut ranks = ranks.collect();
        let coordinator = open(config, &[], &mut ranks);
        Self { config: config.to_owned(), ranks, coordinator, next: Step(0), verify: true }
    }

    /// Begins again without the ranks that are gone.
    pub(crate) fn restart(&mut self, dead: &[u32]) {
        self.close();
        self.coordinator = open(&self.config, dead, &mut self.ranks);
        self.next = Step(0);
    }

    /// One step of all ranks that are there. Asserts that all route alike, with the right weights.
    pub(crate) fn step(&mut self, load: &[u64]) -> BTreeMap<u32, Stepped> {
        let step = self.next;
        self.next = step.next();
        let header = self.coordinator.begin_step(step, true).unwrap();
        for rank in self.ranks.values_mut() {
            let (step, header, load) = (step.0, header.clone(), load.to_vec());
            rank.send(&Order::Step { step, header, load, verify: self.verify });
        }
        let mut all = BTreeMap::new();
        for (&number, rank) in &mut self.ranks {
            let Reply::Stepped(stepped) = rank.receive() else { panic!("rank {number}") };
            self.coordinator.accept_report(RankId(number), &stepped.report).unwrap();
            assert_eq!(stepped.wrong_slots, 0, "rank {number} at {step}");
            all.insert(number, stepped);
        }
        let mut ran = all.values().filter(|stepped| stepped.refused.is_none());
        if let Some(first) = ran.next() {
            assert!(ran.all(|other| other.epochs == first.epochs), "{all:?}");
        }
        all
    }

    /// Ends a rank as a crash would.
    pub(crate) fn kill(&mut self, rank: u32) {
        let mut rank = self.ranks.remove(&rank).unwrap();
        rank.process.kill().unwrap();
        rank.process.wait().unwrap();
    }

    /// All ranks let go of each other's memory before anyone frees any.
    fn close(&mut self) {
        for rank in self.ranks.values_mut() {
            rank.send(&Order::Close);
        }
        for (number, rank) in &mut self.ranks {
            assert!(matches!(rank.receive(), Reply::Closed), "rank {number}");
        }
    }

    pub(crate) fn end(mut self) {
        self.close();
        for (number, rank) in &mut self.ranks {
            rank.send(&Order::End);
            assert!(matches!(rank.receive(), Reply::Ended), "rank {number}");
            let status = rank.process.wait().unwrap();
            assert!(status.success(), "rank {number}: {status}");
        }
        self.ranks.clear();
    }
}

fn open(config: &str, dead: &[u32], ranks: &mut BTreeMap<u32, Rank>) -> Coordinator {
    let parsed = Config::parse(config, "engine").unwrap();
    let mut endpoints = vec![Vec::new(); parsed.ep_size as usize];
    for rank in ranks.values_mut() {
        rank.send(&Order::Open { config: config.to_owned(), dead: dead.to_vec() });
    }
    for (&number, rank) in ranks.iter_mut() {
        let Reply::Opened { endpoint } = rank.receive() else { panic!("rank {number}") };
        endpoints[number as usize] = endpoint;
    }
    for rank in ranks.values_mut() {
        rank.send(&Order::Connect { endpoints: endpoints.clone() });
    }
    for (number, rank) in ranks.iter_mut() {
        assert!(matches!(rank.receive(), Reply::Connected), "rank {number}");
    }
    let (topology, placement) = start(&parsed, dead);
    let clock = Arc::new(SystemClock::new());
    Coordinator::start(&parsed, shape(), &topology, placement, Carriage::Leader, clock).unwrap()
}

impl Rank {
    fn start(rank: u32, environment: &BTreeMap<&str, PathBuf>) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(RANK, rank.to_string())
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let mut pipe = BufReader::new(process.stdout.take().unwrap());
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            while let Ok(Some(reply)) = receive(&mut pipe) {
                if sender.send(reply).is_err() {
                    return;
                }
            }
        });
        Self { process, orders, replies }
    }

    fn send(&mut self, order: &Order) {
        send(&mut self.orders, order).unwrap();
    }

    fn receive(&mut self) -> Reply {
        self.replies.recv_timeout(LIMIT).expect("a rank answers in time, or has said why not")
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        // Over already where all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
