//! The audit: each product's totals, read at one moment from three independent sources (the counters, the ledger, the
//! reservations' lines), and whether they agree. It only reads.

use shoal_sdk::{Connection, Error, query};
use store_contracts::store::inventory::v1::StockAudit;

/// One product's totals as stored.
#[derive(Clone, Debug)]
pub struct Totals {
    product_id: String,
    on_hand: i64,
    reserved: i64,
    received: i64,
    restocked: i64,
    confirmed: i64,
    taken: i64,
    given_back: i64,
    live: i64,
    overdue: i64,
}

/// The columns in the order of the query.
type Row = (String, i64, i64, i64, i64, i64, i64, i64, i64, i64);

impl From<Row> for Totals {
    fn from(row: Row) -> Totals {
        let (product_id, on_hand, reserved, received, restocked, confirmed, taken, given_back, live, overdue) = row;
        Totals { product_id, on_hand, reserved, received, restocked, confirmed, taken, given_back, live, overdue }
    }
}

impl Totals {
    /// The product.
    pub fn product_id(&self) -> &str {
        &self.product_id
    }

    /// The totals as a reader sees them now: what ran out counts as on the shelf again.
    pub fn at_this_moment(&self) -> StockAudit {
        StockAudit {
            product_id: self.product_id.clone(),
            on_hand: self.on_hand.saturating_add(self.overdue),
            reserved: self.live,
            confirmed: self.confirmed,
            received: self.received,
            restocked: self.restocked,
            ..Default::default()
        }
    }

    /// Whether counters, ledger and reservations tell the same story.
    pub fn balanced(&self) -> bool {
        let [on_hand, reserved, received, restocked, confirmed, taken, given_back, live, overdue] = [
            self.on_hand,
            self.reserved,
            self.received,
            self.restocked,
            self.confirmed,
            self.taken,
            self.given_back,
            self.live,
            self.overdue,
        ]
        .map(i128::from);
        on_hand + overdue + live + confirmed == received + restocked
            && reserved == live + overdue
            && on_hand == received + restocked + given_back - taken
            && on_hand >= 0
    }
}

/// Every product's totals, or one's, by product id.
pub async fn totals(connection: &mut Connection, product_id: &str, now: i64) -> Result<Vec<Totals>, Error> {
    let rows = query(
        "SELECT stock.product_id, stock.on_hand, stock.reserved,
                COALESCE(ledger.received, 0) AS received, COALESCE(ledger.restocked, 0) AS restocked,
                COALESCE(ledger.confirmed, 0) AS confirmed, COALESCE(ledger.taken, 0) AS taken,
                COALESCE(ledger.given_back, 0) AS given_back,
                COALESCE(held.live, 0) AS live, COALESCE(held.overdue, 0) AS overdue
         FROM stock
         LEFT JOIN (SELECT product_id,
                CAST(SUM(CASE WHEN kind = 'receive' THEN quantity ELSE 0 END) AS BIGINT) AS received,
                CAST(SUM(CASE WHEN kind = 'restock' THEN quantity ELSE 0 END) AS BIGINT) AS restocked,
                CAST(SUM(CASE WHEN kind = 'commit' THEN quantity ELSE 0 END) AS BIGINT) AS confirmed,
                CAST(SUM(CASE WHEN kind = 'reserve' THEN quantity ELSE 0 END) AS BIGINT) AS taken,
                CAST(SUM(CASE WHEN kind IN ('release', 'expire') THEN quantity ELSE 0 END) AS BIGINT) AS given_back
            FROM movements WHERE $1 = '' OR product_id = $1 GROUP BY product_id) AS ledger
            ON ledger.product_id = stock.product_id
         LEFT JOIN (SELECT line.product_id,
                CAST(SUM(CASE WHEN reservations.expires_millis > $2 THEN line.quantity ELSE 0 END) AS BIGINT) AS live,
                CAST(SUM(CASE WHEN reservations.expires_millis <= $2 THEN line.quantity ELSE 0 END) AS BIGINT) AS overdue
            FROM reservations JOIN reservation_lines AS line ON line.order_id = reservations.order_id
            WHERE reservations.state = 'held' GROUP BY line.product_id) AS held
            ON held.product_id = stock.product_id
         WHERE $1 = '' OR stock.product_id = $1
         ORDER BY stock.product_id",
    )
    .bind(product_id)
    .bind(now)
    .fetch_all::<Row>(connection)
    .await?;
    Ok(rows.into_iter().map(Totals::from).collect())
}

/// How many reservations are live.
pub async fn reservations_live(connection: &mut Connection, now: i64) -> Result<i64, Error> {
    let (live,): (i64,) = query("SELECT COUNT(*) FROM reservations WHERE state = 'held' AND expires_millis > $1")
        .bind(now)
        .fetch_one(connection)
        .await?;
    Ok(live)
}
