//! Ranks, nodes and slots: `eplb_topology`.

use eplb::core::{NOMINAL_SPEED, NodeId, RankId, RankSpec, Topology};

use crate::boundary::export;
use crate::caller::Caller;
use crate::config::ConfigObject;
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};

/// A topology.
pub(crate) struct TopologyObject(pub(crate) Topology);

impl Object for TopologyObject {
    type Raw = c::eplb_topology;
    const KIND: Kind = Kind { name: "eplb_topology", number: 2 };
}

/// The rank, if the topology has it.
pub(crate) fn rank_of(topology: &Topology, rank: u32) -> Result<RankId, Failure> {
    if topology.contains(RankId(rank)) {
        return Ok(RankId(rank));
    }
    let allowed = format!("0 to {}", topology.ranks() - 1);
    Err(Failure::argument("rank", rank, &allowed))
}

fn spec_of(rank: &c::eplb_rank) -> RankSpec {
    let speed = if rank.speed == 0 { NOMINAL_SPEED } else { rank.speed };
    let (alive, empty) = (rank.is_dead == 0, rank.is_empty != 0);
    RankSpec { alive, empty, speed, ..RankSpec::new(NodeId(rank.node), rank.slots) }
}

/// The ranks of an array whose elements are as long as the first one says.
fn specs_of(
    caller: &Caller,
    ranks: *const c::eplb_rank,
    count: usize,
) -> Result<Vec<RankSpec>, Failure> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let most = Topology::MOST_RANKS as usize;
    if count > most {
        return Err(Failure::argument("count", count, &format!("at most {most}")));
    }
    let stride = caller.structure("ranks[0]", ranks)?.struct_size;
    let rank = |index: usize| {
        let rank = caller
            .structure(&format!("ranks[{index}]"), ranks.wrapping_byte_add(index * stride))?;
        Ok(spec_of(&rank))
    };
    (0..count).map(rank).collect()
}

export! {
    fn eplb_topology_create(
        caller,
        config: *const c::eplb_config,
        experts: u32,
        topology: *mut *mut c::eplb_topology,
    ) {
        let place = caller.place("topology", topology)?;
        registry::with::<ConfigObject, _>("config", config, |config| {
            config.config.check()?;
            place.set(registry::insert(TopologyObject(config.config.topology(experts)?)));
            Ok(())
        })
    }

    fn eplb_topology_create_of(
        caller,
        ranks: *const c::eplb_rank,
        count: usize,
        topology: *mut *mut c::eplb_topology,
    ) {
        let place = caller.place("topology", topology)?;
        let specs = specs_of(caller, ranks, count)?;
        place.set(registry::insert(TopologyObject(Topology::new(specs)?)));
        Ok(())
    }

    fn eplb_topology_size(
        caller,
        topology: *const c::eplb_topology,
        ranks: *mut u32,
        slots: *mut u32,
    ) {
        let ranks = caller.optional_place("ranks", ranks)?;
        let slots = caller.optional_place("slots", slots)?;
        registry::with::<TopologyObject, _>("topology", topology, |topology| {
            ranks.into_iter().for_each(|place| place.set(topology.0.ranks() as u32));
            slots.into_iter().for_each(|place| place.set(topology.0.slots() as u32));
            Ok(())
        })
    }

    fn eplb_topology_slots_of(
        caller,
        topology: *const c::eplb_topology,
        rank: u32,
        first: *mut u32,
        count: *mut u32,
    ) {
        let (first, count) = (caller.place("first", first)?, caller.place("count", count)?);
        registry::with::<TopologyObject, _>("topology", topology, |topology| {
            let slots = topology.0.slots_of(rank_of(&topology.0, rank)?);
            first.set(slots.start as u32);
            count.set(slots.len() as u32);
            Ok(())
        })
    }

    fn eplb_topology_free(_caller, topology: *mut c::eplb_topology) {
        registry::free::<TopologyObject>("topology", topology)
    }
}
