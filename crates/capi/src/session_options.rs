//! What a session is opened with.

use std::sync::Arc;

use eplb::core::{RankId, Topology};
use eplb::{
    Clock, CounterForm, CounterLife, CounterWidth, Held, Lent, LoadCounters, Padding,
    PendingSession, Phase, Supply, TransportChoice,
};

use crate::caller::Caller;
use crate::clock::clock;
use crate::communicator;
use crate::config::ConfigObject;
use crate::device;
use crate::failure::Failure;
use crate::generated as c;
use crate::memory;
use crate::placement::PlacementObject;
use crate::registry;
use crate::stream;
use crate::topology::rank_of;
use crate::weights::WeightsObject;

/// A session that was opened, and what it is.
pub(crate) struct Opened {
    pub(crate) session: PendingSession,
    pub(crate) rank: RankId,
    pub(crate) topology: Topology,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Opens a session by its options.
pub(crate) fn open(caller: &Caller, options: &c::eplb_session_options) -> Result<Opened, Failure> {
    let placement =
        |name, handle| {
            registry::with::<PlacementObject, _>(name, handle, |held: &PlacementObject| {
                Ok(held.clone())
            })
        };
    let held = match u32::try_from(options.held) {
        Ok(c::EPLB_HELD_ALL) => Held::All,
        Ok(c::EPLB_HELD_NOTHING) => Held::Nothing,
        Ok(c::EPLB_HELD_OTHER) => {
            Held::Other(placement("options.held_placement", options.held_placement)?.placement)
        }
        _ => {
            let allowed = "EPLB_HELD_ALL, EPLB_HELD_NOTHING or EPLB_HELD_OTHER";
            return Err(Failure::argument("options.held", options.held, allowed));
        }
    };
    let PlacementObject { placement, topology } =
        placement("options.placement", options.placement)?;
    let rank = rank_of(&topology, options.rank)?;
    let counters = caller.optional_structure("options.counters", options.counters)?;
    let counters = counters.map(|lent| counters_of(caller, &lent)).transpose()?;
    let lent = Lent {
        device: device::with(options.device, |device| Ok(device.clone()))?,
        engine_stream: stream::with(options.stream, |stream| Ok(stream.clone()))?,
        weights: registry::with::<WeightsObject, _>(
            "options.weights",
            options.weights,
            |weights| Ok(weights.manifest()),
        )?,
    };
    let config = registry::with::<ConfigObject, _>("options.config", options.config, |config| {
        Ok(config.config.clone())
    })?;
    let supply = Supply { pool: None, held };
    let shape = placement.shape();
    let mut session =
        PendingSession::open_from(&config, rank, shape, &topology, &placement, lent, &supply)?;
    if !options.communicator.is_null() {
        let name = "options.communicator";
        let lent = communicator::with_named(name, options.communicator, |lent| Ok(lent.clone()))?;
        session = session.with_communicator(lent)?;
    } else if config.executor.transport == TransportChoice::Collective {
        session = session.with_own_communicator()?;
    } else if let Some(refusal) = session.refusal() {
        return Err(eplb::Error::from(refusal.clone()).into());
    }
    if let Some(counters) = counters {
        session = session.with_counters(counters);
    }
    if options.device_routing != 0 {
        session = session.with_device_routing();
    }
    Ok(Opened { session, rank, topology, clock: clock(options.clock, options.user) })
}

fn counters_of(caller: &Caller, lent: &c::eplb_load_counters) -> Result<LoadCounters, Failure> {
    let width = match u32::try_from(lent.width) {
        Ok(c::EPLB_COUNTERS_INT32) => CounterWidth::Int32,
        Ok(c::EPLB_COUNTERS_INT64) => CounterWidth::Int64,
        _ => return Err(Failure::argument("counters.width", lent.width, "4 or 8")),
    };
    let life = match u32::try_from(lent.life) {
        Ok(c::EPLB_COUNTERS_RISING) => CounterLife::Rising,
        Ok(c::EPLB_COUNTERS_CLEARED) => CounterLife::Cleared,
        Ok(c::EPLB_COUNTERS_OVERWRITTEN) => CounterLife::Overwritten,
        _ => return Err(Failure::argument("counters.life", lent.life, "0, 1 or 2")),
    };
    let memory = memory::with("counters.memory", lent.memory, |memory| Ok(memory.clone()))?;
    let mut counters = LoadCounters::new(memory, width);
    counters.form = if is_prefix_sums("counters.form", lent.form)? {
        CounterForm::PrefixSums
    } else {
        CounterForm::Plain
    };
    counters.life = life;
    if lent.ring > 0 {
        counters.ring = lent.ring as usize;
    }
    if lent.every > 0 {
        counters.every = lent.every;
    }
    if lent.most_tokens > 0 {
        counters.most_tokens = lent.most_tokens;
    }
    if !lent.padding.is_null() {
        let mask = caller.slice("counters.padding", lent.padding, lent.padding_count)?;
        counters.padding = Padding::Slots(mask.iter().map(|&pads| pads != 0).collect());
    }
    Ok(counters)
}

/// Whether a number of `enum eplb_count_form` says prefix sums.
pub(crate) fn is_prefix_sums(name: &str, form: i32) -> Result<bool, Failure> {
    match u32::try_from(form) {
        Ok(c::EPLB_COUNTS_PLAIN) => Ok(false),
        Ok(c::EPLB_COUNTS_PREFIX_SUMS) => Ok(true),
        _ => Err(Failure::argument(name, form, "EPLB_COUNTS_PLAIN or EPLB_COUNTS_PREFIX_SUMS")),
    }
}

/// The phase that a number of `enum eplb_phase` stands for.
pub(crate) fn phase_of(name: &str, phase: i32) -> Result<Phase, Failure> {
    match u32::try_from(phase) {
        Ok(c::EPLB_PHASE_MIXED) => Ok(Phase::Mixed),
        Ok(c::EPLB_PHASE_PREFILL) => Ok(Phase::Prefill),
        Ok(c::EPLB_PHASE_DECODE) => Ok(Phase::Decode),
        _ => Err(Failure::argument(name, phase, "EPLB_PHASE_MIXED, _PREFILL or _DECODE")),
    }
}
