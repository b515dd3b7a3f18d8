//! A table of functions that every process has, and of one that none has.
#![allow(unsafe_code, reason = "functions of a table are called")]
#![allow(clippy::unwrap_used, reason = "a test without its table has failed")]

use std::ffi::{OsStr, c_int};
use std::fmt;
use std::path::PathBuf;

use eplb_loading::{Library, LibraryNames, Place, Search, Visibility, load};

eplb_loading::table! {
    /// Complete in any process.
    pub struct Complete {
        required {
            /// The absolute value of a number.
            "abs" => absolute: unsafe extern "C" fn(number: c_int) -> c_int,
        }
        optional {
            /// Nowhere.
            "eplb_loading_nowhere" => nowhere: unsafe extern "C" fn(),
        }
    }
}

eplb_loading::table! {
    /// Complete in none.
    pub struct Incomplete {
        required {
            /// The absolute value of a number.
            "abs" => absolute: unsafe extern "C" fn(number: c_int) -> c_int,
            /// Nowhere.
            "eplb_loading_nowhere" => nowhere: unsafe extern "C" fn(),
        }
        optional {}
    }
}

eplb_loading::code! {
    /// A code with one name.
    pub struct Code(c_int) {
        /// The one.
        KNOWN = 7,
    }
}

const NAMES: LibraryNames =
    LibraryNames::new("test library", "EPLB_LOADING_TEST_NOT_SET", &["libeplb-nowhere.so"]);

/// A file, or the process.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Where {
    File(PathBuf),
    Process,
}

impl fmt::Display for Where {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(formatter, "{}", file.display()),
            Self::Process => formatter.write_str("process"),
        }
    }
}

impl Place for Where {
    type Files = Vec<PathBuf>;
    type Failure = String;

    fn named(files: &Vec<PathBuf>) -> Self {
        Self::File(files[0].clone())
    }

    fn of_variable(_: &'static str, value: &OsStr) -> Self {
        Self::File(value.into())
    }

    fn usual(names: &LibraryNames) -> Vec<Self> {
        vec![Self::File(names.files[0].into()), Self::Process]
    }

    fn open(&self, _: &LibraryNames) -> Result<Library, Vec<String>> {
        Ok(match self {
            Self::File(file) => Library::open(vec![file.clone()], Visibility::Local),
            Self::Process => Library::process(),
        })
    }

    fn not_opened(words: Vec<String>) -> String {
        words.join(", ")
    }

    fn incomplete(missing: Vec<&'static str>, _: Vec<String>) -> String {
        format!("lacks {}", missing.join(", "))
    }
}

#[test]
fn the_first_complete_place_is_taken_and_the_ones_before_are_told() {
    let loaded = load::<Complete, Where>(&NAMES, &Search::new()).unwrap();
    assert_eq!(loaded.origin, Where::Process);
    assert!(loaded.files.is_empty());
    assert_eq!(loaded.absent, ["eplb_loading_nowhere"]);
    assert!(loaded.table.nowhere.is_none());
    // SAFETY: the function is of the C library, and takes any number that has an absolute value.
    assert_eq!(unsafe { (loaded.table.absolute)(-5) }, 5);
    let [attempt] = &loaded.attempts[..] else { panic!("{:?}", loaded.attempts) };
    assert_eq!(attempt.origin, Where::File("libeplb-nowhere.so".into()));
}

#[test]
fn an_error_names_each_place_once_and_what_it_lacks() {
    let error = load::<Incomplete, Where>(&NAMES, &Search::new()).unwrap_err();
    assert_eq!(error.attempts.len(), 2);
    let text = error.to_string();
    assert!(text.starts_with("test library was not loaded: libeplb-nowhere.so: "), "{text}");
    assert_eq!(text.matches("libeplb-nowhere.so").count(), 1, "{text}");
    let end = "; process: lacks eplb_loading_nowhere; \
               install it or set EPLB_LOADING_TEST_NOT_SET to its path";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn what_is_named_is_the_only_place_and_naming_nothing_is_not_naming() {
    let error =
        load::<Complete, Where>(&NAMES, &Search::in_all(["/nowhere/library.so"])).unwrap_err();
    let [attempt] = &error.attempts[..] else { panic!("{error}") };
    assert_eq!(attempt.origin, Where::File("/nowhere/library.so".into()));
    let nothing = Search::in_all(Vec::<PathBuf>::new());
    assert!(nothing.named().is_none() && nothing.paths().is_empty());
    assert!(load::<Complete, Where>(&NAMES, &nothing).is_ok());
}

#[test]
fn codes_keep_values_without_a_name() {
    assert_eq!((Code(7), Code::KNOWN.name()), (Code::KNOWN, Some("KNOWN")));
    assert_eq!(format!("{:?} {:?}", Code::KNOWN, Code(8)), "KNOWN Code(8)");
}
