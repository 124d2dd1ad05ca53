-- Orders, and the outbox of events, which is written in the transaction that changes the order.

-- `body` is the request that opened the order, in Protobuf's JSON, without its fence. `fence` is the highest fencing
-- token that commanded this order; a lower one is refused.
CREATE TABLE orders (
    order_id       TEXT   NOT NULL PRIMARY KEY,
    shopper_id     TEXT   NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled')),
    total_minor    BIGINT NOT NULL CHECK (total_minor >= 0),
    currency       TEXT   NOT NULL,
    body           TEXT   NOT NULL,
    cancel_reason  TEXT   NOT NULL DEFAULT '',
    fence          BIGINT NOT NULL DEFAULT 0,
    opened_millis  BIGINT NOT NULL,
    decided_millis BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX orders_by_shopper ON orders (shopper_id, opened_millis, order_id);
CREATE INDEX orders_by_state ON orders (state, opened_millis);

-- The outbox. `sequence` is the last one plus one, assigned inside the write lock, so that it has no gaps and
-- a reader who saw n never later finds something new below n.
CREATE TABLE events (
    sequence  BIGINT NOT NULL PRIMARY KEY,
    event_id  TEXT   NOT NULL UNIQUE,
    order_id  TEXT   NOT NULL REFERENCES orders (order_id),
    kind      TEXT   NOT NULL CHECK (kind IN ('confirmed', 'cancelled')),
    at_millis BIGINT NOT NULL,
    UNIQUE (order_id, kind)
);
