//! How ranks of one communicator reach each other from process to process.
//!
//! The backend that makes an id is where the ranks gather ([`lobby`]): each rank elsewhere finds the way in
//! the id, and shows the key that is in it. Once all have come, each is told where all others are, and each
//! pair of ranks in two processes has a link: a TCP connection of its own ([`connection`]), or the carrier of
//! the program that embeds the backend ([`carried`]). What goes over links is asked for by its receiver
//! ([`mail`]), so that what is under way is bounded and no letter holds up another one.

mod carried;
mod carrier;
mod connection;
mod door;
mod joining;
mod lobby;
mod mail;
mod message;
mod name;
mod station;
#[cfg(test)]
mod strangers;
mod way;

use std::net::{IpAddr, Ipv4Addr};

pub use carrier::{Carrier, CarrierError, MOST_MESSAGE_BYTES};

pub(crate) use mail::{LetterName, Mail, ReceiverStep, SenderStep, mismatch};
pub(crate) use message::{Channel, Label, Letter, MOST_PIECE_BYTES, Message, Payload};
pub(crate) use name::CommunicatorName;
pub(crate) use station::Station;

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
