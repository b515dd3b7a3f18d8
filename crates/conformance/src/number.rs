//! Numbers of a case: written out, or computed from the rank and the parameters of a run.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// A number, or a text such as `"33 * rank + 1"`: products, sums and differences of numbers and
/// names, with spaces between them; products first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Number {
    /// Added up: the sign, and factors to multiply.
    terms: Vec<(i64, Vec<Factor>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Factor {
    Number(i64),
    Name(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(i64),
    Text(String),
}

/// Why a number can't be read or computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum NumberError {
    #[error(
        "{0:?} is no number; allowed are numbers and names with +, - and * between, and spaces"
    )]
    Syntax(String),
    #[error("there is no number {name:?} here; allowed: {allowed}")]
    Name { name: String, allowed: String },
    #[error("a number of the case is out of range")]
    Range,
}

/// The numbers that have names.
pub(crate) type Names = BTreeMap<String, i64>;

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self { terms: vec![(1, vec![Factor::Number(number)])] }
    }
}

impl TryFrom<Written> for Number {
    type Error = NumberError;

    fn try_from(written: Written) -> Result<Self, NumberError> {
        match written {
            Written::Number(number) => Ok(number.into()),
            Written::Text(text) => {
                Self::read(&text).ok_or_else(|| NumberError::Syntax(text.clone()))
            }
        }
    }
}

impl Number {
    /// The number that has this name.
    pub(crate) fn named(name: &str) -> Self {
        Self { terms: vec![(1, vec![Factor::Name(name.to_owned())])] }
    }

    fn read(text: &str) -> Option<Self> {
        let mut terms = Vec::new();
        let mut words = text.split_whitespace();
        let mut factors = vec![factor(words.next()?)?];
        let mut sign = 1;
        while let Some(operator) = words.next() {
            let next = factor(words.next()?)?;
            match operator {
                "*" => factors.push(next),
                "+" | "-" => {
                    terms.push((sign, std::mem::replace(&mut factors, vec![next])));
                    sign = if operator == "+" { 1 } else { -1 };
                }
                _ => return None,
            }
        }
        terms.push((sign, factors));
        Some(Self { terms })
    }

    /// The value, given the names.
    pub(crate) fn value(&self, names: &Names) -> Result<i64, NumberError> {
        let mut sum = 0_i64;
        for (sign, factors) in &self.terms {
            let mut product = *sign;
            for factor in factors {
                let value = match factor {
                    Factor::Number(number) => *number,
                    Factor::Name(name) => *names.get(name).ok_or_else(|| NumberError::Name {
                        name: name.clone(),
                        allowed: names.keys().cloned().collect::<Vec<_>>().join(", "),
                    })?,
                };
                product = product.checked_mul(value).ok_or(NumberError::Range)?;
            }
            sum = sum.checked_add(product).ok_or(NumberError::Range)?;
        }
        Ok(sum)
    }

    /// The value as what it is used for.
    pub(crate) fn of<T: TryFrom<i64>>(&self, names: &Names) -> Result<T, NumberError> {
        T::try_from(self.value(names)?).map_err(|_| NumberError::Range)
    }
}

fn factor(word: &str) -> Option<Factor> {
    if let Ok(number) = word.parse() {
        return Some(Factor::Number(number));
    }
    let is_name = word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.chars().all(|char| char.is_ascii_lowercase() || char == '_');
    is_name.then(|| Factor::Name(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        [("rank", 3), ("ranks", 4)].map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn products_come_before_sums() {
        for (text, expected) in
            [("7", 7), ("2 * rank + 1", 7), ("1 + 2 * rank", 7), ("100 - rank * ranks - 1", 87)]
        {
            assert_eq!(Number::read(text).unwrap().value(&names()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "rank +", "2rank", "rank rank", "+ 1", "rank / 2", "Rank"] {
            assert!(Number::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn unknown_names_and_numbers_out_of_range_are_errors() {
        let unknown = Number::read("rank + bytes").unwrap().value(&names()).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no number \"bytes\" here; allowed: rank, ranks");
        let huge = Number::read("9223372036854775807 * rank").unwrap();
        assert_eq!(huge.value(&names()), Err(NumberError::Range));
        assert_eq!(Number::from(-1).of::<usize>(&names()), Err(NumberError::Range));
    }
}
