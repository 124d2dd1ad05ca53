-- What stays of an order for good, so that its key answers the same however late it comes again: whose it is, what the
-- request was (SHA-256), and what was answered. `request`, `order_body` and the steps go two days after it was placed.
ALTER TABLE sagas ADD COLUMN shopper_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sagas ADD COLUMN body_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE sagas ADD COLUMN total_minor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sagas ADD COLUMN total_currency TEXT NOT NULL DEFAULT '';
CREATE INDEX sagas_by_shopper ON sagas (shopper_id, basket_version);
CREATE INDEX sagas_to_shorten ON sagas (opened_millis) WHERE finished = 1 AND request <> '';
