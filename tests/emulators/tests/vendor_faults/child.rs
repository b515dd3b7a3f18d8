//! A process that plays the scenario, once for each line that it is told, and one that exports memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, Read as _, Write as _};
use std::time::{Duration, Instant};

use eplb_device::Device;
use eplb_emulators::Control;

use crate::cases::Case;
use crate::scene::{EXPORTED_BYTES, Stage, pattern, with_bytes};
use crate::verdict::{self, Live, Shown, Telling, left};
use crate::{LINES, Line, scenario};

pub(crate) const ROLE: &str = "EPLB_VENDOR_FAULTS_ROLE";
/// How long what is left may take to go: some of it is released by threads.
const SETTLING: Duration = Duration::from_secs(3);

/// The role of this process, if it has one.
pub(crate) fn own_role() -> Option<String> {
    std::env::var(ROLE).ok()
}

pub(crate) fn play(role: &str) {
    let (work, name) = role.split_once(' ').unwrap();
    let line = LINES.iter().find(|line| line.name == name).unwrap();
    if work == "export" { export(line) } else { serve(line) }
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().unwrap();
}

/// Exports memory until nobody needs it any more.
fn export(line: &Line) {
    let backend = line.vendor.backend().unwrap();
    let device = Device::open(&backend, 0).unwrap();
    let memory = with_bytes(&device, &pattern(7, EXPORTED_BYTES)).unwrap();
    let key = device.export(&memory).unwrap();
    let mut digits = String::new();
    for byte in key.as_bytes() {
        write!(digits, "{byte:02x}").unwrap();
    }
    say(&digits);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Answers each line that it reads: to `calls` with the calls of a run without failures, to a case with
/// `unfired` or what is wrong.
fn serve(line: &'static Line) {
    let control = Control::of(&line.vendor.emulated()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set(line.name, line.vendor, folder.path());
    let of_stage = control.live();
    for told in std::io::stdin().lock().lines() {
        let told = told.unwrap();
        let answer = if told == "calls" {
            count(&control, &stage)
        } else {
            attempt(line, &control, &stage, &Case::read(&told).unwrap())
        };
        say(&answer.replace('\n', " "));
    }
    let before = control.live();
    stage.clear();
    // What cases have left stays, of which each has said so.
    let gone = left(&control.live(), &before);
    let lasts = left(&gone, &of_stage);
    assert!(lasts.is_empty(), "the stage had {of_stage:?}, and leaves {lasts:?}");
    let mut violations = control.violations();
    if left(&of_stage, &before).contains_key("streams") {
        // One that a case has left may be in the engine's context.
        violations.retain(|found| found.rule != "context_destroyed_with_streams");
    }
    assert_eq!(violations, [], "at the end");
}

fn made(control: &Control) -> BTreeMap<String, u64> {
    control.calls().into_iter().map(|(function, calls)| (function, calls.made)).collect()
}

fn count(control: &Control, stage: &Stage) -> String {
    let before = made(control);
    let wrong = clean_run(control, stage);
    if !wrong.is_empty() {
        return format!("wrong {}", wrong.join(" | "));
    }
    let calls = left(&before, &made(control));
    calls
        .iter()
        .fold("calls".to_owned(), |text, (function, count)| format!("{text} {function}={count}"))
}

fn attempt(line: &Line, control: &Control, stage: &Stage, case: &Case) -> String {
    let failed = || control.calls().get(&case.function).map_or(0, |calls| calls.failed);
    let before = failed();
    control.order(&case.orders(line)).unwrap();
    let is_left =
        |before: &Live, after: &Live| !verdict::left_wrongly(line, case, before, after).is_empty();
    let shown = show(control, stage, false, &|| failed() > before, is_left);
    control.clear_orders();
    let times = failed() - before;
    if times == 0 {
        return "unfired".to_owned();
    }
    let (mut wrong, telling) = verdict::of_a_failure(line, case, &shown);
    let again = clean_run(control, stage);
    wrong.extend(again.into_iter().map(|text| format!("afterwards: {text}")));
    if !wrong.is_empty() {
        return format!("wrong {}", wrong.join(" | "));
    }
    if let Telling::Tolerated(why) = telling {
        return format!("tolerated {why}");
    }
    let tellers: Vec<&str> = shown.outcome.told.iter().map(|told| told.piece).collect();
    format!("told {}, in {}", tellers.join(", "), shown.outcome.failed_in.unwrap_or("?"))
}

/// What is wrong with a run without failures.
fn clean_run(control: &Control, stage: &Stage) -> Vec<String> {
    let is_left = |before: &Live, after: &Live| !left(before, after).is_empty();
    verdict::of_a_clean_run(&show(control, stage, true, &|| false, is_left))
}

fn show(
    control: &Control,
    stage: &Stage,
    all_is_well: bool,
    has_failed: &(dyn Fn() -> bool + Sync),
    is_left: impl Fn(&Live, &Live) -> bool,
) -> Shown {
    control.take_violations();
    let before = control.live();
    let outcome = scenario::run(stage, all_is_well, has_failed);
    let after = settled(control, |after| is_left(&before, after));
    Shown { outcome, violations: control.take_violations(), before, after }
}

fn settled(control: &Control, is_left: impl Fn(&Live) -> bool) -> Live {
    let deadline = Instant::now() + SETTLING;
    loop {
        let after = control.live();
        if !is_left(&after) || Instant::now() >= deadline {
            return after;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
