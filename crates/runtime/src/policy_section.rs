//! `[policy]` of a configuration.

use std::sync::Arc;

use eplb_core::Estimator;
use eplb_policy::{Budget, MovePrice, NAMES, Objective, Policy, Robust, by_name};
use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::config::{value, within};

/// `[policy]`: the computation of new placements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// One of [`eplb_policy::NAMES`].
    pub name: String,
    /// What the policy plans from, as in `"sliding:8"`; see [`crate::Config::estimator`] for what it
    /// plans from when nothing is said.
    pub estimator: Option<Estimator>,
    /// Experts, each of one layer, that a rebalance may send in all; 0 is no limit.
    pub most_sent: usize,
    /// Experts, each of one layer, that a rebalance may send from any one rank to any one other; 0 is
    /// no limit.
    pub most_sent_rank_pair: usize,
    /// What `robust` balances ranks by.
    pub objective: ObjectiveName,
    /// Tokens of a step over all ranks, for `objective = "activated_experts"`.
    pub tokens_per_step: u32,
    /// Experts that each token is routed to, for `objective = "activated_experts"`.
    pub top_k: u32,
    /// Whether `robust` keeps expert groups on one node; see [`Robust::hierarchical`].
    pub hierarchical: bool,
    /// Whether `robust` spreads replicas over nodes; see [`Robust::spread`].
    pub spread: bool,
    /// Whether `robust` hedges the shares of replicas; see [`Robust::hedged`].
    pub hedged_shares: bool,
    /// What an expert sent within a node must gain; see [`MovePrice::same_node`].
    pub price_same_node: f32,
    /// What an expert sent between nodes must gain; see [`MovePrice::other_node`].
    pub price_other_node: f32,
}

/// What ranks are balanced by; see [`Objective`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveName {
    /// Tokens, as for prefill.
    #[default]
    Tokens,
    /// Experts read in a step, as for decode with few tokens.
    ActivatedExperts,
}

impl Default for PolicySection {
    fn default() -> Self {
        let Robust { price, hierarchical, spread, hedged, .. } = Robust::default();
        Self {
            name: "robust".to_owned(),
            estimator: None,
            most_sent: 0,
            most_sent_rank_pair: 0,
            objective: ObjectiveName::default(),
            tokens_per_step: 0,
            top_k: 8,
            hierarchical,
            spread,
            hedged_shares: hedged,
            price_same_node: price.same_node,
            price_other_node: price.other_node,
        }
    }
}

impl PolicySection {
    /// The policy with these settings.
    ///
    /// # Errors
    /// A name that no policy has, a value that is not allowed, or settings of `robust` for another
    /// policy.
    pub fn policy(&self) -> Result<Arc<dyn Policy>, ConfigError> {
        let named = by_name(&self.name).map_err(|_| {
            let allowed = format!("one of {}", NAMES.join(", "));
            value("policy.name", format!("{:?}", self.name), allowed)
        })?;
        within("policy.price_same_node", self.price_same_node, 0.0, 1e6)?;
        within("policy.price_other_node", self.price_other_node, 0.0, 1e6)?;
        within("policy.top_k", self.top_k, 1, 65_535)?;
        if self.objective == ObjectiveName::ActivatedExperts {
            within("policy.tokens_per_step", self.tokens_per_step, 1, 100_000_000)?;
        }
        if self.name == Robust::default().name() {
            return Ok(Arc::new(self.robust()));
        }
        if self.robust() == Robust::default() {
            return Ok(named);
        }
        let allowed = "\"robust\" with the settings that are for it alone".to_owned();
        Err(value("policy.name", format!("{:?}", self.name), allowed))
    }

    /// What a rebalance may send.
    pub fn budget(&self) -> Budget {
        let limit = |most: usize| if most == 0 { usize::MAX } else { most };
        Budget {
            rebalance: limit(self.most_sent),
            rank_pair: limit(self.most_sent_rank_pair),
            ..Budget::default()
        }
    }

    fn robust(&self) -> Robust {
        let objective = match self.objective {
            ObjectiveName::Tokens => Objective::Tokens,
            ObjectiveName::ActivatedExperts => Objective::ActivatedExperts {
                tokens_per_step: self.tokens_per_step,
                top_k: self.top_k,
            },
        };
        Robust {
            objective,
            price: MovePrice {
                same_node: self.price_same_node,
                other_node: self.price_other_node,
                ..MovePrice::default()
            },
            hierarchical: self.hierarchical,
            spread: self.spread,
            hedged: self.hedged_shares,
            ..Robust::default()
        }
    }
}
