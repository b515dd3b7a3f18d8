//! Tables of functions.

use crate::Library;

/// A table that can be filled from a library; [`table!`](crate::table!) declares one.
pub trait Table: Sized {
    /// Looks all symbols up: adds required ones that are not there to `missing`, which gives no
    /// table, and optional ones that are not there to `absent`.
    fn resolve(
        library: &Library,
        missing: &mut Vec<&'static str>,
        absent: &mut Vec<&'static str>,
    ) -> Option<Self>;
}

/// The symbols that were not found.
pub fn without(symbols: &[(&'static str, bool)]) -> impl Iterator<Item = &'static str> {
    symbols.iter().filter(|(_, is_found)| !is_found).map(|(symbol, _)| *symbol)
}

/// Declares a table of functions: those without which it is not loaded as pointers, the others as
/// options. The string before each is its symbol in the library. Whoever writes a table answers for its
/// types: they are those of pointers to the symbols' functions, as [`Library::function`] wants it.
#[macro_export]
macro_rules! table {
    (
        $(#[$doc:meta])*
        pub struct $table:ident {
            required {
                $($(#[$required_doc:meta])* $required:literal => $name:ident: $function:ty,)*
            }
            optional {
                $($(#[$optional_doc:meta])* $optional:literal => $option:ident: $optional_function:ty,)*
            }
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $table {
            $($(#[$required_doc])* pub $name: $function,)*
            $($(#[$optional_doc])* pub $option: Option<$optional_function>,)*
        }

        impl $table {
            /// Symbols without which a library is not taken.
            pub const REQUIRED: &'static [&'static str] = &[$($required),*];

            /// Symbols that some versions of the library lack.
            pub const OPTIONAL: &'static [&'static str] = &[$($optional),*];
        }

        impl $crate::Table for $table {
            fn resolve(
                library: &$crate::Library,
                missing: &mut Vec<&'static str>,
                absent: &mut Vec<&'static str>,
            ) -> Option<Self> {
                $(
                    // SAFETY: the type is the symbol's, as who wrote the table promised; for tables made
                    // from our headers, ci/abi-check compares them with the vendor's.
                    let $name = unsafe { library.function::<$function>($required) };
                )*
                missing.extend($crate::without(&[$(($required, $name.is_some())),*]));
                $(
                    // SAFETY: as above.
                    let $option = unsafe { library.function::<$optional_function>($optional) };
                )*
                absent.extend($crate::without(&[$(($optional, $option.is_some())),*]));
                Some(Self { $($name: $name?,)* $($option,)* })
            }
        }
    };
}
