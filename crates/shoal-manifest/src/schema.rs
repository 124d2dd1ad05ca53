//! The JSON Schema of a manifest, made from the same declarations that read it, so that editors complete and explain.
//!
//! Never: says something that the reader does not do.

use crate::tables::ManifestTable;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `shoal.toml`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(ManifestTable).to_value();
    without_null(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "shoal.toml".into());
    }
    schema
}

/// A key may be left out, but TOML has no null to give it: takes the null that stands for "left out" away.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice != &serde_json::json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(without_null);
        }
        _ => {}
    }
}
