CREATE TABLE mails (
    -- Grows with each mail: pages of the list are cut by it.
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mail_id TEXT COLLATE "C" NOT NULL UNIQUE,
    -- The event it was written for: one mail per event, however often that is delivered.
    event_id TEXT COLLATE "C" NOT NULL UNIQUE,
    -- In lower case.
    recipient TEXT COLLATE "C" NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    order_id TEXT COLLATE "C" NOT NULL,
    sent_at_ms BIGINT NOT NULL
);

CREATE INDEX mails_by_recipient ON mails (recipient, sequence);

-- How far each source of events was read.
CREATE TABLE places (
    source TEXT COLLATE "C" PRIMARY KEY,
    sequence BIGINT NOT NULL
);
