//! Configuration files that can't be used.

use super::assert_refused;

/// The text of a file, and what is said of it.
const CASES: &[(&str, &str)] = &[
    (
        "eplb_treshold = 1",
        "{dir}/c.toml, line 1, eplb_treshold: unknown field `eplb_treshold`, expected one of `enable_eplb`, `expert_parallel_degree`, `ep_size`, `eplb_update_interval`, `eplb_update_threshold`, `redundant_experts_num`, `model`, `cluster`, `policy`, `manager`, `executor`, `pool`, `backend`, `run`",
    ),
    (
        r#"enable_eplb = "yes""#,
        r#"{dir}/c.toml, line 1, enable_eplb: invalid type: string "yes", allowed: true or false"#,
    ),
    (
        r#"ep_size = "16""#,
        r#"{dir}/c.toml, line 1, ep_size: invalid type: string "16", allowed: a whole number from 0 to 4294967295"#,
    ),
    ("ep_size = 0", "{dir}/c.toml: ep_size = 0 is not allowed; allowed: 1 to 16384"),
    (
        "ep_size = 1.5",
        "{dir}/c.toml, line 1, ep_size: invalid type: floating point `1.5`, allowed: a whole number from 0 to 4294967295",
    ),
    (
        "ep_size = -4",
        "{dir}/c.toml, line 1, ep_size: invalid value: integer `-4`, allowed: a whole number from 0 to 4294967295",
    ),
    (
        "ep_size = 99999999999",
        "{dir}/c.toml, line 1, ep_size: invalid value: integer `99999999999`, allowed: a whole number from 0 to 4294967295",
    ),
    (
        "expert_parallel_degree = 3",
        "{dir}/c.toml: expert_parallel_degree = 3 is not allowed; allowed: 0 to 2",
    ),
    (
        "eplb_update_interval = -1",
        "{dir}/c.toml, line 1, eplb_update_interval: invalid value: integer `-1`, allowed: a whole number of at least 0",
    ),
    (
        "eplb_update_interval = 2000000000",
        "{dir}/c.toml: eplb_update_interval = 2000000000 is not allowed; allowed: 0 to 1000000000",
    ),
    (
        "eplb_update_threshold = 1.5",
        "{dir}/c.toml: eplb_update_threshold = 1.5 is not allowed; allowed: 0 to 1",
    ),
    (
        "eplb_update_threshold = -0.1",
        "{dir}/c.toml: eplb_update_threshold = -0.1 is not allowed; allowed: 0 to 1",
    ),
    (
        "eplb_update_threshold = nan",
        "{dir}/c.toml: eplb_update_threshold = NaN is not allowed; allowed: 0 to 1",
    ),
    (
        "eplb_update_threshold = inf",
        "{dir}/c.toml: eplb_update_threshold = inf is not allowed; allowed: 0 to 1",
    ),
    (
        r#"eplb_update_threshold = "high""#,
        r#"{dir}/c.toml, line 1, eplb_update_threshold: invalid type: string "high", allowed: a number"#,
    ),
    (
        "redundant_experts_num = 5000",
        "{dir}/c.toml: redundant_experts_num = 5000 is not allowed; allowed: 0 to 4096",
    ),
    (
        "redundant_experts_num = -1",
        "{dir}/c.toml, line 1, redundant_experts_num: invalid value: integer `-1`, allowed: a whole number from 0 to 4294967295",
    ),
    (
        "[polcy]\nname = \"x\"",
        "{dir}/c.toml, line 1: unknown field `polcy`, expected one of `enable_eplb`, `expert_parallel_degree`, `ep_size`, `eplb_update_interval`, `eplb_update_threshold`, `redundant_experts_num`, `model`, `cluster`, `policy`, `manager`, `executor`, `pool`, `backend`, `run`",
    ),
    (
        "[policy]\nname = \"fastest\"",
        r#"{dir}/c.toml: policy.name = "fastest" is not allowed; allowed: one of static, deepseek, xllm, greedy, greedy-fast, robust"#,
    ),
    (
        "[policy]\nobjective = \"activated_experts\"",
        "{dir}/c.toml: policy.tokens_per_step = 0 is not allowed; allowed: 1 to 100000000",
    ),
    (
        "[policy]\nname = \"deepseek\"\nspread = true",
        r#"{dir}/c.toml: policy.name = "deepseek" is not allowed; allowed: "robust" with the settings that are for it alone"#,
    ),
    (
        "[policy]\nprice_other_node = -1.0",
        "{dir}/c.toml: policy.price_other_node = -1 is not allowed; allowed: 0 to 1000000",
    ),
    ("[policy]\ntop_k = 0", "{dir}/c.toml: policy.top_k = 0 is not allowed; allowed: 1 to 65535"),
    (
        "[policy]\nname = 3",
        "{dir}/c.toml, line 2, policy.name: invalid type: integer `3`, allowed: a text in quotes",
    ),
    (
        "ep_size = 16\n[cluster]\nnodes = 3",
        "{dir}/c.toml: cluster.nodes = 3 is not allowed; allowed: a divisor of ep_size, which is 16",
    ),
    ("[cluster]\nnodes = 0", "{dir}/c.toml: cluster.nodes = 0 is not allowed; allowed: 1 to 1"),
    (
        "[executor]\ncommit = \"indirect\"",
        r#"{dir}/c.toml: executor.spare_slots = 0 is not allowed; allowed: at least 1 with executor.commit = "indirect""#,
    ),
    (
        "[executor]\ncommit = \"copy\"",
        "{dir}/c.toml, line 2, executor.commit: unknown variant `copy`, expected `in_place` or `indirect`",
    ),
    (
        "[executor]\nspare_slots = 5000",
        "{dir}/c.toml: executor.spare_slots = 5000 is not allowed; allowed: 0 to 4096",
    ),
    (
        "[executor]\ntransport = \"rdma\"",
        "{dir}/c.toml, line 2, executor.transport: unknown variant `rdma`, expected one of `auto`, `peer`, `collective`",
    ),
    (
        "[executor]\ntransport = 2",
        "{dir}/c.toml, line 2, executor.transport: invalid type: 2, allowed: a text in quotes",
    ),
    (
        "[executor]\nround_slots = 0",
        "{dir}/c.toml: executor.round_slots = 0 is not allowed; allowed: 1 to 4096",
    ),
    (
        "[executor]\nround_slots = -1",
        "{dir}/c.toml, line 2, executor.round_slots: invalid value: integer `-1`, allowed: a whole number from 0 to 4294967295",
    ),
    (
        "[executor]\nround_timeout = 0",
        "{dir}/c.toml: executor.round_timeout = 0 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[executor]\nround_timeout = nan",
        "{dir}/c.toml: executor.round_timeout = NaN is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[executor]\nconnect_timeout = -3.5",
        "{dir}/c.toml: executor.connect_timeout = -3.5 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[executor]\nconnect_timeout = \"soon\"",
        "{dir}/c.toml, line 2, executor.connect_timeout: invalid type: string \"soon\", allowed: a number",
    ),
    (
        "[manager]\nwindow_samples = 0",
        "{dir}/c.toml: manager.window_samples = 0 is not allowed; allowed: 1 to 1000000",
    ),
    (
        "[manager]\nwindows_kept = 1000",
        "{dir}/c.toml: manager.windows_kept = 1000 is not allowed; allowed: 1 to 128",
    ),
    (
        "[manager]\nrepresentative_windows = 129",
        "{dir}/c.toml: manager.representative_windows = 129 is not allowed; allowed: 0 to 128",
    ),
    (
        "[manager]\nprofile = 3",
        "{dir}/c.toml, line 2, manager.profile: invalid type: integer `3`, allowed: a text in quotes",
    ),
    (
        "[manager]\nprofile = \"p.json\"\nrepresentative_windows = 0",
        "{dir}/c.toml: manager.representative_windows = 0 is not allowed; allowed: at least 1 with manager.profile",
    ),
    (
        "[manager]\nprofile = \"missing.json\"\n[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: profile: missing.json: cannot be read: No such file or directory (os error 2)",
    ),
    (
        "[manager]\nprofile = \"README.md\"\n[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: profile: README.md: not JSON: expected value at line 1 column 1",
    ),
    (
        "[policy]\nestimator = \"median\"",
        "{dir}/c.toml, line 2, policy.estimator: no estimator is called \"median\", allowed are last, sum, ensemble, sliding:K (the last K windows, 1 to 1024) and exponential:A (A is the newest window's part, above 0 and at most 1)",
    ),
    (
        "[policy]\nestimator = 3",
        "{dir}/c.toml, line 2, policy.estimator: invalid type: integer `3`, allowed: a text in quotes",
    ),
    (
        "[manager]\nphases = \"prompt\"",
        "{dir}/c.toml, line 2, manager.phases: unknown variant `prompt`, expected one of `all`, `prefill`, `decode`",
    ),
    (
        "[manager]\nphases = 3",
        "{dir}/c.toml, line 2, manager.phases: invalid type: 3, allowed: a text in quotes",
    ),
    (
        "[manager]\nlayers_in_flight = 0",
        "{dir}/c.toml: manager.layers_in_flight = 0 is not allowed; allowed: 1 to 64",
    ),
    (
        "[manager]\nplan_timeout = 0",
        "{dir}/c.toml: manager.plan_timeout = 0 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[manager]\nprepare_timeout = -1.0",
        "{dir}/c.toml: manager.prepare_timeout = -1 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[manager]\ncommit_timeout = 1e9",
        "{dir}/c.toml: manager.commit_timeout = 1000000000 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[manager]\nmin_gain = 2",
        "{dir}/c.toml: manager.min_gain = 2 is not allowed; allowed: 0 to 1",
    ),
    (
        "[manager]\ninterval = 3",
        "{dir}/c.toml, line 2, manager.interval: unknown field `interval`, expected one of `update_interval_steps`, `min_gain`, `phases`, `window_samples`, `windows_kept`, `representative_windows`, `profile`, `layers_in_flight`, `plan_timeout`, `agreement_timeout`, `prepare_timeout`, `commit_timeout`, `revert_timeout`",
    ),
    ("[model]\ngroups = 0", "{dir}/c.toml: model.groups = 0 is not allowed; allowed: 1 to 65536"),
    (
        "[model]\nlayers = 5000",
        "{dir}/c.toml: model.layers = 5000 is not allowed; allowed: 0 to 4096",
    ),
    (
        "[run]\ntrce = \"x\"",
        "{dir}/c.toml: [run]: unknown field `trce`, expected one of `trace`, `windows`, `seconds_per_window`, `sample_tokens`, `hidden`, `intermediate`, `seed`, `prefix_sums`, `join_timeout`, `rank_timeout`",
    ),
    (
        "[run]\nsample_tokens = 0",
        "{dir}/c.toml: run.sample_tokens = 0 is not allowed; allowed: 1 to 65536",
    ),
    (
        "[run]\nhidden = 100000",
        "{dir}/c.toml: run.hidden = 100000 is not allowed; allowed: 1 to 8192",
    ),
    (
        "[run]\nintermediate = 0",
        "{dir}/c.toml: run.intermediate = 0 is not allowed; allowed: 1 to 8192",
    ),
    (
        "[run]\nseconds_per_window = 0",
        "{dir}/c.toml: run.seconds_per_window = 0 is not allowed; allowed: 0.001 to 1000000",
    ),
    (
        "[run]\nwindows = -1",
        "{dir}/c.toml: run.windows: invalid value: integer `-1`, allowed: a whole number of at least 0",
    ),
    ("enable_eplb = true", "{dir}/c.toml: [run] names no trace; give run.trace or --trace"),
    ("ep_size = 16\nep_size = 8", "{dir}/c.toml, line 2, ep_size: duplicate key"),
    (
        "[run]\ntrace = \"missing.npz\"",
        "missing.npz: cannot be read: No such file or directory (os error 2)",
    ),
    (
        "[model]\nlayers = 12\n[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: model.layers = 12 in the configuration, but the trace has 11",
    ),
    (
        "[model]\nexperts = 128\n[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: model.experts = 128 in the configuration, but the trace has 256",
    ),
    (
        "[model]\ngroups = 7\n[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: model.groups: 256 experts do not divide into 7 groups; give a divisor of 256",
    ),
    (
        "[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"\nwindows = 121",
        "{dir}/c.toml: run.windows = 121 is not allowed; allowed: 0 to 120, the windows of configs/traces/v3like_abrupt_w120.npz",
    ),
    (
        "redundant_experts_num = 4000\nep_size = 64\n[run]\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: redundant_experts_num = 4000 is not allowed; allowed: at most 1019 with ep_size = 64 and 256 experts",
    ),
    (
        "[run]\nhidden = 8192\nintermediate = 8192\ntrace = \"configs/traces/v3like_abrupt_w120.npz\"",
        "{dir}/c.toml: run.hidden = 8192 and run.intermediate = 8192 make 2276693737472 bytes of weights; allowed: at most 8589934592",
    ),
    ("ep_size = ", "{dir}/c.toml, line 1, ep_size: the value is missing"),
    (
        "= 3",
        "{dir}/c.toml, line 1: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
    ),
    ("[model", "{dir}/c.toml, line 1: unclosed table, expected `]`"),
    ("ep_size 16", "{dir}/c.toml, line 1: key with no value, expected `=`"),
    (
        "ep_size = many",
        "{dir}/c.toml, line 1, ep_size: string values must be quoted, expected literal string",
    ),
    (
        "ep_size = 99999999999999999999",
        "{dir}/c.toml, line 1, ep_size: invalid type: integer `99999999999999999999`, allowed: a whole number from 0 to 4294967295",
    ),
    (
        "model = 3",
        "{dir}/c.toml, line 1, model: invalid type: integer `3`, allowed: a section [model]",
    ),
    (
        "cluster = 3",
        "{dir}/c.toml, line 1, cluster: invalid type: integer `3`, allowed: a section [cluster]",
    ),
    (
        r#"policy = "robust""#,
        r#"{dir}/c.toml, line 1, policy: invalid type: string "robust", allowed: a section [policy]"#,
    ),
    (
        "manager = 3",
        "{dir}/c.toml, line 1, manager: invalid type: integer `3`, allowed: a section [manager]",
    ),
    (
        "executor = 3",
        "{dir}/c.toml, line 1, executor: invalid type: integer `3`, allowed: a section [executor]",
    ),
    (
        "backend = \"cuda\"",
        r#"{dir}/c.toml, line 1, backend: invalid type: string "cuda", allowed: a section"#,
    ),
    (
        "[backend]\nname = \"gpu\"\n[run]\ntrace = \"x\"",
        "{dir}/c.toml: [backend]: unknown variant `gpu`, expected one of `host`, `cuda`, `ascend`",
    ),
    (
        "[backend]\ndevice = -1\n[run]\ntrace = \"x\"",
        "{dir}/c.toml: [backend]: invalid value: integer `-1`, expected u32",
    ),
    (
        "[backend.libraries]\ncublas = \"/x\"\n[run]\ntrace = \"x\"",
        "{dir}/c.toml: [backend]: unknown field `cublas`, expected one of `cudart`, `cuda`, `nccl`, `ascendcl`, `hccl`",
    ),
    ("run = 3", "{dir}/c.toml, line 1, run: invalid type: integer `3`, allowed: a section"),
    (
        "[executor]\nverify = \"all\"",
        "{dir}/c.toml, line 2, executor.verify: unknown variant `all`, expected one of `off`, `arrivals`, `canary`",
    ),
    (
        "pool = 3",
        "{dir}/c.toml, line 1, pool: invalid type: integer `3`, allowed: a section [pool]",
    ),
    (
        "[pool]\nkind = \"disk\"",
        "{dir}/c.toml, line 2, pool.kind: unknown variant `disk`, expected one of `none`, `safetensors`, `shared_memory`",
    ),
    (
        "[pool]\nfolder = \"x\"",
        "{dir}/c.toml, line 2, pool.folder: unknown field `folder`, expected one of `kind`, `path`, `template`, `first_layer`, `layer_step`, `tensors`, `segment`, `timeout`",
    ),
    (
        "[pool]\nkind = \"safetensors\"",
        "{dir}/c.toml: pool.path = \"\" is not allowed; allowed: a safetensors file or a folder of such files",
    ),
    (
        "[pool]\nkind = \"shared_memory\"\npath = \"x\"\nsegment = \"a/b\"",
        "{dir}/c.toml: pool.segment = \"a/b\" is not allowed; allowed: the name of a file in /dev/shm",
    ),
    (
        "[pool]\nkind = \"safetensors\"\npath = \"x\"\ntemplate = \"experts.{tensor}\"",
        "{dir}/c.toml: pool.template = \"experts.{tensor}\" is not allowed; allowed: {layer}, {tensor} and, as a rule, {expert} in it; {layer} is missing",
    ),
    (
        "[pool]\nkind = \"safetensors\"\npath = \"x\"\nlayer_step = 0",
        "{dir}/c.toml: pool.layer_step = 0 is not allowed; allowed: 1 to 4096",
    ),
    (
        "[pool]\ntimeout = 0",
        "{dir}/c.toml: pool.timeout = 0 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[pool.tensors]\ndown = \"down_proj.weight\"",
        r#"{dir}/c.toml, line 2, pool.tensors.down: invalid type: string "down_proj.weight", allowed: a list in brackets"#,
    ),
    ("[[run]]", "{dir}/c.toml, line 1: invalid type: sequence, allowed: a section"),
    (
        "[executor]\ncommit = 3",
        "{dir}/c.toml, line 2, executor.commit: invalid type: 3, allowed: a text in quotes",
    ),
    (
        "[manager]\nagreement_timeout = nan",
        "{dir}/c.toml: manager.agreement_timeout = NaN is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[manager]\nrevert_timeout = 0",
        "{dir}/c.toml: manager.revert_timeout = 0 is not allowed; allowed: 0.001 to 86400",
    ),
    (
        "[model]\nexperts = 70000",
        "{dir}/c.toml: model.experts = 70000 is not allowed; allowed: 0 to 65536",
    ),
    (
        "[run]\ntrace = 3",
        "{dir}/c.toml: run.trace: invalid type: integer `3`, allowed: a text in quotes",
    ),
    (
        "[run]\nprefix_sums = \"x\"",
        r#"{dir}/c.toml: run.prefix_sums: invalid type: string "x", allowed: true or false"#,
    ),
    (
        "[run]\nseconds_per_window = \"x\"",
        r#"{dir}/c.toml: run.seconds_per_window: invalid type: string "x", allowed: a number"#,
    ),
    (
        "[run]\nseconds_per_window = nan",
        "{dir}/c.toml: run.seconds_per_window = NaN is not allowed; allowed: 0.001 to 1000000",
    ),
    (
        "[run]\nseed = -1",
        "{dir}/c.toml: run.seed: invalid value: integer `-1`, allowed: a whole number of at least 0",
    ),
    (
        "[run]\nwindows = 99999999999999999999",
        "{dir}/c.toml, line 2, run.windows: invalid type: integer `99999999999999999999`, allowed: at most 9223372036854775807",
    ),
];

#[test]
fn configuration_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    for (text, expected) in CASES {
        std::fs::write(&path, text).unwrap();
        let arguments = ["run", "--config", path.to_str().unwrap()].map(str::to_owned);
        assert_refused(folder.path(), &arguments, expected);
    }
    assert!(CASES.len() >= 70);
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let run = |path: &std::path::Path, expected| {
        let arguments = ["run", "--config", path.to_str().unwrap()].map(str::to_owned);
        assert_refused(folder.path(), &arguments, expected);
    };
    run(&path, "{dir}/c.toml: cannot be read: …");
    run(folder.path(), "{dir}: cannot be read: …");
    std::fs::write(&path, b"name = \"\xff\"").unwrap();
    run(&path, "{dir}/c.toml: cannot be read: stream did not contain valid UTF-8");
    // A pipe that nobody writes to would be waited for.
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    run(&pipe, "{dir}/pipe: cannot be read: it is not a regular file");
}
