//! Settings and placements that give no manager.

use std::time::Duration;

use eplb_core::{Estimator, Placement, RankId, Topology};
use eplb_manager::{Carriage, Manager, ManagerConfig, ManagerError};

use crate::rig::{initial, shape, topology};

fn error(change: impl FnOnce(&mut ManagerConfig)) -> String {
    let mut config = ManagerConfig::default();
    change(&mut config);
    let made = Manager::new(config, shape(), topology(), initial());
    made.expect_err("the setting is out of range").to_string()
}

#[test]
fn every_setting_is_checked() {
    let cases = [
        (error(|config| config.update_threshold = 1.01), "eplb_update_threshold is 1.01, "),
        (error(|config| config.update_threshold = -0.5), "eplb_update_threshold is -0.5, "),
        (error(|config| config.update_threshold = f64::NAN), "eplb_update_threshold is NaN, "),
        (error(|config| config.min_gain = f64::INFINITY), "min_gain is inf, allowed is 0 to 1"),
        (error(|config| config.window_samples = 0), "window_samples is 0, allowed is 1 to 1048576"),
        (error(|config| config.windows_kept = 0), "windows_kept is 0, allowed is 1 to 128"),
        (error(|config| config.windows_kept = 129), "windows_kept is 129, allowed is 1 to 128"),
        (
            error(|config| config.representative_windows = 129),
            "representative_windows is 129, allowed is 0 to 128",
        ),
        (
            error(|config| config.estimator = Estimator::Sliding { windows: 0 }),
            "estimator sliding is 0, allowed is 1 to 1024",
        ),
        (
            error(|config| config.estimator = Estimator::Exponential { newest: f64::NAN }),
            "estimator exponential is NaN, ",
        ),
        (error(|config| config.refusal_backoff = 65), "refusal_backoff is 65, allowed is 0 to 64"),
        (error(|config| config.layers_in_flight = 0), "layers_in_flight is 0, give more than 0"),
        (
            error(|config| config.most_changed_slots = Some(0)),
            "most_changed_slots is 0, give more than 0",
        ),
        (error(|config| config.plan_timeout = Duration::ZERO), "plan_timeout is 0, "),
        (error(|config| config.agreement_timeout = Duration::ZERO), "agreement_timeout is 0, "),
        (error(|config| config.prepare_timeout = Duration::ZERO), "prepare_timeout is 0, "),
        (error(|config| config.commit_timeout = Duration::ZERO), "commit_timeout is 0, "),
        (error(|config| config.revert_timeout = Duration::ZERO), "revert_timeout is 0, "),
        (
            error(|config| config.carriage = Carriage::Spmd { own_rank: RankId(4) }),
            "own rank is rank 4, it must be a live one of the 4 ranks",
        ),
    ];
    for (message, start) in cases {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn the_placement_must_be_one_of_these_ranks() {
    let larger = Topology::uniform(4, 3, 1).unwrap();
    let placement = Placement::initial(shape(), &larger).unwrap();
    let made = Manager::new(ManagerConfig::default(), shape(), topology(), placement);
    assert!(matches!(made, Err(ManagerError::Placement(_))));
}
