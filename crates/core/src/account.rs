//! What a change of a layer is worth.

/// What a change of a layer is expected to bring and to cost. All three in units of the layer's mean
/// rank load: a `gain` of 0.05 lowers the expected largest rank load by a twentieth of the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Account {
    /// By how much the expected largest rank load falls.
    pub gain: f64,
    /// The price of the experts sent for it.
    pub price: f64,
    /// What the expected largest rank load could fall by at most, whatever is moved.
    pub bound: f64,
    /// Why the plan ends where it does.
    pub verdict: Verdict,
}

/// Why a plan moves no more than it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// There is no load to plan for.
    Idle,
    /// No further change that was looked at gains anything.
    Settled,
    /// Further changes would gain less than they cost.
    NotWorthIt,
    /// A budget of moves is used up.
    Budget,
}
