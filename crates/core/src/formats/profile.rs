//! Profiles: what is known of a service's traffic, as JSON, so that it outlives the service.
//!
//! ```json
//! {"format": "eplb-profile", "version": 1, "layers": 1, "experts": 4, "groups": 1, "windows": [
//!   {"recent": 0.25, "lasting": 5.5, "count": 6, "counts": [[700, 100, 100, 300]]},
//!   {"recent": 1, "lasting": 1, "count": 1, "counts": [[90, 10, 60, 40]]}]}
//! ```
//!
//! `windows` are those of an [`Ensemble`], oldest first: `counts` are the tokens of each logical expert,
//! layers × experts, summed over the `count` windows that the window stands for; `recent` and `lasting` are
//! the two parts of its weight ([`WindowWeight`]), each 1 for a window just seen. Numbers are written such
//! that they are read back exactly.

use serde::Serialize;

use super::FormatError;
use super::json::{self, Node};
use crate::{Ensemble, EnsembleSettings, ExpertLoad, LayerId, ModelShape, Weighted, WindowWeight};

const FORMAT: &str = "eplb-profile";
const VERSION: u64 = 1;

/// The profile that an ensemble makes.
///
/// # Errors
/// An ensemble without windows.
pub fn write(ensemble: &Ensemble) -> Result<String, FormatError> {
    if ensemble.is_empty() {
        return Err(FormatError::NoWindows);
    }
    let shape = ensemble.shape();
    let profile = Profile {
        format: FORMAT,
        version: VERSION,
        layers: shape.layers(),
        experts: shape.experts(),
        groups: shape.groups(),
        windows: ensemble.windows().map(Window::of).collect(),
    };
    serde_json::to_string(&profile)
        .map_err(|error| FormatError::Json { message: error.to_string() })
}

#[derive(Serialize)]
struct Profile<'a> {
    format: &'static str,
    version: u64,
    layers: usize,
    experts: usize,
    groups: usize,
    windows: Vec<Window<'a>>,
}

#[derive(Serialize)]
struct Window<'a> {
    recent: f64,
    lasting: f64,
    count: f64,
    counts: Vec<&'a [u64]>,
}

impl<'a> Window<'a> {
    fn of(window: &'a Weighted) -> Self {
        let weight = window.weight;
        let (recent, lasting, count) = (weight.recent(), weight.lasting(), weight.count());
        Self { recent, lasting, count, counts: window.load.rows().collect() }
    }
}

/// The windows of a profile, as the recent ones of an ensemble that has room for just these. What goes
/// on watching takes them in with [`Ensemble::merge`], or [`Ensemble::from_windows`] makes an ensemble
/// of other settings from them.
///
/// # Errors
/// Text that is no profile of this version, dimensions that are no model, no window or more than
/// [`Ensemble::MOST_WINDOWS`], and windows whose weights or counts are none; the message names the
/// field.
pub fn parse(text: &str) -> Result<Ensemble, FormatError> {
    let value = json::parse(text)?;
    let root = Node::root(&value);
    check_header(&root)?;
    let shape = read_shape(&root)?;
    let list = root.field("windows")?;
    let entries = list.array()?;
    let (found, most) = (entries.len(), Ensemble::MOST_WINDOWS);
    if found == 0 {
        return Err(FormatError::NoWindows);
    }
    if found > most {
        return Err(FormatError::TooManyWindows { field: list.path(), found, most });
    }
    let windows = entries.iter().enumerate();
    let windows = windows.map(|(index, value)| read_window(&list.entry(index, value), shape));
    let windows = windows.collect::<Result<Vec<_>, _>>()?;
    let settings = EnsembleSettings { recent: found, representatives: 0 };
    Ensemble::from_windows(shape, settings, windows)
        .map_err(|problem| FormatError::Window { field: list.path(), problem })
}

fn check_header(root: &Node<'_>) -> Result<(), FormatError> {
    let format = root.field("format")?;
    let said = format.text()?;
    if said != FORMAT {
        let (field, found) = (format.path(), format!("{said:?}"));
        return Err(FormatError::Kind { field, found, expected: "\"eplb-profile\"" });
    }
    let version = root.field("version")?;
    let said = version.count()?;
    if said != VERSION {
        let (field, found) = (version.path(), said.to_string());
        let expected = "1, the version that is read here";
        return Err(FormatError::Kind { field, found, expected });
    }
    Ok(())
}

fn read_shape(root: &Node<'_>) -> Result<ModelShape, FormatError> {
    let dimension = |name: &str| -> Result<u32, FormatError> {
        // Too large for u32 is too large for any shape, which then says what is allowed.
        Ok(u32::try_from(root.field(name)?.count()?).unwrap_or(u32::MAX))
    };
    Ok(ModelShape::new(dimension("layers")?, dimension("experts")?, dimension("groups")?)?)
}

fn read_window(window: &Node<'_>, shape: ModelShape) -> Result<Weighted, FormatError> {
    let part = |name: &str| window.field(name)?.number();
    let weight = WindowWeight::from_parts(part("recent")?, part("lasting")?, part("count")?)
        .map_err(|problem| FormatError::Window { field: window.path(), problem })?;
    let counts = window.field("counts")?;
    let rows = counts.array_of(shape.layers(), "MoE layers")?;
    let mut load = ExpertLoad::zeros(shape);
    for (index, value) in rows.iter().enumerate() {
        let row = counts.entry(index, value);
        let experts = row.array_of(shape.experts(), "logical experts")?.iter().enumerate();
        let tokens = experts.map(|(expert, value)| row.entry(expert, value).count());
        let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
        load.set_layer(LayerId(index as u32), &tokens)
            .map_err(|problem| FormatError::WindowLoad { field: window.path(), problem })?;
    }
    Ok(Weighted { load, weight })
}
