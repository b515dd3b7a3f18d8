//! `[pool]` of a configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eplb_executor::{
    ExpertLayout, ExpertPool, PoolError, SafetensorsPool, SharedMemoryPool, TensorTemplate,
};
use serde::{Deserialize, Serialize};

use crate::config::{value, within};
use crate::{ConfigError, Patience};

/// `[pool]`: all experts of the model on the host, to start from and to bring back experts whose last
/// replica died.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSection {
    /// Where the experts are kept.
    pub kind: PoolKind,
    /// The checkpoint: a `safetensors` file, or a folder with such files. With `shared_memory` it is what
    /// the memory is filled from. Relative to the working directory.
    pub path: PathBuf,
    /// How the checkpoint names tensors; see [`TensorTemplate`].
    pub template: String,
    /// The number in the checkpoint of the model's first MoE layer.
    pub first_layer: u32,
    /// From one MoE layer to the next in the checkpoint.
    pub layer_step: u32,
    /// For each registered tensor those of the checkpoint that it is made of, one after the other; what is
    /// not named here has the same name there.
    pub tensors: BTreeMap<String, Vec<String>>,
    /// The name under which the processes of a node share the memory of `shared_memory`: of a file
    /// in `/dev/shm`. Models that are served beside each other need different ones.
    pub segment: String,
    /// Seconds that each part of a rank's start may take: waiting until another process has filled the
    /// shared memory, filling the slots, and reading them for the checksums of `executor.verify`.
    pub timeout: f64,
}

/// Where the experts of a pool are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// There is no pool, unless the engine hands one in.
    #[default]
    None,
    /// In the checkpoint's files, read as needed.
    Safetensors,
    /// In shared memory of each node, filled once from the checkpoint's files.
    SharedMemory,
}

impl Default for PoolSection {
    fn default() -> Self {
        Self {
            kind: PoolKind::None,
            path: PathBuf::new(),
            template: "model.layers.{layer}.mlp.experts.{expert}.{tensor}".to_owned(),
            first_layer: 0,
            layer_step: 1,
            tensors: BTreeMap::new(),
            segment: "eplb-experts".to_owned(),
            timeout: 600.0,
        }
    }
}

impl PoolSection {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        within("pool.timeout", self.timeout, 0.001, 86_400.0)?;
        if self.kind == PoolKind::None {
            return Ok(());
        }
        let is_name = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('/');
        let shares = self.kind == PoolKind::SharedMemory;
        let refuse = |key, found: String, allowed: &str| {
            Err(value(key, format!("{found:?}"), allowed.to_owned()))
        };
        if self.path.as_os_str().is_empty() {
            return refuse(
                "pool.path",
                String::new(),
                "a safetensors file or a folder of such files",
            );
        }
        if shares && !is_name(&self.segment) {
            return refuse("pool.segment", self.segment.clone(), "the name of a file in /dev/shm");
        }
        within("pool.layer_step", self.layer_step, 1, 4_096)?;
        match self.tensor_template().check() {
            Err(PoolError::Template { pattern, reason }) => {
                let allowed = "{layer}, {tensor} and, as a rule, {expert} in it";
                Err(value("pool.template", format!("{pattern:?}"), format!("{allowed}; {reason}")))
            }
            _ => Ok(()),
        }
    }

    /// The pool that is configured, if one is, with the experts that `layout` names. Waits for other
    /// processes that fill it, at most as long as `timeout` says.
    ///
    /// # Errors
    /// As [`SafetensorsPool::open`] and [`SharedMemoryPool::open`].
    pub fn open(&self, layout: ExpertLayout) -> Result<Option<Arc<dyn ExpertPool>>, PoolError> {
        let files = || SafetensorsPool::open(&self.path, &self.tensor_template(), layout);
        Ok(match self.kind {
            PoolKind::None => None,
            PoolKind::Safetensors => Some(Arc::new(files()?)),
            PoolKind::SharedMemory => {
                let path = SharedMemoryPool::path_of(&self.segment);
                Some(Arc::new(SharedMemoryPool::open(&path, &files()?, &mut self.patience())?))
            }
        })
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience::new(Duration::from_secs_f64(self.timeout))
    }

    fn tensor_template(&self) -> TensorTemplate {
        TensorTemplate {
            pattern: self.template.clone(),
            first_layer: self.first_layer,
            layer_step: self.layer_step,
            tensors: self.tensors.clone(),
        }
    }
}
