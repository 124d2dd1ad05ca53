CREATE TABLE mails (
    -- Grows with each mail: pages of the list are cut by it.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_id TEXT NOT NULL UNIQUE,
    -- The event it was written for: one mail per event, however often that is delivered.
    event_id TEXT NOT NULL UNIQUE,
    -- In lower case.
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    order_id TEXT NOT NULL,
    sent_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX mails_by_recipient ON mails (recipient, sequence);

-- How far each source of events was read.
CREATE TABLE places (
    source TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT;
