//! What `eplb bench plan` times policies on: recorded loads, or made-up ones at the size of large
//! models, each with the ranks that it is planned for.

use std::path::Path;

use eplb::core::{ModelShape, Placement, Topology};
use eplb_sim::{SyntheticLoad, Trace};

use crate::arguments::BenchPlanArguments;
use crate::failure::Failure;
use crate::topology::{check_room, topology};

/// Windows of synthetic loads, one more than there are plans.
const WINDOWS: usize = 21;
const GROWTH_WINDOWS: usize = 4;
const MOST_WINDOWS: usize = 1000;
/// Experts of a rank where neither the load nor the command line says how many ranks there are.
const EXPERTS_PER_RANK: usize = 8;

/// A load and its ranks.
pub(super) struct BenchLoad {
    pub(super) trace: Trace,
    pub(super) synthetic: bool,
    pub(super) topology: Topology,
    pub(super) start: Placement,
}

/// Layers, experts and expert groups of a public model, and ranks that it is served on.
struct Model {
    name: &'static str,
    layers: u32,
    experts: u32,
    groups: u32,
    ranks: u32,
}

const MODELS: [Model; 3] = [
    Model { name: "DeepSeek-V3", layers: 58, experts: 256, groups: 8, ranks: 32 },
    Model { name: "Kimi-K2", layers: 60, experts: 384, groups: 1, ranks: 64 },
    Model { name: "Qwen3-235B", layers: 94, experts: 128, groups: 1, ranks: 16 },
];

const GROWTH_RANKS: [u32; 5] = [64, 128, 256, 512, 1024];

fn growth_model(ranks: u32) -> Model {
    Model { name: "growth", layers: 61, experts: 384, groups: 1, ranks }
}

pub(super) fn loads(arguments: &BenchPlanArguments) -> Result<Vec<BenchLoad>, Failure> {
    if arguments.growth {
        let models = GROWTH_RANKS.map(growth_model);
        return models.iter().map(|model| synthetic(model, GROWTH_WINDOWS, arguments)).collect();
    }
    if arguments.loads.is_empty() {
        return MODELS.iter().map(|model| synthetic(model, WINDOWS, arguments)).collect();
    }
    arguments.loads.iter().map(|path| recorded(path, arguments)).collect()
}

fn synthetic(
    model: &Model,
    windows: usize,
    arguments: &BenchPlanArguments,
) -> Result<BenchLoad, Failure> {
    let windows = arguments.windows.unwrap_or(windows);
    if !(2..=MOST_WINDOWS).contains(&windows) {
        let allowed = format!("allowed: 2 to {MOST_WINDOWS}");
        return Err(Failure::new(format!("--windows {windows} is not allowed; {allowed}")));
    }
    let (layers, experts) = (model.layers, model.experts);
    let groups = arguments.groups.unwrap_or(model.groups);
    let name = model.name.to_owned();
    let load = SyntheticLoad { name, layers, experts, groups, windows, seed: u64::from(experts) };
    let trace = load.trace().map_err(|error| Failure::new(format!("{}: {error}", model.name)))?;
    let ranks = arguments.ranks.unwrap_or(model.ranks);
    BenchLoad::new(trace, true, ranks, arguments, Path::new(model.name))
}

fn recorded(path: &Path, arguments: &BenchPlanArguments) -> Result<BenchLoad, Failure> {
    let mut trace = Trace::read(path).map_err(Failure::new)?;
    let available = trace.windows.len();
    if available < 2 {
        let needed = "a plan is scored on the window after it, so at least two are needed";
        let path = path.display();
        return Err(Failure::new(format!("{path}: it has {available} window; {needed}")));
    }
    if let Some(windows) = arguments.windows {
        if !(2..=available).contains(&windows) {
            let allowed = format!("allowed: 2 to {available}, the windows of {}", path.display());
            return Err(Failure::new(format!("--windows {windows} is not allowed; {allowed}")));
        }
        trace.windows.truncate(windows);
    }
    if let Some(groups) = arguments.groups {
        let (layers, experts) = (trace.shape.layers() as u32, trace.shape.experts() as u32);
        trace.shape = ModelShape::new(layers, experts, groups)
            .map_err(|error| Failure::new(format!("--groups {groups}: {error}")))?;
    }
    let ranks = arguments.ranks.unwrap_or((trace.shape.experts() / EXPERTS_PER_RANK).max(1) as u32);
    BenchLoad::new(trace, false, ranks, arguments, path)
}

impl BenchLoad {
    fn new(
        trace: Trace,
        synthetic: bool,
        ranks: u32,
        arguments: &BenchPlanArguments,
        file: &Path,
    ) -> Result<Self, Failure> {
        let experts = trace.shape.experts();
        let slots = match arguments.slots {
            Some(slots) => slots,
            None => slots_with_one_redundant(ranks, experts)?,
        };
        let topology = topology(ranks, slots, arguments.nodes)?;
        check_room(slots, experts, file)?;
        let start = Placement::initial(trace.shape, &topology).map_err(Failure::new)?;
        Ok(Self { trace, synthetic, topology, start })
    }
}

/// Slots for every expert and at least one redundant one a rank, equally many on each rank.
fn slots_with_one_redundant(ranks: u32, experts: usize) -> Result<u32, Failure> {
    let per_rank = (experts as u32).div_ceil(ranks.max(1)) + 1;
    per_rank.checked_mul(ranks).ok_or_else(|| {
        Failure::new(format!("--ranks {ranks} is not allowed; give --slots too, or fewer ranks"))
    })
}
