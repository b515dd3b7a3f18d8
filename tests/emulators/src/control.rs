//! Orders and reports of the emulated libraries in this process.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use crate::Emulated;

/// Room for what the library says of a bad order.
const ERROR_BYTES: usize = 1024;

/// Tells and asks the emulated libraries of one vendor in this process.
#[derive(Debug)]
pub struct Control {
    order: Symbol<unsafe extern "C" fn(*const c_char, *mut c_char, usize) -> c_int>,
    clear_orders: Symbol<unsafe extern "C" fn()>,
    violations: Symbol<Texts>,
    clear_violations: Symbol<unsafe extern "C" fn()>,
    live: Symbol<Texts>,
    calls: Symbol<Texts>,
}

/// Fills a buffer with a text that ends in a zero, and gives the whole text's length.
type Texts = unsafe extern "C" fn(*mut c_char, usize) -> usize;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its short name.
    pub rule: String,
    /// What was done.
    pub sentence: String,
}

/// The calls of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many were made.
    pub made: u64,
    /// How many of them failed by an order.
    pub failed: u64,
}

/// Why the emulated libraries could not be told or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The library was not built, or cannot be loaded.
    #[error("the emulated library could not be opened: {0}")]
    NotOpened(#[from] libloading::Error),
    /// An order has a mistake; the text names it. None of the orders given with it is taken.
    #[error("{0}")]
    NotUnderstood(String),
}

impl Control {
    /// Opens the library that all libraries of the vendor share in this process. It stays open.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn of(emulated: &Emulated) -> Result<Self, ControlError> {
        // SAFETY: built from this package; its initialisers only set up C++ values.
        let library = unsafe { Library::open(Some(emulated.core()), RTLD_NOW | RTLD_LOCAL) }?;
        // Never closed: its threads outlive whoever asks for it.
        let library = std::mem::ManuallyDrop::new(library);
        // SAFETY: the types of this and those below are those of core/control.h.
        let order = unsafe { library.get(b"eplb_emulator_order") }?;
        // SAFETY: as above.
        let clear_orders = unsafe { library.get(b"eplb_emulator_clear_orders") }?;
        // SAFETY: as above.
        let violations = unsafe { library.get(b"eplb_emulator_violations") }?;
        // SAFETY: as above.
        let clear_violations = unsafe { library.get(b"eplb_emulator_clear_violations") }?;
        // SAFETY: as above.
        let live = unsafe { library.get(b"eplb_emulator_live") }?;
        // SAFETY: as above.
        let calls = unsafe { library.get(b"eplb_emulator_calls") }?;
        Ok(Self { order, clear_orders, violations, clear_violations, live, calls })
    }

    /// Gives orders, one per line or semicolon.
    ///
    /// # Errors
    ///
    /// One was not understood; then none is taken.
    pub fn order(&self, orders: &str) -> Result<(), ControlError> {
        let orders = CString::new(orders)
            .map_err(|_| ControlError::NotUnderstood("an order has a zero in it".to_owned()))?;
        let mut error = vec![0_u8; ERROR_BYTES];
        // SAFETY: reads a text that ends in a zero, and writes no more than the room that it is told.
        let failed =
            unsafe { (self.order)(orders.as_ptr(), error.as_mut_ptr().cast(), error.len()) };
        if failed == 0 {
            return Ok(());
        }
        Err(ControlError::NotUnderstood(text_of(&error)))
    }

    /// Takes back all orders.
    pub fn clear_orders(&self) {
        // SAFETY: takes nothing, and may be called at any time.
        unsafe { (self.clear_orders)() }
    }

    /// The rules that were broken in this process, oldest first.
    pub fn violations(&self) -> Vec<Violation> {
        let text = read(&self.violations);
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines
            .map(|(rule, sentence)| Violation {
                rule: rule.to_owned(),
                sentence: sentence.to_owned(),
            })
            .collect()
    }

    /// The same, and forgets them.
    pub fn take_violations(&self) -> Vec<Violation> {
        let found = self.violations();
        // SAFETY: takes nothing, and may be called at any time.
        unsafe { (self.clear_violations)() }
        found
    }

    /// How much of each kind is alive: allocations, bytes, pinned, registered, streams, events, exports,
    /// imports, communicators.
    pub fn live(&self) -> BTreeMap<String, u64> {
        let text = read(&self.live);
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect()
    }

    /// The calls of each function that was called in this process.
    pub fn calls(&self) -> BTreeMap<String, Calls> {
        let text = read(&self.calls);
        let line = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next()?.to_owned();
            let (made, failed) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some((name, Calls { made, failed }))
        };
        text.lines().filter_map(line).collect()
    }
}

fn read(texts: &Symbol<Texts>) -> String {
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        // SAFETY: writes no more than the room that it is told.
        let bytes = unsafe { texts(buffer.as_mut_ptr().cast(), buffer.len()) };
        if bytes < buffer.len() {
            return text_of(&buffer);
        }
        // It may have grown since.
        buffer.resize(bytes + 1, 0);
    }
}

fn text_of(buffer: &[u8]) -> String {
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}
