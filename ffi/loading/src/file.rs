//! The files that functions are in.

use std::path::PathBuf;

/// The file that the code at this address was loaded from, as the system knows it: a library that was
/// opened by a name may have been found anywhere. Nothing if the system does not say.
pub fn file_of(address: usize) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| file_with(line, address))
}

/// A line is `start-end permissions offset device inode path`, with the numbers in base 16.
fn file_with(line: &str, address: usize) -> Option<PathBuf> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let path = rest.find('/').map(|at| PathBuf::from(&rest[at..]));
    path.filter(|_| (start..end).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_this_program_is_in_this_program() {
        let address = code_of_this_program_is_in_this_program as fn() as usize;
        assert_eq!(file_of(address), std::env::current_exe().ok());
    }

    #[test]
    fn paths_may_hold_spaces_and_memory_may_have_none() {
        let line = "7f00-7fff r-xp 00000000 fe:00 12   /opt/a b/libx.so";
        assert_eq!(file_with(line, 0x7f80), Some(PathBuf::from("/opt/a b/libx.so")));
        assert_eq!(file_with(line, 0x8000), None);
        assert_eq!(file_with("7f00-7fff rw-p 00000000 00:00 0", 0x7f80), None);
        assert_eq!(file_with("what is this", 0x7f80), None);
    }
}
