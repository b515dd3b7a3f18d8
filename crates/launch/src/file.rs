//! Ranks that meet by a file on a file system that all of them see.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::star::LEADER;
use crate::tcp::Attempt;
use crate::{GroupOptions, Invitation, JoinError, TcpGroup, TcpLeader};

/// Between two looks at the file.
const NAP: Duration = Duration::from_millis(20);

/// Longer than any invitation: a host's name has at most 253 bytes.
const MOST_BYTES: u64 = 1_000;

/// Meets the other ranks by a file. Rank 0 listens at `address`, writes its invitation to `path` and
/// removes the file when all have come; the others wait for the file. One that an earlier group has
/// left is written over, and ranks that read it before keep looking.
///
/// # Errors
/// The file holds something else or can't be written; or as [`TcpLeader::wait`] and [`TcpGroup::join`].
pub fn meet_by_file(
    path: &Path,
    rank: u32,
    address: &str,
    options: GroupOptions,
    limit: Duration,
) -> Result<TcpGroup, JoinError> {
    if rank >= options.size {
        return Err(JoinError::Rank { rank, size: options.size });
    }
    if rank != LEADER {
        return join(path, rank, options, limit);
    }
    if let Ok(Some(found)) = read(path) {
        Invitation::from_bytes(&found).map_err(|_| {
            refuse(path, "it is there and no file of a group; name one that may be written over")
        })?;
    }
    let leader = TcpLeader::listen(address, options)?;
    write(path, leader.invitation()).map_err(|error| refuse(path, error))?;
    let group = leader.wait(limit);
    // Nobody needs it any more; a shared file system may have lost it already.
    let _ = std::fs::remove_file(path);
    group
}

fn join(
    path: &Path,
    rank: u32,
    options: GroupOptions,
    limit: Duration,
) -> Result<TcpGroup, JoinError> {
    let until = Instant::now() + limit;
    loop {
        let last = match read(path) {
            Err(error) => return Err(refuse(path, error)),
            Ok(None) => "the file is not there".to_owned(),
            Ok(Some(found)) => match Invitation::from_bytes(&found) {
                Err(error) => return Err(refuse(path, error)),
                Ok(invitation) if invitation.size != options.size => format!(
                    "the file is of a group of {} ranks, not {}",
                    invitation.size, options.size
                ),
                Ok(invitation) => {
                    match TcpGroup::try_join(&invitation, rank, options.silence, until) {
                        Ok(group) => return Ok(group),
                        Err(Attempt::Over(error)) => return Err(error),
                        Err(Attempt::Again(last)) => format!("{}: {last}", invitation.address),
                    }
                }
            },
        };
        if Instant::now() >= until {
            let (place, seconds) = (path.display().to_string(), limit.as_secs_f64());
            return Err(JoinError::NoLeader { place, seconds, last });
        }
        std::thread::sleep(NAP);
    }
}

/// What the file holds, nothing if there is none.
fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        Ok(found) if found.len() > MOST_BYTES => {
            return Err(std::io::Error::other("it is too long for a file of a group"));
        }
        Ok(_) => {}
    }
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Whole or not at all: others may be reading.
fn write(path: &Path, invitation: &Invitation) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&invitation.to_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn refuse(path: &Path, problem: impl ToString) -> JoinError {
    JoinError::File { path: path.to_owned(), problem: problem.to_string() }
}
