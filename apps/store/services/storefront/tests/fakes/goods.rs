//! Stand-ins for what has to do with goods: catalogue, inventory, shipping.

use shoal_sdk::{Call, Error, async_trait};
use store_contracts::store::catalogue::v1::*;
use store_contracts::store::inventory::v1::{
    AvailableRequest, AvailableResponse, ReceiveRequest, ReceiveResponse, StockLine,
};
use store_contracts::store::shipping::v1::{TrackRequest, TrackResponse};
use store_contracts::store::types::v1::Money;
use storefront::calls;

use super::{State, World};

const CATEGORIES: [(&str, &str); 5] = [
    ("kitchen", "Kitchen"),
    ("light", "Light"),
    ("furniture", "Furniture"),
    ("textiles", "Textiles"),
    ("garden", "Garden"),
];

/// Id, name, category, cents of a euro, pieces.
const GOODS: [(&str, &str, &str, i64, i32); 18] = [
    ("tide-mug", "Tide mug", "kitchen", 2400, 120),
    ("halo-table-lamp", "Halo table lamp", "light", 14_900, 31),
    ("harbour-bowl", "Harbour bowl", "kitchen", 3800, 64),
    ("moor-wool-blanket", "Moor wool blanket", "textiles", 18_900, 58),
    ("wren-armchair", "Wren armchair", "furniture", 124_900, 3),
    ("reed-vase", "Reed vase", "garden", 4600, 37),
    ("morrow-teapot", "Morrow teapot", "kitchen", 7900, 35),
    ("fathom-pendant", "Fathom pendant lamp", "light", 22_900, 26),
    ("pebble-side-table", "Pebble side table", "furniture", 31_900, 24),
    ("field-linen-cushion", "Field linen cushion", "textiles", 5400, 85),
    ("storm-lantern", "Storm lantern", "light", 6900, 45),
    ("little-olive-tree", "Little olive tree", "garden", 5900, 0),
    ("garden-trowel-set", "Garden trowel set", "garden", 4200, 66),
    ("hearth-skillet", "Hearth cast-iron skillet with two handles", "kitchen", 8900, 28),
    ("seagrass-rug", "Seagrass rug", "textiles", 26_900, 19),
    ("perch-stool", "Perch stool", "furniture", 16_900, 36),
    ("cellar-storage-jar", "Cellar storage jar", "kitchen", 3200, 75),
    ("drift-hammock", "Drift hammock", "garden", 11_900, 25),
];

pub fn fill(state: &mut State) {
    for (id, name, category, cents, pieces) in GOODS {
        let price = |minor, currency: &str| Price {
            amount: Money { minor, currency: currency.to_owned(), ..Default::default() }.into(),
            version: 1,
            ..Default::default()
        };
        state.products.push(Product {
            id: id.to_owned(),
            name: name.to_owned(),
            summary: "Thrown by hand from a dark clay, glazed in the grey of a winter sea, and made for every day.".to_owned(),
            description: "Each one is a little different, because each one was made by a person.\n\nGoes into the oven and the dishwasher; \
                          the glaze only gets better."
                .to_owned(),
            category: category.to_owned(),
            tags: vec!["handmade".to_owned()],
            prices: vec![
                price(cents, "EUR"),
                price(cents + 300, "GBP"),
                price(cents * 160 / 100, "JPY"),
                price(cents + 500, "USD"),
            ],
            version: 1,
            picture_etag: format!("e-{id}"),
            picture_alt: format!("A drawing of the {name}"),
            ..Default::default()
        });
        state.stock.insert(id.to_owned(), pieces);
    }
}

fn picture(id: &str) -> String {
    let seed = id.bytes().fold(7_u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let (hue, turn) = (seed % 360, seed % 40);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 600"><rect width="600" height="600" fill="hsl({hue} 28% 84%)"/><rect y="430" width="600" height="170" fill="hsl({hue} 24% 74%)"/><ellipse cx="300" cy="468" rx="170" ry="22" fill="hsl({hue} 30% 40%)" opacity=".3"/><path d="M{left} 200h{width}C{right} 360 370 462 300 462S{left} 360 {left} 200z" fill="hsl({other} 34% 46%)"/><ellipse cx="300" cy="200" rx="{radius}" ry="26" fill="hsl({other} 30% 32%)"/></svg>"##,
        left = 190 - turn,
        width = 220 + 2 * turn,
        right = 410 + turn,
        radius = 110 + turn,
        other = (hue + 150) % 360,
    )
}

#[async_trait]
impl calls::Catalogue for World {
    async fn list_products(&self, _: &Call, request: ListProductsRequest) -> Result<ListProductsResponse, Error> {
        let state = self.enter("catalogue")?;
        let matches = |product: &&Product| request.category.is_empty() || product.category == request.category;
        let mut products: Vec<Product> = state.products.iter().filter(matches).cloned().collect();
        let price = |product: &Product| {
            let found = product.prices.iter().find(|price| price.amount.currency == request.currency);
            found.map_or(0, |price| price.amount.minor)
        };
        if request.sort == Sort::SORT_NAME {
            products.sort_by(|a, b| a.name.cmp(&b.name));
        } else if request.sort == Sort::SORT_PRICE_ASCENDING {
            products.sort_by_key(price);
        } else if request.sort == Sort::SORT_PRICE_DESCENDING {
            products.sort_by_key(|product| -price(product));
        }
        let start = match request.page_token.as_str() {
            "" => 0,
            token => token.parse::<usize>().map_err(|_| Error::invalid_argument("no such page"))?,
        };
        let size = usize::try_from(request.page_size).unwrap().min(100);
        let total = products.len();
        let categories = CATEGORIES.iter().map(|(id, title)| Category {
            id: (*id).to_owned(),
            title: (*title).to_owned(),
            products: 4,
            ..Default::default()
        });
        Ok(ListProductsResponse {
            products: products.into_iter().skip(start).take(size).collect(),
            next_page_token: if start + size < total { (start + size).to_string() } else { String::new() },
            categories: categories.collect(),
            total: i32::try_from(total).unwrap(),
            ..Default::default()
        })
    }

