//! The thread that plans, so that no step waits for a policy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use eplb_core::{ModelShape, Topology};
use eplb_manager::{Event, PlanJob, PlannedLayer};
use eplb_policy::{Budget, PlanRequest, Policy, plan};

/// Plans what it is asked to on a thread of its own. A policy that panics gives a failed plan.
#[derive(Debug)]
pub(crate) struct Planner {
    /// `None` once it has been told to end.
    jobs: Option<Sender<PlanJob>>,
    plans: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
    under_way: usize,
}

impl Planner {
    pub(crate) fn start(
        policy: Arc<dyn Policy>,
        shape: ModelShape,
        topology: Topology,
    ) -> std::io::Result<Self> {
        // The manager has one plan under way at a time, and one more after a deadline.
        let (jobs, todo) = bounded::<PlanJob>(2);
        let (done, plans) = bounded(2);
        let thread =
            std::thread::Builder::new().name("eplb-planner".to_owned()).spawn(move || {
                for job in todo {
                    let planned = compute(policy.as_ref(), shape, &topology, &job);
                    if done.send(Event::Planned { round: job.round, plan: planned }).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { jobs: Some(jobs), plans, thread: Some(thread), under_way: 0 })
    }

    /// Takes on a job. While earlier ones block the queue it is dropped: its round then ends by the
    /// manager's deadline, as for any plan that takes too long.
    pub(crate) fn submit(&mut self, job: PlanJob) -> bool {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        self.under_way += usize::from(sent);
        sent
    }

    /// A plan that is ready.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        let event = self.plans.try_recv().ok()?;
        self.under_way -= 1;
        Some(event)
    }

    /// A plan that gets ready within `limit`, if one is under way.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<Event> {
        if self.under_way == 0 {
            return None;
        }
        let event = self.plans.recv_timeout(limit).ok()?;
        self.under_way -= 1;
        Some(event)
    }
}

impl Drop for Planner {
    /// Waits for the plan under way: policies are finite computations.
    fn drop(&mut self) {
        self.jobs = None;
        // The thread may be about to hand over plans that nobody will take.
        while self.plans.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn compute(
    policy: &dyn Policy,
    shape: ModelShape,
    topology: &Topology,
    job: &PlanJob,
) -> Result<Vec<PlannedLayer>, String> {
    let request = PlanRequest {
        shape,
        topology,
        windows: &job.windows,
        present: Some(&job.present),
        layers: &job.layers,
        weights: &[],
        budget: Budget::default(),
    };
    let planned = catch_unwind(AssertUnwindSafe(|| plan(policy, &request)))
        .map_err(|_| format!("policy {} panicked", policy.name()))?
        .map_err(|error| error.to_string())?;
    Ok(planned
        .into_iter()
        .map(|layer| PlannedLayer {
            layer: layer.layer,
            experts: layer.placement.experts().to_vec(),
            balancedness_before: layer.balancedness_before.unwrap_or(0.0),
            balancedness_after: layer.balancedness_after,
        })
        .collect())
}
