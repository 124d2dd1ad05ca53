CREATE TABLE products (
    product_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    -- A JSON array of strings, in their order.
    tags TEXT NOT NULL CHECK (json_valid(tags)),
    -- The shop's own order.
    position INTEGER NOT NULL,
    -- Grows by one with each change of the text.
    version INTEGER NOT NULL
) STRICT;

CREATE INDEX products_in_order ON products (category, position);

-- Every price there ever was; one of each product and currency is current.
CREATE TABLE prices (
    product_id TEXT NOT NULL REFERENCES products (product_id),
    currency TEXT NOT NULL,
    version INTEGER NOT NULL,
    minor INTEGER NOT NULL CHECK (minor > 0),
    since_ms INTEGER NOT NULL,
    current INTEGER NOT NULL CHECK (current IN (0, 1)),
    PRIMARY KEY (product_id, currency, version)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX prices_current ON prices (product_id, currency) WHERE current = 1;

-- Commands that were carried out, so that a repeat answers the same.
CREATE TABLE commands (
    idempotency_key TEXT PRIMARY KEY,
    request BLOB NOT NULL,
    answer BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX commands_by_age ON commands (at_ms);

CREATE VIRTUAL TABLE words USING fts5 (
    product_id UNINDEXED, name, summary, category, tags, description,
    tokenize = 'porter unicode61 remove_diacritics 2', prefix = '2 3'
);
