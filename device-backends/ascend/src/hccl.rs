//! Names and settings of communicators.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use eplb_ascend_sys::{
    HCCL_COMM_DEFAULT_BUFFSIZE, Hccl, HcclComm, HcclCommConfig, HcclCommConfigCapability,
    HcclResult, HcclRootInfo,
};
use eplb_device::Result;
use eplb_device::raw::{CommunicatorId, CommunicatorOptions};

use crate::context::Context;
use crate::error::{hccl_error, invalid, need, unsupported};
use crate::lock::lock;

/// Kind of the bytes of a communicator's name that a root has made.
const MAGIC: [u8; 8] = *b"eplbhccl";
/// Kind of the bytes of a name that is the path of a rank table.
const TABLE_MAGIC: [u8; 8] = *b"eplbhcct";
const ROOT_INFO: usize = size_of::<HcclRootInfo>();
/// Transfer buffers of a communicator whose options name none: the library's own default is 400 MiB.
const DEFAULT_BYTES: u64 = 64 << 20;
const MEGABYTE: u64 = 1 << 20;
/// HCCL keeps two buffers of the size that it is told.
const BUFFERS: u64 = 2;

/// What a name says.
#[derive(Debug)]
pub(crate) enum Name {
    /// Made by the root, which the others find by it.
    Root(Box<HcclRootInfo>),
    /// The path of a file that says who the ranks are.
    Table(CString),
}

/// The name of a communicator whose ranks stand in a rank table: a file in the vendor's format
/// (`HcclCommInitClusterInfoConfig` of the HCCL manual), which every rank finds under this path. Ranks of
/// the communicator have to be those of the file.
///
/// # Errors
///
/// `InvalidUse` for a path that C cannot have, with a zero byte inside.
pub fn rank_table(path: impl AsRef<Path>) -> Result<CommunicatorId> {
    let path = path.as_ref().as_os_str().as_bytes();
    if path.is_empty() || path.contains(&0) {
        let text = "the path of the rank table is empty or has a zero byte inside";
        return Err(invalid("rank_table", text));
    }
    Ok(CommunicatorId::from([&TABLE_MAGIC, path].concat()))
}

/// The functions.
pub(crate) fn of(context: &Context, operation: &'static str) -> Result<Hccl> {
    let hccl = context.api().hccl.as_ref();
    hccl.copied().map_err(|error| unsupported(operation, error.to_string()))
}

/// The name of a new communicator.
pub(crate) fn root_info(context: &Context) -> Result<CommunicatorId> {
    let hccl = of(context, "communicator_id")?;
    let _bound = context.bind("communicator_id")?;
    let mut root_info = HcclRootInfo { internal: [0; ROOT_INFO] };
    // SAFETY: writes one structure, which lives.
    let status = unsafe { (hccl.HcclGetRootInfo)(&raw mut root_info) };
    if status != HcclResult::HCCL_SUCCESS {
        return Err(hccl_error(context.runtime(), &hccl, "communicator_id", status));
    }
    let mut bytes = MAGIC.to_vec();
    // The sign of C's characters is the machine's.
    bytes.extend(root_info.internal.map(|byte| byte as u8));
    Ok(CommunicatorId::from(bytes))
}

pub(crate) fn read_id(id: &CommunicatorId) -> Result<Name> {
    let foreign = || invalid("communicator", "the id is no name of this backend's communicators");
    let (magic, bytes) = id.as_bytes().split_first_chunk().ok_or_else(foreign)?;
    if *magic == MAGIC && bytes.len() == ROOT_INFO {
        let internal = std::array::from_fn(|index| bytes[index] as c_char);
        return Ok(Name::Root(Box::new(HcclRootInfo { internal })));
    }
    if *magic == TABLE_MAGIC {
        return CString::new(bytes).map(Name::Table).map_err(|_| foreign());
    }
    Err(foreign())
}

/// The size of one buffer, in megabytes, that the options allow.
pub(crate) fn buffer_megabytes(options: CommunicatorOptions) -> u32 {
    let bytes = options.buffer_bytes.unwrap_or(DEFAULT_BYTES);
    let megabytes = (bytes / BUFFERS / MEGABYTE).clamp(1, u64::from(u32::MAX - 1));
    u32::try_from(megabytes).unwrap_or(u32::MAX - 1)
}

/// What a communicator with such buffers keeps. A library that cannot be told keeps its default.
pub(crate) fn buffer_bytes(hccl: &Hccl, megabytes: u32) -> u64 {
    let megabytes = if takes_buffer_size(hccl) { megabytes } else { HCCL_COMM_DEFAULT_BUFFSIZE };
    BUFFERS * u64::from(megabytes) * MEGABYTE
}

fn takes_buffer_size(hccl: &Hccl) -> bool {
    hccl.HcclGetCommConfigCapability.is_none_or(|ask| {
        // SAFETY: gives a number.
        let capability = unsafe { ask() };
        capability > HcclCommConfigCapability::HCCL_COMM_CONFIG_BUFFER_SIZE.0
    })
}

/// Settings in the layout that older and newer libraries take.
pub(crate) fn config(megabytes: u32) -> HcclCommConfig {
    HcclCommConfig { hcclBufferSize: megabytes, ..HcclCommConfig::version_6() }
}

