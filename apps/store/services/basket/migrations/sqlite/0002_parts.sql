-- What a line is made of, once a merge has added to it: its parts, which sum up to its quantity. A line without parts is
-- one part of the basket's own. So is one whose `changed_version` is not the last `arrived_version` of its parts: an
-- earlier release changed it.
CREATE TABLE parts (
    shopper_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    -- The basket that the part was put into first, and the version of that basket which last changed it there.
    origin TEXT NOT NULL,
    origin_version INTEGER NOT NULL,
    -- The version of this basket which brought it here.
    arrived_version INTEGER NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    PRIMARY KEY (shopper_id, product_id, origin, origin_version)
) STRICT;
CREATE INDEX parts_by_origin ON parts (origin, origin_version);

INSERT INTO parts (shopper_id, product_id, origin, origin_version, arrived_version, quantity)
    SELECT shopper_id, product_id, merged_from, merged_version, changed_version, merged_quantity
    FROM lines WHERE merged_from IS NOT NULL AND merged_quantity > 0;
INSERT INTO parts (shopper_id, product_id, origin, origin_version, arrived_version, quantity)
    SELECT shopper_id, product_id, shopper_id, changed_version, changed_version, quantity - merged_quantity
    FROM lines WHERE merged_from IS NOT NULL AND merged_quantity > 0 AND merged_quantity < quantity;

-- The keys of the last changes of each basket; see `keys.rs`.
CREATE TABLE keys (
    shopper_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    place INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (shopper_id, idempotency_key)
) STRICT;
CREATE INDEX keys_by_place ON keys (shopper_id, place);
