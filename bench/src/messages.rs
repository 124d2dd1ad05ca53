//! The message that is sent there and back: a product as shops describe them, about a kilobyte long. The same for the
//! SDK and for tonic, field by field. Never: shared between calls; each makes its own, as programs do.

use crate::contracts::contracts::echo::v1 as sdk;
use crate::for_tonic as tonic;
use shoal_sdk::MessageField;

const SENTENCES: &str = "Thrown by hand from stoneware and glazed twice, so that no two are quite alike. Holds a third of a \
    litre, stays warm for long, and may go into the dishwasher and the microwave. The foot is left unglazed and has been \
    polished, so that it does not scratch the table. Made by two people in a workshop by the sea; what is left of the clay is \
    used again. Comes in a box of pressed paper, without plastic. If it arrives broken, we send another, and you keep the pieces. \
    The blue comes from cobalt and the white from tin, as it has for five hundred years; it fades neither in the sun nor in the \
    wash. Each mug is signed below its handle by the one who threw it, and numbered within its firing. Sets are chosen from one \
    firing where there are enough of them.";
const ATTRIBUTES: [(&str, &str); 6] = [
    ("material", "stoneware"),
    ("colour", "tide blue"),
    ("height", "92 mm"),
    ("diameter", "84 mm"),
    ("care", "dishwasher, microwave"),
    ("origin", "a workshop by the sea"),
];
const TAGS: [&str; 5] = ["kitchen", "mug", "stoneware", "handmade", "gift"];
const ID: &str = "0190f5c2-7b1e-7c3a-9d54-6f0a2b8e1c77";
const NAME: &str = "Tide mug, set of two";
const CHANGED_AT_MS: i64 = 1_795_000_000_000;

/// What an SDK client sends.
pub fn for_sdk() -> sdk::SayRequest {
    let attribute = |(name, value): &(&str, &str)| sdk::Attribute {
        name: (*name).into(),
        value: (*value).into(),
        ..Default::default()
    };
    let price = sdk::Price { minor: 3490, currency: "EUR".into(), ..Default::default() };
    let product = sdk::Product {
        id: ID.into(),
        name: NAME.into(),
        description: SENTENCES.into(),
        price: MessageField::some(price),
        attributes: ATTRIBUTES.iter().map(attribute).collect(),
        tags: TAGS.iter().map(|tag| (*tag).into()).collect(),
        changed_at_ms: CHANGED_AT_MS,
        ..Default::default()
    };
    sdk::SayRequest { product: MessageField::some(product), ..Default::default() }
}

/// Whether all of it came back.
pub fn is_whole(answer: &sdk::SayResponse) -> bool {
    answer.product.tags.len() == TAGS.len()
}

/// What a tonic client sends.
pub fn for_tonic() -> tonic::SayRequest {
    let attribute = |(name, value): &(&str, &str)| tonic::Attribute { name: (*name).into(), value: (*value).into() };
    let product = tonic::Product {
        id: ID.into(),
        name: NAME.into(),
        description: SENTENCES.into(),
        price: Some(tonic::Price { minor: 3490, currency: "EUR".into() }),
        attributes: ATTRIBUTES.iter().map(attribute).collect(),
        tags: TAGS.iter().map(|tag| (*tag).into()).collect(),
        changed_at_ms: CHANGED_AT_MS,
    };
    tonic::SayRequest { product: Some(product) }
}

#[cfg(test)]
mod tests {
    use buffa::Message as _;
    use prost::Message as _;

    #[test]
    fn both_send_the_same_kilobyte() {
        let sdk = super::for_sdk().encode_to_vec();
        assert_eq!(sdk, super::for_tonic().encode_to_vec());
        assert!((1000..1100).contains(&sdk.len()), "{}", sdk.len());
    }
}
