//! What a header declares, read from bindgen's output.

use crate::error::Error;
use crate::types::{Signature, Type, literal};

/// All that one header declares, in its order.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) functions: Vec<Function>,
    pub(crate) codes: Vec<Code>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) structures: Vec<Structure>,
    pub(crate) aliases: Vec<Alias>,
}

/// A function; `symbol` is its name in the library where that differs from `name`.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) symbol: String,
    pub(crate) docs: Vec<String>,
    pub(crate) signature: Signature,
}

/// An enumeration: an integer with some names.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) integer: Type,
    pub(crate) values: Vec<Constant>,
}

/// A named integer.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) kind: Type,
    pub(crate) value: i128,
}

/// A structure with fields, or one that only pointers point to.
#[derive(Debug)]
pub(crate) struct Structure {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) size: i128,
    pub(crate) alignment: i128,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) kind: Type,
    pub(crate) offset: i128,
}

/// A second name of a type.
#[derive(Debug)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) kind: Type,
}

impl Structure {
    /// Whether only pointers to it exist.
    pub(crate) fn is_opaque(&self) -> bool {
        self.fields.is_empty()
    }
}

impl Declarations {
    /// Reads bindgen's output; what is not understood is an error, so that nothing is left out.
    pub(crate) fn parse(file: &syn::File) -> Result<Self, Error> {
        let mut found = Self::default();
        // bindgen writes the values of an enumeration before the enumeration.
        for item in &file.items {
            if let syn::Item::Struct(structure) = item {
                found.add_structure(structure)?;
            }
        }
        for item in &file.items {
            match item {
                syn::Item::ForeignMod(functions) => found.add_functions(functions)?,
                syn::Item::Struct(_) => {}
                syn::Item::Impl(values) => found.add_values(values)?,
                syn::Item::Const(layout) if layout.ident == "_" => found.add_layout(layout)?,
                syn::Item::Const(constant) => {
                    let docs = docs(&constant.attrs);
                    let (name, kind) = (constant.ident.to_string(), Type::parse(&constant.ty)?);
                    let value = literal(&constant.expr);
                    let value = value.ok_or_else(|| Error::unsupported("a constant", constant))?;
                    found.constants.push(Constant { name, docs, kind, value });
                }
                syn::Item::Type(alias) => {
                    let (name, docs) = (alias.ident.to_string(), docs(&alias.attrs));
                    found.aliases.push(Alias { name, docs, kind: Type::parse(&alias.ty)? });
                }
                other => return Err(Error::unsupported("an item", other)),
            }
        }
        Ok(found)
    }

    fn add_functions(&mut self, functions: &syn::ItemForeignMod) -> Result<(), Error> {
        for item in &functions.items {
            let syn::ForeignItem::Fn(function) = item else {
                return Err(Error::unsupported("a variable of a library", item));
            };
            let name = function.sig.ident.to_string();
            if text(&function.attrs, "link_name").next().is_some() {
                return Err(Error::unsupported("a function that is not extern \"C\"", function));
            }
            let docs = docs(&function.attrs);
            let symbol = docs.iter().find_map(|line| noted_symbol(line));
            let symbol = symbol.unwrap_or(&name).to_owned();
            let signature = Signature::of_function(&function.sig)?;
            self.functions.push(Function { name, symbol, docs, signature });
        }
        Ok(())
    }

    fn add_structure(&mut self, structure: &syn::ItemStruct) -> Result<(), Error> {
        let (name, docs) = (structure.ident.to_string(), docs(&structure.attrs));
        if let syn::Fields::Unnamed(fields) = &structure.fields {
            let [field] = &fields.unnamed.iter().collect::<Vec<_>>()[..] else {
                return Err(Error::unsupported("a tuple", structure));
            };
            let integer = Type::parse(&field.ty)?;
            self.codes.push(Code { name, docs, integer, values: Vec::new() });
            return Ok(());
        }
        let mut fields = Vec::new();
        for field in &structure.fields {
            let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
            if name != "_unused" {
                let (docs, kind) = (self::docs(&field.attrs), Type::parse(&field.ty)?);
                fields.push(Field { name, docs, kind, offset: 0 });
            }
        }
        self.structures.push(Structure { name, docs, fields, size: 0, alignment: 0 });
        Ok(())
    }

    /// The named values of an enumeration, which bindgen writes as associated constants.
    fn add_values(&mut self, values: &syn::ItemImpl) -> Result<(), Error> {
        let unsupported = || Error::unsupported("an implementation", values);
        let Type::Name(name) = Type::parse(&values.self_ty)? else { return Err(unsupported()) };
        let code = self.codes.iter_mut().find(|code| code.name == name);
        let code = code.ok_or_else(unsupported)?;
        let mut last: Vec<String> = Vec::new();
        for item in &values.items {
            let syn::ImplItem::Const(constant) = item else { return Err(unsupported()) };
            let syn::Expr::Call(call) = &constant.expr else { return Err(unsupported()) };
            let value = call.args.first().and_then(literal).ok_or_else(unsupported)?;
            // Bindgen repeats a value's comment at those after it that have none.
            let comment = docs(&constant.attrs);
            let docs = if comment == last { Vec::new() } else { comment.clone() };
            last = comment;
            let name = constant.ident.to_string();
            code.values.push(Constant { name, docs, kind: code.integer.clone(), value });
        }
        Ok(())
    }

    /// bindgen's checks of layout: `["Offset of field: X::y"][offset_of!(X, y) - 8usize];`.
    fn add_layout(&mut self, layout: &syn::ItemConst) -> Result<(), Error> {
        let unsupported = || Error::unsupported("a check of layout", layout);
        let syn::Expr::Block(block) = &*layout.expr else { return Err(unsupported()) };
        for statement in &block.block.stmts {
            let syn::Stmt::Expr(syn::Expr::Index(check), _) = statement else {
                return Err(unsupported());
            };
            let (syn::Expr::Array(label), syn::Expr::Binary(difference)) =
                (&*check.expr, &*check.index)
            else {
                return Err(unsupported());
            };
            let Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(label), .. })) =
                label.elems.first()
            else {
                return Err(unsupported());
            };
            let value = literal(&difference.right).ok_or_else(unsupported)?;
            *self.layout(&label.value()).ok_or_else(unsupported)? = value;
        }
        Ok(())
    }

    fn layout(&mut self, label: &str) -> Option<&mut i128> {
        let (what, name) = label.split_once(" of ")?;
        let (name, field) = match name.strip_prefix("field: ") {
            Some(field) => field.split_once("::")?,
            None => (name, ""),
        };
        let structure = self.structures.iter_mut().find(|structure| structure.name == name)?;
        match what {
            "Size" => Some(&mut structure.size),
            "Alignment" => Some(&mut structure.alignment),
            "Offset" => {
                let field = structure.fields.iter_mut().find(|found| found.name == field)?;
                Some(&mut field.offset)
            }
            _ => None,
        }
    }
}

/// The name that a comment gives a function in its library, as in "Symbol cudaMalloc.".
fn noted_symbol(line: &str) -> Option<&str> {
    let (_, noted) = line.split_once("Symbol ")?;
    noted.split('.').next()
}

/// The lines of an item's comments.
fn docs(attributes: &[syn::Attribute]) -> Vec<String> {
    let text: Vec<String> = text(attributes, "doc").collect();
    text.join("\n").lines().map(|line| line.trim().to_owned()).collect()
}

/// The texts of all attributes `name = "text"`.
fn text<'a>(attributes: &'a [syn::Attribute], name: &'a str) -> impl Iterator<Item = String> + 'a {
    attributes.iter().filter_map(move |attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident(name) => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}
