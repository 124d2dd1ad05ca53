CREATE TABLE shipments (
    shipment_id TEXT PRIMARY KEY,
    -- One shipment per order, whatever is delivered how often.
    order_id TEXT NOT NULL UNIQUE,
    carrier TEXT NOT NULL,
    tracking_number TEXT NOT NULL,
    destination TEXT NOT NULL,
    email TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expected_at_ms INTEGER NOT NULL
) STRICT;

-- The outbox: what happened to shipments, in the order in which others read it.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    shipment_id TEXT NOT NULL REFERENCES shipments (shipment_id),
    at_ms INTEGER NOT NULL
) STRICT;

-- The inbox: events of others that were dealt with.
CREATE TABLE inbox (
    event_id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each source of events was read.
CREATE TABLE places (
    source TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT;
