//! Values that no honest caller sends: the edges of every type, the wrong types, and what programs choke on.

use serde_json::{Value, json};

/// What stands in for one value of a request.
pub fn values() -> Vec<Value> {
    let mut values = vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(i32::MAX),
        json!(i64::from(i32::MAX) + 1),
        json!(i32::MIN),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5),
        json!(1e308),
        json!(-0.0),
        json!([]),
        json!([[]]),
        json!({}),
        json!({ "minor": i64::MAX, "currency": "EUR" }),
        json!({ "minor": -1, "currency": "XXX" }),
        json!(vec!["tide-mug"; 101]),
        json!(["tide-mug", "tide-mug"]),
        json!([{ "productId": "tide-mug", "quantity": 1 }, { "productId": "tide-mug", "quantity": 1 }]),
    ];
    values.extend(TEXTS.iter().map(|text| json!(text)));
    values.push(json!("x".repeat(300)));
    values.push(json!("ﷺ".repeat(5_000)));
    values.push(json!("9".repeat(400)));
    values
}

const TEXTS: [&str; 44] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "\r\n",
    "\t",
    "\u{7f}",
    "\u{85}",
    "\u{202e}abc",
    "\u{feff}",
    "\u{fffd}",
    "ß",
    "İ",
    "𝔘𝔫𝔦",
    "e\u{301}",
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "NaN",
    "Infinity",
    "1e3",
    "true",
    "EUR",
    "eur",
    "XXX",
    "DE",
    "de",
    "guest:",
    "customer:",
    "guest:../../x",
    "guest:a",
    "customer:a:b",
    "../../etc/passwd",
    "' OR 1=1; --",
    "%",
    "_",
    "\\",
    "*\" OR \"",
    "<script>alert(1)</script>",
    "01933000-0000-7000-8000-00000000beef",
];

/// The request with one value of it replaced, for every place in it; or, for `None`, taken out.
pub fn replaced(request: &Value, odd: Option<&Value>) -> Vec<Value> {
    let mut found = Vec::new();
    let mut places = Vec::new();
    places_of(request, String::new(), &mut places);
    for place in places {
        let mut changed = request.clone();
        match odd {
            Some(odd) => *changed.pointer_mut(&place).unwrap() = odd.clone(),
            None => {
                let (parent, name) = place.rsplit_once('/').unwrap();
                match changed.pointer_mut(parent).unwrap() {
                    Value::Object(fields) => drop(fields.remove(name)),
                    Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                    _ => unreachable!("only these hold others"),
                }
            }
        }
        found.push(changed);
    }
    found
}

fn places_of(value: &Value, here: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places.push(format!("{here}/{name}"));
                places_of(value, format!("{here}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places.push(format!("{here}/{index}"));
                places_of(value, format!("{here}/{index}"), places);
            }
        }
        _ => {}
    }
}
