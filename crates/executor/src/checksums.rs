//! What the bytes of each expert must hash to.

use eplb_core::{ExpertId, LayerId, RankId};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{ExecutorError, SlotTensor, WeightManifest};

/// How far bytes are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verify {
    /// Not at all.
    #[default]
    Off,
    /// What a change brings is compared with the checksums of its experts before the change counts as
    /// prepared.
    Arrivals,
    /// As well, all slots of a layer after each commit, before it counts as committed.
    Canary,
}

/// The checksum (XXH3, 64 bits) of one tensor of an expert. It finds what hardware and software
/// damage by accident, not what somebody forges.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The checksums of experts: for each layer and expert those of its tensors, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksums {
    layers: Vec<Vec<Option<Known>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// Who said so first; `None` for the pool.
    by: Option<RankId>,
    tensors: Vec<u64>,
}

/// The checksums of the experts that a rank holds, as its endpoint carries them: for each layer the
/// experts, each with those of its tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RankChecksums(Vec<Vec<(ExpertId, Vec<u64>)>>);

impl Checksums {
    pub(crate) fn new(layers: usize, experts: usize) -> Self {
        Self { layers: vec![vec![None; experts]; layers] }
    }

    pub(crate) fn of(&self, layer: LayerId, expert: ExpertId) -> Option<&[u64]> {
        let known = self.layers.get(layer.index())?.get(expert.index())?.as_ref();
        known.map(|known| known.tensors.as_slice())
    }

    /// Takes in what a rank, or the pool, says of an expert.
    ///
    /// # Errors
    /// It was said otherwise before.
    pub(crate) fn take(
        &mut self,
        layer: LayerId,
        expert: ExpertId,
        by: Option<RankId>,
        tensors: Vec<u64>,
        specs: &[SlotTensor],
    ) -> Result<(), ExecutorError> {
        let place = &mut self.layers[layer.index()][expert.index()];
        let Some(known) = place else {
            *place = Some(Known { by, tensors });
            return Ok(());
        };
        let differs = known.tensors.iter().zip(&tensors).position(|(known, said)| known != said);
        match differs {
            None => Ok(()),
            Some(index) => Err(ExecutorError::Disagreement {
                layer,
                expert,
                tensor: specs[index].name.clone(),
                first: name_of(known.by),
                second: name_of(by),
            }),
        }
    }

    /// Takes in what another rank's endpoint carries.
    pub(crate) fn take_all(
        &mut self,
        rank: RankId,
        said: &RankChecksums,
        manifest: &WeightManifest,
    ) -> Result<(), ExecutorError> {
        let refuse = |reason: &str| {
            Err(ExecutorError::Endpoint { rank, reason: format!("its checksums {reason}") })
        };
        if said.0.len() != self.layers.len() {
            return refuse("are not of this model's layers");
        }
        for (layer, experts) in said.0.iter().enumerate() {
            let layer = LayerId::from_index(layer);
            let specs = manifest.tensors(layer);
            for (expert, tensors) in experts {
                if expert.index() >= self.layers[layer.index()].len() {
                    return refuse("name an expert that the model does not have");
                }
                if tensors.len() != specs.len() {
                    return refuse("are not of as many tensors as are registered");
                }
                self.take(layer, *expert, Some(rank), tensors.clone(), specs)?;
            }
        }
        Ok(())
    }

    /// All that is known, for the endpoint.
    pub(crate) fn of_rank(&self) -> RankChecksums {
        let known = |(expert, known): (usize, &Option<Known>)| {
            let known = known.as_ref()?;
            Some((ExpertId::from_index(expert), known.tensors.clone()))
        };
        let layers = self.layers.iter();
        RankChecksums(
            layers.map(|experts| experts.iter().enumerate().filter_map(known).collect()).collect(),
        )
    }
}

fn name_of(by: Option<RankId>) -> String {
    by.map_or_else(|| "the pool".to_owned(), |rank| rank.to_string())
}
