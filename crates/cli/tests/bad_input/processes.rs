//! Groups of processes that can't be: flags, tables and files.

use std::time::{Duration, Instant};

use super::{assert_refused, words};

/// Ends each message about how a group finds together.
const HOW: &str = "allowed: file:PATH, table:PATH or mpi; see eplb --help";

#[test]
fn flags_of_groups_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("run --processes 0", "--processes 0 is not allowed; allowed: 1 to 16384".to_owned()),
        (
            "run --processes x",
            "invalid value 'x' for '--processes <N>'; allowed: a whole number of at least 0; \
             see eplb --help"
                .to_owned(),
        ),
        (
            "run --processes 5",
            "configs/quickstart.toml: cluster.nodes = 2 is not allowed; allowed: a divisor of ep_size, \
             which is 5"
                .to_owned(),
        ),
        (
            "run --processes 4 --ep_size 8",
            "--ep_size 8 is not allowed; allowed: 4, the processes".to_owned(),
        ),
        (
            "run --processes 4 --windows 999",
            "--windows 999 is not allowed; allowed: 0 to 120, the windows of \
             configs/traces/v3like_abrupt_w120.npz"
                .to_owned(),
        ),
        (
            "run --bootstrap tcp",
            format!("invalid value 'tcp' for '--bootstrap <HOW>'; {HOW}"),
        ),
        (
            "run --bootstrap file:",
            format!("invalid value 'file:' for '--bootstrap <HOW>'; {HOW}"),
        ),
        (
            "run --bootstrap file:group",
            "--bootstrap with a file or a table needs --rank, this rank's number".to_owned(),
        ),
        (
            "run --bootstrap file:{dir}/group --rank 16",
            "rank 16 is not allowed; allowed: 0 to 15, the group has 16 ranks".to_owned(),
        ),
        (
            "run --bootstrap file:{dir}/no/group --rank 0",
            "{dir}/no/group: No such file or directory…".to_owned(),
        ),
        (
            "run --bootstrap file:{dir}/group --rank 0 --address 0.0.0.0",
            "address 0.0.0.0: other ranks connect to it: give the one by which they reach this host"
                .to_owned(),
        ),
        (
            "run --bootstrap file:{dir}/group --rank 0 --address 192.0.2.1",
            "address 192.0.2.1: cannot be listened at: …".to_owned(),
        ),
        (
            "run --bootstrap mpi --rank 1",
            "--rank and --address are not allowed with mpi, which knows both".to_owned(),
        ),
    ] {
        let line = line.replace("{dir}", &folder.path().display().to_string());
        assert_refused(folder.path(), &words(&line), &expected);
    }
    #[cfg(not(feature = "mpi"))]
    assert_refused(
        folder.path(),
        &words("run --bootstrap mpi"),
        "this program was built without mpi; build it with --features mpi",
    );
}

#[test]
fn tables_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("ranks.toml");
    let entry = |rank: u32, address: &str| {
        format!("[[ranks]]\nrank = {rank}\nhost = \"a\"\naddress = \"{address}\"\n")
    };
    let good = entry(0, "127.0.0.1:7000") + &entry(1, "127.0.0.1");
    for (text, flags, expected) in [
        (
            "ranks = 3".to_owned(),
            "--rank 0",
            "{dir}/ranks.toml: line 1: invalid type: integer `3`, expected a sequence",
        ),
        (
            entry(0, "127.0.0.1:7000") + &entry(2, "127.0.0.1"),
            "--rank 0",
            "{dir}/ranks.toml: rank 1 is missing; allowed: 0 to 1, each once",
        ),
        (
            entry(0, "127.0.0.1"),
            "--rank 0",
            "{dir}/ranks.toml: rank 0 has address \"127.0.0.1\"; allowed: host:port, since rank 0 listens \
             there",
        ),
        (
            good.clone(),
            "--rank 2",
            "{dir}/ranks.toml: rank 2 is not allowed; allowed: 0 to 1, the group has 2 ranks",
        ),
        (
            good.clone(),
            "--rank 1 --address 127.0.0.1",
            "--address is not allowed with a rank table, which has addresses",
        ),
        (good, "--rank 1 --ep_size 4", "--ep_size 4 is not allowed; allowed: 2, the processes"),
    ] {
        std::fs::write(&table, text).unwrap();
        let line = format!("run --bootstrap table:{} {flags}", table.display());
        assert_refused(folder.path(), &words(&line), expected);
    }
    assert_refused(
        folder.path(),
        &words("run --bootstrap table:missing.toml --rank 0"),
        "missing.toml: cannot be read: No such file or directory…",
    );
}

#[test]
fn a_file_of_something_else_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let letters = folder.path().join("letters.txt");
    std::fs::write(&letters, "Dear reader").unwrap();
    for (rank, problem) in [
        (0, "it is there and no file of a group; name one that may be written over"),
        (1, "these bytes are no invitation to a group: four words are expected"),
    ] {
        let line = format!("run --bootstrap file:{} --rank {rank}", letters.display());
        assert_refused(folder.path(), &words(&line), &format!("{{dir}}/letters.txt: {problem}"));
    }
    assert_eq!(std::fs::read_to_string(&letters).unwrap(), "Dear reader");
}

#[test]
fn ranks_that_do_not_come_are_named_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    let quickstart = super::program::root().join("configs/quickstart.toml");
    let text = std::fs::read_to_string(quickstart).unwrap();
    std::fs::write(&config, text.replace("join_timeout = 60.0", "join_timeout = 0.5")).unwrap();
    let begun = Instant::now();
    let line = |rank: u32| {
        let (config, folder) = (config.display(), folder.path().display());
        words(&format!(
            "run --config {config} --ep_size 4 --bootstrap file:{folder}/group --rank {rank}"
        ))
    };
    assert_refused(
        folder.path(),
        &line(0),
        "ranks 1, 2, 3 did not come within 0.5 s; start all ranks, or allow more time",
    );
    assert_refused(
        folder.path(),
        &line(2),
        "no leader at {dir}/group within 0.5 s: the file is not there; is rank 0 running?",
    );
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn timeouts_of_groups_have_limits() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    for (key, value) in [("join_timeout", "0"), ("rank_timeout", "1e9")] {
        let text = format!("[run]\ntrace = \"t.npz\"\n{key} = {value}.0").replace("1e9.0", "1e9");
        std::fs::write(&config, text).unwrap();
        let value = value.replace("1e9", "1000000000");
        assert_refused(
            folder.path(),
            &words(&format!("run --config {}", config.display())),
            &format!("{{dir}}/c.toml: run.{key} = {value} is not allowed; allowed: 0.1 to 86400"),
        );
    }
}
