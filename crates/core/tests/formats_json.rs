//! The JSON forms of vllm-ascend and SGLang.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eplb_core::formats::sglang::InitExpertLocation;
use eplb_core::formats::{FormatError, parse_placement_json, sglang, vllm_ascend};
use eplb_core::{
    ExpertId, ExpertLoad, LayerId, ModelShape, NodeId, Placement, PlacementError, RankSpec,
    Topology,
};

const ASCEND: &str = r#"{
  "moe_layer_count": 2,
  "layer_list": [
    {"layer_id": 1, "device_count": 2, "device_list": [
      {"device_id": 1, "device_expert": [1, 0]},
      {"device_id": 0, "device_expert": [2, 2]}]},
    {"layer_id": 0, "device_count": 2, "device_list": [
      {"device_id": 0, "device_expert": [0, 1]},
      {"device_id": 1, "device_expert": [2, 0]}]}
  ]
}"#;
const SGLANG: &str = r#"{"physical_to_logical_map": [[0, 1, 2, 0], [2, 2, 1, 0]]}"#;

fn shape() -> ModelShape {
    ModelShape::new(2, 3, 1).unwrap()
}

fn topology() -> Topology {
    Topology::uniform(2, 2, 1).unwrap()
}

fn example() -> Placement {
    let tables = [[0, 1, 2, 0], [2, 2, 1, 0]].map(|table| table.map(ExpertId));
    Placement::new(&tables, shape(), &topology()).unwrap()
}

/// `text` with `old` replaced once, which must be there.
fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

#[test]
fn an_expert_map_is_read_whatever_the_order_of_layers_and_devices() {
    assert_eq!(vllm_ascend::parse(ASCEND, shape(), &topology()).unwrap(), example());
}

#[test]
fn an_expert_map_that_is_written_is_read_back() {
    let text = vllm_ascend::write(&example(), &topology()).unwrap();
    assert_eq!(vllm_ascend::parse(&text, shape(), &topology()).unwrap(), example());
    let layout = r#"{"moe_layer_count":2,"layer_list":[{"layer_id":0,"device_count":2,"device_list":[{"device_id":0,"device_expert":[0,1]}"#;
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(compact.starts_with(layout), "{compact}");
}

