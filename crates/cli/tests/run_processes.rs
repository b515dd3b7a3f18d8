//! `eplb run` with ranks as processes: the same digest as with threads, and what becomes of a run whose ranks
//! are killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use program::{command, json, line, printed};
use serde_json::Value;

/// How long ranks wait for each other in tests that kill some.
const RANK_TIMEOUT: Duration = Duration::from_secs(3);

#[test]
fn processes_end_with_the_digest_of_threads() {
    for (ranks, commit) in [(4, "in_place"), (2, "indirect")] {
        let flags = format!("--json --windows 12 --commit {commit}");
        let threads = json(&line(&format!("run --ep_size {ranks} {flags}")));
        let processes = json(&line(&format!("run --processes {ranks} {flags}")));
        assert!(threads["layers_updated"].as_u64() > Some(0));
        assert_eq!(processes, threads, "the whole report, the digest in it");
    }
}

#[test]
fn the_report_is_printed_once() {
    let text = printed(&line("run --processes=2 --windows 2"));
    assert_eq!(text.matches("slots verified, outputs equal bit for bit").count(), 1, "{text}");
}

/// Longer than a run takes to get anywhere.
const LIMIT: Duration = Duration::from_secs(120);

/// Ranks that meet by a file.
struct Group {
    folder: tempfile::TempDir,
    /// What rank 0 says on its standard error: the coordinator's notes.
    notes: Receiver<String>,
    ranks: Vec<Option<Child>>,
}

impl Group {
    fn start(ranks: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(program::root().join("configs/quickstart.toml"));
        let timeout = format!("rank_timeout = {}.0", RANK_TIMEOUT.as_secs());
        let config = config.unwrap().replace("rank_timeout = 30.0", &timeout);
        std::fs::write(folder.path().join("c.toml"), config).unwrap();
        let place = folder.path().display();
        let start = |rank| {
            let line = format!(
                "run --json --config {place}/c.toml --ep_size {ranks} --bootstrap file:{place}/group \
                 --rank {rank}"
            );
            let mut command = command(&line.split_whitespace().collect::<Vec<_>>());
            if rank == 0 {
                command.env("RUST_LOG", "eplb::coordinator=debug");
            }
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            Some(command.spawn().unwrap())
        };
        let mut ranks: Vec<_> = (0..ranks).map(start).collect();
        let pipe = ranks[0].as_mut().unwrap().stderr.take().unwrap();
        let (told, notes) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                // Read to the end also when nobody listens any more.
                let _ = told.send(line);
            }
        });
        Self { folder, notes, ranks }
    }

    /// Waits until all ranks have met.
    fn wait_for_all(&self) {
        let begun = Instant::now();
        let file = self.folder.path().join("group");
        let mut was_there = false;
        while !was_there || file.exists() {
            was_there |= file.exists();
            assert!(begun.elapsed() < LIMIT, "the ranks have not met");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until rank 0's coordinator has noted something.
    fn wait_for(&self, note: &str) {
        let begun = Instant::now();
        while !self.notes.recv_timeout(LIMIT).unwrap().contains(note) {
            assert!(begun.elapsed() < LIMIT, "no {note}");
        }
    }

    fn kill(&mut self, rank: usize) {
        let mut child = self.ranks[rank].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// How each rank that is left ends, and what it says; in time.
    fn ends(&mut self) -> Vec<(usize, Option<i32>, String, String)> {
        let begun = Instant::now();
        let mut all = Vec::new();
        for rank in 0..self.ranks.len() {
            let Some(mut child) = self.ranks[rank].take() else { continue };
            while child.try_wait().unwrap().is_none() {
                if begun.elapsed() > 8 * RANK_TIMEOUT {
                    child.kill().unwrap();
                    panic!("rank {rank} did not end");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            all.push((rank, output.status.code(), text(output.stdout), text(output.stderr)));
        }
        all
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in self.ranks.iter_mut().flatten() {
            // Only left where a test has failed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_killed_rank_leaves_the_others_in_the_old_epoch() {
    // At different moments: before the first step, before experts move, and while they do.
    for note in [None, Some("RoundStarted"), Some("RoundPlanned"), Some("LayerCommitted")] {
        let mut group = Group::start(4);
        match note {
            None => group.wait_for_all(),
            Some(note) => group.wait_for(note),
        }
        group.kill(2);
        let ends = group.ends();
        assert_eq!(ends.iter().map(|end| end.0).collect::<Vec<_>>(), [0, 1, 3]);
        for (rank, status, out, error) in ends {
            assert_eq!(status, Some(3), "rank {rank}: {error}");
            if rank > 0 {
                assert_eq!(out, "", "only rank 0 prints a report");
                assert!(error.starts_with(&format!("eplb: rank {rank}: ")), "{error}");
                assert!(error.contains("rank 2 was lost: "), "{error}");
                assert!(error.contains("confirm the old epoch, all"), "{error}");
                assert_eq!(error.lines().count(), 1, "{error}");
                continue;
            }
            let report: Value = serde_json::from_str(&out).unwrap();
            let interruption = &report["interruption"];
            assert_eq!(interruption["lost"][0]["rank"], 2, "{interruption}");
            assert_eq!(interruption["ranks_left"], 3);
            assert_eq!(interruption["old_epoch_confirmed"], true, "{interruption}");
            if note.is_some() {
                assert_eq!(interruption["slots_verified"], 3 * 66 * 11, "{interruption}");
                assert_eq!(interruption["enable_eplb"], true);
            }
            assert_eq!(interruption["mismatches"], 0);
            assert_eq!(report["verified"]["mismatches"], 0);
            assert_eq!(report["verified"]["outputs_equal"], true);
        }
    }
}

#[test]
fn without_their_leader_ranks_end_and_say_so() {
    let mut group = Group::start(3 + 1);
    group.wait_for_all();
    group.kill(0);
    for (rank, status, out, error) in group.ends() {
        assert_eq!((status, &out[..]), (Some(3), ""), "rank {rank}: {error}");
        assert!(error.contains("rank 0, which leads, is gone: "), "{error}");
    }
}

#[test]
fn a_rank_that_was_started_otherwise_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let start = |rank: u32, flags: &str| {
        let place = folder.path().display();
        let line = format!(
            "run --windows 2 --ep_size 2 --bootstrap file:{place}/group --rank {rank} {flags}"
        );
        let mut command = command(&line.split_whitespace().collect::<Vec<_>>());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(0, ""), start(1, "--policy xllm")];
    for child in both {
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("rank 1 was started with another configuration, trace or profile"));
    }
}
