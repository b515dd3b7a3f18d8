//! `eplb plan`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use comfy_table::{Table, presets};
use eplb::core::formats::{PlacementMaps, parse_placement_json, sglang, vllm_ascend};
use eplb::core::{
    Estimate, Estimator, ExpertId, ExpertLoad, ModelShape, Placement, Topology, layer_balancedness,
};
use eplb::policy::{Budget, LayerPlan, PlanRequest, by_name};
use eplb::read_profile;
use eplb_sim::LoadFile;
use serde::Serialize;

use crate::arguments::{PlacementForm, PlanArguments};
use crate::failure::Failure;
use crate::numbers::{balancedness, grouped};
use crate::output::{check_target, write_whole};
use crate::topology::{check_room, topology};

/// Layers that the table for people shows: the worst ones.
const SHOWN_LAYERS: usize = 12;

/// What `eplb plan --json` prints.
#[derive(Debug, Serialize)]
struct PlanReport {
    policy: String,
    layers: usize,
    experts: usize,
    ranks: usize,
    nodes: usize,
    slots: usize,
    /// [layers][slots]
    physical_to_logical_map: Vec<Vec<i64>>,
    /// [layers][experts]
    logical_replica_count: Vec<Vec<i64>>,
    balancedness: Figures,
    /// Under the present placement; null without one.
    balancedness_before: Option<Figures>,
    /// Slots whose rank did not hold their expert before; null without a present placement.
    moved_slots: Option<usize>,
    /// Milliseconds that the policy took, for all layers.
    plan_ms: f64,
}

/// Balancedness over the layers, of all windows' load together.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    mean: f64,
    worst: f64,
}

