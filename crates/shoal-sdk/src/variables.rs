//! The process's environment, captured once by `run` and read from there. Never: consulted again later.

use crate::StartError;
use shoal_model::ServiceName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A captured environment. Variables that are not UTF-8 are left out; Shoal sets none such.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, String>,
}

impl Variables {
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().collect() }
    }

    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// A number, or an error that names the variable.
    pub fn number<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, StartError> {
        let parse = |text: &str| text.parse().map_err(|_| StartError::new(format!("{name}=`{text}` is not {what}")));
        self.get(name).map(parse).transpose()
    }

    /// The services named in `SHOAL_CALLS`.
    pub fn calls(&self) -> Result<BTreeSet<ServiceName>, StartError> {
        let names = self.get("SHOAL_CALLS").unwrap_or_default().split(',');
        names
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(|name| {
                name.parse().map_err(|why| StartError::new("SHOAL_CALLS names no services").because(NotAName(why)))
            })
            .collect()
    }

    /// The settings in `SHOAL_SETTINGS`; an empty object when there are none.
    pub fn settings(&self) -> Result<serde_json::Value, StartError> {
        let Some(text) = self.get("SHOAL_SETTINGS") else {
            return Ok(serde_json::Value::Object(serde_json::Map::new()));
        };
        match serde_json::from_str(text) {
            Ok(settings @ serde_json::Value::Object(_)) => Ok(settings),
            Ok(_) => Err(StartError::new("SHOAL_SETTINGS is not a JSON object")),
            Err(error) => Err(StartError::new("SHOAL_SETTINGS is not a JSON object").because(error)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAName(shoal_model::NameError);

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        Variables::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn what_is_wrong_names_the_variable() {
        let variables = variables(&[("PORT", "eighty"), ("SHOAL_CALLS", "a,B"), ("SHOAL_SETTINGS", "[1]")]);
        let port = variables.number::<u16>("PORT", "a port").unwrap_err().to_string();
        assert_eq!(port, "PORT=`eighty` is not a port");
        assert!(variables.calls().unwrap_err().to_string().contains("SHOAL_CALLS"));
        assert!(variables.settings().unwrap_err().to_string().contains("SHOAL_SETTINGS"));
    }

    #[test]
    fn empty_is_unset() {
        let variables = variables(&[("PORT", ""), ("SHOAL_CALLS", " a , b,,"), ("SHOAL_SETTINGS", "")]);
        assert_eq!(variables.number::<u16>("PORT", "a port").unwrap(), None);
        assert_eq!(variables.calls().unwrap().len(), 2);
        assert_eq!(variables.settings().unwrap(), serde_json::json!({}));
    }
}
