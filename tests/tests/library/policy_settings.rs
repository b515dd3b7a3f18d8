//! What `[policy]` of a configuration becomes.

use eplb::core::{ExpertLoad, LayerId, ModelShape, Placement, Topology};
use eplb::policy::{Budget, PlanRequest, plan};
use eplb::{Config, ConfigError};

fn config(policy: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("ep_size = 4\n[policy]\n{policy}"), "test")
}

#[test]
fn settings_reach_the_policy() {
    let shape = ModelShape::new(1, 8, 4).unwrap();
    let topology = Topology::uniform(4, 3, 2).unwrap();
    let row = vec![900, 10, 10, 10, 10, 10, 10, 50];
    let load = [ExpertLoad::from_rows(shape, &[row]).unwrap()];
    let present = Placement::initial(shape, &topology).unwrap();
    let planned = |policy: &str, budget: Budget| {
        let policy = config(policy).unwrap().policy().unwrap();
        let request = PlanRequest {
            shape,
            topology: &topology,
            windows: &load,
            weights: &[],
            present: Some(&present),
            layers: &[LayerId(0)],
            budget,
        };
        plan(policy.as_ref(), &request).unwrap().remove(0)
    };
    let free = planned("", Budget::default());
    assert!(
        free.moved_slots.unwrap() > 0 && free.balancedness_before < Some(free.balancedness_after)
    );
    let dear = planned("price_same_node = 100.0\nprice_other_node = 100.0", Budget::default());
    assert_eq!(dear.moved_slots, Some(0));
    let even = planned("hedged_shares = false", Budget::default());
    assert_eq!(even.placement.shares(), None);
    let none = planned("", config("most_sent = 1").unwrap().policy.budget());
    assert!(none.moved_slots.unwrap() <= 1);
    assert_eq!(config("").unwrap().policy.budget(), Budget::default());
    assert_eq!(config("most_sent_rank_pair = 7").unwrap().policy.budget().rank_pair, 7);
}

#[test]
fn settings_of_robust_are_refused_for_others() {
    assert!(config("name = \"greedy\"\nhedged_shares = false").is_err());
    assert!(config("name = \"greedy\"\nmost_sent = 5").is_ok());
    assert!(config("objective = \"activated_experts\"\ntokens_per_step = 64").is_ok());
}
