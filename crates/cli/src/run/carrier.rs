//! MPI as what carries bytes between processes of the host backend.

use eplb_backends::{Carrier, CarrierError};
use eplb_launch::{Loss, MpiCarried, MpiLinks};

/// The links of an MPI job, as the host backend wants them.
#[derive(Debug)]
pub(super) struct MpiCarrier {
    links: MpiLinks,
}

impl MpiCarrier {
    pub(super) fn new(links: MpiLinks) -> Self {
        Self { links }
    }
}

impl Carrier for MpiCarrier {
    fn process(&self) -> u32 {
        self.links.rank()
    }

    fn processes(&self) -> u32 {
        self.links.size()
    }

    fn send(&mut self, to: u32, message: Vec<u8>) -> Result<(), CarrierError> {
        let ended = |_| CarrierError { process: None, text: "MPI is over here".to_owned() };
        self.links.send(to, message).map_err(ended)
    }

    fn poll_receive(&mut self) -> Result<Option<(u32, Vec<u8>)>, CarrierError> {
        match self.links.poll() {
            None => Ok(None),
            Some(MpiCarried::Message { from, bytes }) => Ok(Some((from, bytes))),
            Some(MpiCarried::Lost(Loss { rank, why })) => {
                Err(CarrierError { process: Some(rank), text: why })
            }
        }
    }
}
