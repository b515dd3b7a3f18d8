//! Every configuration of the repository can be used.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the repository has failed")]

mod program;

use eplb::Config;
use eplb::core::{ModelShape, Placement};
use eplb_sim::{RunSettings, Trace};

#[test]
fn every_configuration_makes_a_placement() {
    let mut files = 0;
    for entry in std::fs::read_dir(program::root().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        files += 1;
        let config = Config::read(&path).unwrap();
        assert!(config.enable_eplb, "{}: it is there to balance", path.display());
        let model = &config.model;
        let (mut layers, mut experts) = (model.layers, model.experts);
        if experts == 0 {
            let settings = RunSettings::from_table(&config.run).unwrap();
            let trace = Trace::read(program::root().join(&settings.trace)).unwrap();
            layers = trace.shape.layers() as u32;
            experts = trace.shape.experts() as u32;
        }
        let shape = ModelShape::new(layers, experts, model.groups).unwrap();
        let topology = config.topology(experts).unwrap();
        let placement = Placement::initial(shape, &topology).unwrap();
        assert_eq!(placement.layer(eplb::core::LayerId(0)).experts().len(), topology.slots());
    }
    assert!(files >= 5, "only {files} configurations were found");
}

#[test]
fn slots_are_those_that_the_comments_promise() {
    let slots = |name: &str, experts| {
        let config = Config::read(&program::root().join("configs").join(name)).unwrap();
        config.topology(experts).unwrap().slots()
    };
    assert_eq!(slots("deepseek_v3_ep32.toml", 256), 288);
    assert_eq!(slots("deepseek_v3_ep144.toml", 256), 288);
    assert_eq!(slots("qwen3_235b_ep16.toml", 128), 144);
    assert_eq!(slots("kimi_k2_ep64.toml", 384), 448);
}
