//! Configurations: `eplb_config`.

use std::ffi::c_char;

use eplb::Config;

use crate::boundary::export;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::status::Status;

/// What can be set, and the text that was last made of it.
pub(crate) struct ConfigObject {
    pub(crate) config: Config,
    text: String,
}

impl Object for ConfigObject {
    type Raw = c::eplb_config;
    const KIND: Kind = Kind { name: "eplb_config", number: 1 };
}

impl ConfigObject {
    fn new(config: Config) -> Self {
        Self { config, text: String::new() }
    }

    /// Sets the value of a key with its sections.
    fn set(&mut self, key: &str, value: toml::Value) -> Result<(), Failure> {
        let unusable =
            |reason: String| Failure::new(Status::Config, format!("{key} = {value}: {reason}"));
        let mut whole =
            toml::Table::try_from(&self.config).map_err(|error| unusable(error.to_string()))?;
        let (sections, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut section = &mut whole;
        for part in sections.split('.').filter(|part| !part.is_empty()) {
            let inner = section.entry(part).or_insert_with(|| toml::Table::new().into());
            section = inner
                .as_table_mut()
                .ok_or_else(|| unusable(format!("{part} is a value and no section")))?;
        }
        section.insert(name.to_owned(), value.clone());
        let changed = whole
            .try_into()
            .map_err(|error: toml::de::Error| unusable(error.message().replace('\n', "; ")))?;
        self.config = changed;
        Ok(())
    }
}

/// Sets a value of a handle.
fn set(
    caller: &Caller,
    config: *mut c::eplb_config,
    key: *const c_char,
    value: impl Into<toml::Value>,
) -> Result<(), Failure> {
    let key = caller.text("key", key)?;
    registry::with_mut::<ConfigObject, _>("config", config, |config| config.set(key, value.into()))
}

export! {
    fn eplb_config_create(caller, config: *mut *mut c::eplb_config) {
        let place = caller.place("config", config)?;
        place.set(registry::insert(ConfigObject::new(Config::default())));
        Ok(())
    }

    fn eplb_config_parse(
        caller,
        toml: *const c_char,
        origin: *const c_char,
        config: *mut *mut c::eplb_config,
    ) {
        let (toml, origin) = (caller.text("toml", toml)?, caller.text("origin", origin)?);
        let place = caller.place("config", config)?;
        place.set(registry::insert(ConfigObject::new(Config::parse(toml, origin)?)));
        Ok(())
    }

    fn eplb_config_set_bool(
        caller,
        config: *mut c::eplb_config,
        key: *const c_char,
        value: i32,
    ) {
        set(caller, config, key, value != 0)
    }

    fn eplb_config_set_integer(
        caller,
        config: *mut c::eplb_config,
        key: *const c_char,
        value: i64,
    ) {
        set(caller, config, key, value)
    }

    fn eplb_config_set_number(
        caller,
        config: *mut c::eplb_config,
        key: *const c_char,
        value: f64,
    ) {
        set(caller, config, key, value)
    }

    fn eplb_config_set_text(
        caller,
        config: *mut c::eplb_config,
        key: *const c_char,
        value: *const c_char,
    ) {
        let value = caller.text("value", value)?;
        set(caller, config, key, value)
    }

    fn eplb_config_check(_caller, config: *const c::eplb_config) {
        registry::with::<ConfigObject, _>("config", config, |config| Ok(config.config.check()?))
    }

    fn eplb_config_text(caller, config: *mut c::eplb_config, toml: *mut c::eplb_bytes) {
        let place = caller.place("toml", toml)?;
        registry::with_mut::<ConfigObject, _>("config", config, |config| {
            let text = toml::to_string(&config.config)
                .map_err(|error| Failure::new(Status::Config, error.to_string()))?;
            config.text = text + "\0";
            let size = config.text.len() - 1;
            place.set(c::eplb_bytes { data: config.text.as_ptr(), size });
            Ok(())
        })
    }

    fn eplb_config_free(_caller, config: *mut c::eplb_config) {
        registry::free::<ConfigObject>("config", config)
    }
}
