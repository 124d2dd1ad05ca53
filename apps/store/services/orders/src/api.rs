//! The orders' API: checks a request, runs it in one transaction, and answers in messages.

use shoal_sdk::{Call, Database, Error, Faults, query};
use store_contracts::store::orders::v1::{
    AuditRequest, AuditResponse, CancelRequest, CancelResponse, ConfirmRequest, ConfirmResponse, EventsRequest,
    EventsResponse, GetRequest, GetResponse, ListRequest, ListResponse, OpenRequest, OpenResponse, Order, Orders,
};
use store_contracts::store::types::v1::Money;

use crate::planted::PlantedBug;
use crate::records::{self, Record, State};
use crate::{Clock, Settings, fences, limits};

/// Orders over one database, which other replicas may share.
pub struct OrdersApi {
    database: Database,
    settings: Settings,
    clock: Clock,
    faults: Faults,
}

impl OrdersApi {
    /// Orders over `database`.
    #[must_use]
    pub fn new(database: Database, settings: Settings, clock: Clock, faults: Faults) -> OrdersApi {
        OrdersApi { database, settings, clock, faults }
    }

    fn fence(&self, fence: i64) -> Result<i64, Error> {
        limits::fence(fence)?;
        Ok(if self.settings.has(PlantedBug::NoFence) { 0 } else { fence })
    }

    /// Confirms or cancels an order; repeating it answers the order as it is.
    async fn decide(&self, order_id: &str, fence: i64, state: State, reason: &str) -> Result<Order, Error> {
        limits::order_id(order_id)?;
        let fence = self.fence(fence)?;
        let mut transaction = self.database.write().await?;
        fences::check(&mut transaction, order_id, fence).await?;
        let Some(mut record) = records::find(&mut transaction, order_id).await? else {
            fences::remember(&mut transaction, order_id, fence).await?;
            transaction.commit().await?;
            return Err(unknown(order_id));
        };
        if record.state == State::Pending {
            records::decide(&mut transaction, &mut record, state, reason, (self.clock)()).await?;
        }
        transaction.commit().await?;
        self.faults.crash_point(if state == State::Confirmed { "confirm.committed" } else { "cancel.committed" });
        if record.state != state {
            return Err(Error::failed_precondition(format!(
                "The order `{order_id}` is already {}.",
                record.state.name()
            )));
        }
        Ok(record.message())
    }
}

#[shoal_sdk::async_trait]
impl Orders for OrdersApi {
    async fn open(&self, _call: &Call, mut request: OpenRequest) -> Result<OpenResponse, Error> {
        limits::order(&request)?;
        // The fence says who asks, not what for: the same order under another fence is the same order.
        let fence = self.fence(std::mem::take(&mut request.fence))?;
        let order_id = request.order_id.clone();
        // No event comes of it, so other orders may be opened beside it.
        let mut transaction = self.database.write_for(&order_id).await?;
        fences::check(&mut transaction, &order_id, fence).await?;
        let record = match records::find(&mut transaction, &order_id).await? {
            Some(earlier) => earlier.has_body(&request)?.then_some(earlier),
            None => {
                fences::not_called_off(&mut transaction, &order_id, fence).await?;
                Some(records::insert(&mut transaction, request, fence, (self.clock)()).await?)
            }
        };
        transaction.commit().await?;
        self.faults.crash_point("open.committed");
        let Some(record) = record else {
            return Err(Error::already_exists(format!("The order `{order_id}` exists with another body.")));
        };
        Ok(OpenResponse { order: record.message().into(), ..Default::default() })
    }

    async fn confirm(&self, _call: &Call, request: ConfirmRequest) -> Result<ConfirmResponse, Error> {
        let order = self.decide(&request.order_id, request.fence, State::Confirmed, "").await?;
        Ok(ConfirmResponse { order: order.into(), ..Default::default() })
    }

    async fn cancel(&self, _call: &Call, request: CancelRequest) -> Result<CancelResponse, Error> {
        limits::reason(&request.reason)?;
        let order = self.decide(&request.order_id, request.fence, State::Cancelled, &request.reason).await?;
        Ok(CancelResponse { order: order.into(), ..Default::default() })
    }

