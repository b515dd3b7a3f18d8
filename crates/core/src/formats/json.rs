//! Values of a JSON text with the path by which messages name them.

use serde_json::{Map, Value};

use super::FormatError;

/// A value and where it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    value: &'a Value,
    place: Place<'a>,
}

/// A path, made into text only for messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Entry(&'a Place<'a>, usize),
}

/// The value that `text` is.
pub(super) fn parse(text: &str) -> Result<Value, FormatError> {
    serde_json::from_str(text).map_err(|error| FormatError::Json { message: error.to_string() })
}

impl<'a> Node<'a> {
    /// The whole of a text.
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, place: Place::Root }
    }

    /// The path, as messages give it.
    pub(super) fn path(&self) -> String {
        self.place.text()
    }

    /// What the value is, as messages give it.
    pub(super) fn kind_error(&self, expected: &'static str) -> FormatError {
        let found = match self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(_) => "a string".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        FormatError::Kind { field: self.path(), found, expected }
    }

    pub(super) fn is_array(&self) -> bool {
        self.value.is_array()
    }

    /// The entries of an array.
    pub(super) fn array(&self) -> Result<&'a [Value], FormatError> {
        match self.value {
            Value::Array(entries) => Ok(entries),
            _ => Err(self.kind_error("an array")),
        }
    }

    /// The entries of an array of this length; `of_what` says what they are.
    pub(super) fn array_of(
        &self,
        expected: usize,
        of_what: &'static str,
    ) -> Result<&'a [Value], FormatError> {
        let entries = self.array()?;
        if entries.len() != expected {
            let (field, found) = (self.path(), entries.len());
            return Err(FormatError::Length { field, found, expected, of_what });
        }
        Ok(entries)
    }

    /// The fields of an object.
    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, FormatError> {
        match self.value {
            Value::Object(fields) => Ok(fields),
            _ => Err(self.kind_error("an object")),
        }
    }

    /// An entry of the array that this is.
    pub(super) fn entry<'b>(&'b self, index: usize, value: &'b Value) -> Node<'b> {
        Node { value, place: Place::Entry(&self.place, index) }
    }

    /// A field that the object has.
    pub(super) fn field<'b>(&'b self, name: &'b str) -> Result<Node<'b>, FormatError> {
        let place = Place::Field(&self.place, name);
        match self.object()?.get(name) {
            Some(value) => Ok(Node { value, place }),
            None => Err(FormatError::Missing { field: place.text() }),
        }
    }

    /// A count, from 0.
    pub(super) fn count(&self) -> Result<u64, FormatError> {
        match (self.value.as_u64(), self.value.as_i64()) {
            (Some(count), _) => Ok(count),
            (None, Some(value)) => {
                let (field, least, most) = (self.path(), 0, i64::MAX);
                Err(FormatError::Range { field, value, least, most })
            }
            (None, None) => Err(self.kind_error("an integer")),
        }
    }

    /// A number.
    pub(super) fn number(&self) -> Result<f64, FormatError> {
        self.value.as_f64().ok_or_else(|| self.kind_error("a number"))
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&'a str, FormatError> {
        self.value.as_str().ok_or_else(|| self.kind_error("a text"))
    }

    /// An id below `count`.
    pub(super) fn id_below(&self, count: usize) -> Result<usize, FormatError> {
        match self.value.as_i64() {
            Some(id) if (0..count as i64).contains(&id) => Ok(id as usize),
            Some(value) => {
                let (field, least, most) = (self.path(), 0, count as i64 - 1);
                Err(FormatError::Range { field, value, least, most })
            }
            None => Err(self.kind_error("an integer")),
        }
    }
}

impl Place<'_> {
    fn text(&self) -> String {
        match self {
            Place::Root => "the text".to_owned(),
            Place::Field(Place::Root, name) => (*name).to_owned(),
            Place::Field(parent, name) => format!("{}.{name}", parent.text()),
            Place::Entry(Place::Root, index) => format!("[{index}]"),
            Place::Entry(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}
