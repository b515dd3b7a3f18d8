//! How a rank links up with the others: which transport each pair uses.

use std::collections::BTreeMap;

use eplb_core::RankId;
use eplb_device::{Communicator, CommunicatorId, CommunicatorOptions};

use crate::collective::{CollectiveTransport, Group, Reach, Reserved, Settings, TransportBoard};
use crate::endpoint::PeerWeights;
use crate::{Endpoint, Executor, ExecutorError, TransportChoice};

/// A collective transport that is to be, with its memory.
#[derive(Debug)]
pub(crate) struct Prospect {
    /// The engine's, or one of ours; `None` for one that is created when the ranks connect.
    communicator: Option<Communicator>,
    reserved: Reserved,
}

/// By rank, what is reached and how.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) peers: Vec<Option<PeerWeights>>,
    pub(crate) reach: Vec<Option<Reach>>,
    /// What the device said where it refused something.
    pub(crate) details: BTreeMap<RankId, String>,
}

impl Executor {
    /// The same executor with a communicator of all live ranks, numbered in their order, and memory for its
    /// rounds. It is lent by the engine, or was created for this; either way nobody else uses it from now
    /// on, since ranks have to make all its calls in the same order. Without use, and not kept, with
    /// [`TransportChoice::Peer`].
    ///
    /// # Errors
    /// A communicator of another device, size or rank; a device that refuses the memory.
    pub fn with_communicator(mut self, communicator: Communicator) -> Result<Self, ExecutorError> {
        let refuse = |reason| Err(ExecutorError::Communicator { reason });
        let group = Group::new(&self.topology);
        if !communicator.device().is_same(self.transfers.device()) {
            return refuse("it is of another device than the weights".to_owned());
        }
        let (size, number) = (group.size(), group.number_of(self.rank));
        if communicator.size() != size || Some(communicator.rank()) != number {
            let (rank, of) = (communicator.rank(), communicator.size());
            let own = self.rank;
            return refuse(format!(
                "it has this as rank {rank} of {of}, and {own} is number {} of {size} live ranks",
                number.unwrap_or(0)
            ));
        }
        self.reserve_rounds(Some(communicator), &group)?;
        Ok(self)
    }

    /// The same executor with a communicator that [`Executor::connect`] creates, and memory for its rounds. To be
    /// called on all ranks, before their endpoints are carried: that of the first live rank names
    /// the communicator.
    ///
    /// # Errors
    /// A device that has no communicators, or refuses a call.
    pub fn with_own_communicator(mut self) -> Result<Self, ExecutorError> {
        let group = Group::new(&self.topology);
        let is_first = group.number_of(self.rank) == Some(0);
        if is_first && group.size() > 1 && self.options.transport != TransportChoice::Peer {
            let id = self.transfers.device().communicator_id()?;
            self.endpoint.communicator = Some(id.as_bytes().to_vec());
        }
        self.reserve_rounds(None, &group)?;
        Ok(self)
    }

    /// Bytes that a rank sends and receives in one round at most; 0 without rounds.
    pub fn round_bytes(&self) -> u64 {
        let slots = if self.has_rounds() { 2 * self.options.round_slots.max(1) } else { 0 };
        (slots * self.manifest.packed_bytes()) as u64
    }

    fn reserve_rounds(
        &mut self,
        communicator: Option<Communicator>,
        group: &Group,
    ) -> Result<(), ExecutorError> {
        if self.options.transport == TransportChoice::Peer || group.size() == 1 {
            return Ok(());
        }
        let device = self.transfers.device();
        let slots = self.options.round_slots.max(1);
        let reserved = Reserved::reserve(device, &self.manifest, slots, group)?;
        self.collective = Some(Prospect { communicator, reserved });
        Ok(())
    }

