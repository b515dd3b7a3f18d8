//! Ids of the things that placements speak about; plain numbers with a name.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        #[repr(transparent)] // tables of ids are lent to C as tables of numbers
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index into a slice.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a slice index. Indices here come from shapes and topologies, which are
            /// bounded far below `u32::MAX`.
            pub fn from_index(index: usize) -> Self {
                debug_assert!(u32::try_from(index).is_ok());
                Self(index as u32)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($noun, " {}"), self.0)
            }
        }
    };
}

index!(
    /// A Mixture-of-Experts layer, counted from 0 over the MoE layers only.
    LayerId, "layer"
);
index!(
    /// A logical expert of a layer: an expert as the router knows it.
    ExpertId, "expert"
);
index!(
    /// A slot (physical expert) of a layer, numbered over all ranks, rank-major.
    SlotId, "slot"
);
index!(
    /// A rank of the expert-parallel group.
    RankId, "rank"
);
index!(
    /// A node (host): ranks of one node reach each other over fast links.
    NodeId, "node"
);

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($noun, " {}"), self.0)
            }
        }
    };
}

counter!(
    /// The version of one layer's placement. Never reused, not even after an abort.
    Epoch, "epoch"
);
counter!(
    /// A forward pass of the engine, counted from 0.
    Step, "step"
);
