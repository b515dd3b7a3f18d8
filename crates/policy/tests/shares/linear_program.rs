//! Shares as linear programs, solved by a general solver.

use eplb_core::{ExpertId, RankId};
use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use crate::cases::Case;

/// The least largest rank time, whatever the shares. Loads are scaled to a mean of about 1, so that
/// the solver's tolerances mean the same for every case.
pub(crate) fn least_time(case: &Case) -> f64 {
    let scale = scale(case);
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let time = problem.add_var(1.0, (0.0, f64::INFINITY));
    let mut ranks: Vec<Vec<(Variable, f64)>> = vec![Vec::new(); case.topology.ranks()];
    for (expert, &tokens) in case.load.iter().enumerate() {
        let variables: Vec<(Variable, f64)> = case
            .placement
            .replicas(ExpertId(expert as u32), &case.topology)
            .map(|slot| {
                let amount = problem.add_var(0.0, (0.0, f64::INFINITY));
                ranks[case.topology.rank_of(slot).index()].push((amount, 1.0));
                (amount, 1.0)
            })
            .collect();
        problem.add_constraint(variables, ComparisonOp::Eq, tokens as f64 / scale);
    }
    for rank in case.ranks() {
        let mut terms = ranks[rank.index()].clone();
        terms.push((time, -case.speed(rank)));
        problem.add_constraint(terms, ComparisonOp::Le, 0.0);
    }
    scale * problem.solve().unwrap().into_solution().unwrap().objective()
}

/// The most tokens that can stay on their node while no rank time is above `most_time`. Amounts are by
/// node of origin.
pub(crate) fn most_local(case: &Case, most_time: f64) -> f64 {
    let scale = scale(case);
    let nodes = case.topology.nodes();
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let mut ranks: Vec<Vec<(Variable, f64)>> = vec![Vec::new(); case.topology.ranks()];
    for (expert, &tokens) in case.load.iter().enumerate() {
        for node in 0..nodes {
            let variables: Vec<(Variable, f64)> = case
                .placement
                .replicas(ExpertId(expert as u32), &case.topology)
                .map(|slot| {
                    let rank: RankId = case.topology.rank_of(slot);
                    let is_local = case.topology.node_of(rank).index() == node;
                    let value = f64::from(u8::from(is_local));
                    let amount = problem.add_var(value, (0.0, f64::INFINITY));
                    ranks[rank.index()].push((amount, 1.0));
                    (amount, 1.0)
                })
                .collect();
            let part = tokens as f64 / nodes as f64 / scale;
            problem.add_constraint(variables, ComparisonOp::Eq, part);
        }
    }
    for rank in case.ranks() {
        let most = most_time * case.speed(rank) / scale;
        problem.add_constraint(ranks[rank.index()].clone(), ComparisonOp::Le, most);
    }
    scale * problem.solve().unwrap().into_solution().unwrap().objective()
}

fn scale(case: &Case) -> f64 {
    (case.load.iter().sum::<u64>() as f64 / case.load.len() as f64).max(1.0)
}