    async fn batch_get_products(
        &self,
        _: &Call,
        request: BatchGetProductsRequest,
    ) -> Result<BatchGetProductsResponse, Error> {
        let state = self.enter("catalogue")?;
        let find = |id: &String| state.products.iter().find(|product| product.id == *id);
        Ok(BatchGetProductsResponse {
            products: request.ids.iter().filter_map(find).cloned().collect(),
            ..Default::default()
        })
    }

    async fn search(&self, _: &Call, request: SearchRequest) -> Result<SearchResponse, Error> {
        let state = self.enter("catalogue")?;
        let query = request.query.to_lowercase();
        let matches = |product: &&Product| product.name.to_lowercase().contains(&query);
        Ok(SearchResponse { products: state.products.iter().filter(matches).cloned().collect(), ..Default::default() })
    }

    async fn related(&self, _: &Call, request: RelatedRequest) -> Result<RelatedResponse, Error> {
        let state = self.enter("catalogue")?;
        let others = state.products.iter().filter(|product| product.id != request.product_id);
        Ok(RelatedResponse { products: others.take(4).cloned().collect(), ..Default::default() })
    }

    async fn get_picture(&self, _: &Call, request: GetPictureRequest) -> Result<GetPictureResponse, Error> {
        let state = self.enter("catalogue")?;
        let found = state.products.iter().find(|product| product.id == request.product_id);
        let product = found.ok_or_else(|| Error::not_found("no such product"))?;
        let not_modified = product.picture_etag == request.known_etag;
        Ok(GetPictureResponse {
            etag: product.picture_etag.clone(),
            content_type: "image/svg+xml".to_owned(),
            data: if not_modified { Vec::new() } else { picture(&product.id).into_bytes() },
            not_modified,
            ..Default::default()
        })
    }

    async fn put_product(&self, _: &Call, request: PutProductRequest) -> Result<PutProductResponse, Error> {
        let mut state = self.enter("catalogue")?;
        let place = state.products.iter().position(|product| product.id == request.id);
        let version = place.map_or(0, |place| state.products[place].version);
        if version != request.expected_version {
            return Err(Error::aborted("another version"));
        }
        let before = place.map(|place| state.products.remove(place));
        let product = Product {
            id: request.id,
            name: request.name,
            summary: request.summary,
            description: request.description,
            category: request.category,
            tags: request.tags,
            version: version + 1,
            prices: before.map(|product| product.prices).unwrap_or_default(),
            ..Default::default()
        };
        state.products.push(product.clone());
        Ok(PutProductResponse { product: product.into(), ..Default::default() })
    }

    async fn set_price(&self, _: &Call, request: SetPriceRequest) -> Result<SetPriceResponse, Error> {
        let mut state = self.enter("catalogue")?;
        let found = state.products.iter_mut().find(|product| product.id == request.product_id);
        let product = found.ok_or_else(|| Error::not_found("no such product"))?;
        let amount = request.amount.into_option().unwrap_or_default();
        let found = product.prices.iter_mut().find(|price| price.amount.currency == amount.currency);
        let price = found.ok_or_else(|| Error::not_found("no such price"))?;
        if price.version != request.expected_version {
            return Err(Error::aborted("another version"));
        }
        price.version += 1;
        price.amount = amount.into();
        Ok(SetPriceResponse { product: product.clone().into(), ..Default::default() })
    }
}

#[async_trait]
impl calls::Inventory for World {
    async fn available(&self, _: &Call, request: AvailableRequest) -> Result<AvailableResponse, Error> {
        let state = self.enter("inventory")?;
        let line = |id: String| StockLine {
            quantity: state.stock.get(&id).copied().unwrap_or(0),
            product_id: id,
            ..Default::default()
        };
        Ok(AvailableResponse { stock: request.product_ids.into_iter().map(line).collect(), ..Default::default() })
    }

    async fn receive(&self, _: &Call, request: ReceiveRequest) -> Result<ReceiveResponse, Error> {
        let mut state = self.enter("inventory")?;
        let pieces = state.stock.entry(request.product_id.clone()).or_default();
        *pieces += request.quantity;
        let stock = StockLine { product_id: request.product_id, quantity: *pieces, ..Default::default() };
        Ok(ReceiveResponse { stock: stock.into(), ..Default::default() })
    }
}

#[async_trait]
impl calls::Shipping for World {
    async fn track(&self, _: &Call, request: TrackRequest) -> Result<TrackResponse, Error> {
        let state = self.enter("shipping")?;
        let shipment = state.shipments.get(&request.order_id).cloned();
        let shipment = shipment.ok_or_else(|| Error::not_found("no shipment yet"))?;
        Ok(TrackResponse { shipment: shipment.into(), ..Default::default() })
    }
}
