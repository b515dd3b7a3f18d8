//! Memory that another process of this host has exported: copied by the kernel, never mapped.
//!
//! The kernel copies between two processes where it would let one of them debug the other
//! (`process_vm_readv(2)`): the same user, on the same host. What is copied is right only if the export
//! stood to the end, which its [ticket](crate::ticket) says.

use std::io;

use eplb_device::{DeviceError, ErrorKind, Result, VendorCode};

use crate::error::{aborted, invalid};
use crate::gate::Stop;
use crate::kernel_copy::{self, Piece};
use crate::peer::MemoryKey;
use crate::process::{ProcessIdentity, Standing};
use crate::ticket::{TICKET_WORDS, TicketWords};

/// Bytes between two looks at whether the copy is to end: about a millisecond of copying.
const CHUNK: usize = 4 << 20;

/// Bytes of a ticket.
const TICKET_BYTES: usize = TICKET_WORDS * size_of::<u64>();

/// Exported memory of another process.
#[derive(Debug)]
pub(crate) struct Foreign {
    process: ProcessIdentity,
    start: usize,
    ticket: usize,
    whole_ticket: TicketWords,
}

impl Foreign {
    /// Looks for the memory that a key names.
    pub(crate) fn open(key: &MemoryKey) -> Result<Self> {
        let unsupported = |text: &str| {
            let text = format!("{text}; its bytes have to come by a communicator");
            DeviceError::new(ErrorKind::Unsupported, "import", text)
        };
        let process = key
            .process
            .ok_or_else(|| unsupported("the exporter's system does not say which process it is"))?;
        if let Some(why) = process.out_of_reach() {
            return Err(unsupported(why));
        }
        let address = |number: u64| {
            usize::try_from(number).map_err(|_| unsupported("the exporter's addresses are larger"))
        };
        let foreign = Self {
            process,
            start: address(key.start)?,
            ticket: address(key.ticket)?,
            whole_ticket: key.name.backend.ticket(key.name.number),
        };
        foreign.check_standing("import")?;
        foreign.check_ticket("import")?;
        Ok(foreign)
    }

    /// Copies from the memory, beginning at `offset`.
    ///
    /// # Safety
    ///
    /// `destination` is valid for writes of `bytes` bytes until the call returns, and no other thread
    /// of the process touches them meanwhile.
    pub(crate) unsafe fn read(
        &self,
        stop: &Stop,
        offset: usize,
        destination: usize,
        bytes: usize,
    ) -> Result<()> {
        self.in_chunks(stop, bytes, |done, length| {
            let mut ticket: TicketWords = [0; TICKET_WORDS];
            let local = [
                Piece { address: destination + done, bytes: length },
                Piece { address: ticket.as_mut_ptr() as usize, bytes: TICKET_BYTES },
            ];
            let remote = [
                Piece { address: self.start + offset + done, bytes: length },
                Piece { address: self.ticket, bytes: TICKET_BYTES },
            ];
            // SAFETY: the first piece is the caller's, by its promise; the second is the array above,
            // whose words may have any value. The other process's addresses are the kernel's to check.
            let copied = unsafe { kernel_copy::read(self.process.number, &local, &remote) };
            let copied = copied.map_err(|error| self.explain("copy", &error))?;
            if copied < length + TICKET_BYTES {
                // The kernel came to the end of what is there: only a separate look can tell why.
                self.check_ticket("copy")?;
            } else if ticket != self.whole_ticket {
                return Err(self.explain_void("copy"));
            }
            Ok(copied.min(length))
        })
    }

    /// Copies to the memory, beginning at `offset`.
    ///
    /// # Safety
    ///
    /// `source` is valid for reads of `bytes` bytes until the call returns, and no other thread of the
    /// process writes them meanwhile.
    pub(crate) unsafe fn write(
        &self,
        stop: &Stop,
        offset: usize,
        source: usize,
        bytes: usize,
    ) -> Result<()> {
        self.in_chunks(stop, bytes, |done, length| {
            // Before, so that no other process and no other memory is written; that it stays so for the
            // length of one call is the exporter's promise (R12).
            self.check_standing("copy")?;
            self.check_ticket("copy")?;
            let local = [Piece { address: source + done, bytes: length }];
            let remote = [Piece { address: self.start + offset + done, bytes: length }];
            // SAFETY: the local piece is the caller's, by its promise; the other process's addresses are
            // the kernel's to check.
            let copied = unsafe { kernel_copy::write(self.process.number, &local, &remote) };
            let copied = copied.map_err(|error| self.explain("copy", &error))?;
            self.check_ticket("copy")?;
            Ok(copied)
        })
    }

    /// Calls `copy` with what is done and how much is next, which says how much it did.
    fn in_chunks(
        &self,
        stop: &Stop,
        bytes: usize,
        mut copy: impl FnMut(usize, usize) -> Result<usize>,
    ) -> Result<()> {
        let mut done = 0;
        while done < bytes {
            if stop.is_stopped() {
                return Err(aborted("copy", "the stream was aborted"));
            }
            match copy(done, CHUNK.min(bytes - done))? {
                0 => return Err(self.explain_void("copy")),
                copied => done += copied,
            }
        }
        Ok(())
    }

    fn check_ticket(&self, operation: &'static str) -> Result<()> {
        let mut ticket: TicketWords = [0; TICKET_WORDS];
        let local = [Piece { address: ticket.as_mut_ptr() as usize, bytes: TICKET_BYTES }];
        let remote = [Piece { address: self.ticket, bytes: TICKET_BYTES }];
        // SAFETY: the local piece is the array above, whose words may have any value.
        let copied = unsafe { kernel_copy::read(self.process.number, &local, &remote) };
        copied.map_err(|error| self.explain(operation, &error))?;
        if ticket == self.whole_ticket { Ok(()) } else { Err(self.explain_void(operation)) }
    }

