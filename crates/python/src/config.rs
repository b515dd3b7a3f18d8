//! Configurations as Python gives them: a path, TOML text, or a mapping.

use std::path::PathBuf;

use eplb::core::{ModelShape, Topology};
use eplb::{Config, PolicySection};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde::de::DeserializeOwned;

use crate::error::{Kind, OrException};
use crate::topology::PyTopology;

/// Reads and checks a configuration.
pub(crate) fn read(given: &Bound<'_, PyAny>) -> PyResult<Config> {
    if let Ok(text) = given.cast::<PyString>() {
        return Config::parse(&text.to_cow()?, "config").or_exception();
    }
    if given.hasattr("__fspath__")? {
        return Config::read(&given.extract::<PathBuf>()?).or_exception();
    }
    let config: Config = of_mapping(given, "config")?;
    config.check().or_exception()?;
    Ok(config)
}

/// Reads the section `[policy]`, of which a name alone is enough.
pub(crate) fn policy(given: &Bound<'_, PyAny>) -> PyResult<PolicySection> {
    if let Ok(name) = given.cast::<PyString>() {
        return Ok(PolicySection { name: name.to_cow()?.into_owned(), ..PolicySection::default() });
    }
    of_mapping(given, "policy")
}

/// The model that a configuration speaks of.
pub(crate) fn shape(config: &Config) -> PyResult<ModelShape> {
    let model = &config.model;
    if model.layers == 0 || model.experts == 0 {
        return Err(Kind::Config.says("model.layers and model.experts are needed here; give both"));
    }
    ModelShape::new(model.layers, model.experts, model.groups).or_exception()
}

/// The ranks that are given, or else those that the configuration speaks of.
pub(crate) fn topology(
    config: &Config,
    shape: ModelShape,
    given: Option<&PyTopology>,
) -> PyResult<Topology> {
    match given {
        Some(given) => Ok(given.topology.clone()),
        None => config.topology(shape.experts() as u32).or_exception(),
    }
}

fn of_mapping<T: DeserializeOwned>(given: &Bound<'_, PyAny>, name: &str) -> PyResult<T> {
    let Ok(mapping) = given.cast::<PyDict>() else {
        let found = given.get_type().name()?;
        let text = format!("{name} is a {found}, allowed are a dict, TOML text and a path");
        return Err(Kind::Argument.says(text));
    };
    let table = toml::Value::Table(table(mapping, name)?);
    table.try_into().map_err(|error: toml::de::Error| {
        Kind::Config.says(format!("{name}: {}", error.message().replace('\n', "; ")))
    })
}

fn table(mapping: &Bound<'_, PyDict>, name: &str) -> PyResult<toml::Table> {
    let mut table = toml::Table::new();
    for (key, value) in mapping {
        let key: String = key.extract()?;
        let name = format!("{name}.{key}");
        // As in TOML, what is not said is left out.
        if !value.is_none() {
            table.insert(key, self::value(&value, &name)?);
        }
    }
    Ok(table)
}

fn value(given: &Bound<'_, PyAny>, name: &str) -> PyResult<toml::Value> {
    // Booleans are integers too, so they come first.
    if let Ok(value) = given.cast::<PyBool>() {
        return Ok(toml::Value::Boolean(value.is_true()));
    }
    if given.is_instance_of::<PyInt>() {
        return Ok(toml::Value::Integer(given.extract()?));
    }
    if given.is_instance_of::<PyFloat>() {
        return Ok(toml::Value::Float(given.extract()?));
    }
    if let Ok(value) = given.cast::<PyString>() {
        return Ok(toml::Value::String(value.to_cow()?.into_owned()));
    }
    if let Ok(value) = given.cast::<PyDict>() {
        return Ok(toml::Value::Table(table(value, name)?));
    }
    if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
        let values = given.try_iter()?.map(|item| value(&item?, name));
        return Ok(toml::Value::Array(values.collect::<PyResult<_>>()?));
    }
    if given.hasattr("__fspath__")? {
        let path: PathBuf = given.extract()?;
        return Ok(toml::Value::String(path.display().to_string()));
    }
    let found = given.get_type().name()?;
    Err(Kind::Config.says(format!("{name} is a {found}, which no setting is")))
}
