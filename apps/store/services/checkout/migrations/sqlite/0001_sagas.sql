-- The saga log: each Place by its key, and every step of it, written before the step runs.
-- No card number is stored anywhere: of the card, `request` has the last four digits only.

-- One row per idempotency key. `request` is what must be the same when the key comes again; `order_body` is the order
-- as it is opened; both in Protobuf's JSON. Until `lease_millis` the replica `lease_holder` works on it; `fence` grows
-- with every lease and travels in every command, so that a replica that was paused and wakes up does no harm.
CREATE TABLE sagas (
    order_id        TEXT   NOT NULL PRIMARY KEY,
    idempotency_key TEXT   NOT NULL UNIQUE,
    request         TEXT   NOT NULL,
    order_body      TEXT   NOT NULL,
    basket_version  BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    step            BIGINT NOT NULL DEFAULT 1,
    finished        BIGINT NOT NULL DEFAULT 0 CHECK (finished IN (0, 1)),
    refusal         TEXT   NOT NULL DEFAULT '',
    attempts        BIGINT NOT NULL DEFAULT 0,
    lease_holder    TEXT   NOT NULL,
    lease_millis    BIGINT NOT NULL,
    fence           BIGINT NOT NULL DEFAULT 1,
    opened_millis   BIGINT NOT NULL
);
CREATE INDEX sagas_unfinished ON sagas (lease_millis) WHERE finished = 0;

-- `outcome` is empty from when the step is logged until its outcome is: done, refused or unknown.
CREATE TABLE saga_steps (
    order_id  TEXT   NOT NULL REFERENCES sagas (order_id),
    step      BIGINT NOT NULL,
    state     TEXT   NOT NULL,
    outcome   TEXT   NOT NULL DEFAULT '' CHECK (outcome IN ('', 'done', 'refused', 'unknown')),
    detail    TEXT   NOT NULL DEFAULT '',
    fence     BIGINT NOT NULL,
    at_millis BIGINT NOT NULL,
    PRIMARY KEY (order_id, step)
);
