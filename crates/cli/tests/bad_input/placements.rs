//! Present placements that can't be used: four experts, one layer, two ranks with two slots each.

use super::assert_refused;

/// The text of a file, and what is said of it.
const CASES: &[(&str, &str)] = &[
    ("[[0, 1, 2, 3, 0]]", "{dir}/p.json: [0] has 5 entries, expected are 4 (slots)"),
    (
        "[[0, 1, 2, 3], [0, 1, 2, 3]]",
        "{dir}/p.json: the text has 2 entries, expected are 1 (MoE layers)",
    ),
    ("[[0, 1, 2, 9]]", "{dir}/p.json: [0][3] is 9, allowed is 0 to 3"),
    (
        "[[0, 1, 2, 2]]",
        "{dir}/p.json: layer 0 places expert 3 on no live rank; every expert needs at least one slot",
    ),
    ("[[0, 1, 2", "{dir}/p.json: not JSON: EOF while parsing a list at line 1 column 9"),
    (
        r#"{"map": 3}"#,
        "{dir}/p.json: the text is in no known form; allowed is an object with layer_list (vllm-ascend) or physical_to_logical_map (SGLang), or an array of layers × slots",
    ),
    ("[[0, 1, 2, -1]]", "{dir}/p.json: [0][3] is -1, allowed is 0 to 3"),
    (r#"[[0, 1, 2, "3"]]"#, "{dir}/p.json: [0][3] is a string, it must be an integer"),
    ("[[0, 1, 2, 3.5]]", "{dir}/p.json: [0][3] is 3.5, it must be an integer"),
    ("[]", "{dir}/p.json: the text has 0 entries, expected are 1 (MoE layers)"),
    (
        r#"{"physical_to_logical_map": [[0, 1]]}"#,
        "{dir}/p.json: physical_to_logical_map[0] has 2 entries, expected are 4 (slots)",
    ),
    (
        r#"{"logical_count": [[1, 2, 3, 4]]}"#,
        "{dir}/p.json: logical_count is a load, not a placement; plan a placement from it with a policy",
    ),
    (
        r#"{"moe_layer_count": 1, "layer_list": [{"layer_id": 0, "device_count": 2, "device_list": [{"device_id": 0, "device_expert": [0, 1, 2]}, {"device_id": 1, "device_expert": [3]}]}]}"#,
        "{dir}/p.json: layer_list[0].device_list[0].device_expert has 3 entries, expected are 2 (slots of the rank)",
    ),
    (
        r#"{"moe_layer_count": 2, "layer_list": [{"layer_id": 0, "device_count": 2, "device_list": [{"device_id": 0, "device_expert": [0, 1]}, {"device_id": 1, "device_expert": [2, 3]}]}]}"#,
        "{dir}/p.json: moe_layer_count is 2, the model's MoE layers are 1",
    ),
    (
        r#"{"moe_layer_count": 1, "layer_list": [{"layer_id": 3, "device_count": 2, "device_list": [{"device_id": 0, "device_expert": [0, 1]}, {"device_id": 1, "device_expert": [2, 3]}]}]}"#,
        "{dir}/p.json: layer_list[0].layer_id is 3, allowed is 0 to 0",
    ),
    (
        r#"{"moe_layer_count": 1, "layer_list": [{"layer_id": 0, "device_count": 3, "device_list": [{"device_id": 0, "device_expert": [0, 1]}, {"device_id": 1, "device_expert": [2, 3]}]}]}"#,
        "{dir}/p.json: layer_list[0].device_count is 3, the ranks are 2",
    ),
];

#[test]
fn placements_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (load, placement) = (folder.path().join("load.json"), folder.path().join("p.json"));
    std::fs::write(&load, "[[1, 2, 3, 4]]").unwrap();
    let line = ["plan", "--ranks", "2", "--slots", "4", "--load", load.to_str().unwrap()];
    let line = [&line[..], &["--placement", placement.to_str().unwrap()]].concat();
    let arguments: Vec<_> = line.into_iter().map(str::to_owned).collect();
    assert_refused(folder.path(), &arguments, "{dir}/p.json: cannot be read: …");
    for (text, expected) in CASES {
        std::fs::write(&placement, text).unwrap();
        assert_refused(folder.path(), &arguments, expected);
    }
    assert!(CASES.len() >= 16);
}