    async fn get(&self, _call: &Call, request: GetRequest) -> Result<GetResponse, Error> {
        limits::order_id(&request.order_id)?;
        let mut connection = self.database.read().await?;
        let record = records::find(&mut connection, &request.order_id).await?;
        let record = record.ok_or_else(|| unknown(&request.order_id))?;
        Ok(GetResponse { order: record.message().into(), ..Default::default() })
    }

    async fn list(&self, _call: &Call, request: ListRequest) -> Result<ListResponse, Error> {
        limits::shopper_id(&request.shopper_id)?;
        let limit = limits::page(request.limit, 20, 100)?;
        let (opened, order_id) = place(&request.page_token)?;
        let mut connection = self.database.read().await?;
        let rows: Vec<records::Row> = query(
            "SELECT order_id, state, body, cancel_reason, opened_millis, decided_millis FROM orders
             WHERE shopper_id = $1 AND (opened_millis < $2 OR (opened_millis = $2 AND order_id < $3))
             ORDER BY opened_millis DESC, order_id DESC LIMIT $4",
        )
        .bind(&request.shopper_id)
        .bind(opened)
        .bind(order_id)
        .bind(limit.saturating_add(1))
        .fetch_all(&mut connection)
        .await?;
        let mut records = rows.into_iter().map(Record::from_row).collect::<Result<Vec<_>, _>>()?;
        let fits = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = records.len() > fits;
        records.truncate(fits);
        let last = records.last().filter(|_| more);
        let next_page_token = last.map(|last| format!("{}.{}", last.opened, last.order_id)).unwrap_or_default();
        let orders = records.into_iter().map(Record::message).collect();
        Ok(ListResponse { orders, next_page_token, ..Default::default() })
    }

    async fn events(&self, _call: &Call, request: EventsRequest) -> Result<EventsResponse, Error> {
        if request.after < 0 {
            return Err(Error::invalid_argument("`after` must not be negative: 0 reads from the start."));
        }
        let limit = limits::page(request.limit, 100, 500)?;
        let mut connection = self.database.read().await?;
        let events = records::events(&mut connection, request.after, limit).await?;
        Ok(EventsResponse { events, ..Default::default() })
    }

    async fn audit(&self, _call: &Call, _request: AuditRequest) -> Result<AuditResponse, Error> {
        let mut snapshot = self.database.snapshot().await?;
        let counts: Vec<(String, i64, i64)> =
            query("SELECT state, COUNT(*), MIN(opened_millis) FROM orders GROUP BY state")
                .fetch_all(&mut snapshot)
                .await?;
        let totals: Vec<(String, i64)> = query(
            "SELECT currency, CAST(SUM(total_minor) AS BIGINT) FROM orders
             WHERE state = 'confirmed' GROUP BY currency ORDER BY currency",
        )
        .fetch_all(&mut snapshot)
        .await?;
        drop(snapshot);
        let of = |state: State| counts.iter().find(|(name, ..)| name == state.name());
        let count = |state: State| of(state).map_or(0, |(_, count, _)| *count);
        let confirmed_totals =
            totals.into_iter().map(|(currency, minor)| Money { minor, currency, ..Default::default() }).collect();
        Ok(AuditResponse {
            pending: count(State::Pending),
            confirmed: count(State::Confirmed),
            cancelled: count(State::Cancelled),
            confirmed_totals,
            oldest_pending_at_ms: of(State::Pending).map_or(0, |(_, _, oldest)| *oldest),
            ..Default::default()
        })
    }
}

/// The place a page token stands for: `<opened>.<order id>`; before everything when empty.
fn place(token: &str) -> Result<(i64, String), Error> {
    if token.is_empty() {
        return Ok((i64::MAX, String::new()));
    }
    let parts = token.split_once('.').and_then(|(opened, order_id)| Some((opened.parse::<i64>().ok()?, order_id)));
    match parts {
        Some((opened, order_id)) if limits::order_id(order_id).is_ok() => Ok((opened, order_id.to_owned())),
        _ => Err(Error::invalid_argument("`page_token` is not one that a page before gave.")),
    }
}

fn unknown(order_id: &str) -> Error {
    Error::not_found(format!("There is no order `{order_id}`."))
}
