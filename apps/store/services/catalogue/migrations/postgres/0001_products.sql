CREATE TABLE products (
    product_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    -- A JSON array of strings, in their order.
    tags TEXT NOT NULL CHECK (json_typeof(CAST(tags AS JSON)) = 'array'),
    -- The shop's own order.
    position BIGINT NOT NULL,
    -- Grows by one with each change of the text.
    version BIGINT NOT NULL
);

CREATE INDEX products_in_order ON products (category, position);

-- Every price there ever was; one of each product and currency is current.
CREATE TABLE prices (
    product_id TEXT NOT NULL REFERENCES products (product_id),
    currency TEXT NOT NULL,
    version BIGINT NOT NULL,
    minor BIGINT NOT NULL CHECK (minor > 0),
    since_ms BIGINT NOT NULL,
    current BIGINT NOT NULL CHECK (current IN (0, 1)),
    PRIMARY KEY (product_id, currency, version)
);

CREATE UNIQUE INDEX prices_current ON prices (product_id, currency) WHERE current = 1;

-- Commands that were carried out, so that a repeat answers the same.
CREATE TABLE commands (
    idempotency_key TEXT PRIMARY KEY,
    request BYTEA NOT NULL,
    answer BYTEA NOT NULL,
    at_ms BIGINT NOT NULL
);

CREATE INDEX commands_by_age ON commands (at_ms);

-- Words by their English stems, as SQLite's index has them: no word is too common to be looked for.
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, Language = english);
CREATE TEXT SEARCH CONFIGURATION shop (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION shop
    ALTER MAPPING FOR asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart
    WITH stems;

CREATE TABLE words (
    product_id TEXT PRIMARY KEY REFERENCES products (product_id),
    document TSVECTOR NOT NULL
);

CREATE INDEX words_document ON words USING gin (document);
