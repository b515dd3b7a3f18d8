//! What a Python object holds of the library, with one caller at a time.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::error::Kind;

/// A value that Python threads take turns with. Whoever waits for it does so without the interpreter's
/// lock.
///
/// It belongs to the process that made it: a forked child has none of the threads that work for it, so
/// there every call is refused, and nothing is taken down.
pub(crate) struct Handle<T> {
    name: &'static str,
    process: u32,
    /// `None` once it is closed.
    value: Mutex<Option<T>>,
}

impl<T: Send> Handle<T> {
    /// A handle that messages call `name`.
    pub(crate) fn new(name: &'static str, value: T) -> Self {
        Self { name, process: std::process::id(), value: Mutex::new(Some(value)) }
    }

    /// Calls `body` with the value, without the interpreter's lock.
    ///
    /// # Errors
    /// The handle is closed, another process's, or a call failed inside; whatever `body` gives.
    pub(crate) fn with<R: Send>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut T) -> PyResult<R> + Send,
    ) -> PyResult<R> {
        self.check_process()?;
        py.detach(|| {
            let Ok(mut value) = self.value.lock() else {
                let text = format!("an earlier call of this {} failed inside; close it", self.name);
                return Err(Kind::Broken.says(text));
            };
            match value.as_mut() {
                Some(value) => body(value),
                None => Err(Kind::Closed.says(format!("this {} is closed", self.name))),
            }
        })
    }

    /// Takes the value down; nothing happens if that was done before.
    ///
    /// # Errors
    /// The handle is another process's.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process()?;
        py.detach(|| drop(self.value.lock().unwrap_or_else(PoisonError::into_inner).take()));
        Ok(())
    }

    fn check_process(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        let (name, process) = (self.name, self.process);
        let text = format!("this {name} is of process {process}; make one after the fork");
        Err(Kind::Forked.says(text))
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            let value = self.value.get_mut().unwrap_or_else(PoisonError::into_inner).take();
            std::mem::forget(value);
        }
    }
}
