//! Errors as exceptions of `eplb._errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// A class of `eplb._errors`, found once.
struct ExceptionClass {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

/// Which class of exception an error becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Argument,
    Policy,
    System,
}

static ARGUMENT: ExceptionClass = ExceptionClass::new("ArgumentError");
static POLICY: ExceptionClass = ExceptionClass::new("PolicyError");
static SYSTEM: ExceptionClass = ExceptionClass::new("SystemFailure");

impl ExceptionClass {
    const fn new(name: &'static str) -> Self {
        Self { name, class: PyOnceLock::new() }
    }

    fn error(&self, py: Python<'_>, message: String) -> PyErr {
        match self.class.import(py, "eplb._errors", self.name) {
            Ok(class) => PyErr::from_type(class.clone(), message),
            // The package is broken or being taken down; Python's own words say how.
            Err(error) => error,
        }
    }
}

impl Kind {
    fn class(self) -> &'static ExceptionClass {
        match self {
            Self::Argument => &ARGUMENT,
            Self::Policy => &POLICY,
            Self::System => &SYSTEM,
        }
    }

    /// The exception that says `message`.
    pub(crate) fn says(self, message: impl Into<String>) -> PyErr {
        Python::attach(|py| self.class().error(py, message.into()))
    }
}

/// An error of the library as an exception.
pub(crate) trait IntoException {
    /// The exception of the class that stands for errors of this type.
    fn into_exception(self) -> PyErr;
}

impl IntoException for eplb::policy::PolicyError {
    fn into_exception(self) -> PyErr {
        Kind::Policy.says(self.to_string())
    }
}
