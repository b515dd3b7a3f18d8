//! Names and settings of communicators.

use std::ffi::{c_char, c_int, c_uint};

use eplb_cuda_sys::{
    NCCL_API_MAGIC, NCCL_CONFIG_UNDEF_INT, Nccl, ncclConfig_t, ncclResult_t, ncclUniqueId,
};
use eplb_device::Result;
use eplb_device::raw::{CommunicatorId, CommunicatorOptions};

use crate::context::Context;
use crate::error::{invalid, nccl_error, unsupported};

/// Kind of the bytes of a communicator's name.
const MAGIC: [u8; 8] = *b"eplbnccl";
const UNIQUE_ID: usize = size_of::<ncclUniqueId>();
/// What a communicator takes without any channel: seen with NCCL 2.28.9 on an H100, as the next one. The
/// first communicator of a process takes some 200 MiB more, once, for the library's code.
const BASE_BYTES: u64 = 4 << 20;
/// What a channel takes without any peer.
const CHANNEL_BYTES: u64 = 6 << 20;
/// NCCL's buffer for one channel and peer, unless the environment says otherwise.
const PEER_BYTES: u64 = 4 << 20;
/// Transfer buffers of a communicator whose options name none.
const DEFAULT_BYTES: u64 = 256 << 20;
/// Channels beyond these bring no bandwidth that a copy within the host can use.
const MOST_CHANNELS: u64 = 16;

/// The functions, of a device that communicators can use.
pub(crate) fn of(context: &Context, operation: &'static str) -> Result<Nccl> {
    let nccl = context.api().nccl.as_ref();
    let nccl = nccl.map_err(|error| unsupported(operation, error.to_string()))?;
    if !context.is_primary() {
        let text = "NCCL works in a device's primary context, which the adopted one is not";
        return Err(unsupported(operation, text));
    }
    Ok(*nccl)
}

/// The name of a new communicator.
pub(crate) fn unique_id(context: &Context) -> Result<CommunicatorId> {
    let nccl = of(context, "communicator_id")?;
    let _bound = context.bind("communicator_id")?;
    let mut id = ncclUniqueId { internal: [0; UNIQUE_ID] };
    // SAFETY: writes one structure, which lives.
    let status = unsafe { (nccl.ncclGetUniqueId)(&raw mut id) };
    if status != ncclResult_t::ncclSuccess {
        return Err(nccl_error(&nccl, "communicator_id", std::ptr::null_mut(), status));
    }
    let mut bytes = MAGIC.to_vec();
    // The sign of C's characters is the machine's.
    bytes.extend(id.internal.map(|byte| byte as u8));
    Ok(CommunicatorId::from(bytes))
}

pub(crate) fn read_id(id: &CommunicatorId) -> Result<ncclUniqueId> {
    let bytes = id.as_bytes();
    if bytes.len() != MAGIC.len() + UNIQUE_ID || bytes[..MAGIC.len()] != MAGIC {
        return Err(invalid("communicator", "the id is no name of this backend's communicators"));
    }
    let internal = std::array::from_fn(|index| bytes[MAGIC.len() + index] as c_char);
    Ok(ncclUniqueId { internal })
}

/// How many channels fit in the buffers that the options allow, as NCCL cannot be told bytes.
pub(crate) fn channels(size: u32, options: CommunicatorOptions) -> u64 {
    let bytes = options.buffer_bytes.unwrap_or(DEFAULT_BYTES);
    (bytes / bytes_per_channel(size)).clamp(1, MOST_CHANNELS)
}

/// What so many channels to all peers take, once each link is set up. NCCL does not say it.
pub(crate) fn buffer_bytes(size: u32, channels: u64) -> u64 {
    BASE_BYTES + channels * bytes_per_channel(size)
}

fn bytes_per_channel(size: u32) -> u64 {
    CHANNEL_BYTES + u64::from(size.saturating_sub(1)) * PEER_BYTES
}

/// Settings in the newest layout that this version of the library knows: an older one would copy more
/// bytes than it has room for.
pub(crate) fn config(version: c_int, channels: u64) -> ncclConfig_t {
    let (size, layout) = match version {
        22_703.. => (size_of::<ncclConfig_t>(), 22_703),
        21_700.. => (std::mem::offset_of!(ncclConfig_t, splitShare), 21_700),
        _ => (std::mem::offset_of!(ncclConfig_t, minCTAs), 21_403),
    };
    let unset = NCCL_CONFIG_UNDEF_INT;
    ncclConfig_t {
        size,
        magic: NCCL_API_MAGIC,
        version: layout as c_uint,
        blocking: 0,
        cgaClusterSize: unset,
        minCTAs: unset,
        maxCTAs: c_int::try_from(channels).unwrap_or(unset),
        netName: std::ptr::null(),
        splitShare: unset,
        trafficClass: unset,
        commName: std::ptr::null(),
        collnetEnable: unset,
        CTAPolicy: unset,
        shrinkShare: unset,
        nvlsCTAs: unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_backends_are_refused() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([7; UNIQUE_ID]);
        assert_eq!(read_id(&CommunicatorId::from(bytes.clone())).unwrap().internal, [7; UNIQUE_ID]);
        assert!(read_id(&CommunicatorId::from(bytes[1..].to_vec())).is_err());
        bytes[0] = b'x';
        assert!(read_id(&CommunicatorId::from(bytes)).is_err());
    }

    #[test]
    fn channels_follow_the_bytes_and_the_peers() {
        let options = |bytes| CommunicatorOptions { buffer_bytes: Some(bytes) };
        assert_eq!(channels(2, options(80 << 20)), 8);
        assert_eq!(channels(9, options(80 << 20)), 2);
        assert_eq!(channels(2, options(0)), 1);
        assert_eq!(channels(2, options(u64::MAX)), MOST_CHANNELS);
        // Both as measured, for one rank.
        assert_eq!(buffer_bytes(1, 16), 100 << 20);
        assert_eq!(buffer_bytes(1, 1), 10 << 20);
        assert_eq!(buffer_bytes(3, 4), (4 + 4 * 14) << 20);
    }

    #[test]
    fn the_configuration_is_no_longer_than_the_library_knows() {
        assert_eq!(config(22_809, 4).size, 72);
        assert_eq!(config(21_805, 4).size, 40);
        let oldest = config(21_403, 4);
        assert_eq!((oldest.size, oldest.blocking, oldest.version), (24, 0, 21_403));
    }
}
