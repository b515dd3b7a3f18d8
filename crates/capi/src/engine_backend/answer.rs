//! What an engine's functions answer, as results of the device layer.

use std::ffi::CStr;

use eplb::device::raw::Progress;
use eplb::device::{DeviceError, ErrorKind, VendorCode};

use crate::generated as c;

/// Makes results of what a function said.
pub(crate) struct Answer;

impl Answer {
    /// Calls a function, which is `Unsupported` where the engine has none, with room for its failure.
    pub(crate) fn of<F>(
        operation: &'static str,
        function: Option<F>,
        call: impl FnOnce(F, *mut c::eplb_device_failure) -> i32,
    ) -> Result<(), DeviceError> {
        let Some(function) = function else {
            let text = "the engine's backend has no such function";
            return Err(DeviceError::new(ErrorKind::Unsupported, operation, text));
        };
        let mut failure = no_failure();
        match call(function, &raw mut failure) {
            0 => Ok(()),
            kind => Err(error(operation, kind, &failure)),
        }
    }

    /// The same of a question where work stands: the call gets places for the answer and the kind of
    /// failure of the work.
    pub(crate) fn progress<F>(
        operation: &'static str,
        function: Option<F>,
        call: impl FnOnce(F, *mut i32, *mut i32, *mut c::eplb_device_failure) -> i32,
    ) -> Result<Progress, DeviceError> {
        let (mut progress, mut kind) = (-1, 0);
        let mut said = no_failure();
        Self::of(operation, function, |function, failure| {
            let status = call(function, &raw mut progress, &raw mut kind, &raw mut said);
            if status != 0 {
                // SAFETY: the room for the failure of the call, which is alive here.
                unsafe { failure.write(said) };
            }
            status
        })?;
        match u32::try_from(progress) {
            Ok(c::EPLB_PROGRESS_COMPLETE) => Ok(Progress::Complete),
            Ok(c::EPLB_PROGRESS_PENDING) => Ok(Progress::Pending),
            Ok(c::EPLB_PROGRESS_FAILED) => Ok(Progress::Failed(error(operation, kind, &said))),
            _ => {
                let text =
                    format!("the engine's function answered {progress}; allowed are 0, 1, 2");
                Err(DeviceError::new(ErrorKind::Failed, operation, text))
            }
        }
    }
}

fn no_failure() -> c::eplb_device_failure {
    c::eplb_device_failure {
        struct_size: size_of::<c::eplb_device_failure>(),
        code: 0,
        text: [0; 240],
    }
}

fn error(operation: &'static str, kind: i32, failure: &c::eplb_device_failure) -> DeviceError {
    let kind = match u32::try_from(kind) {
        Ok(c::EPLB_FAILURE_LOST) => ErrorKind::Lost,
        Ok(c::EPLB_FAILURE_OUT_OF_MEMORY) => ErrorKind::OutOfMemory,
        Ok(c::EPLB_FAILURE_UNSUPPORTED) => ErrorKind::Unsupported,
        Ok(c::EPLB_FAILURE_INVALID_USE) => ErrorKind::InvalidUse,
        Ok(c::EPLB_FAILURE_ABORTED) => ErrorKind::Aborted,
        Ok(c::EPLB_FAILURE_TIMED_OUT) => ErrorKind::TimedOut,
        _ => ErrorKind::Failed,
    };
    let bytes: Vec<u8> = failure.text.iter().map(|&letter| letter as u8).chain([0]).collect();
    let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
    let error = DeviceError::new(kind, operation, text.to_string_lossy());
    if failure.code == 0 { error } else { error.with_code(VendorCode(failure.code)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn failures_keep_their_kind_their_code_and_their_words() {
        let error = Answer::of("copy", Some(()), |(), failure| {
            // SAFETY: the room that the call was given.
            let failure = unsafe { &mut *failure };
            failure.code = -7;
            failure.text[..4].copy_from_slice(&b"oops".map(|letter| letter as _));
            c::EPLB_FAILURE_LOST as i32
        });
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "copy: device lost: oops (code -7)");
        let error = Answer::of::<()>("adopt", None, |(), _| 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            Answer::of("fill", Some(()), |(), _| 1234).unwrap_err().kind(),
            ErrorKind::Failed
        );
    }

    #[test]
    fn an_answer_that_cannot_be_is_a_failure() {
        let asked = |answer: i32| {
            Answer::progress("query", Some(()), |(), progress, _, _| {
                // SAFETY: the room that the call was given.
                unsafe { progress.write(answer) };
                0
            })
        };
        assert_eq!(asked(0).unwrap(), Progress::Complete);
        assert_eq!(asked(1).unwrap(), Progress::Pending);
        assert!(matches!(asked(2).unwrap(), Progress::Failed(_)));
        assert!(asked(3).is_err());
        // Nothing was answered at all.
        assert!(Answer::progress("query", Some(()), |(), _, _, _| 0).is_err());
    }
}
