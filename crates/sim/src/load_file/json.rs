//! Loads as JSON lists.

use std::fs::File;
use std::io::Read;

use eplb_core::ExpertLoad;
use serde_json::{Number, Value};

use super::error::LoadFileProblem;
use super::{Counts, LoadFile, check_dimensions};

pub(super) fn read_counts(file: File) -> Result<Counts, LoadFileProblem> {
    let mut text = Vec::new();
    file.take(LoadFile::MOST_JSON_BYTES + 1).read_to_end(&mut text).map_err(LoadFileProblem::Io)?;
    if text.len() as u64 > LoadFile::MOST_JSON_BYTES {
        return Err(LoadFileProblem::TooLargeJson);
    }
    let document: Value = serde_json::from_slice(&text).map_err(LoadFileProblem::NotJson)?;
    let (place, lists) = match &document {
        Value::Object(object) => match object.get("logical_count") {
            Some(lists) => ("logical_count", lists),
            None => {
                let keys: Vec<&str> = object.keys().map(String::as_str).collect();
                return Err(LoadFileProblem::NoLogicalCount { keys: keys.join(", ") });
            }
        },
        lists => ("the file", lists),
    };
    let dimensions = dimensions_of(place, lists)?;
    check_dimensions(place, &dimensions)?;
    let mut flat = Flat { place, dimensions: &dimensions, index: Vec::new(), values: Vec::new() };
    flat.push_lists(lists)?;
    let values = flat.values;
    Ok(Counts { place: place.to_owned(), dimensions, values })
}

/// The lengths of the first list, of its first entry, and so on.
fn dimensions_of(place: &str, lists: &Value) -> Result<Vec<u64>, LoadFileProblem> {
    let mut dimensions = Vec::new();
    let mut inner = lists;
    while let Value::Array(list) = inner {
        dimensions.push(list.len() as u64);
        match list.first() {
            Some(first) => inner = first,
            None => {
                return Err(LoadFileProblem::Empty { place: place.to_owned(), dimensions });
            }
        }
    }
    if dimensions.is_empty() {
        return Err(LoadFileProblem::JsonKind {
            place: place.to_owned(),
            index: Vec::new(),
            found: kind(lists),
            allowed: "a list of lists of counts",
        });
    }
    Ok(dimensions)
}

/// The counts of nested lists, while they are collected.
struct Flat<'a> {
    place: &'a str,
    dimensions: &'a [u64],
    /// Where in the lists.
    index: Vec<u64>,
    values: Vec<u64>,
}

impl Flat<'_> {
    fn push_lists(&mut self, value: &Value) -> Result<(), LoadFileProblem> {
        let Some(&expected) = self.dimensions.get(self.index.len()) else {
            return self.push_count(value);
        };
        let Value::Array(list) = value else {
            return Err(self.wrong_kind(value, "a list"));
        };
        let found = list.len() as u64;
        if found != expected {
            let (place, index) = (self.place.to_owned(), self.index.clone());
            return Err(LoadFileProblem::UnequalLengths { place, index, found, expected });
        }
        for (position, inner) in (0..).zip(list) {
            self.index.push(position);
            self.push_lists(inner)?;
            self.index.pop();
        }
        Ok(())
    }

    fn push_count(&mut self, value: &Value) -> Result<(), LoadFileProblem> {
        let Value::Number(number) = value else {
            return Err(self.wrong_kind(value, "a count"));
        };
        let Some(count) = whole_number(number) else {
            return Err(LoadFileProblem::Value {
                place: self.place.to_owned(),
                index: self.index.clone(),
                value: number.to_string(),
            });
        };
        self.values.push(count);
        Ok(())
    }

    fn wrong_kind(&self, value: &Value, allowed: &'static str) -> LoadFileProblem {
        LoadFileProblem::JsonKind {
            place: self.place.to_owned(),
            index: self.index.clone(),
            found: kind(value),
            allowed,
        }
    }
}

fn whole_number(number: &Number) -> Option<u64> {
    let most = ExpertLoad::MOST_TOKENS;
    let written_as_float = || {
        let value = number.as_f64()?;
        let whole = (0.0..=most as f64).contains(&value) && value.fract() == 0.0;
        whole.then_some(value as u64)
    };
    number.as_u64().or_else(written_as_float).filter(|&count| count <= most)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
