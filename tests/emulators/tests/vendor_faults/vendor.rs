//! What a vendor brings: its functions and codes, what is known of them, and the engine's part.

use std::path::Path;
use std::sync::Arc;

use eplb_device::{
    Address, Backend, CommunicatorHandle, CommunicatorId, ContextHandle, Diagnosis, StreamHandle,
};
use eplb_emulators::Emulated;

/// Bytes of each range that the engine lends.
pub(crate) const LENT_BYTES: usize = 4096;

/// A vendor.
pub(crate) trait Vendor: Sync {
    fn emulated(&self) -> Emulated;

    /// All symbols of its tables; one that has two forms stands there twice.
    fn symbols(&self) -> Vec<&'static str>;

    /// Three codes that are typical for the function.
    fn codes(&self, function: &str) -> [i32; 3];

    /// The vendor's name of a code that the function gives.
    fn code_name(&self, function: &str, code: i32) -> Option<&'static str>;

    /// What is known of functions beyond that their failures are told and leave nothing behind.
    fn rules(&self) -> &'static [(&'static [&'static str], Rule)];

    fn backend(&self) -> Result<Arc<dyn Backend>, String>;

    fn diagnose(&self) -> Diagnosis;

    /// The name of a communicator of two ranks on devices 0 and 1 by another way than the usual one; files
    /// for it may be put in the folder.
    fn second_way(&self, folder: &Path) -> Option<CommunicatorId>;

    /// Makes what the engine lends, on device 0.
    fn lend(&self) -> Lent;

    /// Ends it again, after which nothing is left.
    fn take_back(&self, lent: &Lent);
}

/// What the engine lends, all of device 0.
#[derive(Clone, Copy)]
pub(crate) struct Lent {
    pub(crate) context: ContextHandle,
    pub(crate) stream: StreamHandle,
    pub(crate) memory: Address,
    pub(crate) pinned: Address,
    /// Of one rank.
    pub(crate) communicator: CommunicatorHandle,
}

/// What is known of a function.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// No backend calls it.
    Uncalled(&'static str),
    /// Its failure is no failure of the caller.
    Tolerated(&'static str),
    /// Its failure with this code is none.
    ToleratedCode(i32, &'static str),
    /// Its failure in these pieces of the scenario is none.
    ToleratedIn(&'static [&'static str], &'static str),
    /// The failure of its first call is told; that of a later one need not be.
    ToleratedLater(&'static str),
    /// It is only called when this order is given, too, whose failure is then told.
    After(&'static str),
    /// A failure leaves up to one of each of these alive (R27).
    Leaves(&'static [&'static str]),
    /// A failure with this code excuses breaking these rules.
    Excuses(i32, &'static [&'static str]),
}

/// The rules of a function.
pub(crate) fn rules_of(vendor: &dyn Vendor, function: &str) -> impl Iterator<Item = Rule> {
    let rules = vendor.rules().iter().filter(move |(functions, _)| functions.contains(&function));
    rules.map(|(_, rule)| *rule)
}
