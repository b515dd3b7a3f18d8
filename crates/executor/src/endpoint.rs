//! What a rank tells the others once, at the start: where its weights can be read.

use eplb_core::{LayerId, RankId};
use eplb_device::{Device, DeviceError, Memory, PeerKey, PeerMemory};
use serde::{Deserialize, Serialize};

use crate::checksums::RankChecksums;
use crate::{ExecutorError, TransportChoice, WeightManifest};

/// The version of the encoded form; ranks of different versions refuse each other.
const VERSION: u32 = 3;

/// The weights of one rank as other ranks reach them. The engine carries its bytes to all ranks, by
/// whatever means it starts them with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    version: u32,
    rank: RankId,
    /// Buffers that every tensor holds: slots and spare ones.
    buffers: usize,
    layers: Vec<Vec<TensorEndpoint>>,
    /// The transport that the rank is configured with.
    pub(crate) transport: TransportChoice,
    /// Why the rank's memory can't be exported, if it can't.
    pub(crate) refusal: Option<String>,
    /// The name of a communicator that all ranks are to create, if this rank makes it.
    pub(crate) communicator: Option<Vec<u8>>,
    /// Where bytes are verified: those of the experts that the rank held at the start.
    pub(crate) checksums: Option<RankChecksums>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TensorEndpoint {
    name: String,
    slot_stride: usize,
    slot_bytes: usize,
    /// Empty where memory is not exported.
    key: Vec<u8>,
}

/// The weights of another rank, imported.
#[derive(Debug)]
pub(crate) struct PeerWeights {
    /// For each layer and tensor the memory and the stride between slots.
    layers: Vec<Vec<(PeerMemory, usize)>>,
}

impl Endpoint {
    /// Exports the weights, unless nobody is to read them. Where a device can't and they may travel otherwise,
    /// the endpoint says so; what the device said comes beside it.
    pub(crate) fn new(
        rank: RankId,
        buffers: usize,
        manifest: &WeightManifest,
        transport: TransportChoice,
        device: &Device,
    ) -> Result<(Self, Option<DeviceError>), ExecutorError> {
        let mut refusal: Option<DeviceError> = None;
        let mut layers = Vec::with_capacity(manifest.layers());
        for layer in (0..manifest.layers()).map(LayerId::from_index) {
            let mut tensors = Vec::new();
            for tensor in manifest.tensors(layer) {
                let is_exported = transport != TransportChoice::Collective && refusal.is_none();
                let key = match is_exported.then(|| device.export(&tensor.memory)).transpose() {
                    Ok(key) => key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
                    Err(error) if transport == TransportChoice::Auto => {
                        refusal = Some(error);
                        Vec::new()
                    }
                    Err(error) => return Err(error.into()),
                };
                tensors.push(TensorEndpoint {
                    name: tensor.name.clone(),
                    slot_stride: tensor.slot_stride,
                    slot_bytes: tensor.slot_bytes,
                    key,
                });
            }
            layers.push(tensors);
        }
        let endpoint = Self {
            version: VERSION,
            rank,
            buffers,
            layers,
            transport,
            refusal: refusal.as_ref().map(DeviceError::to_string),
            communicator: None,
            checksums: None,
        };
        Ok((endpoint, refusal))
    }

    /// The rank that made it.
    pub fn rank(&self) -> RankId {
        self.rank
    }

    /// The bytes that the engine carries to the other ranks.
    pub fn encode(&self) -> Vec<u8> {
        // Numbers, strings and lists of them always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Endpoint::encode`] made on rank `from`.
    ///
    /// # Errors
    /// Bytes of another version, of another rank, or no endpoint at all.
    pub fn decode(from: RankId, bytes: &[u8]) -> Result<Self, ExecutorError> {
        let refuse = |reason| Err(ExecutorError::Endpoint { rank: from, reason });
        let endpoint: Self = match serde_json::from_slice(bytes) {
            Ok(endpoint) => endpoint,
            Err(error) => return refuse(format!("not an endpoint: {error}")),
        };
        if endpoint.version != VERSION {
            let found = endpoint.version;
            return refuse(format!("version {found}, this library speaks {VERSION}"));
        }
        if endpoint.rank != from {
            return refuse(format!("it was made by {}", endpoint.rank));
        }
        Ok(endpoint)
    }

    /// Makes the weights readable from this rank; they have been [checked](Self::check) before.
    pub(crate) fn import(&self, device: &Device) -> Result<PeerWeights, ExecutorError> {
        let layers = self.layers.iter();
        let layers = layers
            .map(|tensors| {
                tensors.iter().map(|tensor| self.import_tensor(tensor, device)).collect()
            })
            .collect::<Result<_, _>>()?;
        Ok(PeerWeights { layers })
    }

    /// Whether the rank has registered what this one has, and is to be reached in the same way.
    pub(crate) fn check(
        &self,
        own: &WeightManifest,
        transport: TransportChoice,
    ) -> Result<(), ExecutorError> {
        let refuse = |reason| Err(ExecutorError::Endpoint { rank: self.rank, reason });
        if self.transport != transport {
            return refuse(format!(
                "its executor.transport is {}, this rank's is {transport}; it must be the same on all ranks",
                self.transport
            ));
        }
        if self.layers.len() != own.layers() {
            let (theirs, ours) = (self.layers.len(), own.layers());
            return refuse(format!("it registered {theirs} layers, this rank {ours}"));
        }
        for (index, tensors) in self.layers.iter().enumerate() {
            let layer = LayerId::from_index(index);
            let theirs = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.slot_bytes));
            let ours = own.tensors(layer).iter();
            let ours = ours.map(|tensor| (tensor.name.as_str(), tensor.slot_bytes));
            if !theirs.clone().eq(ours.clone()) {
                let theirs: Vec<_> = theirs.collect();
                let ours: Vec<_> = ours.collect();
                return refuse(format!(
                    "tensors of {layer} (name, bytes of a slot) are {theirs:?}, on this rank {ours:?}"
                ));
            }
        }
        Ok(())
    }

    fn import_tensor(
        &self,
        tensor: &TensorEndpoint,
        device: &Device,
    ) -> Result<(PeerMemory, usize), ExecutorError> {
        let refuse = |reason| Err(ExecutorError::Endpoint { rank: self.rank, reason });
        let key = match PeerKey::from_bytes(&tensor.key) {
            Ok(key) => key,
            Err(error) => return refuse(format!("the key of tensor {}: {error}", tensor.name)),
        };
        let imported = device.import(&key)?;
        let last =
            self.buffers.checked_sub(1).and_then(|last| last.checked_mul(tensor.slot_stride));
        let needed = last.and_then(|start| start.checked_add(tensor.slot_bytes));
        let held = imported.memory().bytes();
        if needed.is_none_or(|needed| needed > held) {
            let (name, buffers) = (&tensor.name, self.buffers);
            return refuse(format!("tensor {name} of {held} bytes cannot hold {buffers} slots"));
        }
        Ok((imported, tensor.slot_stride))
    }
}

impl PeerWeights {
    /// One tensor of one buffer of the rank.
    pub(crate) fn buffer(
        &self,
        layer: LayerId,
        tensor: usize,
        buffer: usize,
        bytes: usize,
    ) -> Result<Memory, ExecutorError> {
        let (memory, stride) = &self.layers[layer.index()][tensor];
        Ok(memory.memory().slice(buffer * stride, bytes)?)
    }
}
