//! `eplb.Topology`: ranks, nodes and slots.

use eplb::core::{NOMINAL_SPEED, NodeId, RankId, RankSpec, Topology};
use pyo3::prelude::*;

use crate::error::{Kind, OrException};

/// The expert-parallel group; see `eplb.Topology` in the stubs.
#[pyclass(frozen, name = "Topology", module = "eplb")]
#[derive(Debug)]
pub(crate) struct PyTopology {
    pub(crate) topology: Topology,
}

/// One number for all ranks, or one for each.
#[derive(FromPyObject)]
pub(crate) enum OneOrEach {
    One(u32),
    Each(Vec<u32>),
}

#[pymethods]
impl PyTopology {
    #[new]
    #[pyo3(signature = (ranks, slots_per_rank, nodes = OneOrEach::One(1), *, dead = vec![], joining = vec![], speeds = None))]
    fn new(
        ranks: u32,
        slots_per_rank: OneOrEach,
        nodes: OneOrEach,
        dead: Vec<u32>,
        joining: Vec<u32>,
        speeds: Option<Vec<f64>>,
    ) -> PyResult<Self> {
        if u64::from(ranks) > Topology::MOST_RANKS {
            // Checked before anything is made for each of them.
            let text = format!("{ranks} ranks, allowed are {}", Topology::MOST_RANKS);
            return Err(Kind::Topology.says(text));
        }
        let slots = slots_per_rank.of_ranks("slots_per_rank", ranks)?;
        let nodes = match nodes {
            OneOrEach::One(nodes) if nodes > 0 && ranks.is_multiple_of(nodes) => {
                (0..ranks).map(|rank| rank / (ranks / nodes)).collect()
            }
            OneOrEach::One(nodes) => {
                let text = format!("{ranks} ranks do not divide over {nodes} nodes");
                return Err(Kind::Topology.says(format!("{text}; give a divisor of {ranks}")));
            }
            each => each.of_ranks("nodes", ranks)?,
        };
        let mut specs: Vec<RankSpec> = nodes
            .iter()
            .zip(&slots)
            .map(|(&node, &slots)| RankSpec::new(NodeId(node), slots))
            .collect();
        for &rank in &dead {
            spec_of(&mut specs, rank, "dead")?.alive = false;
        }
        for &rank in &joining {
            spec_of(&mut specs, rank, "joining")?.empty = true;
        }
        if let Some(speeds) = speeds {
            check_length("speeds", speeds.len(), ranks)?;
            for (spec, speed) in specs.iter_mut().zip(speeds) {
                // Out of range becomes 0 or the largest number, and both are refused by name.
                spec.speed = (speed * f64::from(NOMINAL_SPEED)).round() as u32;
            }
        }
        Ok(Self { topology: Topology::new(specs).or_exception()? })
    }

    /// Ranks, dead ones included.
    #[getter]
    fn ranks(&self) -> usize {
        self.topology.ranks()
    }

    /// Nodes.
    #[getter]
    fn nodes(&self) -> usize {
        self.topology.nodes()
    }

    /// Slots of a layer over all ranks.
    #[getter]
    fn slots(&self) -> usize {
        self.topology.slots()
    }

    /// The ranks that take part.
    #[getter]
    fn live_ranks(&self) -> Vec<u32> {
        self.topology.live_ranks().map(|rank| rank.0).collect()
    }

    /// The first slot of a rank, and the one after its last.
    fn slots_of(&self, rank: u32) -> PyResult<(usize, usize)> {
        if !self.topology.contains(RankId(rank)) {
            let ranks = self.topology.ranks();
            return Err(Kind::Argument.says(format!("rank {rank} is not one of {ranks} ranks")));
        }
        let slots = self.topology.slots_of(RankId(rank));
        Ok((slots.start, slots.end))
    }

    fn __repr__(&self) -> String {
        let (ranks, nodes) = (self.topology.ranks(), self.topology.nodes());
        format!("Topology({ranks} ranks, {nodes} nodes, {} slots)", self.topology.slots())
    }
}

impl OneOrEach {
    fn of_ranks(self, name: &str, ranks: u32) -> PyResult<Vec<u32>> {
        match self {
            Self::One(number) => Ok(vec![number; ranks as usize]),
            Self::Each(numbers) => {
                check_length(name, numbers.len(), ranks)?;
                Ok(numbers)
            }
        }
    }
}

fn check_length(name: &str, found: usize, ranks: u32) -> PyResult<()> {
    if found == ranks as usize {
        return Ok(());
    }
    Err(Kind::Argument.says(format!("{name} has {found} entries, one for each of {ranks} ranks")))
}

fn spec_of<'a>(specs: &'a mut [RankSpec], rank: u32, name: &str) -> PyResult<&'a mut RankSpec> {
    let ranks = specs.len();
    specs.get_mut(rank as usize).ok_or_else(|| {
        Kind::Argument.says(format!("{name} names rank {rank}, allowed are ranks below {ranks}"))
    })
}
