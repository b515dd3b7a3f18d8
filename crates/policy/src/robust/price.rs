//! What sending an expert must bring.

/// What a sent expert must gain, by the link that it takes: the part of the mean rank load by which it
/// lowers the (smoothed) largest rank load of its layer. Experts that a rank held already cost
/// nothing, on whatever slot of it they are.
///
/// The defaults were found on recorded traffic, as those that gain most on the windows that follow
/// while few experts are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MovePrice {
    /// From a rank of the same node.
    pub same_node: f32,
    /// From a rank of another node.
    pub other_node: f32,
    /// What doubt adds to both, as what windows have in common may be chance: divided by the windows,
    /// each by its weight, and six; no more than fourteen windows count, so that the price comes to
    /// rest.
    pub few_windows: f32,
    /// What doubt adds to both where windows hold few tokens: divided by the tokens that a rank saw in
    /// all of them.
    pub few_tokens: f32,
}

/// Windows that doubt begins to fade with.
const WINDOWS_BEFORE: f32 = 6.0;
/// More windows do not lessen doubt.
const MOST_WINDOWS: f32 = 14.0;

impl Default for MovePrice {
    fn default() -> Self {
        Self { same_node: 3e-6, other_node: 1e-5, few_windows: 6e-4, few_tokens: 0.6 }
    }
}

impl MovePrice {
    /// Moves cost nothing.
    pub const FREE: Self =
        Self { same_node: 0.0, other_node: 0.0, few_windows: 0.0, few_tokens: 0.0 };

    /// The price at which a transfer pays within `horizon_steps` steps: it keeps a link busy for so
    /// many seconds (bytes of an expert over the bandwidth of the link), and every step whose largest
    /// rank load falls by the part g of the mean rank load ends g × `layer_seconds` earlier, the time
    /// of the layer on a rank of mean load. Doubt is added as in the default.
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

    /// The prices with what doubt adds: `windows` is the sum of the windows' weights, the largest
    /// being 1.
    pub(super) fn with_doubt(self, windows: f32, tokens_of_rank: f32) -> Self {
        let more = self.few_windows / (windows.min(MOST_WINDOWS) + WINDOWS_BEFORE)
            + self.few_tokens / tokens_of_rank.max(1.0);
        let (same_node, other_node) = (self.same_node + more, self.other_node + more);
        Self { same_node, other_node, few_windows: 0.0, few_tokens: 0.0 }
    }
}
