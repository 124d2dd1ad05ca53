//! The inventory's API: checks a request, runs it in one transaction, and answers in messages.

use std::collections::BTreeMap;

use shoal_sdk::{Call, Code, Database, Error, Faults, WriteTransaction};
use store_contracts::store::inventory::v1::{
    AuditRequest, AuditResponse, AvailableRequest, AvailableResponse, CommitRequest, CommitResponse, ExtendRequest,
    ExtendResponse, Inventory, ReceiveRequest, ReceiveResponse, ReleaseRequest, ReleaseResponse, Reservation,
    ReservationState, ReserveRequest, ReserveResponse, RestockRequest, RestockResponse, StockLine,
};

use crate::planted::{self, PlantedBug};
use crate::reservations::{self, State, Wanted};
use crate::{Clock, Settings, audit, demo, limits, stock};

/// The inventory over one database, which other replicas may share.
pub struct InventoryApi {
    database: Database,
    settings: Settings,
    clock: Clock,
    faults: Faults,
}

/// A command inside its transaction, at the moment when its turn came: waiting for the turn eats into no time to live.
struct Command {
    transaction: WriteTransaction,
    now: i64,
}

impl InventoryApi {
    /// The inventory over `database`.
    #[must_use]
    pub fn new(database: Database, settings: Settings, clock: Clock, faults: Faults) -> InventoryApi {
        InventoryApi { database, settings, clock, faults }
    }

    /// Puts reservations whose time is over back on the shelf; takes the write lock only when there are any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let early = if self.settings.has(PlantedBug::FreedEarly) { planted::EARLY_MILLIS } else { 0 };
        let due = {
            let mut reading = self.database.read().await?;
            reservations::any_overdue(&mut reading, (self.clock)().saturating_add(early)).await?
        };
        if !due {
            return Ok(0);
        }
        let mut transaction = self.database.write().await?;
        let now = (self.clock)().saturating_add(early);
        let expired = reservations::expire_overdue(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(expired)
    }

    /// Begins a command alone: stock is shared by all orders, so its writers take turns. What ran out is free again.
    async fn begin(&self) -> Result<Command, Error> {
        let mut transaction = self.database.write().await?;
        let now = (self.clock)();
        reservations::expire_overdue(&mut transaction, now).await?;
        Ok(Command { transaction, now })
    }

    /// Commits an answer, and also a refusal, which writes nothing but is read from what ran out and from the raised
    /// fence; anything else that failed may have stopped half way and is rolled back.
    async fn end<T>(&self, command: Command, answer: Result<T, Error>, place: Option<&str>) -> Result<T, Error> {
        let refused = answer
            .as_ref()
            .is_err_and(|error| matches!(error.code, Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound));
        if answer.is_ok() || refused {
            command.transaction.commit().await?;
            place.into_iter().for_each(|place| self.faults.crash_point(place));
        }
        answer
    }

    fn fence(&self, fence: i64) -> Result<i64, Error> {
        limits::fence(fence)?;
        Ok(if self.settings.has(PlantedBug::NoFence) { 0 } else { fence })
    }

    fn first_receipt(&self, product_id: &str) -> i64 {
        if self.settings.demo_stock { demo::first_receipt(product_id) } else { 0 }
    }

    /// Free pieces of every product asked for, at one moment.
    async fn on_hand(&self, product_ids: &[String]) -> Result<BTreeMap<String, i64>, Error> {
        let mut snapshot = self.database.snapshot().await?;
        let free = stock::free(&mut snapshot, product_ids).await?;
        let overdue = stock::overdue(&mut snapshot, (self.clock)()).await?;
        drop(snapshot);
        let mut on_hand: BTreeMap<String, i64> =
            product_ids.iter().map(|id| (id.clone(), self.first_receipt(id))).collect();
        for (product_id, pieces) in free {
            let back = overdue.get(&product_id).copied().unwrap_or(0);
            on_hand.insert(product_id, pieces.saturating_add(back));
        }
        Ok(on_hand)
    }

    /// Whether stock that is looked at now is there: a planted bug.
    async fn looks_enough(&self, lines: &BTreeMap<String, i64>) -> Result<bool, Error> {
        let product_ids: Vec<String> = lines.keys().cloned().collect();
        let on_hand = self.on_hand(&product_ids).await?;
        tokio::time::sleep(planted::BETWEEN_CHECK_AND_INSERT).await;
        Ok(lines.iter().all(|(product_id, quantity)| on_hand.get(product_id) >= Some(quantity)))
    }
}

#[shoal_sdk::async_trait]
impl Inventory for InventoryApi {
    async fn available(&self, _call: &Call, request: AvailableRequest) -> Result<AvailableResponse, Error> {
        limits::product_ids(&request.product_ids)?;
        let on_hand = self.on_hand(&request.product_ids).await?;
        let stock = request.product_ids.iter().map(|id| line(id, on_hand.get(id).copied().unwrap_or(0))).collect();
        Ok(AvailableResponse { stock, ..Default::default() })
    }

