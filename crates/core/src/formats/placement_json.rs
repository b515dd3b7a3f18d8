//! A placement in whichever JSON form it comes.

use super::json::{self, Node};
use super::sglang::InitExpertLocation;
use super::{FormatError, sglang, vllm_ascend};
use crate::{ModelShape, Placement, Topology};

/// The placement that `text` gives in one of three forms, told apart by what they contain:
/// vllm-ascend's expert map (an object with `layer_list`), SGLang's `--init-expert-location` (an
/// object with `physical_to_logical_map`), or that map alone, an array of layers × slots.
///
/// # Errors
/// Another form, a load instead of a placement, or a placement that is none of this model on these
/// ranks; the message names the field.
pub fn parse_placement_json(
    text: &str,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Placement, FormatError> {
    let value = json::parse(text)?;
    let root = Node::root(&value);
    if root.is_array() {
        return sglang::read_map(&root, shape, topology);
    }
    let unknown = || FormatError::UnknownForm {
        field: root.path(),
        allowed: "an object with layer_list (vllm-ascend) or physical_to_logical_map (SGLang), \
                  or an array of layers × slots",
    };
    let fields = root.object().map_err(|_| unknown())?;
    if fields.contains_key("layer_list") {
        return vllm_ascend::read(root, shape, topology);
    }
    if fields.contains_key("physical_to_logical_map") || fields.contains_key("logical_count") {
        return match sglang::read(root, shape, topology)? {
            InitExpertLocation::Placement(placement) => Ok(placement),
            InitExpertLocation::Load(_) => Err(FormatError::LoadNotPlacement),
        };
    }
    Err(unknown())
}
