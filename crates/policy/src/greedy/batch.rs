//! All layers at once.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use eplb_core::{ExpertId, ExpertLoad, LayerId, ModelShape, Placement, PlacementError, Topology};
use rayon::{Scope, ThreadPool};

use super::Greedy;
use super::bins::Bins;
use super::planner::Planner;
use crate::PolicyError;

/// Waking a thread takes about as long as planning this many layers.
const FEWEST_LAYERS_A_THREAD: usize = 4;

/// How often the caller looks for the end of the last layer before it goes to sleep: about as long
/// as a layer takes, and much less than being woken again.
const MOST_SPINS: usize = 500;

/// The placements of all layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GreedyTables {
    /// The logical expert of every slot (`physical_to_logical_map`): layers × slots, row-major.
    /// Slots of dead ranks hold what [`Placement::initial`] gives them.
    pub experts: Vec<ExpertId>,
    /// How many slots of live ranks hold each logical expert (`logical_replica_count`): layers ×
    /// experts, row-major.
    pub replica_counts: Vec<u32>,
}

/// Plans on the threads of `pool`, or of the current one.
pub(super) fn plan_tables(
    greedy: Greedy,
    load: &ExpertLoad,
    topology: &Topology,
    pool: Option<&ThreadPool>,
) -> Result<GreedyTables, PolicyError> {
    let mut tables = standing_tables(load.shape(), topology)?;
    let bins = Bins::new(topology);
    let experts = tables.experts.chunks_exact_mut(topology.slots());
    let counts = tables.replica_counts.chunks_exact_mut(load.shape().experts());
    let layers = load.rows().zip(experts).zip(counts);
    let layers = layers.map(|((load, experts), counts)| Layer { load, experts, counts });
    let work = Work { greedy, bins: &bins, layers: Mutex::new(layers), busy: AtomicUsize::new(0) };
    let most = load.shape().layers().div_ceil(FEWEST_LAYERS_A_THREAD);
    let threads = if most == 1 {
        1
    } else {
        pool.map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads).min(most)
    };
    match pool {
        _ if threads == 1 => work.plan_layers(),
        Some(pool) => pool.in_place_scope(|scope| work.spread(threads, scope)),
        None => rayon::in_place_scope(|scope| work.spread(threads, scope)),
    }
    drop(work);
    Ok(tables)
}

/// Tables in which only what slots of dead ranks hold stays.
fn standing_tables(shape: ModelShape, topology: &Topology) -> Result<GreedyTables, PolicyError> {
    let (layers, experts, slots) = (shape.layers(), shape.experts(), topology.live_slots());
    if slots < experts {
        return Err(PlacementError::TooFewSlots { slots, experts }.into());
    }
    let table = if slots == topology.slots() {
        vec![ExpertId(0); layers * slots]
    } else {
        let layer = ModelShape::new(1, experts as u32, 1)?;
        Placement::initial(layer, topology)?.layer(LayerId(0)).experts().repeat(layers)
    };
    Ok(GreedyTables { experts: table, replica_counts: vec![0; layers * experts] })
}

/// One layer to plan.
struct Layer<'a> {
    load: &'a [u64],
    experts: &'a mut [ExpertId],
    counts: &'a mut [u32],
}

/// What the threads share.
struct Work<'a, Layers> {
    greedy: Greedy,
    bins: &'a Bins,
    /// Layers that nobody has taken yet.
    layers: Mutex<Layers>,
    /// Threads besides the caller's that plan at the moment.
    busy: AtomicUsize,
}

impl<'a, Layers: Iterator<Item = Layer<'a>> + Send> Work<'a, Layers> {
    /// Plans all layers on `threads` threads, this one among them.
    fn spread<'scope>(&'scope self, threads: usize, scope: &Scope<'scope>) {
        for _ in 1..threads {
            scope.spawn(|_| {
                self.busy.fetch_add(1, Ordering::Relaxed);
                self.plan_layers();
                self.busy.fetch_sub(1, Ordering::Relaxed);
            });
        }
        self.plan_layers();
        // Only to come back sooner; the scope waits for the others in any case.
        for _ in 0..MOST_SPINS {
            if self.busy.load(Ordering::Relaxed) == 0 {
                break;
            }
            spin_loop();
        }
    }

    /// Plans layers until all are taken.
    fn plan_layers(&self) {
        let mut planner = Planner::new(self.bins, self.greedy);
        while let Some(layer) = self.next() {
            planner.plan(layer.load, layer.experts, layer.counts);
        }
    }

    fn next(&self) -> Option<Layer<'a>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}
