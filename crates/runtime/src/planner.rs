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
        budget: Budget,
        shape: ModelShape,
        topology: Topology,
    ) -> std::io::Result<Self> {
        // The manager has one plan under way at a time, and one more after a deadline.
        let (jobs, todo) = bounded::<PlanJob>(2);
        let (done, plans) = bounded(2);
        let thread =
            std::thread::Builder::new().name("eplb-planner".to_owned()).spawn(move || {
                for job in todo {
                    let planned = compute(policy.as_ref(), budget, shape, &topology, &job);
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
    budget: Budget,
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
        weights: &job.weights,
        budget,
    };
    let planned = catch_unwind(AssertUnwindSafe(|| plan(policy, &request)))
        .map_err(|_| format!("policy {} panicked", policy.name()))?
        .map_err(|error| error.to_string())?;
    Ok(planned
        .into_iter()
        .map(|layer| PlannedLayer {
            layer: layer.layer,
            placement: layer.placement,
            balancedness_before: layer.balancedness_before.unwrap_or(0.0),
            balancedness_after: layer.balancedness_after,
            account: layer.account,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use eplb_core::{Account, ExpertLoad, LayerId, Placement, SHARE_ONE, Verdict};
    use eplb_manager::RoundId;
    use eplb_policy::{LayerRequest, PolicyError, Proposal};

    use super::*;

    const VERDICT: Verdict = Verdict::NotWorthIt;

    /// Leaves tables as they are, gives all tokens of an expert to its last replica, and says of its
    /// gain what the last window weighs.
    #[derive(Debug)]
    struct LastReplica;

    impl Policy for LastReplica {
        fn name(&self) -> &'static str {
            "last_replica"
        }

        fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
            let table = request.standing_table()?;
            let share_of = |(slot, expert)| match table[slot + 1..].contains(expert) {
                true => 0,
                false => SHARE_ONE,
            };
            let shares = table.iter().enumerate().map(share_of).collect();
            let gain = f64::from(request.weights[request.windows.len() - 1]);
            let account = Account { gain, price: 0.125, bound: 2.0, verdict: VERDICT };
            Ok(Proposal { table, shares: Some(shares), account: Some(account) })
        }
    }

    #[test]
    fn weights_go_in_and_shares_and_accounts_come_out() {
        let shape = ModelShape::new(2, 3, 1).unwrap();
        let topology = Topology::uniform(2, 2, 1).unwrap();
        let present = Placement::initial(shape, &topology).unwrap();
        let mut load = ExpertLoad::zeros(shape);
        load.set_layer(LayerId(1), &[5, 6, 7]).unwrap();
        let job = PlanJob {
            round: RoundId(4),
            layers: vec![LayerId(1)],
            windows: vec![ExpertLoad::zeros(shape), load],
            weights: vec![0.25, 0.5],
            present: present.clone(),
        };
        let mut planner =
            Planner::start(Arc::new(LastReplica), Budget::default(), shape, topology.clone())
                .unwrap();
        assert!(planner.submit(job));
        let event = planner.wait(Duration::from_secs(20));
        let Some(Event::Planned { round: RoundId(4), plan: Ok(plan) }) = event else {
            panic!("{event:?}");
        };
        let [planned] = &plan[..] else { panic!("{plan:?}") };
        assert_eq!(planned.layer, LayerId(1));
        let account = Account { gain: 0.5, price: 0.125, bound: 2.0, verdict: VERDICT };
        assert_eq!((planned.account, planned.gain()), (Some(account), 0.375));
        assert_eq!(planned.placement.experts(), present.layer(LayerId(1)).experts());
        // Expert 1 is the one with two replicas.
        let shares: &[u16] = &[SHARE_ONE, 0, SHARE_ONE, SHARE_ONE];
        assert_eq!(planned.placement.shares(), Some(shares));
    }
}
