//! The rank table: a file that says where each rank is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::star::LEADER;
use crate::{Invitation, JoinError, TcpGroup, TcpLeader};

/// The most ranks of a group.
const MOST_RANKS: usize = 16_384;

/// The longest table that is read, in bytes.
const MOST_BYTES: u64 = 1 << 24;

/// Where each rank of a group is.
///
/// As TOML, with a section `[[ranks]]` for each, or as JSON, `{"ranks": [{"rank": 0, …}, …]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankTable {
    ranks: Vec<RankEntry>,
}

/// Where one rank is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankEntry {
    /// Its number.
    pub rank: u32,
    /// A name for its host: ranks with the same one reach each other's memory.
    pub host: String,
    /// The address by which the other ranks reach its host; for rank 0 with the port that it listens at.
    pub address: String,
    /// The ordinal of its device on its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
}

/// Why a file is no rank table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// It can't be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what is allowed.
        problem: String,
    },
}

impl RankTable {
    /// Reads a table: JSON if it begins with a brace, else TOML.
    ///
    /// # Errors
    /// It can't be read, or its ranks are not 0 to one less than their number, each once and with an
    /// address.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let unreadable = |source| TableError::Unreadable { path: path.to_owned(), source };
        let found = std::fs::metadata(path).map_err(unreadable)?;
        if !found.is_file() || found.len() > MOST_BYTES {
            let problem = "it is no regular file, or longer than any table";
            return Err(unreadable(std::io::Error::other(problem)));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text).map_err(|problem| TableError::Content { path: path.to_owned(), problem })
    }

    /// Reads a table's text. The error says in one line what is wrong.
    ///
    /// # Errors
    /// As [`RankTable::read`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut table: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            toml::from_str(text).map_err(|error| syntax(&error, text))?
        };
        table.ranks.sort_by_key(|entry| entry.rank);
        table.check()?;
        Ok(table)
    }

    fn check(&self) -> Result<(), String> {
        let count = self.ranks.len();
        if count == 0 || count > MOST_RANKS {
            return Err(format!("{count} ranks are not allowed; allowed: 1 to {MOST_RANKS}"));
        }
        for (expected, entry) in (0..).zip(&self.ranks) {
            let RankEntry { rank, host, address, .. } = entry;
            if *rank < expected {
                return Err(format!("rank {rank} comes twice; allowed: each once"));
            }
            if *rank > expected {
                return Err(format!(
                    "rank {expected} is missing; allowed: 0 to {}, each once",
                    count - 1
                ));
            }
            if host.trim().is_empty() {
                return Err(format!("rank {rank} has no host; give its host a name"));
            }
            check_address(*rank, address)?;
        }
        let devices = self.ranks.iter().filter_map(|entry| Some((&entry.host, entry.device?)));
        let mut seen = BTreeSet::new();
        let twice = devices.clone().find(|device| !seen.insert(*device));
        let all_same = devices.collect::<BTreeSet<_>>().len() == self.hosts().len();
        match twice {
            // Ranks may share a host's one device, where the backend allows it.
            Some((host, device)) if !all_same => {
                Err(format!("device {device} of {host} has two ranks; allowed: one each, or all"))
            }
            _ => Ok(()),
        }
    }

    /// The ranks, in order.
    pub fn ranks(&self) -> &[RankEntry] {
        &self.ranks
    }

    /// How many ranks there are.
    pub fn size(&self) -> u32 {
        self.ranks.len() as u32
    }

    /// The entry of a rank.
    ///
    /// # Errors
    /// There is no such rank.
    pub fn entry(&self, rank: u32) -> Result<&RankEntry, JoinError> {
        self.ranks.get(rank as usize).ok_or(JoinError::Rank { rank, size: self.size() })
    }

    /// The hosts, in the order of their first ranks.
    pub fn hosts(&self) -> Vec<&str> {
        let mut hosts: Vec<&str> = Vec::new();
        for entry in &self.ranks {
            if !hosts.contains(&&entry.host[..]) {
                hosts.push(&entry.host);
            }
        }
        hosts
    }
}

/// Meets the other ranks by a table that all have: rank 0 listens at its address, the others connect to
/// it. The group is known by the table's content, so ranks with another table are refused.
///
/// # Errors
/// There is no such rank; or as [`TcpLeader::wait`] and [`TcpGroup::join`].
pub fn meet_by_table(
    table: &RankTable,
    rank: u32,
    silence: Duration,
    limit: Duration,
) -> Result<TcpGroup, JoinError> {
    let leader = table.entry(LEADER)?;
    table.entry(rank)?;
    let text = format!("{table:?}");
    let invitation = Invitation::of_text(&text, table.size(), leader.address.clone());
    if rank == LEADER {
        TcpLeader::listen_as(invitation, silence)?.wait(limit)
    } else {
        TcpGroup::join(&invitation, rank, silence, limit)
    }
}

/// `host` or `host:port`; the leader's with a port.
fn check_address(rank: u32, address: &str) -> Result<(), String> {
    let refuse = |allowed| Err(format!("rank {rank} has address {address:?}; allowed: {allowed}"));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    if host.trim().is_empty() || host.contains(char::is_whitespace) {
        return refuse("host:port, or host");
    }
    match port.map(str::parse::<u16>) {
        Some(Ok(1..)) => Ok(()),
        Some(_) => refuse("host:port with a port from 1 to 65535"),
        None if rank == LEADER => refuse("host:port, since rank 0 listens there"),
        None => Ok(()),
    }
}

fn syntax(error: &toml::de::Error, text: &str) -> String {
    let line =
        error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let message = error.message().trim().replace('\n', "; ");
    match line {
        Some(line) => format!("line {line}: {message}"),
        None => message,
    }
}
