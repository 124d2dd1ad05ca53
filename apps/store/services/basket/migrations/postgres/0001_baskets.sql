CREATE TABLE baskets (
    shopper_id TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL
);

CREATE TABLE lines (
    shopper_id TEXT COLLATE "C" NOT NULL REFERENCES baskets (shopper_id),
    product_id TEXT COLLATE "C" NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    -- The order in which lines were first added.
    position BIGINT NOT NULL,
    -- The basket's version that last changed this line.
    changed_version BIGINT NOT NULL,
    -- What a merge brought, from which guest's basket at which version: a purchase of that basket takes it out here.
    merged_from TEXT COLLATE "C",
    merged_version BIGINT,
    merged_quantity BIGINT,
    PRIMARY KEY (shopper_id, product_id)
);

CREATE INDEX lines_by_origin ON lines (merged_from) WHERE merged_from IS NOT NULL;
