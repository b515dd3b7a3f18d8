//! What sending an expert must bring.

/// What a sent expert must gain, by the link that it takes: the part of the mean rank load by which it
/// lowers the (smoothed) largest rank load of its layer. Experts that a rank held already cost
/// nothing, on whatever slot of it they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MovePrice {
    /// From a rank of the same node.
    pub same_node: f32,
    /// From a rank of another node.
    pub other_node: f32,
    /// What doubt adds to both, per expert: it is divided by the tokens that a rank saw in all windows
    /// of the ensemble, since what few tokens show may be chance.
    pub doubt: f32,
}

impl Default for MovePrice {
    fn default() -> Self {
        Self { same_node: 0.000_025, other_node: 0.000_025, doubt: 1.0 }
    }
}

impl MovePrice {
    /// Moves cost nothing.
    pub const FREE: Self = Self { same_node: 0.0, other_node: 0.0, doubt: 0.0 };

    /// The prices with what doubt adds when a rank saw so many tokens.
    pub(super) fn with_doubt(self, tokens_of_rank: f32) -> Self {
        let more = self.doubt / tokens_of_rank.max(1.0);
        let (same_node, other_node) = (self.same_node + more, self.other_node + more);
        Self { same_node, other_node, doubt: 0.0 }
    }

    /// The price at which a transfer pays within `horizon_steps` steps: it keeps a link busy for
    /// bytes / bandwidth seconds (each kind of link given in seconds for one expert), and every step
    /// whose largest rank load falls by the part g of the mean rank load ends g × `layer_seconds`
    /// earlier, the time of the layer on a rank of mean load.
    pub fn of_links(
        same_node_seconds: f32,
        other_node_seconds: f32,
        layer_seconds: f32,
        horizon_steps: f32,
    ) -> Self {
        let value = (layer_seconds * horizon_steps).max(f32::MIN_POSITIVE);
        Self {
            same_node: same_node_seconds / value,
            other_node: other_node_seconds / value,
            ..Self::default()
        }
    }
}