    fn check_standing(&self, operation: &'static str) -> Result<()> {
        let number = self.process.number;
        let text = match self.process.standing() {
            Standing::Alive => return Ok(()),
            Standing::Ended => format!("process {number}, which exported the memory, has ended"),
            Standing::Replaced => {
                format!("process {number} is not the one that exported the memory, which has ended")
            }
        };
        Err(DeviceError::new(ErrorKind::Failed, operation, text))
    }

    /// Why the kernel did not copy.
    fn explain(&self, operation: &'static str, error: &io::Error) -> DeviceError {
        if let Err(ended) = self.check_standing(operation) {
            return ended;
        }
        let number = self.process.number;
        let (kind, text) = match error.kind() {
            io::ErrorKind::PermissionDenied => (
                ErrorKind::Unsupported,
                format!(
                    "the kernel does not let this process at the memory of process {number}: both have to \
                     be of the same user and allowed to trace each other (ptrace_scope, a container's \
                     system call filter); its bytes have to come by a communicator"
                ),
            ),
            io::ErrorKind::Unsupported => (
                ErrorKind::Unsupported,
                "this system does not copy between processes; the bytes have to come by a communicator"
                    .to_owned(),
            ),
            _ if kernel_copy::is_bad_address(error) => return self.explain_void(operation),
            _ => (ErrorKind::Failed, format!("copying from or to process {number}: {error}")),
        };
        let explained = DeviceError::new(kind, operation, text);
        match error.raw_os_error() {
            Some(code) => explained.with_code(VendorCode(code.into())),
            None => explained,
        }
    }

    /// Why there is nothing where the memory was.
    fn explain_void(&self, operation: &'static str) -> DeviceError {
        let Err(ended) = self.check_standing(operation) else {
            let number = self.process.number;
            return invalid(
                operation,
                format!(
                    "process {number} has withdrawn the export; importers close before the exporter \
                     withdraws"
                ),
            );
        };
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{ExportName, Nonce};
    use crate::ticket::{TicketNumber, Tickets};

    /// The key of some bytes of this process, as another backend would import them.
    fn exported(tickets: &mut Tickets, bytes: &[u8]) -> (MemoryKey, TicketNumber) {
        let name = ExportName { backend: Nonce::new(), number: 1 };
        let ticket = tickets.issue(name.backend.ticket(1));
        let key = MemoryKey {
            name,
            process: ProcessIdentity::own(),
            ticket: tickets.address(ticket) as u64,
            start: bytes.as_ptr() as u64,
            bytes: bytes.len() as u64,
        };
        (key, ticket)
    }

    fn refusal(key: &MemoryKey) -> (ErrorKind, String) {
        let error = Foreign::open(key).unwrap_err();
        (error.kind(), error.text().to_owned())
    }

    #[test]
    fn keys_of_other_hosts_containers_and_processes_are_refused_with_the_reason() {
        let mut tickets = Tickets::default();
        let (key, _) = exported(&mut tickets, &[1; 64]);
        Foreign::open(&key).unwrap();
        let own = key.process.unwrap();
        let with = |process| MemoryKey { process, ..key };
        for (process, kind, part) in [
            (None, ErrorKind::Unsupported, "does not say which process"),
            (
                Some(ProcessIdentity { boot: own.boot + 1, ..own }),
                ErrorKind::Unsupported,
                "on another host",
            ),
            (
                Some(ProcessIdentity { namespace: own.namespace + 1, ..own }),
                ErrorKind::Unsupported,
                "containers",
            ),
            (Some(ProcessIdentity { number: u32::MAX / 2, ..own }), ErrorKind::Failed, "has ended"),
        ] {
            let (found, text) = refusal(&with(process));
            assert_eq!(found, kind, "{text}");
            assert!(text.contains(part), "{text}");
        }
        // The number was given to another process.
        let earlier = ProcessIdentity { start: own.start - 1, ..own };
        let (kind, text) = refusal(&with(Some(earlier)));
        assert_eq!(kind, ErrorKind::Failed);
        assert!(text.contains("is not the one that exported"), "{text}");
        for ticket in [0, key.ticket + 8] {
            let (kind, text) = refusal(&MemoryKey { ticket, ..key });
            assert_eq!(kind, ErrorKind::InvalidUse);
            assert!(text.contains("has withdrawn the export"), "{text}");
        }
    }

    #[test]
    fn bytes_are_copied_only_while_the_ticket_is_whole() {
        let mut tickets = Tickets::default();
        let source: Vec<u8> = (0..CHUNK + 5_000).map(|index| (index % 251) as u8).collect();
        let (key, ticket) = exported(&mut tickets, &source);
        let foreign = Foreign::open(&key).unwrap();
        let stop = Stop::default();
        let mut target = vec![0_u8; source.len() - 3];
        let length = target.len();
        let mut read = |stop: &Stop| {
            let address = target.as_mut_ptr() as usize;
            // SAFETY: the vector above, which nobody else knows.
            let result = unsafe { foreign.read(stop, 3, address, length) };
            (result, target.clone())
        };
        let (result, found) = read(&stop);
        result.unwrap();
        assert!(found == source[3..]);
        tickets.tear(ticket);
        let (result, _) = read(&stop);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidUse);
        stop.stop();
        let (result, _) = read(&stop);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Aborted);
    }
}
