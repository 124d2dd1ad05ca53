//! The JSON Schema: complete, explained, and true to what is read.

use serde_json::Value;
use shoal_manifest::schema;

fn objects<'a>(value: &'a Value, path: &str, seen: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(object) => {
            seen.push((path.to_owned(), value));
            object.iter().for_each(|(key, value)| objects(value, &format!("{path}/{key}"), seen));
        }
        Value::Array(items) => items.iter().for_each(|value| objects(value, &format!("{path}[]"), seen)),
        _ => {}
    }
}

#[test]
fn every_key_is_explained_and_no_other_is_allowed() {
    let schema = schema();
    let mut seen = Vec::new();
    objects(&schema, "", &mut seen);
    let mut keys = 0;
    for (path, object) in &seen {
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            assert_eq!(object["additionalProperties"], Value::Bool(false), "{path}");
            for (key, property) in properties {
                assert!(!key.contains('_'), "{path}/{key}");
                assert!(property.get("description").is_some(), "{path}/{key} has no description");
                keys += 1;
            }
        }
    }
    assert!(keys > 40, "{keys}");
    assert!(!schema.to_string().contains("null"), "TOML has no null");
}

#[test]
fn what_must_be_there_is_required() {
    let schema = schema();
    assert_eq!(schema["required"], serde_json::json!(["application", "services"]));
    assert_eq!(schema["$defs"]["ServiceTable"]["required"], serde_json::json!(["run"]));
    assert_eq!(schema["$defs"]["ServiceTable"]["properties"]["drain-timeout"]["type"], "string");
    assert_eq!(schema["$defs"]["GatewayTable"]["properties"]["routes"]["type"], "array");
}
