//! Versions of vendors' headers, and the notes on them in our headers' comments.

use crate::error::Error;

/// Numbers with dots between them, compared from the left.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version(Vec<u32>);

impl Version {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let numbers = text.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
        numbers.map(Self).map_err(|_| Error::Version { text: text.to_owned() })
    }

    /// The version that a comment names after `word`, as in "Since 2.28.3.".
    pub(crate) fn noted(docs: &[String], word: &str) -> Option<Self> {
        let noted = docs.iter().find_map(|line| line.split_once(&format!("{word} ")))?.1;
        let end = noted.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        Self::parse(noted[..end.unwrap_or(noted.len())].trim_end_matches('.')).ok()
    }
}

/// Whether something with these comments is in the vendor's header of `version`: "Since 2.1." and
/// "Until 3.0." bound it, the latter being the first version without it.
pub(crate) fn is_present(docs: &[String], version: &Version) -> bool {
    Version::noted(docs, "Since").is_none_or(|since| *version >= since)
        && Version::noted(docs, "Until").is_none_or(|until| *version < until)
}

/// Whether something with these comments is missing in some versions.
pub(crate) fn is_optional(docs: &[String]) -> bool {
    ["Since", "Until"].iter().any(|word| Version::noted(docs, word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_and_found_in_comments() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("2.9") < version("2.28.3"));
        assert!(version("2.28") < version("2.28.3"));
        assert!(Version::parse("2.x").is_err());
        let docs = ["Ends it.".to_owned(), "Since 2.28.7. Until 3.0.".to_owned()];
        assert!(is_optional(&docs) && !is_optional(&docs[..1]));
        let present = |text| is_present(&docs, &version(text));
        assert_eq!(["2.28.6", "2.28.7", "2.30", "3.0"].map(present), [false, true, true, false]);
    }
}
