-- Sessions that somebody signed out of, until they would have been over anyway.
CREATE TABLE ended_sessions (
    -- SHA-256 of the token, in hexadecimal digits: the table proves nothing to whoever reads it.
    token_sum TEXT PRIMARY KEY,
    expires_at_ms BIGINT NOT NULL
);

CREATE INDEX ended_sessions_by_end ON ended_sessions (expires_at_ms);
