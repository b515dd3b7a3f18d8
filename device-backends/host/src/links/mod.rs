//! How ranks of one communicator reach each other from process to process.

mod carrier;

use std::net::{IpAddr, Ipv4Addr};

pub use carrier::{Carrier, CarrierError, MOST_MESSAGE_BYTES};

/// How a backend's communicators reach other processes. Ranks of one process always meet in memory.
#[derive(Debug)]
pub enum Links {
    /// By TCP: the backend listens at this address, on a port that the system chooses, and ids of
    /// communicators carry it. Ranks on other hosts need an address that they can reach, and a network
    /// that can be trusted: ids are secrets that keep strangers out, but nothing is encrypted.
    Tcp {
        /// An address of this host.
        address: IpAddr,
    },
    /// By the means of the program that embeds the backend.
    Given(Box<dyn Carrier>),
}

impl Default for Links {
    /// TCP between processes of this host.
    fn default() -> Self {
        Self::Tcp { address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
}
