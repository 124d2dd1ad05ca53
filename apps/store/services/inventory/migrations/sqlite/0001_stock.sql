-- Stock: what is on the shelf, every movement of it, and who holds a reservation.
-- The counters in `stock` and the ledger in `movements` are written together; the audit compares them.

-- `on_hand` is what lies on the shelf and is promised to nobody; `reserved` is what held reservations promise.
CREATE TABLE stock (
    product_id TEXT   NOT NULL PRIMARY KEY,
    on_hand    BIGINT NOT NULL CHECK (on_hand >= 0),
    reserved   BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0)
);

-- Append only. `quantity` is always positive; the kind says in which direction it went.
CREATE TABLE movements (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id  TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('receive', 'reserve', 'commit', 'release', 'restock', 'expire')),
    quantity    BIGINT  NOT NULL CHECK (quantity > 0),
    order_id    TEXT,
    command_key TEXT,
    note        TEXT    NOT NULL DEFAULT '',
    at_millis   BIGINT  NOT NULL
);
CREATE INDEX movements_by_product ON movements (product_id, kind);
-- A receipt happens once per key, and each kind of movement once per order and product.
CREATE UNIQUE INDEX movements_one_receipt ON movements (command_key) WHERE kind = 'receive';
CREATE UNIQUE INDEX movements_one_per_order ON movements (order_id, product_id, kind) WHERE order_id IS NOT NULL;

-- `fence` is the highest fencing token that commanded this order; a lower one is refused.
CREATE TABLE reservations (
    order_id       TEXT   NOT NULL PRIMARY KEY,
    state          TEXT   NOT NULL CHECK (state IN ('held', 'committed', 'released', 'expired', 'restocked')),
    expires_millis BIGINT NOT NULL,
    fence          BIGINT NOT NULL DEFAULT 0,
    at_millis      BIGINT NOT NULL
);
CREATE INDEX reservations_held ON reservations (expires_millis) WHERE state = 'held';

CREATE TABLE reservation_lines (
    order_id   TEXT   NOT NULL REFERENCES reservations (order_id),
    product_id TEXT   NOT NULL REFERENCES stock (product_id),
    quantity   BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);
