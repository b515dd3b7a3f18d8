//! How a rank finds its group, as flags say it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use eplb_backends::Links;
use eplb_launch::{Group, GroupOptions, RankTable, meet_by_file, meet_by_table};

use crate::arguments::RunArguments;
use crate::failure::Failure;

/// Where rank 0 listens, and the host's communicators, unless a flag says otherwise: only ranks of the
/// same host come there.
const LOOPBACK: &str = "127.0.0.1";

/// The value of `--bootstrap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bootstrap {
    /// By a file that rank 0 writes.
    File(PathBuf),
    /// By a rank table.
    Table(PathBuf),
    /// By MPI.
    Mpi,
}

impl Bootstrap {
    pub(crate) const ALLOWED: &'static str = "file:PATH, table:PATH or mpi";
}

impl FromStr for Bootstrap {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("table", path)) if !path.is_empty() => Ok(Self::Table(path.into())),
            None if text == "mpi" => Ok(Self::Mpi),
            _ => Err(Self::ALLOWED),
        }
    }
}

/// A group that this rank is about to join: what is known of it before.
#[derive(Debug)]
pub(super) enum Meeting {
    File {
        path: PathBuf,
        rank: u32,
        address: String,
    },
    Table {
        table: RankTable,
        rank: u32,
    },
    #[cfg(feature = "mpi")]
    Mpi(eplb_launch::MpiJob),
}

impl Meeting {
    /// What flags and files say.
    pub(super) fn of(bootstrap: &Bootstrap, arguments: &RunArguments) -> Result<Self, Failure> {
        let rank = || {
            let missing = "--bootstrap with a file or a table needs --rank, this rank's number";
            arguments.rank.ok_or_else(|| Failure::new(missing))
        };
        match bootstrap {
            Bootstrap::File(path) => {
                let address = arguments.address.clone().unwrap_or_else(|| LOOPBACK.to_owned());
                Ok(Self::File { path: path.clone(), rank: rank()?, address })
            }
            Bootstrap::Table(path) => {
                if arguments.address.is_some() {
                    let message = "--address is not allowed with a rank table, which has addresses";
                    return Err(Failure::new(message));
                }
                let (table, rank) = (RankTable::read(path).map_err(Failure::new)?, rank()?);
                table.entry(rank).map_err(|error| Failure::of_file(path, error))?;
                Ok(Self::Table { table, rank })
            }
            Bootstrap::Mpi => {
                if arguments.rank.is_some() || arguments.address.is_some() {
                    let message = "--rank and --address are not allowed with mpi, which knows both";
                    return Err(Failure::new(message));
                }
                Self::by_mpi()
            }
        }
    }

    #[cfg(feature = "mpi")]
    fn by_mpi() -> Result<Self, Failure> {
        eplb_launch::MpiJob::start().map(Self::Mpi).map_err(Failure::new)
    }

    #[cfg(not(feature = "mpi"))]
    fn by_mpi() -> Result<Self, Failure> {
        Err(Failure::new("this program was built without mpi; build it with --features mpi"))
    }

    /// How many ranks there are, where that is known by itself.
    pub(super) fn size(&self) -> Option<u32> {
        match self {
            Self::File { .. } => None,
            Self::Table { table, .. } => Some(table.size()),
            #[cfg(feature = "mpi")]
            Self::Mpi(job) => Some(job.size()),
        }
    }

    /// The ordinal of this rank's device, where something says so.
    pub(super) fn device(&self) -> Option<u32> {
        match self {
            Self::File { .. } => None,
            Self::Table { table, rank } => table.entry(*rank).ok().and_then(|entry| entry.device),
            #[cfg(feature = "mpi")]
            Self::Mpi(_) => None,
        }
    }

    /// This rank's number among those of its host, where that is known.
    pub(super) fn number_on_host(&self) -> Option<u32> {
        match self {
            Self::File { .. } => None,
            Self::Table { table, rank } => {
                let host = &table.entry(*rank).ok()?.host;
                let before = table.ranks().iter().take(*rank as usize);
                Some(before.filter(|entry| entry.host == *host).count() as u32)
            }
            #[cfg(feature = "mpi")]
            Self::Mpi(job) => Some(job.number_on_host()),
        }
    }

    /// The address by which other ranks reach this rank's host.
    pub(super) fn address(&self) -> Option<&str> {
        match self {
            Self::File { address, .. } => Some(address),
            Self::Table { table, rank } => table.entry(*rank).ok().map(|entry| &entry.address[..]),
            #[cfg(feature = "mpi")]
            Self::Mpi(_) => None,
        }
    }

    /// How communicators of the host reach the other ranks, where they have no address.
    pub(super) fn links(&self) -> Result<Links, Failure> {
        match self {
            Self::File { .. } | Self::Table { .. } => Ok(Links::default()),
            #[cfg(feature = "mpi")]
            Self::Mpi(job) => {
                Ok(Links::Given(Box::new(super::carrier::MpiCarrier::new(job.links()))))
            }
        }
    }

    /// Meets the other ranks.
    pub(super) fn join(
        self,
        options: GroupOptions,
        limit: Duration,
    ) -> Result<Box<dyn Group>, Failure> {
        let group = match self {
            Self::File { path, rank, address } => {
                meet_by_file(&path, rank, &address, options, limit)
            }
            Self::Table { table, rank } => meet_by_table(&table, rank, options.silence, limit),
            #[cfg(feature = "mpi")]
            Self::Mpi(job) => {
                return job
                    .begin(options.silence, limit)
                    .map(|group| Box::new(group) as _)
                    .map_err(Failure::new);
            }
        };
        group.map(|group| Box::new(group) as _).map_err(Failure::new)
    }
}