/// Creates this rank's end, which blocks until all ranks have come. The context is current.
pub(crate) fn create(
    context: &Context,
    hccl: &Hccl,
    name: &Name,
    rank: u32,
    size: u32,
    megabytes: u32,
) -> Result<usize> {
    let mut config = config(megabytes);
    let mut communicator: HcclComm = std::ptr::null_mut();
    let status = match name {
        Name::Root(root_info) => {
            // SAFETY: writes one pointer, which lives, and reads name and settings, which live, too.
            unsafe {
                (hccl.HcclCommInitRootInfoConfig)(
                    size,
                    &raw const **root_info,
                    rank,
                    &raw const config,
                    &raw mut communicator,
                )
            }
        }
        Name::Table(path) => {
            let create = need(
                "communicator",
                hccl.HcclCommInitClusterInfoConfig,
                "HcclCommInitClusterInfoConfig",
            )?;
            let path: &CStr = path;
            // SAFETY: as above; the path ends with a zero.
            unsafe { create(path.as_ptr(), rank, &raw mut config, &raw mut communicator) }
        }
    };
    if status != HcclResult::HCCL_SUCCESS {
        return Err(hccl_error(context.runtime(), hccl, "communicator", status));
    }
    if communicator.is_null() {
        let text = "the library reports success and has made no communicator: it is a stub";
        return Err(unsupported("communicator", text));
    }
    Ok(communicator as usize)
}

/// Checks that the library knows a communicator by this rank and size.
///
/// # Safety
///
/// The communicator is alive, and the context current.
pub(crate) unsafe fn check_rank(
    context: &Context,
    hccl: &Hccl,
    operation: &'static str,
    communicator: HcclComm,
    rank: u32,
    size: u32,
) -> Result<()> {
    let ask = |question: unsafe extern "C" fn(HcclComm, *mut u32) -> HcclResult| {
        let mut answer = u32::MAX;
        // SAFETY: writes one number, which lives; the communicator is alive by the caller's promise.
        let status = unsafe { question(communicator, &raw mut answer) };
        if status != HcclResult::HCCL_SUCCESS {
            return Err(hccl_error(context.runtime(), hccl, operation, status));
        }
        Ok(answer)
    };
    let known = [ask(hccl.HcclGetRankId)?, ask(hccl.HcclGetRankSize)?];
    if known != [rank, size] {
        let [rank, size] = known;
        return Err(invalid(operation, format!("the communicator has rank {rank} of {size}")));
    }
    Ok(())
}

/// Whose turn it is to call HCCL on a device. Calls that queue work are made one after another, over all
/// communicators of the device, and so are those that create communicators. The former do not wait for
/// the latter, which HCCL holds until all ranks have come, or for minutes if they do not.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pub(crate) creation: Mutex<()>,
    pub(crate) operation: Mutex<()>,
}

/// Those of each device of the process, which may have been opened more than once.
static TURNS: LazyLock<Mutex<HashMap<u32, Arc<Turns>>>> = LazyLock::new(Mutex::default);

pub(crate) fn turns_of(ordinal: u32) -> Arc<Turns> {
    Arc::clone(lock(&TURNS).entry(ordinal).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_backends_are_refused() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([7; ROOT_INFO]);
        let name = read_id(&CommunicatorId::from(bytes.clone())).unwrap();
        assert!(matches!(name, Name::Root(root_info) if root_info.internal == [7; ROOT_INFO]));
        assert!(read_id(&CommunicatorId::from(bytes[1..].to_vec())).is_err());
        bytes[0] = b'x';
        assert!(read_id(&CommunicatorId::from(bytes)).is_err());
        assert!(read_id(&CommunicatorId::from(b"eplbnccl".to_vec())).is_err());
        assert!(read_id(&CommunicatorId::from(vec![1])).is_err());
    }

    #[test]
    fn a_rank_table_is_a_name() {
        let id = rank_table("/etc/hccl.json").unwrap();
        let name = read_id(&id).unwrap();
        assert!(matches!(name, Name::Table(path) if path.as_bytes() == b"/etc/hccl.json"));
        assert!(rank_table("").is_err());
        assert!(rank_table("a\0b").is_err());
    }

    #[test]
    fn buffers_follow_the_options() {
        let options = |bytes| CommunicatorOptions { buffer_bytes: Some(bytes) };
        assert_eq!(buffer_megabytes(options(80 << 20)), 40);
        assert_eq!(buffer_megabytes(options(1)), 1);
        assert_eq!(buffer_megabytes(options(u64::MAX)), u32::MAX - 1);
        assert_eq!(buffer_megabytes(CommunicatorOptions::default()), 32);
    }

    #[test]
    fn the_configuration_is_the_one_that_all_versions_take() {
        let config = config(20);
        assert_eq!((config.eplb_size, config.eplb_version, config.hcclBufferSize), (312, 6, 20));
    }

    #[test]
    fn devices_have_turns_of_their_own() {
        assert!(Arc::ptr_eq(&turns_of(1000), &turns_of(1000)));
        assert!(!Arc::ptr_eq(&turns_of(1000), &turns_of(1001)));
    }
}
