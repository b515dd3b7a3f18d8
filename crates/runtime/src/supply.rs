//! Where the weights of a session come from.

use std::sync::Arc;

use eplb_core::{ModelShape, Placement, PlacementError, Topology};
use eplb_executor::{ChangeFigures, Executor, ExpertLayout, ExpertPool};

use crate::{Config, Error, VerifyMode};

/// Where the weights of a session come from, besides other ranks.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    /// A pool of the engine's own; without, the one that the configuration names, if any.
    pub pool: Option<Arc<dyn ExpertPool>>,
    /// What the slots hold already.
    pub held: Held,
}

/// What a rank's slots hold when its session is opened. What the session's placement says and they
/// don't hold is loaded from the pool before the session is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// All that the placement says: the engine has loaded it.
    #[default]
    All,
    /// Nothing: the rank starts from the pool.
    Nothing,
    /// Another placement of the same slots, as after the death of a rank: what that rank alone held
    /// is loaded, like all else that changes.
    Other(Placement),
}

impl Supply {
    /// Gives an executor its pool, fills its slots and hashes them, as far as that is asked for.
    pub(crate) fn provide(
        &self,
        config: &Config,
        shape: ModelShape,
        topology: &Topology,
        placement: &Placement,
        layout: ExpertLayout,
        mut executor: Executor,
    ) -> Result<(Executor, ChangeFigures), Error> {
        let pool = match &self.pool {
            Some(pool) => Some(Arc::clone(pool)),
            None => config.pool.open(layout).map_err(eplb_executor::ExecutorError::from)?,
        };
        if let Some(pool) = pool {
            executor = executor.with_pool(pool)?;
        }
        let mut patience = config.pool.patience();
        let filled = match &self.held {
            Held::All => ChangeFigures::default(),
            Held::Nothing => executor.fill(placement, None, &mut patience)?,
            Held::Other(held) => {
                Self::check_held(held, shape, topology)?;
                executor.fill(placement, Some(held), &mut patience)?
            }
        };
        let verify = match config.executor.verify {
            VerifyMode::Off => eplb_executor::Verify::Off,
            VerifyMode::Arrivals => eplb_executor::Verify::Arrivals,
            VerifyMode::Canary => eplb_executor::Verify::Canary,
        };
        let executor = executor.verified(verify, placement, &mut config.pool.patience())?;
        Ok((executor, filled))
    }

    fn check_held(
        held: &Placement,
        shape: ModelShape,
        topology: &Topology,
    ) -> Result<(), PlacementError> {
        let (found, expected) = (held.shape().layers(), shape.layers());
        if found != expected {
            return Err(PlacementError::Layers { found, expected });
        }
        for layer in shape.layer_ids() {
            let (found, expected) = (held.layer(layer).experts().len(), topology.slots());
            if found != expected {
                return Err(PlacementError::Slots { layer, found, expected });
            }
        }
        Ok(())
    }
}