#[test]
fn faults_of_an_expert_map_are_named() {
    let cases = [
        (
            r#""moe_layer_count": 2"#,
            r#""moe_layer_count": 3"#,
            "moe_layer_count is 3, the model's MoE layers are 2",
        ),
        (r#""moe_layer_count": 2,"#, "", "moe_layer_count is missing"),
        (
            r#""moe_layer_count": 2"#,
            r#""moe_layer_count": "2""#,
            "moe_layer_count is a string, it must be an integer",
        ),
        (r#""layer_id": 1, "#, "", "layer_list[0].layer_id is missing"),
        (
            r#""layer_id": 0"#,
            r#""layer_id": 1"#,
            "layer_list[1].layer_id is 1 a second time; each must come once",
        ),
        (r#""layer_id": 0"#, r#""layer_id": 2"#, "layer_list[1].layer_id is 2, allowed is 0 to 1"),
        (
            r#""layer_id": 0"#,
            r#""layer_id": -1"#,
            "layer_list[1].layer_id is -1, allowed is 0 to 1",
        ),
        (
            r#""layer_id": 0"#,
            r#""layer_id": 0.0"#,
            "layer_list[1].layer_id is 0.0, it must be an integer",
        ),
        (
            r#""device_count": 2"#,
            r#""device_count": 4"#,
            "layer_list[0].device_count is 4, the ranks are 2",
        ),
        (
            r#""device_count": 2"#,
            r#""device_count": -2"#,
            "layer_list[0].device_count is -2, allowed is 0 to 9223372036854775807",
        ),
        (
            r#""device_id": 1"#,
            r#""device_id": 0"#,
            "layer_list[0].device_list[1].device_id is 0 a second time; each must come once",
        ),
        (
            r#""device_id": 1"#,
            r#""device_id": 2"#,
            "layer_list[0].device_list[0].device_id is 2, allowed is 0 to 1",
        ),
        (
            "[1, 0]",
            "[1]",
            "layer_list[0].device_list[0].device_expert has 1 entries, expected are 2 (slots of the rank)",
        ),
        (
            "[1, 0]",
            "[1, 3]",
            "layer_list[0].device_list[0].device_expert[1] is 3, allowed is 0 to 2",
        ),
        (
            "[1, 0]",
            "[1, 1e99]",
            "layer_list[0].device_list[0].device_expert[1] is 1e99, it must be an integer",
        ),
        (
            "[1, 0]",
            "{}",
            "layer_list[0].device_list[0].device_expert is an object, it must be an array",
        ),
        (
            r#"{"device_id": 1, "device_expert": [1, 0]},"#,
            "",
            "layer_list[0].device_list has 1 entries, expected are 2 (ranks)",
        ),
        (
            "[1, 0]",
            "[2, 0]",
            "layer 1 places expert 1 on no live rank; every expert needs at least one slot",
        ),
    ];
    for (old, new, message) in cases {
        let text = with(ASCEND, old, new);
        let error = vllm_ascend::parse(&text, shape(), &topology()).unwrap_err();
        assert!(
            error.to_string().replace("1e+99", "1e99") == message,
            "expected {message:?}, got {:?}",
            error.to_string()
        );
    }
    let one_layer = ModelShape::new(1, 3, 1).unwrap();
    let text = with(ASCEND, r#""moe_layer_count": 2"#, r#""moe_layer_count": 1"#);
    let error = vllm_ascend::parse(&text, one_layer, &topology()).unwrap_err();
    assert!(matches!(error, FormatError::Length { found: 2, expected: 1, .. }), "{error}");
}

#[test]
fn an_expert_map_has_no_ranks_of_different_size() {
    let ranks = [2, 3].map(|slots| RankSpec::new(NodeId(0), slots));
    let uneven = Topology::new(ranks.to_vec()).unwrap();
    let placement = Placement::initial(shape(), &uneven).unwrap();
    let message =
        "rank 0 holds 2 slots and rank 1 holds 3, this form has equally many on every rank";
    let error = vllm_ascend::write(&placement, &uneven).unwrap_err();
    assert_eq!(error.to_string(), message);
    let error = vllm_ascend::parse(ASCEND, shape(), &uneven).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn an_initial_location_is_read_and_written() {
    let location = sglang::parse(SGLANG, shape(), &topology()).unwrap();
    assert_eq!(location, InitExpertLocation::Placement(example()));
    let text = sglang::write(&example()).unwrap();
    assert_eq!(text, r#"{"physical_to_logical_map":[[0,1,2,0],[2,2,1,0]]}"#);
    assert_eq!(sglang::parse(&text, shape(), &topology()).unwrap(), location);
}

#[test]
fn logical_counts_are_loads_with_or_without_steps() {
    let load = |rows: [[u64; 3]; 2]| ExpertLoad::from_rows(shape(), &rows).unwrap();
    let (first, second) = ([[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [7, 8, 9]]);
    let parse = |text: &str| sglang::parse(text, shape(), &topology()).unwrap();
    assert_eq!(
        parse(r#"{"logical_count": [[1, 2, 3], [4, 5, 6]], "rank": 0}"#),
        InitExpertLocation::Load(vec![load(first)])
    );
    assert_eq!(
        parse(r#"{"logical_count": [[[1,2,3],[4,5,6]], [[0,0,0],[7,8,9]]]}"#),
        InitExpertLocation::Load(vec![load(first), load(second)])
    );
}

#[test]
fn faults_of_an_initial_location_are_named() {
    let cases = [
        (
            r#"{"physical_to_logical_map": [[0, 1, 2, 0]]}"#,
            "physical_to_logical_map has 1 entries, expected are 2 (MoE layers)",
        ),
        (
            r#"{"physical_to_logical_map": [[0, 1, 2, 0], [2, 2, 1]]}"#,
            "physical_to_logical_map[1] has 3 entries, expected are 4 (slots)",
        ),
        (
            r#"{"physical_to_logical_map": [[0, 1, 2, -1], [2, 2, 1, 0]]}"#,
            "physical_to_logical_map[0][3] is -1, allowed is 0 to 2",
        ),
        (
            r#"{"physical_to_logical_map": [[0, 1, 2, 0.5], [2, 2, 1, 0]]}"#,
            "physical_to_logical_map[0][3] is 0.5, it must be an integer",
        ),
        (
            r#"{"physical_to_logical_map": [[0, 1, 2, null], [2, 2, 1, 0]]}"#,
            "physical_to_logical_map[0][3] is null, it must be an integer",
        ),
        (
            r#"{"physical_to_logical_map": [[0, 1, 2, 18446744073709551615], [2, 2, 1, 0]]}"#,
            "physical_to_logical_map[0][3] is 18446744073709551615, it must be an integer",
        ),
        (
            r#"{"physical_to_logical_map": [[0, 1, 1, 0], [2, 2, 1, 0]]}"#,
            "layer 0 places expert 2 on no live rank; every expert needs at least one slot",
        ),
        (
            r#"{"physical_to_logical_map": [7, [2, 2, 1, 0]]}"#,
            "physical_to_logical_map[0] is 7, it must be an array",
        ),
        (
            r#"{"logical_count": [[1, 2], [3, 4, 5]]}"#,
            "logical_count[0] has 2 entries, expected are 3 (logical experts)",
        ),
        (
            r#"{"logical_count": [[1, 2, -3], [3, 4, 5]]}"#,
            "logical_count[0][2] is -3, allowed is 0 to 9223372036854775807",
        ),
        (
            r#"{"logical_count": [[1, 2, true], [3, 4, 5]]}"#,
            "logical_count[0][2] is true, it must be an integer",
        ),
        (
            r#"{"logical_count": [[[1, 2, 3]]]}"#,
            "logical_count[0] has 1 entries, expected are 2 (MoE layers)",
        ),
        (
            r#"{"logical_count": [[[1, 2, 3], [1, 2, 3]], [[1, 2, 3], 4]]}"#,
            "logical_count[1][1] is 4, it must be an array",
        ),
        (
            r#"{"logical_count": []}"#,
            "logical_count is in no known form; allowed is arrays of layers × experts or steps × layers × experts, at least one step",
        ),
        (
            r#"{"logical_count": [[18446744073709551615, 1, 1], [0, 0, 0]]}"#,
            "layer 0 has more than 72057594037927936 tokens in all; give shorter windows",
        ),
        (
            r#"{"logical_count": [], "physical_to_logical_map": []}"#,
            "physical_to_logical_map and logical_count are both given; give one of them",
        ),
        (
            r#"{"rank": 0}"#,
            "the text is in no known form; allowed is an object with physical_to_logical_map or logical_count",
        ),
        ("[]", "the text is an array, it must be an object"),
    ];
    for (text, message) in cases {
        let error = sglang::parse(text, shape(), &topology()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_placement_is_recognised_in_each_form() {
    for text in [ASCEND, SGLANG, "[[0, 1, 2, 0], [2, 2, 1, 0]]"] {
        assert_eq!(parse_placement_json(text, shape(), &topology()).unwrap(), example());
    }
    let parse = |text: &str| parse_placement_json(text, shape(), &topology()).unwrap_err();
    assert_eq!(
        parse(r#"{"logical_count": [[1, 2, 3], [4, 5, 6]]}"#),
        FormatError::LoadNotPlacement
    );
    for text in ["{}", "7", "null", "\"trivial\""] {
        assert!(matches!(parse(text), FormatError::UnknownForm { .. }), "{text}");
    }
    assert_eq!(parse("[[0, 1, 2, 3], []]").to_string(), "[0][3] is 3, allowed is 0 to 2");
    let unplaced = PlacementError::Unplaced { layer: LayerId(0), expert: ExpertId(2) };
    assert_eq!(parse("[[0, 1, 1, 1], [0, 1, 2, 2]]"), unplaced.into());
}

#[test]
fn text_that_ends_anywhere_is_refused_and_never_panics() {
    for text in [ASCEND, SGLANG, "[[0, 1, 2, 0], [2, 2, 1, 0]]"] {
        for end in 0..text.len() {
            let error = parse_placement_json(&text[..end], shape(), &topology()).unwrap_err();
            assert!(matches!(error, FormatError::Json { .. }), "{end}: {error}");
        }
    }
    let deep = "[".repeat(100_000);
    let error = parse_placement_json(&deep, shape(), &topology()).unwrap_err();
    assert!(matches!(error, FormatError::Json { .. }), "{error}");
}
