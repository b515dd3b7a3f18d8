//! The forms in which inference engines write placements and loads, and one of our own.
//!
//! | form | who | here |
//! |---|---|---|
//! | int64 maps `physical_to_logical_map`, `logical_to_physical_map`, `logical_replica_count` | vLLM, SGLang, DeepSeek's EPLB | [`PlacementMaps`] |
//! | expert map, JSON with `layer_list` | vllm-ascend | [`vllm_ascend`] |
//! | `--init-expert-location`, JSON with `physical_to_logical_map` or `logical_count` | SGLang | [`sglang`] |
//! | any of these JSON forms, or a bare array | | [`parse_placement_json`] |
//! | profile, JSON with `windows` and their weights | this library | [`profile`] |
//!
//! Everything read here becomes a valid [`crate::Placement`], [`crate::ExpertLoad`] or
//! [`crate::Ensemble`], or a [`FormatError`] that names the field, what was found and what is allowed.
//! Fields that a form does not know are ignored, because engines add some.

mod error;
mod json;
mod maps;
mod placement_json;
pub mod profile;
pub mod sglang;
pub mod vllm_ascend;

pub use error::FormatError;
pub use maps::PlacementMaps;
pub use placement_json::parse_placement_json;
