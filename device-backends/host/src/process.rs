//! Which process exported memory, and whether its number still means that process.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// A process, named so that another process of the same host can tell whether it is in reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessIdentity {
    /// The kernel's number for this run of the host, new after each restart.
    pub(crate) boot: u128,
    /// The namespace in which the process has its number.
    pub(crate) namespace: u64,
    pub(crate) number: u32,
    /// When it was started, in the kernel's ticks since the boot.
    pub(crate) start: u64,
}

/// What has become of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Alive,
    Ended,
    /// Another process has the number now.
    Replaced,
}

impl ProcessIdentity {
    /// This process; none where the system does not tell.
    pub(crate) fn own() -> Option<Self> {
        let number = std::process::id();
        let (_, start) = read_stat(number)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = u128::from_str_radix(&boot.trim().replace('-', ""), 16).ok()?;
        let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        Some(Self { boot, namespace, number, start })
    }

    /// Why a process with this identity cannot be found from here, if so.
    pub(crate) fn out_of_reach(&self) -> Option<&'static str> {
        let Some(own) = Self::own() else {
            return Some("this system does not say which process is which");
        };
        if own.boot != self.boot {
            return Some("the memory is on another host, or was before a restart of this one");
        }
        if own.namespace != self.namespace {
            return Some("the processes are in different process namespaces (containers)");
        }
        None
    }

    pub(crate) fn standing(&self) -> Standing {
        match read_stat(self.number) {
            Some((_, start)) if start != self.start => Standing::Replaced,
            Some((b'Z' | b'X', _)) | None => Standing::Ended,
            Some(_) => Standing::Alive,
        }
    }
}

/// State and start of a process.
fn read_stat(number: u32) -> Option<(u8, u64)> {
    parse_stat(&fs::read(format!("/proc/{number}/stat")).ok()?)
}

/// The second field is the program's name in parentheses and may hold anything, so what follows is
/// counted from its end: the state is the third field, the start the twenty-second (proc(5)).
fn parse_stat(stat: &[u8]) -> Option<(u8, u64)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_do_not_confuse_the_fields() {
        let stat = b"12 (a) S (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(parse_stat(stat), Some((b'R', 4711)));
        assert_eq!(parse_stat(b"12 (a) R 1 2"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn a_number_that_another_process_has_is_told_from_the_process() {
        let own = ProcessIdentity::own().unwrap();
        assert_eq!(own.standing(), Standing::Alive);
        assert_eq!(own.out_of_reach(), None);
        let earlier = ProcessIdentity { start: own.start - 1, ..own };
        assert_eq!(earlier.standing(), Standing::Replaced);
        // Numbers end far below this (proc(5), pid_max).
        let nobody = ProcessIdentity { number: u32::MAX, ..own };
        assert_eq!(nobody.standing(), Standing::Ended);
        let restarted = ProcessIdentity { boot: own.boot ^ 1, ..own };
        assert!(restarted.out_of_reach().unwrap().contains("another host"));
        let contained = ProcessIdentity { namespace: own.namespace ^ 1, ..own };
        assert!(contained.out_of_reach().unwrap().contains("namespaces"));
    }

    #[test]
    fn a_process_that_has_died_has_ended_before_anybody_asked_for_its_status() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (_, start) = read_stat(child.id()).unwrap();
        let own = ProcessIdentity::own().unwrap();
        let identity = ProcessIdentity { number: child.id(), start, ..own };
        assert_eq!(identity.standing(), Standing::Alive);
        child.kill().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while identity.standing() != Standing::Ended {
            assert!(std::time::Instant::now() < until, "it does not end");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(identity.standing(), Standing::Ended);
    }
}
