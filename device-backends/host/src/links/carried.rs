//! The thread that a given carrier lives on.

use std::io;
use std::sync::Weak;
use std::thread::Builder;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::carrier::{Carrier, CarrierError};
use super::station::Station;

/// Messages that are taken one way before the other way has its turn.
const TURN: usize = 64;

/// Looks in vain before the thread begins to sleep between two.
const EAGER_LOOKS: u32 = 200;

/// The longest sleep while nothing comes.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// A carrier at work.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) process: u32,
    pub(crate) processes: u32,
    pub(crate) outbox: Sender<(u32, Vec<u8>)>,
}

impl Carried {
    /// Moves the carrier to its thread, which ends when the station and all ways have gone.
    pub(crate) fn start(carrier: Box<dyn Carrier>, station: Weak<Station>) -> io::Result<Self> {
        let (outbox, outgoing) = unbounded();
        let carried = Self { process: carrier.process(), processes: carrier.processes(), outbox };
        let thread = Thread { carrier, station, own: carried.process, looks: 0 };
        Builder::new().name("eplb-host-carrier".to_owned()).spawn(move || thread.run(&outgoing))?;
        Ok(carried)
    }
}

struct Thread {
    carrier: Box<dyn Carrier>,
    station: Weak<Station>,
    own: u32,
    /// Since something has come or gone.
    looks: u32,
}

impl Thread {
    fn run(mut self, outgoing: &Receiver<(u32, Vec<u8>)>) {
        loop {
            let mut first = match outgoing.recv_timeout(self.pause()) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                // All was sent; dropping the carrier sees to the rest.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.looks = self.looks.saturating_add(1);
            for _ in 0..TURN {
                let Some((to, message)) = first.take().or_else(|| outgoing.try_recv().ok()) else {
                    break;
                };
                self.looks = 0;
                let sent = if to == self.own { Ok(()) } else { self.carrier.send(to, message) };
                if !self.goes_on(sent) {
                    return;
                }
            }
            for _ in 0..TURN {
                match self.carrier.poll_receive() {
                    Ok(Some((from, message))) => {
                        self.looks = 0;
                        if let Some(station) = self.station.upgrade() {
                            station.receive_carried(from, message);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        if !self.goes_on(Err(error)) {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn pause(&self) -> Duration {
        let beyond = self.looks.saturating_sub(EAGER_LOOKS);
        LONGEST_PAUSE.min(Duration::from_micros(10) * beyond.min(1_000))
    }

    /// Tells who was lost; whether the others are still there.
    fn goes_on(&self, result: Result<(), CarrierError>) -> bool {
        let Err(error) = result else { return true };
        if let Some(station) = self.station.upgrade() {
            station.lose_carried(&error);
        }
        error.process.is_some()
    }
}
