CREATE TABLE baskets (
    shopper_id TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE lines (
    shopper_id TEXT NOT NULL REFERENCES baskets (shopper_id),
    product_id TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    -- The order in which lines were first added.
    position INTEGER NOT NULL,
    -- The basket's version that last changed this line.
    changed_version INTEGER NOT NULL,
    -- What a merge brought, from which guest's basket at which version: a purchase of that basket takes it out here.
    merged_from TEXT,
    merged_version INTEGER,
    merged_quantity INTEGER,
    PRIMARY KEY (shopper_id, product_id)
) STRICT;

CREATE INDEX lines_by_origin ON lines (merged_from) WHERE merged_from IS NOT NULL;
