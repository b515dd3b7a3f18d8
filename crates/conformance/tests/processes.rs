//! Ranks as processes: what the suite makes of processes that die, say nothing or say nonsense. That
//! ranks do their work is tested where there is a program to start, with the command line.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufReader, Cursor, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use eplb_conformance::{Expectations, Outcome, Processes, RankError, Subject, Suite, serve_rank};
use eplb_host::HostBackend;

/// What becomes of a case of two ranks whose processes run this line of shell.
fn outcome(shell: &'static str) -> Outcome {
    let suite = "
        topic = 't'
        [[case]]
        name = 'meeting'
        checks = 'Ranks meet.'
        rules = ['R12']
        ranks = [2]
        modes = ['processes']
        deadline_s = 2
        steps = [{ meet = 'here' }]";
    let subject = Subject {
        backend: HostBackend::new(1),
        device: None,
        ranks: vec![2],
        processes: Some(Processes::new(move |order| {
            assert_eq!((order.case.as_str(), order.ranks), ("meeting", 2));
            let mut command = Command::new("sh");
            command.args(["-c", shell]).env("RANK", order.rank.to_string());
            command
        })),
    };
    let suite = Suite::parse(&[suite]).unwrap();
    let mut report = suite.run(&subject, &Expectations::default(), &mut |_| {}).unwrap();
    assert_eq!(report.entries.len(), 1);
    report.entries.remove(0).outcome
}

fn text(shell: &'static str) -> String {
    match outcome(shell) {
        Outcome::Fail { text } => text,
        other => panic!("{shell}: {other:?}"),
    }
}

#[test]
fn ranks_that_say_that_they_are_done_pass() {
    let shell = r#"read order; echo "{\"done\":{\"rank\":$RANK}}"; read none; exit 0"#;
    assert_eq!(outcome(shell), Outcome::Pass);
}

#[test]
fn a_message_reaches_the_other_rank() {
    let shell = r#"read order
        if [ $RANK = 0 ]
        then echo '{"post":{"rank":0,"name":"n","bytes":[7]}}'
        else read line; [ "$line" = '{"post":{"rank":0,"name":"n","bytes":[7]}}' ] || exit 9
        fi
        echo "{\"done\":{\"rank\":$RANK}}""#;
    assert_eq!(outcome(shell), Outcome::Pass);
}

#[test]
fn a_rank_that_dies_is_missed_with_its_last_words() {
    let died = text("read order; echo 'no driver' >&2; exit 3");
    assert!(died.contains("died: exit status: 3: no driver"), "{died}");
    let killed = text("[ $RANK = 1 ] && kill -9 $$; sleep 30");
    assert!(killed.starts_with("rank 1 died: signal: 9"), "{killed}");
}

#[test]
fn a_silent_rank_is_found_by_the_deadline_and_killed() {
    let start = Instant::now();
    let shell = r#"[ $RANK = 0 ] && { echo "{\"done\":{\"rank\":0}}"; exit 0; }; exec sleep 600"#;
    let silent = text(shell);
    assert_eq!(silent, "no end within 2 s: nothing was heard from rank 1");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn nonsense_failures_and_bad_ends_are_told() {
    let nonsense = text("echo hello; sleep 1");
    assert!(nonsense.contains("says \"hello\", which is no message"), "{nonsense}");
    let failed = text(
        r#"[ $RANK = 1 ] && echo '{"failed":{"rank":1,"text":"step 1: no"}}'; read order; exit 1"#,
    );
    assert!(
        failed == "rank 1 has failed: step 1: no" || failed.starts_with("rank 0 died"),
        "{failed}"
    );
    let bad_end = text(r#"echo "{\"done\":{\"rank\":$RANK}}"; exit 4"#);
    assert!(bad_end.contains("ended with exit status: 4"), "{bad_end}");
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let subject = Subject {
        backend: HostBackend::new(1),
        device: None,
        ranks: vec![2],
        processes: Some(Processes::new(|_| Command::new("/nowhere/at/all"))),
    };
    let suite = Suite::standard().only("peer-memory-round-a-ring");
    let report = suite.run(&subject, &Expectations::default(), &mut |_| {}).unwrap();
    let failed = report.entries.iter().find(|entry| entry.outcome.is_failure()).unwrap();
    assert_eq!(failed.variant.as_deref(), Some("2 ranks, processes"));
    let Outcome::Fail { text } = &failed.outcome else { panic!("{failed:?}") };
    assert!(text.starts_with("rank 0 cannot be started: "), "{text}");
}

/// Is a rank, with this input, and gives what it wrote.
fn serve(input: &'static str) -> (Result<bool, RankError>, String) {
    let mut output = Vec::new();
    let served = serve_rank(HostBackend::new(1), Cursor::new(input), &mut output);
    (served, String::from_utf8(output).unwrap())
}

#[test]
fn a_rank_obeys_its_order() {
    let order = r#"{"case":"communicators-are-created","rank":0,"ranks":1,"devices":[0],"deadline_s":20}
"#;
    let (input, mut suite) = std::io::pipe().unwrap();
    suite.write_all(order.as_bytes()).unwrap();
    let mut output = Vec::new();
    let served = serve_rank(HostBackend::new(1), BufReader::new(input), &mut output);
    let output = String::from_utf8(output).unwrap();
    assert!(served.unwrap(), "{output}");
    drop(suite);
    assert!(output.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{output}");
    assert_eq!(output.lines().last(), Some("{\"done\":{\"rank\":0}}"));
}

#[test]
fn a_rank_whose_suite_has_gone_gives_up() {
    let order = r#"{"case":"peer-memory-round-a-ring","rank":1,"ranks":2,"devices":[0],"deadline_s":20}
"#;
    let start = Instant::now();
    let (served, output) = serve(order);
    assert!(!served.unwrap());
    assert!(output.contains("the suite has gone"), "{output}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_no_order_is_refused() {
    for input in [
        "",
        "hello\n",
        "{\"case\":\"none\",\"rank\":0,\"ranks\":1,\"devices\":[0],\"deadline_s\":1}\n",
        "{\"case\":\"memory-round-trip\",\"rank\":1,\"ranks\":1,\"devices\":[0],\"deadline_s\":1}\n",
    ] {
        let (served, output) = serve(input);
        assert!(matches!(served, Err(RankError::Order(_))), "{input}: {served:?}");
        assert_eq!(output, "");
    }
}
