//! `eplb bench plan`.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use program::{json, line, printed};
use serde_json::Value;

const SHORT: &str = "bench plan configs/traces/qwen3like_steady_w24.npz --windows 4";

fn scores(report: &Value) -> Vec<&Value> {
    let loads = report["loads"].as_array().unwrap();
    loads.iter().flat_map(|load| load["policies"].as_array().unwrap()).collect()
}

#[test]
fn policies_are_timed_on_each_number_of_threads_and_scored_once() {
    let report =
        json(&line(&format!("{SHORT} --policy xllm,deepseek --threads 1,2 --repeat 3 --json")));
    assert_eq!(report["threads"], serde_json::json!([1, 2]));
    assert_eq!(report["repeat"], 3);
    let load = &report["loads"][0];
    assert_eq!((&load["layers"], &load["experts"]), (&14.into(), &128.into()));
    assert_eq!((&load["ranks"], &load["slots"]), (&16.into(), &144.into()), "one redundant a rank");
    assert_eq!((&load["windows"], &load["synthetic"]), (&4.into(), &false.into()));
    let scores = scores(&report);
    let names: Vec<_> = scores.iter().map(|score| score["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["xllm", "deepseek"]);
    for score in &scores {
        for key in ["fit", "next"] {
            let (mean, worst) = (score[key]["mean"].as_f64(), score[key]["worst"].as_f64());
            assert!(worst > Some(0.0) && worst <= mean && mean <= Some(1.0), "{score}");
        }
        let times = score["plan_ms"].as_array().unwrap();
        assert_eq!(times.iter().map(|time| &time["threads"]).collect::<Vec<_>>(), [1, 2]);
        for time in times {
            let [min, p50, p99] = ["min", "p50", "p99"].map(|key| time[key].as_f64().unwrap());
            assert!(0.0 < min && min <= p50 && p50 <= p99, "{time}");
        }
    }
    let times = |policy: usize| scores[policy]["plan_ms"].as_array().unwrap();
    for (first, second) in times(0).iter().zip(times(1)) {
        let number = |time: &Value, key: &str| time[key].as_f64().unwrap();
        assert_eq!(number(first, "ratio"), 1.0, "the first policy is the measure");
        let ratio = number(second, "p50") / number(first, "p50");
        assert!((number(second, "ratio") - ratio).abs() < 1e-9);
    }
}

#[test]
fn the_bare_function_of_greedy_is_timed_beside_it() {
    let report = json(&line(&format!("{SHORT} --policy greedy,deepseek --threads 1,2 --json")));
    let scores = scores(&report);
    let tables = scores[0]["tables_ms"].as_array().unwrap();
    assert_eq!(tables.len(), 2);
    for (tables, plan) in tables.iter().zip(scores[0]["plan_ms"].as_array().unwrap()) {
        let number = |time: &Value, key: &str| time[key].as_f64().unwrap();
        assert_eq!(tables["threads"], plan["threads"]);
        let ratio = number(tables, "p50") / number(plan, "p50");
        assert!((number(tables, "ratio") - ratio).abs() < 1e-9, "it is set against the plan");
    }
    assert!(scores[1].get("tables_ms").is_none(), "deepseek has none here");
    let text = printed(&line(&format!("{SHORT} --policy greedy,deepseek")));
    assert!(text.contains("greedy (tables)") && !text.contains("deepseek (tables)"), "{text}");
}

#[test]
fn plans_are_scored_as_a_replay_scores_them() {
    let shape = "--ranks 16 --slots 144 --policy static,deepseek,xllm --json";
    let bench = json(&line(&format!("{SHORT} {shape}")));
    let trace = "configs/traces/qwen3like_steady_w24.npz --windows 4";
    let replay = json(&line(&format!("simulate {trace} {shape}")));
    let replayed = replay["policies"].as_array().unwrap();
    for (score, replayed) in scores(&bench).into_iter().zip(replayed) {
        for key in ["policy", "fit", "next", "sent_experts"] {
            assert_eq!(score[key], replayed[key], "{key}");
        }
    }
}

#[test]
fn loads_are_made_up_where_none_is_given_and_always_the_same() {
    let made = || json(&line("bench plan --policy deepseek --windows 2 --json"));
    let (first, second) = (made(), made());
    let loads = first["loads"].as_array().unwrap();
    let shapes: Vec<_> = loads
        .iter()
        .map(|load| {
            assert_eq!(load["synthetic"], true);
            ["layers", "experts", "ranks", "slots"].map(|key| load[key].as_u64().unwrap())
        })
        .collect();
    assert_eq!(shapes, [[58, 256, 32, 288], [60, 384, 64, 448], [94, 128, 16, 144]]);
    for (first, second) in scores(&first).into_iter().zip(scores(&second)) {
        for key in ["fit", "next", "sent_experts"] {
            assert_eq!(first[key], second[key]);
        }
        let (fit, next) = (first["fit"]["mean"].as_f64(), first["next"]["mean"].as_f64());
        assert!(fit > Some(0.97) && next < fit && next > Some(0.6), "{first}");
    }
}

#[test]
fn growth_is_a_row_for_each_number_of_ranks() {
    let growth = "bench plan --growth --policy deepseek,static --windows 2";
    let text = printed(&line(growth));
    let rows: Vec<Vec<&str>> =
        text.lines().take(6).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ranks", "slots", "deepseek", "static"]);
    let ranks: Vec<_> = rows[1..].iter().map(|row| (row[0], row[1])).collect();
    let expected =
        [("64", "448"), ("128", "512"), ("256", "768"), ("512", "1,024"), ("1024", "2,048")];
    assert_eq!(ranks, expected);
    let report = json(&line(&format!("{growth} --threads 1,2 --json")));
    assert_eq!(report["loads"].as_array().unwrap().len(), 5);
    assert_eq!(scores(&report).len(), 10);
}

#[test]
fn the_table_has_a_line_for_each_policy_and_number_of_threads() {
    let text = printed(&line(&format!("{SHORT} --policy deepseek,xllm --threads 1,2")));
    let rows: Vec<Vec<&str>> =
        text.lines().skip(2).take(4).map(|line| line.split_whitespace().collect()).collect();
    let starts: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(starts, ["deepseek", "2", "xllm", "2"]);
    assert!(
        text.starts_with("qwen3like_steady_w24: 14 layers × 128 experts on 16 ranks"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 90), "{text}");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let cases = [
        ("--policy fast", "--policy: no policy is called \"fast\""),
        ("--threads 0", "--threads 0 is not allowed; allowed: 1 to 256"),
        ("--threads 1,257", "--threads 257 is not allowed; allowed: 1 to 256"),
        ("--repeat 0", "--repeat 0 is not allowed; allowed: 1 to 10000"),
        ("--windows 1", "--windows 1 is not allowed; allowed: 2 to 1000"),
        ("--growth --ranks 8", "cannot be used with"),
        ("--ranks 0", "--ranks 0 is not allowed; allowed: at least 1"),
        ("--ranks 32 --slots 64", "--slots 64 is not allowed; allowed: at least 256"),
        ("--slots 289", "--slots 289 is not allowed; allowed: a multiple of --ranks"),
        ("--ranks 4294967295", "--ranks 4294967295 is not allowed"),
        ("--nodes 3", "--nodes 3"),
        ("--groups 7", "7"),
        ("missing.npy", "missing.npy"),
        ("configs/quickstart.toml", "configs/quickstart.toml"),
        (
            "configs/traces/qwen3like_steady_w24.npz --windows 25",
            "--windows 25 is not allowed; allowed: 2 to 24, the windows of configs",
        ),
        ("configs/traces/qwen3like_steady_w24.npz --groups 7", "--groups 7: "),
    ];
    for (flags, said) in cases {
        let output = line(&format!("bench plan {flags}"));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags}: {error}");
        assert!(output.stdout.is_empty(), "{flags}");
        assert_eq!(error.trim_end().lines().count(), 1, "{flags}: {error}");
        assert!(error.starts_with("eplb: ") && error.contains(said), "{flags}: {error}");
    }
}
