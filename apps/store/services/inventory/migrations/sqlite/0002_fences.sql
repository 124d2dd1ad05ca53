-- The highest fencing token that commanded an order while it had no reservation: refused for want of stock, or never
-- asked for. The higher of this one and the `fence` of the reservation counts.
CREATE TABLE fences (
    order_id TEXT   NOT NULL PRIMARY KEY,
    fence    BIGINT NOT NULL
);
