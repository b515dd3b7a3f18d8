//! Copies between processes, by the kernel.

use std::io;

/// A range of addresses of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{allow_readers, is_bad_address, read, write};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{allow_readers, is_bad_address, read, write};

#[cfg(target_os = "linux")]
mod linux {
    use super::{Piece, io};

    /// Copies from the pieces of another process to own ones, in order; gives how many bytes.
    ///
    /// # Safety
    ///
    /// The local pieces are valid for writes, of any bytes, until the call returns.
    pub(crate) unsafe fn read(
        process: u32,
        local: &[Piece],
        remote: &[Piece],
    ) -> io::Result<usize> {
        let (process, local, remote) = arguments(process, local, remote)?;
        let (count, remote_count) = (local.len() as libc::c_ulong, remote.len() as libc::c_ulong);
        let (local, remote) = (local.as_ptr(), remote.as_ptr());
        // SAFETY: both lists are alive; the caller vouches for the local pieces, and the kernel checks
        // the remote ones.
        result(unsafe { libc::process_vm_readv(process, local, count, remote, remote_count, 0) })
    }

    /// Copies from own pieces to those of another process; gives how many bytes.
    ///
    /// # Safety
    ///
    /// The local pieces are valid for reads until the call returns.
    pub(crate) unsafe fn write(
        process: u32,
        local: &[Piece],
        remote: &[Piece],
    ) -> io::Result<usize> {
        let (process, local, remote) = arguments(process, local, remote)?;
        let (count, remote_count) = (local.len() as libc::c_ulong, remote.len() as libc::c_ulong);
        let (local, remote) = (local.as_ptr(), remote.as_ptr());
        // SAFETY: as for reading.
        result(unsafe { libc::process_vm_writev(process, local, count, remote, remote_count, 0) })
    }

    type Arguments = (libc::pid_t, Vec<libc::iovec>, Vec<libc::iovec>);

    fn arguments(process: u32, local: &[Piece], remote: &[Piece]) -> io::Result<Arguments> {
        let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
        let vectors = |pieces: &[Piece]| pieces.iter().copied().map(vector).collect();
        Ok((process, vectors(local), vectors(remote)))
    }

    fn vector(piece: Piece) -> libc::iovec {
        libc::iovec { iov_base: piece.address as *mut libc::c_void, iov_len: piece.bytes }
    }

    fn result(copied: isize) -> io::Result<usize> {
        usize::try_from(copied).map_err(|_| io::Error::last_os_error())
    }

    pub(crate) fn is_bad_address(error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::EFAULT)
    }

    /// Lets processes of the same user copy from and to this one, where the kernel's Yama module asks
    /// for it (`PR_SET_PTRACER(2const)`); elsewhere they may already, or this would not help.
    pub(crate) fn allow_readers() {
        let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        if scope.is_ok_and(|scope| scope.trim() == "1") {
            // SAFETY: takes plain numbers and changes a permission of this process alone. If it fails,
            // importers are refused, with a reason.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{Piece, io};

    /// There is nothing like it.
    pub(crate) unsafe fn read(_: u32, _: &[Piece], _: &[Piece]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is nothing like it.
    pub(crate) unsafe fn write(_: u32, _: &[Piece], _: &[Piece]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn is_bad_address(_: &io::Error) -> bool {
        false
    }

    pub(crate) fn allow_readers() {}
}
