//! The types of declarations, written in Rust and in C++.

use crate::error::Error;

/// A type, as far as headers of runtime libraries need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// A type with a name, primitive or declared.
    Name(String),
    /// A pointer; `constant` is of what it points to.
    Pointer { constant: bool, to: Box<Type> },
    /// An array in a structure.
    Array { of: Box<Type>, length: usize },
    /// A pointer to a function, possibly null.
    Callback(Box<Signature>),
}

/// Arguments and result of a function; no result is `None`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<(String, Type)>,
    pub(crate) output: Option<Type>,
}

impl Type {
    pub(crate) fn parse(found: &syn::Type) -> Result<Self, Error> {
        let unsupported = || Error::unsupported("a type", found);
        match found {
            syn::Type::Ptr(pointer) => Ok(Self::Pointer {
                constant: pointer.const_token.is_some(),
                to: Box::new(Self::parse(&pointer.elem)?),
            }),
            syn::Type::Array(array) => {
                let length = literal(&array.len).and_then(|length| usize::try_from(length).ok());
                let of = Box::new(Self::parse(&array.elem)?);
                Ok(Self::Array { of, length: length.ok_or_else(unsupported)? })
            }
            syn::Type::Path(path) => {
                let last = path.path.segments.last().ok_or_else(unsupported)?;
                match &last.arguments {
                    syn::PathArguments::None => Ok(Self::Name(last.ident.to_string())),
                    syn::PathArguments::AngleBracketed(inside) if last.ident == "Option" => {
                        match inside.args.first() {
                            Some(syn::GenericArgument::Type(syn::Type::BareFn(function))) => {
                                Ok(Self::Callback(Box::new(Signature::of_pointer(function)?)))
                            }
                            _ => Err(unsupported()),
                        }
                    }
                    _ => Err(unsupported()),
                }
            }
            _ => Err(unsupported()),
        }
    }

    /// In Rust, with the names of `core::ffi`.
    pub(crate) fn rust(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Pointer { constant, to } => {
                format!("*{} {}", if *constant { "const" } else { "mut" }, to.rust())
            }
            Self::Array { of, length } => format!("[{}; {length}]", of.rust()),
            Self::Callback(signature) => format!("Option<{}>", signature.rust()),
        }
    }

    /// In C++, as a type without a declared name.
    pub(crate) fn cpp(&self) -> String {
        match self {
            Self::Name(name) => match name.as_str() {
                "c_void" => "void",
                "c_char" => "char",
                "c_schar" => "signed char",
                "c_uchar" => "unsigned char",
                "c_short" => "short",
                "c_ushort" => "unsigned short",
                "c_int" => "int",
                "c_uint" => "unsigned int",
                "c_long" => "long",
                "c_ulong" => "unsigned long",
                "c_longlong" => "long long",
                "c_ulonglong" => "unsigned long long",
                "f32" => "float",
                "f64" => "double",
                "usize" => "std::size_t",
                "i8" => "std::int8_t",
                "u8" => "std::uint8_t",
                "i16" => "std::int16_t",
                "u16" => "std::uint16_t",
                "i32" => "std::int32_t",
                "u32" => "std::uint32_t",
                "i64" => "std::int64_t",
                "u64" => "std::uint64_t",
                declared => declared,
            }
            .to_owned(),
            Self::Pointer { constant, to } => {
                format!("{}{} *", to.cpp(), if *constant { " const" } else { "" })
            }
            Self::Array { of, length } => format!("{} [{length}]", of.cpp()),
            Self::Callback(signature) => signature.cpp(),
        }
    }

    /// All names in the type, for imports.
    pub(crate) fn names(&self, into: &mut Vec<String>) {
        match self {
            Self::Name(name) => into.push(name.clone()),
            Self::Pointer { to: inner, .. } | Self::Array { of: inner, .. } => inner.names(into),
            Self::Callback(signature) => signature.names(into),
        }
    }
}

impl Signature {
    /// Of a function that is declared.
    pub(crate) fn of_function(found: &syn::Signature) -> Result<Self, Error> {
        if found.variadic.is_some() {
            return Err(Error::unsupported("a function with any number of arguments", found));
        }
        let inputs = found.inputs.iter().map(|input| match input {
            syn::FnArg::Typed(input) => match &*input.pat {
                syn::Pat::Ident(name) => Ok((name.ident.to_string(), Type::parse(&input.ty)?)),
                _ => Err(Error::unsupported("an argument", input)),
            },
            syn::FnArg::Receiver(_) => Err(Error::unsupported("an argument", input)),
        });
        Ok(Self { inputs: inputs.collect::<Result<_, _>>()?, output: output(&found.output)? })
    }

    fn of_pointer(found: &syn::TypeBareFn) -> Result<Self, Error> {
        let inputs = found.inputs.iter().map(|input| {
            let name = input.name.as_ref().map_or("_".to_owned(), |(name, _)| name.to_string());
            Ok::<_, Error>((name, Type::parse(&input.ty)?))
        });
        Ok(Self { inputs: inputs.collect::<Result<_, _>>()?, output: output(&found.output)? })
    }

    /// In Rust, as the type of a pointer to the function.
    pub(crate) fn rust(&self) -> String {
        let inputs = self.inputs.iter().map(|(name, input)| format!("{name}: {}", input.rust()));
        let output = self.output.as_ref().map(|output| format!(" -> {}", output.rust()));
        let inputs = inputs.collect::<Vec<_>>().join(", ");
        format!("unsafe extern \"C\" fn({inputs}){}", output.unwrap_or_default())
    }

    /// In C++, as the type of a pointer to the function.
    pub(crate) fn cpp(&self) -> String {
        let inputs: Vec<_> = self.inputs.iter().map(|(_, input)| input.cpp()).collect();
        let output = self.output.as_ref().map_or("void".to_owned(), Type::cpp);
        format!("{output} (*)({})", inputs.join(", "))
    }

    /// All names in the signature, for imports.
    pub(crate) fn names(&self, into: &mut Vec<String>) {
        self.inputs.iter().for_each(|(_, input)| input.names(into));
        self.output.iter().for_each(|output| output.names(into));
    }
}

fn output(found: &syn::ReturnType) -> Result<Option<Type>, Error> {
    match found {
        syn::ReturnType::Default => Ok(None),
        syn::ReturnType::Type(_, output) => Type::parse(output).map(Some),
    }
}

/// The value of an integer, possibly with a minus sign.
pub(crate) fn literal(found: &syn::Expr) -> Option<i128> {
    match found {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(value), .. }) => value.base10_parse().ok(),
        syn::Expr::Unary(syn::ExprUnary { op: syn::UnOp::Neg(_), expr, .. }) => {
            literal(expr).map(|value| -value)
        }
        _ => None,
    }
}
