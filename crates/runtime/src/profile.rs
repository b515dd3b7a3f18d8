//! Profiles: what is known of the traffic, kept beyond the life of a service.

use std::path::{Path, PathBuf};

use eplb_core::formats::{FormatError, profile};
use eplb_core::{Ensemble, Estimate, Estimator, LayerId, ModelShape, Placement, Topology};
use eplb_policy::{Budget, PlanRequest, Robust, plan};
use thiserror::Error;

use crate::{Config, Error};

/// Why a file is no profile to begin with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The file can't be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no profile.
    #[error("{}: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The profile of another model.
    #[error(
        "{}: it is of {found_layers} layers of {found_experts} experts, the model has {layers} of \
         {experts}",
        path.display()
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Layers of the profile.
        found_layers: usize,
        /// Experts of the profile.
        found_experts: usize,
        /// Layers of the model.
        layers: usize,
        /// Experts of the model.
        experts: usize,
    },
}

/// Reads a profile; its windows are the recent ones of an ensemble that has room for just these.
///
/// # Errors
/// A file that can't be read, or is no profile.
pub fn read_profile(path: impl AsRef<Path>) -> Result<Ensemble, ProfileError> {
    let path = path.as_ref();
    let unreadable = |source| ProfileError::Unreadable { path: path.to_owned(), source };
    // Reading from a pipe may wait for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a regular file")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    profile::parse(&text).map_err(|source| ProfileError::Form { path: path.to_owned(), source })
}

/// As [`read_profile`], of this model.
///
/// # Errors
/// As [`read_profile`], or a profile with other numbers of layers or experts.
pub fn read_profile_of(
    path: impl AsRef<Path>,
    shape: ModelShape,
) -> Result<Ensemble, ProfileError> {
    let path = path.as_ref();
    let known = read_profile(path)?;
    let found = known.shape();
    if (found.layers(), found.experts()) == (shape.layers(), shape.experts()) {
        return Ok(known);
    }
    Err(ProfileError::OtherModel {
        path: path.to_owned(),
        found_layers: found.layers(),
        found_experts: found.experts(),
        layers: shape.layers(),
        experts: shape.experts(),
    })
}

/// The placement that a service should start with: by which the engine loads its first weights, and
/// which it gives to its coordinator and sessions. Without `manager.profile` it is
/// [`Placement::initial`], with it [`placement_for`] the profile. The same on every rank that reads the
/// same configuration and profile.
///
/// # Errors
/// A configuration or profile that can't be used, or ranks without room for all experts.
pub fn initial_placement(
    config: &Config,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Placement, Error> {
    config.check()?;
    match &config.manager.profile {
        None => Ok(Placement::initial(shape, topology)?),
        Some(path) => placement_for(&read_profile_of(path, shape)?, shape, topology),
    }
}

/// The placement that is best for all windows of `known` together: a full plan of [`Robust`], whatever
/// policy goes on from there. Expert groups are not kept on nodes.
///
/// # Errors
/// Windows of another model or none, or ranks without room for all experts.
pub fn placement_for(
    known: &Ensemble,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Placement, Error> {
    let mut placement = Placement::initial(shape, topology)?;
    let Estimate { windows, weights } = Estimator::Ensemble.estimate(known);
    let layers: Vec<LayerId> = shape.layer_ids().collect();
    let request = PlanRequest {
        shape,
        topology,
        windows: &windows,
        weights: &weights,
        present: None,
        layers: &layers,
        budget: Budget::default(),
    };
    for planned in plan(&Robust::default(), &request)? {
        placement.set_layer(planned.layer, planned.placement);
    }
    Ok(placement)
}
