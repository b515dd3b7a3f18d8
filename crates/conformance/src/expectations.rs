//! Failures that are known.

use eplb::device::DeviceInfo;
use serde::Deserialize;
use thiserror::Error;

use crate::Suite;

/// Failures that are expected, as a file lists them:
///
/// ```toml
/// [[expect]]
/// case = "events-capture-anew"
/// device = "Some NPU*"      # optional: the device's name; * stands for any text
/// software = "*driver 25.0.*"  # optional: the driver and libraries, as the device names them
/// variant = "2 ranks, threads"  # optional: one variant of the case
/// reason = "fixed in the next firmware"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    #[serde(default)]
    expect: Vec<Expectation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    case: String,
    device: Option<String>,
    software: Option<String>,
    variant: Option<String>,
    reason: String,
}

/// Why a text lists no expectations.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExpectationsError {
    /// Not TOML, an unknown key, or a key that is missing.
    #[error("{0}")]
    Syntax(String),
    /// A case that the suite doesn't have.
    #[error("there is no case {name:?}{}", near(.nearest.as_deref()))]
    UnknownCase {
        /// The name.
        name: String,
        /// A case whose name is alike.
        nearest: Option<String>,
    },
    /// An expectation that says nothing.
    #[error("the expectation for {case:?} has no reason; say why the failure is expected")]
    NoReason {
        /// The case.
        case: String,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"))
}

impl Expectations {
    /// Reads a list of expectations for the cases of `suite`.
    ///
    /// # Errors
    /// The text is no such list, or names a case that the suite doesn't have.
    pub fn parse(text: &str, suite: &Suite) -> Result<Self, ExpectationsError> {
        let read: Self = toml::from_str(text)
            .map_err(|error| ExpectationsError::Syntax(one_line(text, &error)))?;
        for expectation in &read.expect {
            let name = &expectation.case;
            if !suite.names().any(|known| known == name) {
                let nearest = suite.names().find(|known| is_near(known, name)).map(str::to_owned);
                return Err(ExpectationsError::UnknownCase { name: name.clone(), nearest });
            }
            if expectation.reason.trim().is_empty() {
                return Err(ExpectationsError::NoReason { case: name.clone() });
            }
        }
        Ok(read)
    }

    /// Why the case is expected to fail here, if so.
    pub(crate) fn reason(
        &self,
        case: &str,
        variant: Option<&str>,
        device: &DeviceInfo,
    ) -> Option<&str> {
        let found = self.expect.iter().find(|expectation| {
            let fits = |pattern: &Option<String>, text: &str| {
                pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
            };
            expectation.case == case
                && fits(&expectation.device, &device.name)
                && fits(&expectation.software, &device.software)
                && expectation.variant.as_deref().is_none_or(|only| variant == Some(only))
        });
        found.map(|expectation| expectation.reason.as_str())
    }
}

fn one_line(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count() + 1;
    format!("line {line}: {}", error.message().replace('\n', "; "))
}

/// Whether the names differ by few letters, or one begins with the other.
fn is_near(known: &str, name: &str) -> bool {
    let common = known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    common >= 6 && common * 2 >= name.len()
}

/// Whether a text fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else {
                return false;
            };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, fits) in [
            ("Model910*", "Model910B3", true),
            ("*910*3", "Model910B3", true),
            ("*", "", true),
            ("Model910", "Model910B3", false),
            ("*B3", "Model910B2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
