//! Services that end and begin again with what they knew.

use std::path::Path;

use eplb::core::{Estimator, LayerId, ModelShape, Placement, RankId};
use eplb::{
    Carriage, Config, Coordinator, Error, ManualClock, initial_placement, placement_for,
    read_profile,
};

use super::engine::{EXPERTS, Engine, config};

fn shape() -> ModelShape {
    ModelShape::new(2, EXPERTS, 1).unwrap()
}

fn with_profile(path: &Path) -> Config {
    let mut config = config("commit = \"in_place\"");
    config.manager.profile = Some(path.to_owned());
    config
}

fn start(config: &Config, placement: Placement) -> Result<Coordinator, Error> {
    let topology = config.topology(EXPERTS).unwrap();
    let clock = std::sync::Arc::new(ManualClock::new());
    Coordinator::start(config, shape(), &topology, placement, Carriage::Leader, clock)
}

#[test]
fn a_service_that_begins_again_knows_its_traffic() {
    let mut engine = Engine::start("commit = \"in_place\"");
    let nothing = engine.coordinator.profile().unwrap_err().to_string();
    assert_eq!(nothing, "profile: a profile needs at least one window, this has none");
    engine.steps(6, 3);
    let text = engine.coordinator.profile().unwrap();
    engine.end();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.json");
    std::fs::write(&path, &text).unwrap();
    let config = with_profile(&path);
    let topology = config.topology(EXPERTS).unwrap();
    let placement = initial_placement(&config, shape(), &topology).unwrap();
    let replicas = |placement: &Placement, expert: u32| {
        let table = placement.layer(LayerId(0)).experts();
        table.iter().filter(|placed| placed.0 == expert).count()
    };
    let first = Placement::initial(shape(), &topology).unwrap();
    assert!(replicas(&placement, 3) > replicas(&first, 3), "{placement:?}");
    assert_eq!(initial_placement(&config, shape(), &topology).unwrap(), placement);
    let known = read_profile(&path).unwrap();
    assert_eq!(known.windows().len(), 6);
    assert_eq!(placement_for(&known, shape(), &topology).unwrap(), placement);

    let again = start(&config, placement.clone()).unwrap();
    assert_eq!(again.placement(), &placement);
    assert_eq!(again.profile().unwrap(), text, "what was known is known");

    // As many windows as there is room for.
    let mut small = with_profile(&path);
    small.manager.representative_windows = 2;
    let few = start(&small, placement).unwrap().profile().unwrap();
    std::fs::write(&path, few).unwrap();
    let counts: Vec<_> = read_profile(&path).unwrap().windows().map(|w| w.weight.count()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<f64>()), (2, 6.0));
}

#[test]
fn what_a_profile_knows_is_planned_for() {
    // The profile saw expert 5 hot, the service sees expert 0.
    let mut before = Engine::start("commit = \"in_place\"");
    before.steps(30, 5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.json");
    std::fs::write(&path, before.coordinator.profile().unwrap()).unwrap();
    before.end();
    let mut hot = Vec::new();
    for known in [false, true] {
        let mut config = with_profile(&path);
        config.policy.estimator = Some(Estimator::Sum);
        if !known {
            config.manager.profile = None;
        }
        let mut engine = Engine::start("commit = \"in_place\"");
        let placement = engine.coordinator.placement().clone();
        let (topology, clock) = (&engine.topology, engine.clock.clone());
        let carriage = Carriage::Leader;
        engine.coordinator =
            Coordinator::start(&config, shape(), topology, placement, carriage, clock).unwrap();
        engine.steps(8, 0);
        let table = engine.coordinator.placement().layer(LayerId(0)).experts();
        hot.push(table.iter().filter(|placed| placed.0 == 5).count());
        engine.verify();
        engine.end();
    }
    assert!(hot[1] > hot[0], "replicas of expert 5 without and with the profile: {hot:?}");
}

#[test]
fn without_a_profile_a_service_begins_as_ever() {
    let config = config("commit = \"in_place\"");
    let topology = config.topology(EXPERTS).unwrap();
    let placement = initial_placement(&config, shape(), &topology).unwrap();
    assert_eq!(placement, Placement::initial(shape(), &topology).unwrap());
}

#[test]
fn profiles_that_cannot_be_used_start_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let other = r#"{"format": "eplb-profile", "version": 1, "layers": 1, "experts": 2, "groups": 1,
        "windows": [{"recent": 1, "lasting": 1, "count": 1, "counts": [[1, 2]]}]}"#;
    std::fs::write(folder.path().join("other"), other).unwrap();
    std::fs::write(folder.path().join("none"), "{}").unwrap();
    let cases = [
        ("missing", format!("profile: {dir}/missing: cannot be read: ")),
        ("", format!("profile: {dir}/: cannot be read: it is not a regular file")),
        ("none", format!("profile: {dir}/none: format is missing")),
        (
            "other",
            format!("profile: {dir}/other: it is of 1 layers of 2 experts, the model has 2 of 6"),
        ),
    ];
    for (name, expected) in cases {
        let config = with_profile(&folder.path().join(name));
        let topology = config.topology(EXPERTS).unwrap();
        let placement = Placement::initial(shape(), &topology).unwrap();
        let errors = [
            start(&config, placement).unwrap_err(),
            initial_placement(&config, shape(), &topology).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Profile(_)), "{error:?}");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
    let mut config = with_profile(&folder.path().join("other"));
    config.manager.representative_windows = 0;
    let error = config.check().unwrap_err().to_string();
    let expected = "manager.representative_windows = 0 is not allowed; allowed: at least 1 with \
                    manager.profile";
    assert_eq!(error, expected);
}

#[test]
fn all_ranks_of_an_spmd_group_read_the_same() {
    let mut engine = Engine::start("commit = \"in_place\"");
    engine.steps(4, 3);
    let text = engine.coordinator.profile().unwrap();
    engine.end();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.json");
    std::fs::write(&path, &text).unwrap();
    let config = with_profile(&path);
    let topology = config.topology(EXPERTS).unwrap();
    for own_rank in [RankId(0), RankId(2)] {
        let placement = initial_placement(&config, shape(), &topology).unwrap();
        let clock = std::sync::Arc::new(ManualClock::new());
        let carriage = Carriage::Spmd { own_rank };
        let coordinator =
            Coordinator::start(&config, shape(), &topology, placement, carriage, clock).unwrap();
        assert_eq!(coordinator.profile().unwrap(), text);
    }
}

#[test]
fn policies_that_plan_from_one_load_plan_from_the_recent_windows() {
    let of = |text: &str| {
        let text = format!("[manager]\nwindows_kept = 5\n[policy]\n{text}");
        Config::parse(&text, "test").unwrap().estimator().unwrap()
    };
    for name in ["static", "deepseek", "xllm", "greedy"] {
        let recent = Estimator::Sliding { windows: 5 };
        assert_eq!(of(&format!("name = {name:?}")), recent, "{name}");
    }
    assert_eq!(of("name = \"robust\""), Estimator::Ensemble);
    assert_eq!(of("name = \"robust\"\nestimator = \"last\""), Estimator::Last);
    let newest = Estimator::Exponential { newest: 0.25 };
    assert_eq!(of("name = \"xllm\"\nestimator = \"exponential:0.25\""), newest);
}
