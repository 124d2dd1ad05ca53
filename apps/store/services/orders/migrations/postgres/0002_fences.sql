-- The highest fencing token that commanded an order before it was opened. The higher of this one and the `fence` of the
-- order counts.
CREATE TABLE fences (
    order_id TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    fence    BIGINT NOT NULL
);
