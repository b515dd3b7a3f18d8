//! Ranks as the processes of an MPI job.
//!
//! One thread of each process makes all calls of MPI ([`pump`]), so any level of thread support above
//! `MPI_THREAD_FUNNELED` will do. Messages go in pieces that MPI sends at once, without waiting for their
//! receiver, and nothing is ever waited for inside MPI: when a process dies, MPI does not say so, and the
//! others miss its pulse. The job is ended by `MPI_Finalize` where all ranks are there; otherwise that call
//! would wait for the dead one, and is left out.

mod links;
mod pump;
mod wire;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

pub use links::{MpiCarried, MpiLinks};
use pump::{Job, Pump};
use wire::{MpiWire, Shared};

use crate::delegate::group_by_field;
use crate::star::{LEADER, Star};
use crate::{Group, GroupError, JoinError};

/// How long MPI may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// An MPI job that this process is one of, before its group begins.
#[derive(Debug)]
pub struct MpiJob {
    job: Job,
    wire: MpiWire,
}

/// A member of a group of MPI processes.
#[derive(Debug)]
pub struct MpiGroup(Star<MpiWire>);

group_by_field!(MpiGroup);

impl MpiJob {
    /// Starts MPI in this process, once in its life.
    ///
    /// # Errors
    /// MPI was started before, allows no calls from a thread, or has not started within a minute.
    pub fn start() -> Result<Self, JoinError> {
        let (orders, todo) = channel();
        let (tell, told) = channel();
        let named = Builder::new().name("eplb-mpi".to_owned());
        let pump = named.spawn(move || Pump::run(&todo, &tell))?;
        let problem = |problem: String| JoinError::Mpi { problem };
        let started: Result<(Job, Arc<Shared>), String> = told
            .recv_timeout(STARTING)
            .map_err(|_| problem(format!("it has not started within {} s", STARTING.as_secs())))?;
        let (job, shared) = started.map_err(problem)?;
        Ok(Self { job, wire: MpiWire::new(shared, orders, pump) })
    }

    /// This process's number in the job.
    pub fn rank(&self) -> u32 {
        self.job.rank
    }

    /// Processes of the job.
    pub fn size(&self) -> u32 {
        self.job.size
    }

    /// This process's number among those of its host.
    pub fn number_on_host(&self) -> u32 {
        self.job.number_on_host
    }

    /// Links to all other processes, for data.
    pub fn links(&self) -> MpiLinks {
        MpiLinks::new(self.job.rank, self.job.size, self.wire.shared(), self.wire.orders())
    }

    /// Begins the group; a process counts as gone when nothing is heard of it for `silence`.
    ///
    /// # Errors
    /// Some rank has not come within `limit`.
    pub fn begin(self, silence: Duration, limit: Duration) -> Result<MpiGroup, JoinError> {
        let Job { rank, size, .. } = self.job;
        self.wire.begin(silence);
        let group = Star::new(rank, size, self.wire);
        match group.all_gather(&[], Instant::now() + limit) {
            Ok(_) => Ok(MpiGroup(group)),
            Err(GroupError::Lost { losses }) if rank == LEADER => Err(JoinError::Missing {
                ranks: losses.iter().map(|loss| loss.rank).collect(),
                seconds: limit.as_secs_f64(),
                strangers: 0,
            }),
            Err(error) => Err(JoinError::Mpi { problem: error.to_string() }),
        }
    }
}
