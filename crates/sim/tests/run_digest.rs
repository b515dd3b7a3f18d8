//! The digest of a run: equal for equal runs, however the devices lie, and for those alone.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use eplb::Config;
use eplb_host::HostBackend;
use eplb_sim::{Devices, RunError, RunInput, RunReport, RunSettings, Trace, run};

fn report(
    change: impl FnOnce(&mut Config, &mut RunSettings),
    devices: &dyn Fn(u32) -> Result<Devices, RunError>,
) -> RunReport {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut config = Config::read(&root.join("configs/quickstart.toml")).unwrap();
    config.ep_size = 4;
    let mut settings = RunSettings::from_table(&config.run).unwrap();
    change(&mut config, &mut settings);
    let mut trace = Trace::read(root.join(&settings.trace)).unwrap();
    trace.windows.truncate(8);
    let input = RunInput { config: &config, settings: &settings, trace: &trace };
    run(&input, devices, &mut |_| {}).unwrap()
}

fn one_each(ranks: u32) -> Result<Devices, RunError> {
    Devices::all(HostBackend::new(ranks))
}

#[test]
fn equal_runs_have_equal_digests_wherever_the_ranks_are() {
    let first = report(|_, _| {}, &one_each);
    assert!(first.layers_updated > 0);
    let fewer = |_| Devices::all(HostBackend::new(3));
    let shared = |_| Ok(Devices::one(HostBackend::new(2), 1));
    for devices in [&one_each as &dyn Fn(u32) -> _, &fewer, &shared] {
        let again = report(|_, _| {}, devices);
        assert_eq!(again.digest, first.digest);
        assert_eq!(again.verified.mismatches, 0);
    }
}

#[test]
fn other_bytes_tables_and_switches_show() {
    let digests = [
        report(|_, _| {}, &one_each),
        report(|_, settings| settings.seed += 1, &one_each),
        report(|config, _| config.enable_eplb = false, &one_each),
        report(|config, _| config.policy.name = "deepseek".to_owned(), &one_each),
        report(|config, _| config.eplb_update_interval = 200, &one_each),
    ]
    .map(|report| report.digest);
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "{digests:?}");
    }
}

#[test]
fn without_a_device_nothing_runs() {
    let error = Devices::all(HostBackend::new(0)).expect_err("there is no device");
    assert!(error.to_string().contains("no device"), "{error}");
}
