CREATE TABLE accounts (
    customer_id TEXT PRIMARY KEY,
    -- In lower case.
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- A PHC string: algorithm, parameters, salt and hash.
    password_hash TEXT NOT NULL,
    admin INTEGER NOT NULL DEFAULT 0 CHECK (admin IN (0, 1)),
    -- Grows when the password changes, which ends all earlier sessions.
    session_epoch INTEGER NOT NULL DEFAULT 1,
    -- The key under which the account was opened; the administrator's has none.
    registered_under TEXT UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE addresses (
    address_id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES accounts (customer_id) ON DELETE CASCADE,
    -- The key under which the address was added.
    added_under TEXT NOT NULL,
    name TEXT NOT NULL,
    line1 TEXT NOT NULL,
    line2 TEXT NOT NULL,
    city TEXT NOT NULL,
    region TEXT NOT NULL,
    postcode TEXT NOT NULL,
    country TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (customer_id, added_under)
) STRICT;

-- Attempts to sign in, kept for a quarter of an hour. Also for addresses without an account, so that both look the same.
CREATE TABLE attempts (
    attempt_id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    failed INTEGER NOT NULL CHECK (failed IN (0, 1)),
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_by_email ON attempts (email, at_ms);
