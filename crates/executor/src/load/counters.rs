//! What the engine's kernels count, and how.

use eplb_core::ExpertLoad;
use eplb_device::{Device, Memory};

use super::LoadError;

/// Counters on the device: tokens of each layer and local slot of this rank, [layers, local slots],
/// row-major, without gaps, little endian. The kernels of forward passes on the engine's stream write
/// them.
#[derive(Clone, Debug)]
pub struct LoadCounters {
    /// The counters. What follows them in the memory is not looked at.
    pub memory: Memory,
    /// How wide a counter is.
    pub width: CounterWidth,
    /// What the numbers of a row are.
    pub form: CounterForm,
    /// How long a number stands.
    pub life: CounterLife,
    /// Counters are read once in so many steps, at least 1: after the steps s with s + 1 a multiple of
    /// it, so that all ranks count over the same steps. Must be the same on all ranks.
    pub every: u64,
    /// Readings that may be under way, 1 to 64: how many of them the device may be behind.
    pub ring: usize,
    /// The most tokens that a layer can route to this rank's slots in one step (batched tokens times
    /// experts per token): more are no counts but uninitialised memory. [`ExpertLoad::MOST_TOKENS`]
    /// where it isn't known.
    pub most_tokens: u64,
    /// How padding is kept out of the load.
    pub padding: Padding,
}

/// How wide a counter is. Both are signed: negative numbers are no counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterWidth {
    /// 4 bytes, as vLLM counts.
    Int32,
    /// 8 bytes, as xLLM and vLLM Ascend count.
    Int64,
}

/// What the numbers of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterForm {
    /// The tokens of each slot.
    Plain,
    /// The tokens of all slots up to and with this one: xLLM's `expert_load_data`, and what operators
    /// return that give cumulative group lists.
    PrefixSums,
}

/// How long a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterLife {
    /// Each forward pass writes the counts of its own tokens over the last ones (xLLM). With
    /// [`LoadCounters::every`] above 1 the steps between two readings are not counted.
    Overwritten,
    /// Kernels add to them; they are filled with zeros at the start, and on the engine's stream after
    /// each reading, which is one more call of the device.
    Cleared,
    /// Kernels add to them and nobody clears them: the host takes the difference of two readings, and
    /// the first reading only tells where they stand. They may wrap around.
    Rising,
}

/// How padding is kept out of the load. Padding tokens that graphs or data parallelism need are no
/// load of an expert; counted, they make a rank look busy that is idle (vllm#38128).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The kernels count no padding, as vLLM's (which reads a mask of real tokens) and xLLM's do (a
    /// mask of real tokens, on request of decode tokens only). The best way where it can be had.
    #[default]
    LeftOut,
    /// All padding goes to slots of its own: `true` for these, [layers, local slots], row-major. What
    /// is counted there is no load. For engines whose kernels can't tell padding tokens but route them
    /// to a fixed slot; real tokens of such a slot aren't seen either.
    Slots(Box<[bool]>),
}

impl CounterWidth {
    /// Bytes of a counter.
    pub fn bytes(self) -> usize {
        match self {
            Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }
}

impl LoadCounters {
    /// Longest ring. The manager waits for the last rank's part of as many samples.
    pub const LONGEST_RING: usize = 64;

    /// Plain counters that rise, without padding, read after each step, 8 readings under way at most.
    pub fn new(memory: Memory, width: CounterWidth) -> Self {
        Self {
            memory,
            width,
            form: CounterForm::Plain,
            life: CounterLife::Rising,
            every: 1,
            ring: 8,
            most_tokens: ExpertLoad::MOST_TOKENS,
            padding: Padding::LeftOut,
        }
    }

    /// Whether they fit `layers` layers of `slots` local slots on `device`.
    pub(super) fn check(
        &self,
        device: &Device,
        layers: usize,
        slots: usize,
    ) -> Result<(), LoadError> {
        let setting =
            |name, found: u64, allowed: String| Err(LoadError::Setting { name, found, allowed });
        let most = ExpertLoad::MOST_TOKENS;
        if self.every == 0 {
            return setting("every", 0, "1 or more".to_owned());
        }
        if self.ring == 0 || self.ring > Self::LONGEST_RING {
            let allowed = format!("1 to {}", Self::LONGEST_RING);
            return setting("ring", self.ring as u64, allowed);
        }
        if self.most_tokens == 0 || self.most_tokens > most {
            return setting("most_tokens", self.most_tokens, format!("1 to {most}"));
        }
        if !self.memory.device().is_same(device) {
            let reason = "the counters are on another device than the weights".to_owned();
            return Err(LoadError::Memory { reason });
        }
        let (needed, found) = (layers * slots * self.width.bytes(), self.memory.bytes());
        if found < needed {
            let reason = format!(
                "{found} bytes of counters, {layers} layers of {slots} local slots need {needed}"
            );
            return Err(LoadError::Memory { reason });
        }
        if let Padding::Slots(mask) = &self.padding
            && mask.len() != layers * slots
        {
            let allowed = format!("{layers} layers times {slots} local slots");
            return setting("length of the mask of padding slots", mask.len() as u64, allowed);
        }
        Ok(())
    }
}
