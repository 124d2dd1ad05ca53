-- What an order buys of pieces that were in another basket first, and were merged into the one that is ordered: an order
-- of that other basket at `first_version` or later and below `until_version` buys some of the same pieces. Goes two days
-- after the order was placed. An order without rows here buys from its own basket alone.
CREATE TABLE merged_pieces (
    order_id      TEXT   NOT NULL REFERENCES sagas (order_id),
    shopper_id    TEXT   NOT NULL,
    first_version BIGINT NOT NULL,
    until_version BIGINT NOT NULL,
    PRIMARY KEY (order_id, shopper_id, until_version)
);
CREATE INDEX merged_pieces_by_shopper ON merged_pieces (shopper_id, first_version);
