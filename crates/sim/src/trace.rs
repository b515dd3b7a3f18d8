//! Recorded routing: expert loads with what is known about the tokens behind them.

use std::path::{Path, PathBuf};

use eplb_core::{ExpertLoad, LayerId, ModelShape};
use thiserror::Error;

use crate::load_file::{Archive, Format, LoadFile, LoadFileError, LoadFileProblem};

/// Expert loads in the order they were recorded, and how many tokens made them.
///
/// Read from any file that [`LoadFile`] reads. A `.npz` may say more in arrays of one value:
///
/// | array | meaning | without it |
/// |---|---|---|
/// | `top_k` | experts that each token goes to | [`Trace::DEFAULT_TOP_K`], or all experts if there are fewer |
/// | `tokens_per_window` | tokens of each window | the largest sum of a layer over `top_k`, rounded up |
/// | `n_group` | expert groups of each layer | 1 |
/// | `n_layers`, `n_experts` | a check of the dimensions | no check |
/// | `model`, `schedule` | where it comes from, as text | none |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The file's name without its ending.
    pub name: String,
    /// Layers, experts and expert groups of the model.
    pub shape: ModelShape,
    /// The windows, in order; at least one.
    pub windows: Vec<ExpertLoad>,
    /// Experts that each token is routed to; at most the experts of a layer.
    pub top_k: usize,
    /// Tokens that each window covers; at least 1.
    pub tokens_per_window: u64,
    /// The model that was recorded.
    pub model: Option<String>,
    /// How the mix of requests changes over time.
    pub schedule: Option<String>,
}

/// Why a file is no [`Trace`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file holds no loads.
    #[error(transparent)]
    Load(#[from] LoadFileError),
    /// More experts a token than there are, or none.
    #[error("{}: top_k is {top_k}, allowed is 1 to {experts} (the experts of a layer)", path.display())]
    TopK {
        /// The file.
        path: PathBuf,
        /// What it says.
        top_k: u64,
        /// Experts of a layer.
        experts: usize,
    },
    /// A dimension of `counts` is not what the file says elsewhere.
    #[error("{}: {key} is {stated}, the counts have {found}", path.display())]
    Dimension {
        /// The file.
        path: PathBuf,
        /// `n_layers` or `n_experts`.
        key: &'static str,
        /// What it says.
        stated: u64,
        /// What the counts have.
        found: usize,
    },
    /// A layer's counts are not those of the window's tokens.
    #[error(
        "{}: window {window}, {layer}: the counts sum to {sum}, tokens_per_window {tokens} with \
         top_k {top_k} needs {}",
        path.display(),
        u128::from(*tokens) * *top_k as u128
    )]
    Sum {
        /// The file.
        path: PathBuf,
        /// The window, from 0.
        window: usize,
        /// The layer.
        layer: LayerId,
        /// Sum of its counts.
        sum: u64,
        /// Tokens of a window.
        tokens: u64,
        /// Experts a token.
        top_k: usize,
    },
    /// Nothing was routed anywhere.
    #[error("{}: all counts are zero, a trace needs at least one token", path.display())]
    NoTokens {
        /// The file.
        path: PathBuf,
    },
}

impl Trace {
    /// Experts a token where a file does not say: that of DeepSeek-V3 and Qwen3.
    pub const DEFAULT_TOP_K: usize = 8;

    /// Reads a trace.
    ///
    /// # Errors
    /// A file that holds no loads, or whose `top_k`, `tokens_per_window` or dimensions disagree
    /// with its counts.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let stated = Stated::read(path)?;
        let LoadFile { shape, windows } = LoadFile::read_with_groups(path, stated.groups)?;
        stated.check_dimensions(path, shape)?;
        let top_k = stated.top_k(path, shape.experts())?;
        let tokens_per_window = match stated.tokens_per_window {
            Some(tokens) => {
                check_sums(path, &windows, top_k, tokens)?;
                tokens
            }
            None => {
                layer_sums(&windows).map(|(.., sum)| sum.div_ceil(top_k as u64)).max().unwrap_or(0)
            }
        };
        if tokens_per_window == 0 {
            return Err(TraceError::NoTokens { path: path.to_owned() });
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Stated { model, schedule, .. } = stated;
        Ok(Self { name, shape, windows, top_k, tokens_per_window, model, schedule })
    }
}

/// What a file says besides its counts.
struct Stated {
    groups: u32,
    top_k: Option<u64>,
    tokens_per_window: Option<u64>,
    layers: Option<u64>,
    experts: Option<u64>,
    model: Option<String>,
    schedule: Option<String>,
}

impl Stated {
    fn read(path: &Path) -> Result<Self, LoadFileError> {
        Self::read_problem(path).map_err(|problem| LoadFileError::new(path, problem))
    }

    fn read_problem(path: &Path) -> Result<Self, LoadFileProblem> {
        if Format::of(path)? != Format::Npz {
            return Ok(Self {
                groups: 1,
                top_k: None,
                tokens_per_window: None,
                layers: None,
                experts: None,
                model: None,
                schedule: None,
            });
        }
        let mut archive = Archive::open(path)?;
        let groups = archive.whole_number("n_group")?.unwrap_or(1);
        Ok(Self {
            // Too large for u32 is too many groups for any shape, which then says what is allowed.
            groups: u32::try_from(groups).unwrap_or(u32::MAX),
            top_k: archive.whole_number("top_k")?,
            tokens_per_window: archive.whole_number("tokens_per_window")?,
            layers: archive.whole_number("n_layers")?,
            experts: archive.whole_number("n_experts")?,
            model: archive.text("model")?,
            schedule: archive.text("schedule")?,
        })
    }

    fn check_dimensions(&self, path: &Path, shape: ModelShape) -> Result<(), TraceError> {
        let dimensions = [
            ("n_layers", self.layers, shape.layers()),
            ("n_experts", self.experts, shape.experts()),
        ];
        for (key, stated, found) in dimensions {
            if let Some(stated) = stated.filter(|&stated| stated != found as u64) {
                return Err(TraceError::Dimension { path: path.to_owned(), key, stated, found });
            }
        }
        Ok(())
    }

    fn top_k(&self, path: &Path, experts: usize) -> Result<usize, TraceError> {
        match self.top_k {
            None => Ok(Trace::DEFAULT_TOP_K.min(experts)),
            Some(top_k) if (1..=experts as u64).contains(&top_k) => Ok(top_k as usize),
            Some(top_k) => Err(TraceError::TopK { path: path.to_owned(), top_k, experts }),
        }
    }
}

/// Window, layer and the sum of the layer's counts.
fn layer_sums(windows: &[ExpertLoad]) -> impl Iterator<Item = (usize, LayerId, u64)> {
    windows.iter().enumerate().flat_map(|(window, load)| {
        load.shape().layer_ids().map(move |layer| (window, layer, load.layer(layer).iter().sum()))
    })
}

fn check_sums(
    path: &Path,
    windows: &[ExpertLoad],
    top_k: usize,
    tokens: u64,
) -> Result<(), TraceError> {
    let expected = u128::from(tokens) * top_k as u128;
    match layer_sums(windows).find(|&(.., sum)| u128::from(sum) != expected) {
        None => Ok(()),
        Some((window, layer, sum)) => {
            Err(TraceError::Sum { path: path.to_owned(), window, layer, sum, tokens, top_k })
        }
    }
}
