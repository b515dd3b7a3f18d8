//! One rank's end of the collective transport, as a state machine.

use std::collections::{BTreeMap, VecDeque};

use eplb_device::{Communicator, Event, Stream};

use super::CollectiveState;
use super::board::TransportBoard;
use super::entry::Standing;
use super::gathering::Setback;
use super::greeting::Settings;
use super::group::Group;
use super::job::Job;
use super::rooms::Reserved;
use super::watch::{CollectiveWait, CollectiveWatch};
use crate::ExecutorError;
use crate::weights::Weights;

/// So many times in a row something may fail that does no harm when it is tried again, such as a query.
const MOST_SETBACKS: u32 = 100;

/// Brings slots of other ranks by packed rounds, one change after the other.
#[derive(Debug)]
pub(crate) struct CollectiveTransport {
    pub(super) group: Group,
    pub(super) settings: Settings,
    pub(super) reserved: Reserved,
    /// Recorded on the stream of copies behind the last round's bytes, which the next round would overwrite.
    pub(super) unpacked: Event,
    pub(super) watch: CollectiveWatch,
    pub(super) board: TransportBoard,
    pub(super) state: State,
    /// In the order of tokens; the first one is at the roll call, or in its rounds.
    pub(super) line: VecDeque<Job>,
    /// What became of changes, until it is asked for.
    ended: BTreeMap<u64, Result<(), ExecutorError>>,
    setbacks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The communicator is being created.
    Joining,
    /// Ranks say what they have chosen.
    Greeting,
    Idle,
    /// The roll is called for the first change of the line.
    Calling,
    /// Its rounds are made: the next one, and whether it is under way.
    Carrying {
        next: usize,
        is_under_way: bool,
    },
    Lost,
}

impl CollectiveTransport {
    pub(crate) fn new(
        communicator: Communicator,
        reserved: Reserved,
        settings: Settings,
        group: Group,
        board: TransportBoard,
    ) -> Result<Self, ExecutorError> {
        let unpacked = communicator.device().event()?;
        let bytes = reserved.bytes() + communicator.reserved_bytes();
        board.change(|transports| {
            transports.set_state(CollectiveState::Connecting);
            transports.set_reserved_bytes(bytes);
        });
        let watch = CollectiveWatch::new(communicator);
        watch.begin(CollectiveWait::Connecting);
        Ok(Self {
            group,
            settings,
            reserved,
            unpacked,
            watch,
            board,
            state: State::Joining,
            line: VecDeque::new(),
            ended: BTreeMap::new(),
            setbacks: 0,
        })
    }

    pub(crate) fn watch(&self) -> &CollectiveWatch {
        &self.watch
    }

    /// Why it can't be used any more, if it can't.
    pub(crate) fn loss(&self) -> Option<String> {
        (self.state == State::Lost).then(|| self.board.loss()).flatten()
    }

    /// Puts a change in line, also one that does not take place here: the others will call the roll.
    pub(crate) fn join(&mut self, job: Job) {
        if let Some(reason) = self.loss() {
            // Nothing of it comes by rounds, or it would have been refused.
            let is_in_vain = !job.landings.is_empty();
            let outcome =
                if is_in_vain { Err(ExecutorError::CollectiveLost { reason }) } else { Ok(()) };
            if !job.is_unheeded {
                self.ended.insert(job.token, outcome);
            }
            return;
        }
        self.line.push_back(job);
    }

    /// A change was given up. If its roll was called already this rank goes through with it, unheeded.
    pub(crate) fn withdraw(&mut self, token: u64) {
        self.ended.remove(&token);
        let is_begun = self.is_begun();
        let Some(index) = self.line.iter().position(|job| job.token == token) else { return };
        let job = &mut self.line[index];
        if index == 0 && is_begun {
            job.is_unheeded = true;
        } else {
            job.decline(Standing::GivenUp);
        }
    }

    /// What became of the rounds of a change, once they are over.
    pub(crate) fn take_ended(&mut self, token: u64) -> Option<Result<(), ExecutorError>> {
        self.ended.remove(&token)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle | State::Lost) && self.line.is_empty()
    }

    /// Goes on as far as that is possible at once. What has been received is copied to where it belongs on
    /// `copies`; `allowance` is what a capped rank may still move.
    pub(crate) fn poll(&mut self, weights: &Weights, copies: &Stream, allowance: &mut Option<i64>) {
        while self.state != State::Lost {
            match self.step(weights, copies, allowance) {
                Ok(true) => self.setbacks = 0,
                Ok(false) => {
                    self.setbacks = 0;
                    return;
                }
                Err(Setback::Again(_)) if self.setbacks < MOST_SETBACKS => {
                    self.setbacks += 1;
                    return;
                }
                Err(Setback::Again(error) | Setback::Unknown(error)) => {
                    self.lose(&error.to_string())
                }
                Err(Setback::Lost(reason)) => self.lose(&reason),
            }
        }
    }

    /// Whether the roll was called for the first change of the line.
    fn is_begun(&self) -> bool {
        matches!(self.state, State::Calling | State::Carrying { .. })
    }

    /// The wait under way is over.
    pub(super) fn end_wait(&self) -> Result<(), Setback> {
        self.watch.end().map_or(Ok(()), |reason| Err(Setback::Lost(reason)))
    }

    pub(super) fn finish(&mut self, outcome: Result<(), ExecutorError>) {
        self.state = State::Idle;
        if let Some(job) = self.line.pop_front().filter(|job| !job.is_unheeded) {
            self.ended.insert(job.token, outcome);
        }
    }

    /// Nothing more is called, and what waits for rounds fails. What the stream holds is let go by the
    /// device when it has ended.
    fn lose(&mut self, reason: &str) {
        // The clock's reason is the cause; what calls said then is what followed from the abort.
        let mut reason = self.watch.end().unwrap_or_else(|| reason.to_owned());
        if self.watch.communicator().is_borrowed() {
            reason += "; the communicator is the engine's, which has to end it";
        } else if let Err(error) = self.watch.abort() {
            reason +=
                &format!("; it could not be aborted and is kept until its work ends: {error}");
        }
        let was_begun = self.is_begun();
        self.state = State::Lost;
        self.board.change(|transports| {
            transports.set_state(CollectiveState::Lost(reason.clone()));
            transports.figures_mut().losses += 1;
        });
        for (index, job) in self.line.drain(..).enumerate().filter(|(_, job)| !job.is_unheeded) {
            let reason = reason.clone();
            let is_hit = index == 0 && was_begun || !job.landings.is_empty();
            let outcome =
                if is_hit { Err(ExecutorError::CollectiveLost { reason }) } else { Ok(()) };
            self.ended.insert(job.token, outcome);
        }
    }
}

impl Drop for CollectiveTransport {
    /// A wait that nobody will poll any more ends here, where it can.
    fn drop(&mut self) {
        if self.watch.waiting().is_some() && self.state != State::Lost {
            // There is nobody left to be told.
            let _ = self.watch.abort();
        }
    }
}
