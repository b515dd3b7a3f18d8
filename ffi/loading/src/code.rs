//! Enumerations of C as open integers.

/// Declares an enumeration of C: an integer of which some values have names. A library may return
/// values that its header did not name when this was written, which an `enum` of Rust cannot hold.
#[macro_export]
macro_rules! code {
    (
        $(#[$doc:meta])*
        pub struct $code:ident($integer:ty) {
            $($(#[$value_doc:meta])* $name:ident = $value:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $code(pub $integer);

        impl $code {
            $($(#[$value_doc])* pub const $name: Self = Self($value);)*

            /// The vendor's name of this value, if it is one of those declared here.
            pub fn name(self) -> Option<&'static str> {
                const NAMES: &[(&str, $integer)] = &[$((stringify!($name), $value)),*];
                NAMES.iter().find(|(_, value)| *value == self.0).map(|(name, _)| *name)
            }
        }

        /// The vendor's name, or the number of a value without one.
        impl core::fmt::Debug for $code {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => formatter.write_str(name),
                    None => write!(formatter, "{}({})", stringify!($code), self.0),
                }
            }
        }
    };
}