pub(crate) fn plan(arguments: &PlanArguments, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    if let Some(path) = &arguments.output {
        check_target(path)?;
    }
    let policy =
        by_name(&arguments.policy).map_err(|error| Failure::new(format!("--policy: {error}")))?;
    let topology = topology(arguments.ranks, arguments.slots, arguments.nodes)?;
    let (shape, Estimate { windows, weights }, file) = load(arguments)?;
    check_room(arguments.slots, shape.experts(), file)?;
    let present = present_placement(arguments, shape, &topology)?;
    let layers: Vec<_> = shape.layer_ids().collect();
    let request = PlanRequest {
        shape,
        topology: &topology,
        windows: &windows,
        present: present.as_ref(),
        layers: &layers,
        weights: &weights,
        budget: Budget::default(),
    };
    let started = Instant::now();
    let mut plans = eplb::policy::plan(policy.as_ref(), &request).map_err(Failure::new)?;
    let plan_ms = started.elapsed().as_secs_f64() * 1e3;
    share_evenly(&mut plans, &windows, &topology);

    let tables: Vec<&[ExpertId]> = plans.iter().map(|plan| plan.placement.experts()).collect();
    let placement = Placement::new(&tables, shape, &topology).map_err(Failure::new)?;
    if let Some(path) = &arguments.output {
        let text = match arguments.format {
            PlacementForm::Sglang => sglang::write(&placement),
            PlacementForm::VllmAscend => vllm_ascend::write(&placement, &topology),
        };
        write_whole(path, &text.map_err(Failure::new)?)?;
    }
    let maps = PlacementMaps::new(&placement, &topology);
    let report = PlanReport {
        policy: policy.name().to_owned(),
        layers: shape.layers(),
        experts: shape.experts(),
        ranks: topology.ranks(),
        nodes: topology.nodes(),
        slots: topology.slots(),
        physical_to_logical_map: rows(&maps.physical_to_logical_map, topology.slots()),
        logical_replica_count: rows(&maps.logical_replica_count, shape.experts()),
        balancedness: Figures::of(plans.iter().map(|plan| plan.balancedness_after)),
        balancedness_before: present
            .is_some()
            .then(|| Figures::of(plans.iter().filter_map(|plan| plan.balancedness_before))),
        moved_slots: plans.iter().map(|plan| plan.moved_slots).sum(),
        plan_ms,
    };
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", text(&report, &plans))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The tables that are printed and written say nothing of shares, so what is said of them is for even
/// ones.
fn share_evenly(plans: &mut [LayerPlan], windows: &[ExpertLoad], topology: &Topology) {
    for plan in plans {
        plan.placement = plan.placement.with_even_shares();
        let rows = windows.iter().map(|load| load.layer(plan.layer));
        let load = rows.fold(Vec::new(), |mut sum: Vec<u64>, row| {
            sum.resize(row.len(), 0);
            sum.iter_mut().zip(row).for_each(|(sum, tokens)| *sum += tokens);
            sum
        });
        let routing = plan.placement.routing(topology);
        plan.balancedness_after = layer_balancedness(&load, &routing, topology);
    }
}

/// The model, the windows to plan for, and the file that they are from.
fn load(arguments: &PlanArguments) -> Result<(ModelShape, Estimate, &Path), Failure> {
    let (shape, estimate, file) = match (&arguments.load, &arguments.profile) {
        (Some(file), _) => {
            let LoadFile { shape, windows } = LoadFile::read(file).map_err(Failure::new)?;
            (shape, Estimate { windows, weights: vec![] }, file)
        }
        (None, Some(file)) => {
            let known = read_profile(file).map_err(Failure::new)?;
            (known.shape(), Estimator::Ensemble.estimate(&known), file)
        }
        // The arguments require one of them.
        (None, None) => return Err(Failure::new("give --load or --profile; see eplb --help")),
    };
    let Some(groups) = arguments.groups else { return Ok((shape, estimate, file)) };
    let (layers, experts) = (shape.layers() as u32, shape.experts() as u32);
    let shape = ModelShape::new(layers, experts, groups)
        .map_err(|error| Failure::new(format!("--groups {groups}: {error}")))?;
    Ok((shape, estimate, file))
}

fn present_placement(
    arguments: &PlanArguments,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Option<Placement>, Failure> {
    let Some(path) = &arguments.placement else { return Ok(None) };
    let refuse = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{}: cannot be read: {error}", path.display()))
    };
    // Reading from a pipe may wait for ever.
    if !std::fs::metadata(path).map_err(|error| refuse(&error))?.is_file() {
        return Err(refuse(&"it is not a regular file"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
    parse_placement_json(&text, shape, topology)
        .map(Some)
        .map_err(|error| Failure::of_file(path, error))
}

fn rows(values: &[i64], width: usize) -> Vec<Vec<i64>> {
    values.chunks_exact(width).map(<[i64]>::to_vec).collect()
}

impl Figures {
    fn of(layers: impl Iterator<Item = f64>) -> Self {
        let (mut sum, mut count, mut worst) = (0.0, 0.0, 1.0f64);
        for layer in layers {
            sum += layer;
            count += 1.0;
            worst = worst.min(layer);
        }
        Self { mean: if count > 0.0 { sum / count } else { 1.0 }, worst }
    }
}

fn text(report: &PlanReport, plans: &[LayerPlan]) -> String {
    let mut order: Vec<&LayerPlan> = plans.iter().collect();
    order.sort_by(|a, b| a.balancedness_after.total_cmp(&b.balancedness_after));
    order.truncate(SHOWN_LAYERS);
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["layer", "before", "planned", "moved slots", "most replicas"]);
    for plan in &order {
        let LayerPlan { layer, balancedness_before, balancedness_after, moved_slots, .. } = plan;
        let replicas = report.logical_replica_count[layer.index()].iter().max();
        table.add_row([
            layer.0.to_string(),
            balancedness_before.map_or("-".to_owned(), balancedness),
            balancedness(*balancedness_after),
            moved_slots.map_or("-".to_owned(), |moved| moved.to_string()),
            replicas.map_or("-".to_owned(), |count| count.to_string()),
        ]);
    }
    let hidden = plans.len() - order.len();
    let rest = if hidden > 0 {
        format!("the {} worst of {} layers\n", order.len(), plans.len())
    } else {
        String::new()
    };
    let before = report.balancedness_before.map_or(String::new(), |before| {
        format!(" (present placement: {})", balancedness(before.mean))
    });
    let moved = report.moved_slots.map_or(String::new(), |moved| {
        let all = (report.layers * report.slots) as u64;
        format!("{} of {} slots move\n", grouped(moved as u64), grouped(all))
    });
    format!(
        "{table}\n{rest}policy {}: balancedness {}, worst layer {}{before}\n{moved}planned in {:.2} ms\n",
        report.policy,
        balancedness(report.balancedness.mean),
        balancedness(report.balancedness.worst),
        report.plan_ms,
    )
}
