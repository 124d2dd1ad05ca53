-- What was dealt with long ago is forgotten; see `shipments.rs`.
CREATE INDEX inbox_by_age ON inbox (at_ms);
