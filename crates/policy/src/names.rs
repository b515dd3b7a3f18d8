//! Policies by name, as configurations and command lines give them.

use std::sync::Arc;

use crate::{DeepSeek, Greedy, Policy, PolicyError, Robust, Static, Xllm};

/// The names that [`by_name`] knows.
pub const NAMES: &[&str] = &["static", "deepseek", "xllm", "greedy", "greedy-fast", "robust"];

/// The policy called `name`.
///
/// # Errors
/// [`PolicyError::UnknownPolicy`], which lists the names that are allowed.
pub fn by_name(name: &str) -> Result<Arc<dyn Policy>, PolicyError> {
    match name {
        "static" => Ok(Arc::new(Static)),
        "deepseek" => Ok(Arc::new(DeepSeek)),
        "xllm" => Ok(Arc::new(Xllm)),
        "greedy" => Ok(Arc::new(Greedy::default())),
        "greedy-fast" => Ok(Arc::new(Greedy { local_search: false })),
        "robust" => Ok(Arc::new(Robust::default())),
        _ => Err(PolicyError::UnknownPolicy { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_gives_the_policy_of_that_name() {
        for name in NAMES {
            assert_eq!(by_name(name).unwrap().name(), *name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names_that_exist() {
        let message = by_name("deepsek").unwrap_err().to_string();
        assert_eq!(
            message,
            "no policy is called \"deepsek\", allowed are static, deepseek, xllm, greedy, greedy-fast, \
             robust"
        );
    }
}
