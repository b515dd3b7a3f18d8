//! Which placement of a layer was live on which step.

use std::collections::VecDeque;

use eplb_core::{LayerPlacement, Step};

/// Switches of a layer that are remembered. Load comes a few steps late at most.
const SWITCHES_KEPT: usize = 16;

/// The last placements of one layer and the step that each began on.
#[derive(Debug)]
pub(crate) struct LayerHistory {
    placements: VecDeque<(Step, LayerPlacement)>,
}

impl LayerHistory {
    pub(crate) fn new(first: LayerPlacement) -> Self {
        Self { placements: VecDeque::from([(Step(0), first)]) }
    }

    /// The layer switched before the forward of `step`; steps rise.
    pub(crate) fn switch(&mut self, step: Step, placement: LayerPlacement) {
        if self.placements.len() == SWITCHES_KEPT {
            self.placements.pop_front();
        }
        self.placements.push_back((step, placement));
    }

    /// The placement whose table was live on all steps from `first` to `last`, if it was one. Its
    /// shares may have changed: what was counted on a slot is its expert's all the same.
    pub(crate) fn over(&self, first: Step, last: Step) -> Option<&LayerPlacement> {
        let after = self.placements.partition_point(|&(from, _)| from <= first);
        let (_, placement) = self.placements.get(after.checked_sub(1)?)?;
        let mut later = self.placements.range(after..).take_while(|&&(from, _)| from <= last);
        later.all(|(_, later)| later.experts() == placement.experts()).then_some(placement)
    }
}

#[cfg(test)]
mod tests {
    use eplb_core::{Epoch, ExpertId, LayerId, ModelShape, Placement, Topology};

    use super::*;

    #[test]
    fn steps_belong_to_the_placement_that_was_live() {
        let shape = ModelShape::new(1, 2, 1).unwrap();
        let topology = Topology::uniform(2, 1, 1).unwrap();
        let first = Placement::initial(shape, &topology).unwrap().layer(LayerId(0)).clone();
        let mut history = LayerHistory::new(first.clone());
        let other = [ExpertId(1), ExpertId(0)];
        let other = LayerPlacement::new(LayerId(0), &other, Epoch(1), shape, &topology).unwrap();
        history.switch(Step(10), other.clone());
        let over = |history: &LayerHistory, first, last| {
            history.over(Step(first), Step(last)).map(LayerPlacement::epoch)
        };
        assert_eq!(over(&history, 0, 9), Some(Epoch(0)));
        assert_eq!(over(&history, 9, 10), None);
        assert_eq!(over(&history, 10, 99), Some(Epoch(1)));
        for switch in 2..=SWITCHES_KEPT as u64 {
            history.switch(Step(10 * switch), other.with_epoch(Epoch(switch)));
        }
        // The table stayed: only shares can have changed.
        assert_eq!(over(&history, 15, 45), Some(Epoch(1)));
        history.switch(Step(200), first);
        assert_eq!(over(&history, 45, 200), None);
        assert_eq!(history.over(Step(5), Step(5)), None, "no longer remembered");
    }
}
