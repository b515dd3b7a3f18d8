//! How the engine's ranks reach each other.

use std::collections::BTreeSet;
use std::time::Duration;

use eplb::device::Device;
use eplb::{CollectiveFigures, PairTransport, TransportChoice};

use super::rank::Rank;
use super::serve::EngineSetup;
use crate::RunError;

/// Whether ranks get a communicator: where the configuration asks for rounds, and by itself wherever the devices can
/// have one.
pub(crate) fn wants_communicator(
    setup: &EngineSetup<'_>,
    devices: &[Device],
) -> Result<bool, RunError> {
    let choice = setup.config.executor.transport;
    if choice == TransportChoice::Peer || devices.len() < 2 {
        return Ok(false);
    }
    let ordinals: BTreeSet<_> = devices.iter().map(|device| device.info().ordinal).collect();
    let reason = if !devices.iter().all(|device| device.info().communicators) {
        Some("the device has no communicators".to_owned())
    } else if ordinals.len() < devices.len()
        && !devices.iter().all(|device| device.info().ranks_share_device)
    {
        let (ranks, devices) = (devices.len(), ordinals.len());
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

/// Waits until all ranks have joined the communicator, and says how each reaches each other one. A run
/// that can do without goes on without.
pub(crate) fn connected(
    setup: &EngineSetup<'_>,
    ranks: &[Rank],
) -> Result<Vec<PairTransport>, RunError> {
    let section = &setup.config.executor;
    let limit = Duration::from_secs_f64(section.connect_timeout);
    let mut pairs = Vec::new();
    for rank in ranks {
        let joined = rank.session.wait_for_transports(limit);
        if section.transport == TransportChoice::Collective {
            joined?;
        }
        pairs.extend(rank.session.transports().own_pairs());
    }
    Ok(pairs)
}

/// What all ranks did.
pub(crate) fn sum(ranks: impl Iterator<Item = CollectiveFigures>) -> CollectiveFigures {
    ranks.fold(CollectiveFigures::default(), |mut sum, rank| {
        sum.add(&rank);
        sum
    })
}