    /// Finds how each other rank is reached.
    pub(crate) fn link(&mut self, endpoints: &[Endpoint]) -> Result<Links, ExecutorError> {
        if let Some(refusal) = self.endpoint.refusal.clone().filter(|_| !self.has_rounds()) {
            return Err(Self::out_of_reach(self.rank, "exported", &refusal));
        }
        let ranks = self.topology.ranks();
        let mut links = Links {
            peers: (0..ranks).map(|_| None).collect(),
            reach: vec![None; ranks],
            details: BTreeMap::new(),
        };
        let others = self.topology.live_ranks().filter(|&rank| rank != self.rank);
        for rank in others.collect::<Vec<_>>() {
            let endpoint = endpoints.iter().find(|endpoint| endpoint.rank() == rank);
            let reach = match endpoint {
                Some(endpoint) => self.link_to(endpoint, &mut links)?,
                None if self.loader.is_some() => Reach::NotConnected,
                None => {
                    let reason = "it is missing; every live rank's is needed".to_owned();
                    return Err(ExecutorError::Endpoint { rank, reason });
                }
            };
            links.reach[rank.index()] = Some(reach);
        }
        Ok(links)
    }

    fn link_to(&mut self, endpoint: &Endpoint, links: &mut Links) -> Result<Reach, ExecutorError> {
        let rank = endpoint.rank();
        endpoint.check(&self.manifest, self.options.transport)?;
        self.compare_checksums(endpoint)?;
        if self.options.transport == TransportChoice::Collective {
            if self.has_rounds() {
                return Ok(Reach::Configured);
            }
            let reason =
                "executor.transport = \"collective\" needs one; lend it, or let one be created";
            return Err(ExecutorError::Communicator { reason: reason.to_owned() });
        }
        let (reach, word, detail) = match &endpoint.refusal {
            Some(refusal) => (Reach::NotExported, "exported", refusal.clone()),
            None => match endpoint.import(self.transfers.device()) {
                Ok(weights) => {
                    links.peers[rank.index()] = Some(weights);
                    return Ok(Reach::Imported);
                }
                Err(ExecutorError::Device(error))
                    if self.options.transport == TransportChoice::Auto =>
                {
                    (Reach::NotImported, "imported", error.to_string())
                }
                Err(error) => return Err(error),
            },
        };
        if !self.has_rounds() {
            return Err(Self::out_of_reach(rank, word, &detail));
        }
        links.details.insert(rank, detail);
        Ok(reach)
    }

    fn has_rounds(&self) -> bool {
        self.collective.is_some()
    }

    fn out_of_reach(rank: RankId, word: &str, detail: &str) -> ExecutorError {
        let reason = format!(
            "its memory cannot be {word}: {detail}; without peer memory a communicator is needed"
        );
        ExecutorError::Endpoint { rank, reason }
    }

    /// The collective transport, if there is to be one; its communicator may still be joined by others.
    pub(crate) fn start_collective(
        &mut self,
        endpoints: &[Endpoint],
        board: &TransportBoard,
    ) -> Result<Option<CollectiveTransport>, ExecutorError> {
        let Some(Prospect { communicator, reserved }) = self.collective.take() else {
            return Ok(None);
        };
        let group = Group::new(&self.topology);
        let communicator = match communicator {
            Some(communicator) => communicator,
            None => self.create_communicator(endpoints, &group)?,
        };
        let settings = Settings {
            choice: self.options.transport,
            round_slots: self.options.round_slots.max(1),
            layers: self.shape.layers(),
        };
        CollectiveTransport::new(communicator, reserved, settings, group, board.clone()).map(Some)
    }

    fn create_communicator(
        &self,
        endpoints: &[Endpoint],
        group: &Group,
    ) -> Result<Communicator, ExecutorError> {
        let all = endpoints.iter().chain([&self.endpoint]);
        let mut names = all.filter(|endpoint| group.number_of(endpoint.rank()) == Some(0));
        let name = names.find_map(|endpoint| endpoint.communicator.clone());
        let (Some(name), Some(number)) = (name, group.number_of(self.rank)) else {
            let reason = "the first live rank's endpoint names none; all ranks have to ask for one \
                          before their endpoints are carried";
            return Err(ExecutorError::Communicator { reason: reason.to_owned() });
        };
        let (id, options) = (CommunicatorId::from(name), CommunicatorOptions::default());
        let device = self.transfers.device();
        Ok(device.communicator(&id, number, group.size(), options)?)
    }
}
