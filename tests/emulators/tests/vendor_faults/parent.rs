//! The program that has the processes work, and reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::cases::{self, Case};
use crate::vendor::{Rule, rules_of};
use crate::{Line, child};

/// How long one case may take, with the run after it; many times what it takes.
const LIMIT: Duration = Duration::from_secs(40);
const WORKERS: usize = 2;
/// How many calls of a function fail, one in each run; more take longer and find more.
const MOST: &str = "EPLB_VENDOR_FAULTS_CALLS";
const USUAL_MOST: u64 = 5;
/// HCCL's limit for ranks that do not come.
const CONNECT: &str = "1000";

/// A process; killed if it is dropped before its end.
struct Worker {
    process: std::process::Child,
    answers: Receiver<String>,
}

impl Worker {
    fn start(line: &Line) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(child::ROLE, format!("serve {}", line.name))
            .envs(line.vendor.emulated().environment())
            .envs(line.environment.iter().copied())
            .env("EPLB_EMULATOR_CONNECT_MILLISECONDS", CONNECT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, answers }
    }

    /// What it answers; nothing if it has died, or takes too long.
    fn ask(&mut self, question: &str) -> Option<String> {
        writeln!(self.process.stdin.as_mut()?, "{question}").ok()?;
        self.answers.recv_timeout(LIMIT).ok()
    }

    /// Lets it come to its end; what is wrong with that.
    fn end(mut self) -> Option<String> {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (!status.success()).then(|| format!("a process ended with {status}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Some("a process has not come to its end".to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a line; whether all is right.
pub(crate) fn run(line: &Line, filter: Option<&str>) -> bool {
    let began = Instant::now();
    let mut first = Worker::start(line);
    let answer = first.ask("calls").unwrap_or_else(|| "no answer".to_owned());
    let Some(calls) = answer.strip_prefix("calls ") else {
        println!("{}: FAILED without any failure: {answer}", line.name);
        return false;
    };
    let calls: BTreeMap<String, u64> = calls
        .split(' ')
        .filter_map(|call| {
            let (function, count) = call.split_once('=')?;
            Some((function.to_owned(), count.parse().ok()?))
        })
        .collect();
    let most = std::env::var(MOST).ok().and_then(|most| most.parse().ok()).unwrap_or(USUAL_MOST);
    let (mut cases, wrong) = cases::of(line, &calls, most);
    cases.retain(|case| filter.is_none_or(|filter| case.function.contains(filter)));
    let count = cases.len();
    let functions = cases::functions(line).len();
    let queue = Mutex::new(VecDeque::from(cases));
    let report = Mutex::new(Report { wrong, tolerated: BTreeSet::new() });
    std::thread::scope(|scope| {
        let mut first = Some(first);
        for _ in 0..WORKERS {
            let worker = first.take();
            scope.spawn(|| work(line, worker, &queue, &report));
        }
    });
    let Report { mut wrong, tolerated } = report.into_inner().unwrap();
    if filter.is_none() {
        wrong.extend(idle_rules(line, &tolerated));
    }
    let seconds = began.elapsed().as_secs();
    let name = line.name;
    println!(
        "{name}: {count} failures of {functions} functions, {} wrong, in {seconds} s",
        wrong.len()
    );
    for text in &wrong {
        println!("{name}: FAILED {text}");
    }
    wrong.is_empty()
}

/// What came out so far.
struct Report {
    wrong: Vec<String>,
    /// Functions and codes whose failure nobody was told of, rightly.
    tolerated: BTreeSet<(String, i32)>,
}

/// What stands in a list and is told all the same has no place there.
fn idle_rules(line: &Line, tolerated: &BTreeSet<(String, i32)>) -> Vec<String> {
    let mut idle = Vec::new();
    for function in cases::functions(line) {
        for rule in rules_of(line.vendor, function) {
            let is_idle = |code| !tolerated.contains(&(function.to_owned(), code));
            let is_needless = match rule {
                Rule::Tolerated(_) => line.vendor.codes(function).into_iter().any(is_idle),
                Rule::ToleratedCode(code, _) => is_idle(code),
                _ => false,
            };
            if is_needless {
                idle.push(format!("{function} is listed as tolerated, and its failure is told"));
            }
        }
    }
    idle
}

fn work(
    line: &Line,
    mut worker: Option<Worker>,
    queue: &Mutex<VecDeque<Case>>,
    report: &Mutex<Report>,
) {
    let is_chatty = std::env::var_os("EPLB_VENDOR_FAULTS_VERBOSE").is_some();
    let complain = |text: String| report.lock().unwrap().wrong.push(text);
    loop {
        let Some(case) = queue.lock().unwrap().pop_front() else {
            break;
        };
        let began = Instant::now();
        let mut at_work = worker.take().unwrap_or_else(|| Worker::start(line));
        let answer = at_work.ask(&case.write());
        if is_chatty {
            let milliseconds = began.elapsed().as_millis();
            println!("  {} ({milliseconds} ms): {answer:?}", case.write());
        }
        match answer.as_deref() {
            None => {
                // Killed when it is dropped, and another one takes its place.
                let seconds = began.elapsed().as_secs();
                complain(format!("{}: died, or hung, after {seconds} s", case.write()));
                continue;
            }
            // How often it is polled differs from run to run.
            Some("unfired") if case.nth > 2 => {
                queue.lock().unwrap().push_back(Case { nth: case.nth / 2 + 1, ..case.clone() });
            }
            Some(answer) if answer.starts_with("told") => {}
            Some(answer) if answer.starts_with("tolerated") => {
                report.lock().unwrap().tolerated.insert((case.function.clone(), case.code));
            }
            Some(answer) => complain(format!("{}: {answer}", case.write())),
        }
        worker = Some(at_work);
    }
    if let Some(text) = worker.and_then(Worker::end) {
        complain(text);
    }
}
