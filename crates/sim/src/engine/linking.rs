//! How the engine's ranks reach each other.

use std::collections::BTreeSet;
use std::time::Duration;

use eplb::core::RankId;
use eplb::device::Device;
use eplb::{CollectiveFigures, PairTransport, Session, TransportChoice};
use serde::{Deserialize, Serialize};

use super::membership::Membership;
use super::message::{decode, encode};
use super::serve::EngineSetup;
use crate::RunError;

/// What ranks tell each other of their devices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    /// The running system, which has devices of its own.
    host: String,
    ordinal: u32,
    communicators: bool,
    ranks_share_device: bool,
}

/// Whether ranks get a communicator: where the configuration asks for rounds, and by itself wherever the devices can
/// have one. All ranks come to the same answer.
pub(super) fn wants_communicator(
    setup: &EngineSetup<'_>,
    membership: &Membership<'_>,
    device: &Device,
) -> Result<bool, RunError> {
    let choice = setup.config.executor.transport;
    if choice == TransportChoice::Peer || membership.group.size() < 2 {
        return Ok(false);
    }
    let info = device.info();
    let own = Place {
        // Without it, ranks of several hosts may be taken for ranks that share a device.
        host: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        ordinal: info.ordinal,
        communicators: info.communicators,
        ranks_share_device: info.ranks_share_device,
    };
    let places = membership.all_gather(&encode(&own)?)?;
    let places = (0..)
        .zip(&places)
        .map(|(rank, bytes)| decode(RankId(rank), bytes))
        .collect::<Result<Vec<Place>, _>>()?;
    let devices: BTreeSet<_> = places.iter().map(|place| (&place.host, place.ordinal)).collect();
    let reason = if !places.iter().all(|place| place.communicators) {
        Some("the device has no communicators".to_owned())
    } else if devices.len() < places.len() && !places.iter().all(|place| place.ranks_share_device) {
        let (ranks, devices) = (places.len(), devices.len());
        Some(format!("{ranks} ranks need as many devices, and there are {devices}"))
    } else {
        None
    };
    match reason {
        Some(reason) if choice == TransportChoice::Collective => {
            let backend = setup.devices.backend().name().to_owned();
            Err(RunError::NoCommunicator { backend, reason })
        }
        reason => Ok(reason.is_none()),
    }
}

/// Waits until this rank has joined the communicator with the others, as long as these wait for it: they
/// may be waiting for a rank that is gone. A run that can do without goes on without.
pub(super) fn join(
    setup: &EngineSetup<'_>,
    membership: &Membership<'_>,
    session: &Session,
) -> Result<(), RunError> {
    let section = &setup.config.executor;
    let limit = Duration::from_secs_f64(section.connect_timeout);
    let joined = session.wait_for_transports(limit.min(membership.patience_of_others()));
    if section.transport == TransportChoice::Collective {
        joined?;
    }
    Ok(())
}

/// How each rank reaches each other one, receivers in order; for the leader.
pub(super) fn gather_pairs(
    membership: &Membership<'_>,
    session: &Session,
) -> Result<Vec<PairTransport>, RunError> {
    let own: Vec<PairTransport> = session.transports().own_pairs().collect();
    let all = membership.gather(&encode(&own)?)?;
    let of_rank = |(rank, bytes): (u32, &Vec<u8>)| decode(RankId(rank), bytes);
    let pairs: Vec<Vec<PairTransport>> = (0..).zip(&all).map(of_rank).collect::<Result<_, _>>()?;
    Ok(pairs.concat())
}

/// What all ranks did.
pub(super) fn sum(ranks: impl Iterator<Item = CollectiveFigures>) -> CollectiveFigures {
    ranks.fold(CollectiveFigures::default(), |mut sum, rank| {
        sum.add(&rank);
        sum
    })
}
