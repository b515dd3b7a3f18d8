//! Why text or numbers are not in a form.

use thiserror::Error;

use crate::{EnsembleError, LayerId, LoadError, PlacementError, RankId, ShapeError};

/// Why text or numbers are no placement, load or profile in the form that was expected.
///
/// `field` is the path to the value, as in `layer_list[3].device_list[0].device_id`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The text is no JSON, or ends too early.
    #[error("not JSON: {message}")]
    Json {
        /// What is wrong with it, with line and column.
        message: String,
    },
    /// A field that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: String,
    },
    /// A value of another kind than the form has there.
    #[error("{field} is {found}, it must be {expected}")]
    Kind {
        /// The field.
        field: String,
        /// What it is.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A number out of range.
    #[error("{field} is {value}, allowed is {least} to {most}")]
    Range {
        /// The field.
        field: String,
        /// The number.
        value: i64,
        /// Smallest allowed.
        least: i64,
        /// Largest allowed.
        most: i64,
    },
    /// A number of another value than the model or the ranks have.
    #[error("{field} is {value}, the {of_what} {expected}")]
    Count {
        /// The field.
        field: String,
        /// The number.
        value: u64,
        /// Who says otherwise, with a verb: `model has`.
        of_what: &'static str,
        /// What it must be.
        expected: usize,
    },
    /// A list of another length.
    #[error("{field} has {found} entries, expected are {expected} ({of_what})")]
    Length {
        /// The field.
        field: String,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
        /// What the entries are.
        of_what: &'static str,
    },
    /// An id that came before.
    #[error("{field} is {value} a second time; each must come once")]
    Duplicate {
        /// The field.
        field: String,
        /// The id.
        value: u64,
    },
    /// An object or array in no known form.
    #[error("{field} is in no known form; allowed is {allowed}")]
    UnknownForm {
        /// The field.
        field: String,
        /// The forms there are.
        allowed: &'static str,
    },
    /// Both of two fields of which one is allowed.
    #[error("{one} and {other} are both given; give one of them")]
    Both {
        /// One field.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A load where a placement is asked for.
    #[error("logical_count is a load, not a placement; plan a placement from it with a policy")]
    LoadNotPlacement,
    /// The form has equally many slots on every rank, the ranks don't.
    #[error(
        "{first} holds {first_slots} slots and {other} holds {other_slots}, \
         this form has equally many on every rank"
    )]
    UnevenSlots {
        /// The first rank.
        first: RankId,
        /// Its slots.
        first_slots: usize,
        /// A rank that differs.
        other: RankId,
        /// Its slots.
        other_slots: usize,
    },
    /// One map says something else than another.
    #[error("{field} is {found}, physical_to_logical_map of {layer} says {expected}")]
    Disagreement {
        /// The field.
        field: String,
        /// The layer.
        layer: LayerId,
        /// What it is.
        found: i64,
        /// What `physical_to_logical_map` says.
        expected: String,
    },
    /// The tables are no placement.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The counts are no load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The dimensions are no model.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No window where there must be one.
    #[error("a profile needs at least one window, this has none")]
    NoWindows,
    /// More windows than an ensemble can have.
    #[error("{field} has {found} entries, allowed are at most {most}")]
    TooManyWindows {
        /// The field.
        field: String,
        /// Entries found.
        found: usize,
        /// Most entries.
        most: usize,
    },
    /// A window that is none.
    #[error("{field}: {problem}")]
    Window {
        /// The window's field.
        field: String,
        /// What is wrong with it.
        problem: EnsembleError,
    },
    /// Counts of a window that are no load.
    #[error("{field}: {problem}")]
    WindowLoad {
        /// The window's field.
        field: String,
        /// What is wrong with it.
        problem: LoadError,
    },
}