    async fn reserve(&self, _call: &Call, request: ReserveRequest) -> Result<ReserveResponse, Error> {
        limits::key("order_id", &request.order_id, 1)?;
        let fence = self.fence(request.fence)?;
        let ttl = limits::ttl(request.ttl_ms)?;
        let lines = limits::lines(&request.lines)?;
        let believed = self.settings.has(PlantedBug::CheckThenInsert) && self.looks_enough(&lines).await?;
        let mut command = self.begin().await?;
        if believed {
            planted::believe(&mut command.transaction, &request.order_id, &lines, command.now).await?;
        }
        let wanted = Wanted {
            order_id: &request.order_id,
            lines,
            expires: command.now.saturating_add(ttl),
            fence,
            demo: self.settings.demo_stock,
        };
        let reservation = reservations::reserve(&mut command.transaction, wanted, command.now).await;
        let reservation = self.end(command, reservation, Some("reserve.committed")).await?;
        Ok(ReserveResponse { reservation: message(reservation).into(), ..Default::default() })
    }

    async fn extend(&self, _call: &Call, request: ExtendRequest) -> Result<ExtendResponse, Error> {
        limits::key("order_id", &request.order_id, 1)?;
        let fence = self.fence(request.fence)?;
        let ttl = limits::ttl(request.ttl_ms)?;
        let mut command = self.begin().await?;
        let expires = command.now.saturating_add(ttl);
        let reservation = reservations::extend(&mut command.transaction, &request.order_id, expires, fence).await;
        let reservation = self.end(command, reservation, None).await?;
        Ok(ExtendResponse { reservation: message(reservation).into(), ..Default::default() })
    }

    async fn commit(&self, _call: &Call, request: CommitRequest) -> Result<CommitResponse, Error> {
        limits::key("order_id", &request.order_id, 1)?;
        let fence = self.fence(request.fence)?;
        let mut command = self.begin().await?;
        let reservation = reservations::commit(&mut command.transaction, &request.order_id, fence, command.now).await;
        let reservation = self.end(command, reservation, Some("commit.committed")).await?;
        Ok(CommitResponse { reservation: message(reservation).into(), ..Default::default() })
    }

    async fn release(&self, _call: &Call, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        limits::key("order_id", &request.order_id, 1)?;
        let fence = self.fence(request.fence)?;
        let mut command = self.begin().await?;
        let released = reservations::release(&mut command.transaction, &request.order_id, fence, command.now).await;
        self.end(command, released, Some("release.committed")).await?;
        Ok(ReleaseResponse::default())
    }

    async fn restock(&self, _call: &Call, request: RestockRequest) -> Result<RestockResponse, Error> {
        limits::key("order_id", &request.order_id, 1)?;
        let fence = self.fence(request.fence)?;
        let mut command = self.begin().await?;
        let reservation = reservations::restock(&mut command.transaction, &request.order_id, fence, command.now).await;
        let reservation = self.end(command, reservation, Some("restock.committed")).await?;
        Ok(RestockResponse { reservation: message(reservation).into(), ..Default::default() })
    }

    async fn receive(&self, _call: &Call, request: ReceiveRequest) -> Result<ReceiveResponse, Error> {
        limits::key("idempotency_key", &request.idempotency_key, 8)?;
        limits::product_id(&request.product_id)?;
        limits::delivery(request.quantity, &request.note)?;
        let Command { mut transaction, now } = self.begin().await?;
        let on_hand = stock::receive(
            &mut transaction,
            &request.idempotency_key,
            &request.product_id,
            i64::from(request.quantity),
            &request.note,
            self.settings.demo_stock,
            now,
        )
        .await?;
        transaction.commit().await?;
        Ok(ReceiveResponse { stock: line(&request.product_id, on_hand).into(), ..Default::default() })
    }

    async fn audit(&self, _call: &Call, request: AuditRequest) -> Result<AuditResponse, Error> {
        if !request.product_id.is_empty() {
            limits::product_id(&request.product_id)?;
        }
        if !request.page_token.is_empty() {
            limits::product_id(&request.page_token)?;
        }
        let limit = limits::page(request.limit)?;
        let mut snapshot = self.database.snapshot().await?;
        let now = (self.clock)();
        let totals = audit::totals(&mut snapshot, &request.product_id, now).await?;
        let live = audit::reservations_live(&mut snapshot, now).await?;
        drop(snapshot);
        let balanced = totals.iter().all(audit::Totals::balanced);
        let mut rest = totals.iter().filter(|totals| totals.product_id() > request.page_token.as_str());
        let products: Vec<_> = rest.by_ref().take(limit).map(audit::Totals::at_this_moment).collect();
        let last = products.last().map(|product| product.product_id.clone());
        let next_page_token = if rest.next().is_some() { last.unwrap_or_default() } else { String::new() };
        Ok(AuditResponse {
            products,
            balanced,
            next_page_token,
            reservations_live: i32::try_from(live).unwrap_or(i32::MAX),
            ..Default::default()
        })
    }
}

fn line(product_id: &str, pieces: i64) -> StockLine {
    StockLine {
        product_id: product_id.to_owned(),
        quantity: i32::try_from(pieces).unwrap_or(i32::MAX),
        ..Default::default()
    }
}

fn message(reservation: reservations::Reservation) -> Reservation {
    let state = match reservation.state {
        State::Held => ReservationState::RESERVATION_STATE_LIVE,
        State::Committed => ReservationState::RESERVATION_STATE_COMMITTED,
        State::Released => ReservationState::RESERVATION_STATE_RELEASED,
        State::Expired => ReservationState::RESERVATION_STATE_EXPIRED,
        State::Restocked => ReservationState::RESERVATION_STATE_RESTOCKED,
    };
    Reservation {
        order_id: reservation.order_id,
        lines: reservation.lines.iter().map(|(product_id, quantity)| line(product_id, *quantity)).collect(),
        state: state.into(),
        expires_at_ms: reservation.expires,
        ..Default::default()
    }
}
