//! What this replica last heard from the catalogue: products, categories and pictures, for the moments when it does not answer.
//! It is bounded, is never written to disk, and is never used while the catalogue answers (a picture, whose address names its content, aside).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use store_contracts::store::catalogue::v1::{Category, Product, Sort};

use crate::money::Currency;

/// Products kept; beyond it, new ones are not.
const PRODUCTS_MAX: usize = 1_000;
/// Bytes of pictures kept; beyond it, new ones are not.
const PICTURE_BYTES_MAX: usize = 32 << 20;

/// A picture as the catalogue sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Changes when the picture does.
    pub etag: String,
    /// Its media type.
    pub content_type: String,
    /// The file.
    pub data: Vec<u8>,
}

/// The last good answers. Shared by all requests of a replica.
#[derive(Default)]
pub struct Memory {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    products: BTreeMap<String, Remembered>,
    categories: Vec<Category>,
    pictures: BTreeMap<String, Picture>,
    picture_bytes: usize,
}

struct Remembered {
    /// Place in the shop's own order; last for products only met elsewhere.
    place: usize,
    product: Product,
}

impl Memory {
    /// Nobody holds this lock across anything that could panic halfway through a change.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the categories.
    pub fn keep_categories(&self, categories: &[Category]) {
        self.kept().categories = categories.to_vec();
    }

    /// Keeps products, `first_place` being the first one's place in the shop's own order where that is known.
    pub fn keep_products(&self, products: &[Product], first_place: Option<usize>) {
        let mut kept = self.kept();
        for (offset, product) in products.iter().enumerate() {
            let room = kept.products.len() < PRODUCTS_MAX;
            match kept.products.get_mut(&product.id) {
                Some(remembered) => {
                    remembered.product = product.clone();
                    if let Some(first) = first_place {
                        remembered.place = first + offset;
                    }
                }
                None if room => {
                    let place = first_place.map_or(usize::MAX, |first| first + offset);
                    let product = product.clone();
                    kept.products.insert(product.id.clone(), Remembered { place, product });
                }
                None => {}
            }
        }
    }

    /// The categories.
    pub fn categories(&self) -> Vec<Category> {
        self.kept().categories.clone()
    }

    /// Those of the products that are remembered, in the order asked for.
    pub fn products(&self, ids: &[String]) -> Vec<Product> {
        let kept = self.kept();
        ids.iter().filter_map(|id| kept.products.get(id)).map(|remembered| remembered.product.clone()).collect()
    }

    /// At most `limit` products of a category (of all when empty), sorted as the catalogue would; and how many there are.
    pub fn list(&self, category: &str, sort: Sort, currency: Currency, limit: usize) -> (Vec<Product>, usize) {
        let kept = self.kept();
        let mut found: Vec<&Remembered> = kept
            .products
            .values()
            .filter(|remembered| category.is_empty() || remembered.product.category == category)
            .collect();
        let price = |remembered: &Remembered| price_minor(&remembered.product, currency.code());
        match sort {
            Sort::SORT_NAME => found.sort_by(|a, b| a.product.name.cmp(&b.product.name)),
            Sort::SORT_PRICE_ASCENDING => {
                found.sort_by_key(|remembered| price(remembered).unwrap_or(i64::MAX));
            }
            Sort::SORT_PRICE_DESCENDING => {
                found.sort_by_key(|remembered| std::cmp::Reverse(price(remembered).unwrap_or(0)));
            }
            Sort::SORT_UNSPECIFIED => found.sort_by_key(|remembered| remembered.place),
        }
        let total = found.len();
        let products = found.into_iter().take(limit).map(|remembered| remembered.product.clone()).collect();
        (products, total)
    }

    /// Remembered products in which every word occurs: a plain stand-in for the catalogue's search.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Product> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let kept = self.kept();
        let mut found: Vec<&Remembered> = kept
            .products
            .values()
            .filter(|remembered| {
                let product = &remembered.product;
                let text = format!("{} {} {} {}", product.name, product.summary, product.description, product.category)
                    .to_lowercase();
                words.iter().all(|word| text.contains(word) || product.tags.contains(word))
            })
            .collect();
        found.sort_by_key(|remembered| remembered.place);
        found.into_iter().take(limit).map(|remembered| remembered.product.clone()).collect()
    }

    /// Remembered products of the same category, without the product itself.
    pub fn related(&self, id: &str, limit: usize) -> Vec<Product> {
        let kept = self.kept();
        let Some(this) = kept.products.get(id) else {
            return Vec::new();
        };
        let category = this.product.category.as_str();
        kept.products
            .values()
            .filter(|other| other.product.category == category && other.product.id != id)
            .take(limit)
            .map(|other| other.product.clone())
            .collect()
    }

    /// Keeps a picture.
    pub fn keep_picture(&self, id: &str, picture: &Picture) {
        let mut kept = self.kept();
        let before = kept.pictures.get(id).map_or(0, |before| before.data.len());
        let bytes = kept.picture_bytes - before + picture.data.len();
        if bytes <= PICTURE_BYTES_MAX {
            kept.picture_bytes = bytes;
            kept.pictures.insert(id.to_owned(), picture.clone());
        }
    }

    /// A picture.
    pub fn picture(&self, id: &str) -> Option<Picture> {
        self.kept().pictures.get(id).cloned()
    }

    /// Products whose picture is not kept, or is another one than theirs now.
    pub fn pictures_missing(&self) -> Vec<String> {
        let kept = self.kept();
        kept.products
            .values()
            .map(|remembered| &remembered.product)
            .filter(|product| kept.pictures.get(&product.id).is_none_or(|picture| picture.etag != product.picture_etag))
            .map(|product| product.id.clone())
            .collect()
    }
}

/// What a product costs in a currency, in its minor units.
pub fn price_minor(product: &Product, currency: &str) -> Option<i64> {
    product.prices.iter().find(|price| price.amount.currency == currency).map(|price| price.amount.minor)
}
