//! The house rules as code: what ARCHITECTURE.md says of folders, imports and files is checked here.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the repository has failed")]

mod dependencies;
mod repository;
mod sources;
