CREATE TABLE shipments (
    shipment_id TEXT COLLATE "C" PRIMARY KEY,
    -- One shipment per order, whatever is delivered how often.
    order_id TEXT COLLATE "C" NOT NULL UNIQUE,
    carrier TEXT NOT NULL,
    tracking_number TEXT NOT NULL,
    destination TEXT NOT NULL,
    email TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expected_at_ms BIGINT NOT NULL
);

-- The outbox: what happened to shipments, in the order in which others read it. A sequence is given inside the write
-- lock, so it grows in the order of the commits; a transaction that was undone leaves a gap.
CREATE TABLE events (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id TEXT COLLATE "C" NOT NULL UNIQUE,
    shipment_id TEXT COLLATE "C" NOT NULL REFERENCES shipments (shipment_id),
    at_ms BIGINT NOT NULL
);

-- The inbox: events of others that were dealt with.
CREATE TABLE inbox (
    event_id TEXT COLLATE "C" PRIMARY KEY,
    at_ms BIGINT NOT NULL
);

-- How far each source of events was read.
CREATE TABLE places (
    source TEXT COLLATE "C" PRIMARY KEY,
    sequence BIGINT NOT NULL
);
