//! What a service is told by its manifest alone: environment variables, settings, and which database it has.
//!
//! Never: lets a variable through that Shoal sets itself; the program would be misled.

use crate::Code;
use crate::diagnostic::Problems;
use crate::service::callees;
use crate::tables::{DatabaseValue, DatabaseWord, ServiceTable};
use crate::words::shown;
use shoal_model::{Database, ServiceName};
use std::collections::BTreeMap;
use std::ops::Range;

/// Linux limits one variable, name and value, to 128 KiB; the rest is left to spare.
const SETTINGS_MAX: usize = 64 * 1024;
/// The most variables of one service.
const VARIABLES_MAX: usize = 500;

/// The variables of its own; a problem for each that is not its to set.
pub(crate) fn variables(name: &ServiceName, table: &ServiceTable, problems: &mut Problems) -> BTreeMap<String, String> {
    let Some(env) = &table.env else {
        return BTreeMap::new();
    };
    if env.value.0.len() > VARIABLES_MAX {
        let message = format!("`services.{name}.env` has more than {VARIABLES_MAX} variables");
        problems.add(Code::PastLimit, &env.key, message, "put values that only the service reads under `settings`");
    }
    for (variable, at) in &env.value.0 {
        if !check_name(variable, &at.key, problems) {
            continue;
        }
        if let Some(why) = taken(variable, table) {
            let message = format!("the variable `{variable}` of `services.{name}` is set by Shoal: {why}");
            problems.add(Code::VariableTaken, &at.key, message, "remove it here, or give yours another name");
        }
    }
    env.value.0.iter().map(|(variable, at)| (variable.clone(), at.value.clone())).collect()
}

/// Whether this can be a variable's name; a problem when it cannot.
fn check_name(variable: &str, place: &Range<usize>, problems: &mut Problems) -> bool {
    let first = variable.bytes().next();
    let letters = variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_good = letters && first.is_some_and(|byte| !byte.is_ascii_digit()) && variable.len() <= 128;
    if !is_good {
        let message = format!("{} is not a name for an environment variable", shown(variable));
        let mend = "use letters, digits and `_`, not starting with a digit";
        problems.add(Code::BadVariable, place, message, mend);
    }
    is_good
}

/// The database; `None` when what is asked for was not understood, which was reported.
pub(crate) fn database(value: &DatabaseValue, problems: &mut Problems) -> Option<Database> {
    let by_word = |word| match word {
        DatabaseWord::Sqlite => Database::Sqlite,
        DatabaseWord::Postgres => Database::Postgres,
    };
    match value {
        DatabaseValue::Word(word) => Some(by_word(*word)),
        DatabaseValue::Named(table) => {
            let (variable, default) = (table.env.as_ref()?, table.default.as_ref()?);
            check_name(&variable.value, &variable.span, problems);
            Some(Database::Named { variable: variable.value.clone(), otherwise: Box::new(by_word(default.value)) })
        }
    }
}

/// Why a variable is not the manifest's to set.
fn taken(variable: &str, table: &ServiceTable) -> Option<&'static str> {
    let calls = &callees(&table.calls) | &callees(&table.calls_later);
    if variable == "PORT" {
        Some("it tells a replica where to listen")
    } else if variable.starts_with("LISTEN_") {
        Some("`LISTEN_…` tells a replica of the socket it was passed")
    } else if variable.starts_with("SHOAL_") {
        Some("`SHOAL_…` tells a replica of its place in the application")
    } else if variable == "DATABASE_URL" && table.database.is_some() {
        Some("it names the database that `database` asks for")
    } else if calls.iter().any(|callee| callee.url_variable() == variable) {
        Some("it tells where a service that it calls can be reached")
    } else {
        None
    }
}

/// The settings as JSON text.
pub(crate) fn settings(name: &ServiceName, table: &ServiceTable, problems: &mut Problems) -> Option<String> {
    let settings = table.settings.as_ref()?;
    let text = serde_json::Value::Object(settings.value.0.clone()).to_string();
    if text.len() > SETTINGS_MAX {
        let message = format!("`services.{name}.settings` takes {} bytes as JSON, at most {SETTINGS_MAX}", text.len());
        problems.add(Code::PastLimit, &settings.key, message, "keep data in a file of the service");
    }
    Some(text)
}
