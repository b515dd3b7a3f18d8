//! All experts of a model on the host, as a source of weights.

mod error;
mod layout;
mod loader;
mod pinned;
mod safetensors;
mod shared_memory;
mod template;

use std::fmt::Debug;

use eplb_core::{ExpertId, LayerId};
use eplb_device::PinnedMemory;

pub use error::PoolError;
pub use layout::{ExpertLayout, TensorBytes};
pub(crate) use loader::Loader;
pub use pinned::PinnedPool;
pub use safetensors::SafetensorsPool;
pub use shared_memory::SharedMemoryPool;
pub use template::TensorTemplate;

/// All experts of a model, to be read one tensor of one expert at a time: what ranks start from, and
/// where an expert comes back from whose last replica died.
///
/// Reads come from the thread that moves weights and may wait for a disk; they are never made on the
/// engine's thread. A pool must hold what the engine's own loading would put into a slot, byte for
/// byte: where the engine transposes or packs weights after loading, the pool holds them so.
pub trait ExpertPool: Debug + Send + Sync {
    /// The experts held, and the bytes of their tensors.
    fn layout(&self) -> &ExpertLayout;

    /// A number that differs between pools of other contents, as far as that can be told without
    /// reading them whole. Processes of a node share memory filled from pools of equal identity.
    fn identity(&self) -> u64;

    /// Copies one tensor of an expert to `into`, which is as long as the tensor.
    ///
    /// # Errors
    /// Something that the pool does not hold, an `into` of another length, or bytes that can't be
    /// read; `into` holds anything then.
    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        into: &mut [u8],
    ) -> Result<(), PoolError>;

    /// The same bytes where a device's copy engine can read them, if the pool keeps them there.
    fn pinned(&self, layer: LayerId, tensor: &str, expert: ExpertId) -> Option<PinnedMemory> {
        let _ = (layer, tensor, expert);
        None
    }
}
