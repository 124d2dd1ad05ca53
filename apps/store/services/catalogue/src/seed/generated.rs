//! Products for load tests: any number of them, each the same at every start. Never: part of the shop unless a setting asks for them.

use super::{CATEGORIES, CURRENCIES, plant_text};
use crate::picture::FORMS;
use crate::products::Text;
use shoal_sdk::{Connection, Error};

const QUALITIES: [&str; 16] = [
    "Amber", "Birch", "Chalk", "Dawn", "Elder", "Flint", "Grove", "Hazel", "Island", "Juniper", "Kelp", "Lark", "Moss",
    "North", "Otter", "Pine",
];

/// Puts in the generated product of this number.
pub async fn plant(connection: &mut Connection, number: u32, now_ms: i64) -> Result<(), Error> {
    let index = number as usize;
    let form = &FORMS[index % FORMS.len()];
    let quality = QUALITIES[index / FORMS.len() % QUALITIES.len()];
    let thing = form.tag.replace('-', " ");
    let text = Text {
        id: format!("load-{number:06}"),
        name: format!("{quality} {thing} {number}"),
        summary: format!("A {thing} made for measuring."),
        description: format!(
            "Number {number} of many. It exists so that the shop can be measured with a catalogue of any size."
        ),
        category: CATEGORIES[index % CATEGORIES.len()].0.to_owned(),
        tags: vec![form.tag.to_owned(), quality.to_lowercase(), format!("batch-{}", number / 1000)],
    };
    let euro = 500 + i64::from(number.wrapping_mul(2_654_435_761) % 20_000);
    let prices = CURRENCIES.map(|currency| match currency {
        "USD" => euro * 108 / 100,
        "GBP" => euro * 85 / 100,
        "JPY" => euro * 161 / 100,
        _ => euro,
    });
    plant_text(connection, &text, prices, 1_000_000 + i64::from(number), now_ms).await
}
