//! Flags that can't be used.

use super::{assert_refused, words};

/// A recorded load, written `Q` in the command lines below.
const LOAD: &str = "configs/traces/qwen3like_steady_w24.npz";

/// A command line, and what is said of it.
const CASES: &[(&str, &str)] = &[
    (
        "run --backend gpu",
        "invalid value 'gpu' for '--backend <NAME>'; allowed: host, cuda, ascend; see eplb --help",
    ),
    ("run --device 16 --windows 1", "open on host device 16: invalid use: device 16 of 16"),
    ("run --foo", "unexpected argument '--foo' found; see eplb --help"),
    (
        "run --eplb_update_treshold=1",
        "unexpected argument '--eplb_update_treshold' found; tip: a similar argument exists: '--eplb_update_threshold'; see eplb --help",
    ),
    (
        "run --ep_size",
        "a value is required for '--ep_size <N>' but none was supplied; see eplb --help",
    ),
    (
        "run --ep_size=many",
        "invalid value 'many' for '--ep_size <N>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    ("run --ep_size=0", "--ep_size 0 is not allowed; allowed: 1 to 16384"),
    (
        "run --ep_size=-1",
        "invalid value '-1' for '--ep_size <N>'; allowed: a whole number from 0 to 4294967295; see eplb --help",
    ),
    ("run --ep_size=99999", "--ep_size 99999 is not allowed; allowed: 1 to 16384"),
    (
        "run --ep_size=5",
        "configs/quickstart.toml: cluster.nodes = 2 is not allowed; allowed: a divisor of ep_size, which is 5",
    ),
    (
        "run --eplb_update_threshold=1.5",
        "--eplb_update_threshold 1.5 is not allowed; allowed: 0 to 1",
    ),
    (
        "run --eplb_update_threshold=high",
        "invalid value 'high' for '--eplb_update_threshold <X>'; allowed: a number; see eplb --help",
    ),
    (
        "run --eplb_update_threshold=NaN",
        "--eplb_update_threshold NaN is not allowed; allowed: 0 to 1",
    ),
    (
        "run --eplb_update_interval=-1",
        "invalid value '-1' for '--eplb_update_interval <SECONDS>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "run --eplb_update_interval -1",
        "invalid value '-1' for '--eplb_update_interval <SECONDS>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "run --eplb_update_threshold -0.5",
        "--eplb_update_threshold -0.5 is not allowed; allowed: 0 to 1",
    ),
    (
        "run --enable_eplb=maybe",
        "invalid value 'maybe' for '--enable_eplb <BOOL>'; allowed: true, false; see eplb --help",
    ),
    (
        "run --enable_eplb",
        "a value is required for '--enable_eplb <BOOL>' but none was supplied; allowed: true, false; see eplb --help",
    ),
    (
        "run --expert_parallel_degree=3",
        "--expert_parallel_degree 3 is not allowed; allowed: 0 to 2",
    ),
    (
        "run --redundant_experts_num=9999",
        "--redundant_experts_num 9999 is not allowed; allowed: 0 to 4096",
    ),
    (
        "run --policy fastest",
        r#"--policy "fastest" is not allowed; allowed: one of static, deepseek, xllm, greedy, greedy-fast, robust"#,
    ),
    (
        "run --commit both",
        "invalid value 'both' for '--commit <MODE>'; allowed: in_place, indirect; see eplb --help",
    ),
    (
        "run --transport rdma",
        "invalid value 'rdma' for '--transport <WAY>'; allowed: auto, peer, collective; see eplb --help",
    ),
    ("run --nodes 3", "--nodes 3 is not allowed; allowed: a divisor of ep_size, which is 16"),
    (
        "run --windows 121",
        "--windows 121 is not allowed; allowed: 0 to 120, the windows of configs/traces/v3like_abrupt_w120.npz",
    ),
    (
        "run --windows x",
        "invalid value 'x' for '--windows <N>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "run --html missing/page.html",
        "missing/page.html: cannot be written: there is no folder missing",
    ),
    ("bake", "unrecognized subcommand 'bake'; see eplb --help"),
    ("run extra", "unexpected argument 'extra' found; see eplb --help"),
    (
        "plan",
        "the following required arguments were not provided: --ranks <N>; --slots <P>; --load <FILE>; see eplb --help",
    ),
    (
        "plan --load x --ranks 4",
        "the following required arguments were not provided: --slots <P>; see eplb --help",
    ),
    ("plan --load Q --ranks 0 --slots 4", "--ranks 0 is not allowed; allowed: at least 1"),
    (
        "plan --load Q --ranks 16 --slots 100",
        "--slots 100 is not allowed; allowed: a multiple of --ranks, which is 16",
    ),
    (
        "plan --load Q --ranks 16 --slots 112",
        "--slots 112 is not allowed; allowed: at least 128, the experts of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "plan --load Q --ranks 16 --slots 0",
        "--slots 0 is not allowed; allowed: a multiple of --ranks, which is 16",
    ),
    (
        "plan --load Q --ranks 16 --slots many",
        "invalid value 'many' for '--slots <P>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "plan --load Q --ranks -4 --slots 144",
        "invalid value '-4' for '--ranks <N>'; allowed: a whole number from 0 to 4294967295; see eplb --help",
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --nodes 3",
        "--ranks 16 --slots 144 --nodes 3: 16 ranks do not divide over 3 nodes; give a divisor of 16",
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --nodes 0",
        "--ranks 16 --slots 144 --nodes 0: 16 ranks do not divide over 0 nodes; give a divisor of 16",
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --groups 7",
        "--groups 7: 128 experts do not divide into 7 groups; give a divisor of 128",
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --policy best",
        r#"--policy: no policy is called "best", allowed are static, deepseek, xllm, greedy, greedy-fast, robust"#,
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --format x",
        "invalid value 'x' for '--format <FORM>'; allowed: sglang, vllm-ascend; see eplb --help",
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --output missing/p.json",
        "missing/p.json: cannot be written: there is no folder missing",
    ),
    (
        "plan --load Q --ranks 99999 --slots 99999",
        "--ranks 99999 --slots 99999 --nodes 1: 99999 ranks with 99999 slots in all, allowed are 16384 and 65535",
    ),
    (
        "plan --load Q --profile x --ranks 16 --slots 144",
        "the argument '--load <FILE>' cannot be used with '--profile <FILE>'; see eplb --help",
    ),
    (
        "profile",
        "the following required arguments were not provided: --output <FILE>; <TRACE>; see eplb --help",
    ),
    (
        "profile Q -o missing/p.json",
        "missing/p.json: cannot be written: there is no folder missing",
    ),
    (
        "profile missing.npz -o p.json",
        "missing.npz: cannot be read: No such file or directory (os error 2)",
    ),
    (
        "profile Q -o p.json --representatives 993",
        "--representatives 993 is not allowed; allowed: 0 to 992",
    ),
    (
        "profile Q -o p.json --representatives -1",
        "invalid value '-1' for '--representatives <N>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "profile Q -o p.json --windows 0",
        "--windows 0 is not allowed; allowed: 1 to 24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "profile Q -o p.json --windows 7..7",
        "--windows 7..7 is not allowed; allowed: ranges of at least 1 within 0..24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "profile Q -o p.json --windows 9..3",
        "--windows 9..3 is not allowed; allowed: ranges of at least 1 within 0..24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "profile Q -o p.json --windows 3..",
        "invalid value '3..' for '--windows <N|A..B>'; allowed: N, the first N windows, or A..B, those from A to before B; see eplb --help",
    ),
    (
        "simulate",
        "the following required arguments were not provided: --ranks <N>; --slots <P>; <TRACE>; see eplb --help",
    ),
    (
        "simulate Q --ranks 16",
        "the following required arguments were not provided: --slots <P>; see eplb --help",
    ),
    (
        "simulate Q --ranks 16 --slots 100",
        "--slots 100 is not allowed; allowed: a multiple of --ranks, which is 16",
    ),
    (
        "simulate Q --ranks 16 --slots 112",
        "--slots 112 is not allowed; allowed: at least 128, the experts of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --nodes 5",
        "--ranks 16 --slots 144 --nodes 5: 16 ranks do not divide over 5 nodes; give a divisor of 16",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --policy deepseek,best",
        r#"--policy: no policy is called "best", allowed are static, deepseek, xllm, greedy, greedy-fast, robust"#,
    ),
    (
        "simulate Q --ranks 16 --slots 144 --groups 7",
        "--groups 7: 128 experts do not divide into 7 groups; give a divisor of 128",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --windows 1",
        "--windows 1 is not allowed; allowed: 2 to 24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --windows 25",
        "--windows 25 is not allowed; allowed: 2 to 24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --windows 23..24",
        "--windows 23..24 is not allowed; allowed: ranges of at least 2 within 0..24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --windows 20..25",
        "--windows 20..25 is not allowed; allowed: ranges of at least 2 within 0..24, the windows of configs/traces/qwen3like_steady_w24.npz",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --windows -1",
        "invalid value '-1' for '--windows <N|A..B>'; allowed: N, the first N windows, or A..B, those from A to before B; see eplb --help",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --estimator median",
        "invalid value 'median' for '--estimator <NAME>'; allowed: last, sum, ensemble, sliding:K (the last K windows, 1 to 1024) and exponential:A (A is the newest window's part, above 0 and at most 1); see eplb --help",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --estimator sliding:0",
        "invalid value 'sliding:0' for '--estimator <NAME>'; allowed: last, sum, ensemble, sliding:K (the last K windows, 1 to 1024) and exponential:A (A is the newest window's part, above 0 and at most 1); see eplb --help",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --profile missing.json",
        "missing.json: cannot be read: No such file or directory (os error 2)",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --expert-bytes -1",
        "invalid value '-1' for '--expert-bytes <BYTES>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "run --redundant_experts_num=4096",
        "--redundant_experts_num 4096 is not allowed; allowed: at most 4079 with ep_size = 16 and 256 experts",
    ),
    (
        "run --eplb_update_interval=99999999999999999999",
        "invalid value '99999999999999999999' for '--eplb_update_interval <SECONDS>'; allowed: at most 18446744073709551615; see eplb --help",
    ),
    (
        "run --eplb_update_interval=2000000000",
        "--eplb_update_interval 2000000000 is not allowed; allowed: 0 to 1000000000",
    ),
    (
        "run --eplb_update_threshold=",
        "invalid value '' for '--eplb_update_threshold <X>'; allowed: a number; see eplb --help",
    ),
    (
        "run --ep_size=",
        "invalid value '' for '--ep_size <N>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "run --ep_size=a]",
        "invalid value 'a]' for '--ep_size <N>'; allowed: a whole number of at least 0; see eplb --help",
    ),
    (
        "run --ep_size 16 --ep_size 8",
        "the argument '--ep_size <N>' cannot be used multiple times; see eplb --help",
    ),
    ("run --nodes 32", "--nodes 32 is not allowed; allowed: 1 to 16"),
    (
        "run --config configs/kimi_k2_ep64.toml",
        "configs/kimi_k2_ep64.toml: [run] names no trace; give run.trace or --trace",
    ),
    (
        "run --config configs/kimi_k2_ep64.toml --trace Q",
        "configs/kimi_k2_ep64.toml: model.layers = 60 in the configuration, but the trace has 14",
    ),
    (
        "--windows 2 plan",
        "the subcommand 'plan' cannot be used with '--windows <N>'; see eplb --help",
    ),
    (
        "plan --load Q --ranks 16 --slots 65552",
        "--ranks 16 --slots 65552 --nodes 1: 16 ranks with 65552 slots in all, allowed are 16384 and 65535",
    ),
    (
        "plan --load Q --ranks 16 --slots 144 --groups 0",
        "--groups 0: groups is 0, allowed is 1 to 128",
    ),
    (
        "simulate missing.npz --ranks 16 --slots 144",
        "missing.npz: cannot be read: No such file or directory (os error 2)",
    ),
    (
        "simulate Q --ranks 16 --slots 144 --windows 3 --expert-bytes 18446744073709551615",
        "--expert-bytes 18446744073709551615 is not allowed; allowed: at most 3050056890494304, as a replay may move 6048 slots",
    ),
];

#[test]
fn command_lines_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (line, expected) in CASES {
        let arguments = words(&line.replace('Q', LOAD));
        assert_refused(folder.path(), &arguments, expected);
    }
    assert!(CASES.len() >= 60);
}
