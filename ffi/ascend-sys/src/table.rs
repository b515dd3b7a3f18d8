//! Tables of functions.

/// Declares a table of functions: those without which it is not loaded as pointers, the others as
/// options. The string before each is its symbol in the library.
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

        impl $crate::load::Table for $table {
            fn resolve(
                library: &$crate::library::Library,
                missing: &mut Vec<&'static str>,
                absent: &mut Vec<&'static str>,
            ) -> Option<Self> {
                $(
                    // SAFETY: the type is the one that our header declares for this symbol, which
                    // ci/abi-check compares with the vendor's header.
                    let $name = unsafe { library.function::<$function>($required) };
                )*
                missing.extend($crate::load::without(&[$(($required, $name.is_some())),*]));
                $(
                    // SAFETY: as above.
                    let $option = unsafe { library.function::<$optional_function>($optional) };
                )*
                absent.extend($crate::load::without(&[$(($optional, $option.is_some())),*]));
                Some(Self { $($name: $name?,)* $($option,)* })
            }
        }
    };
}

pub(crate) use table;
