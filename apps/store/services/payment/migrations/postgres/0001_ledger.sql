-- Payments, the double-entry ledger, and the simulated bank's own book.
-- No card number is stored anywhere: only the brand and the last four digits.

-- One payment per order. The states `asked`, `capturing` and `refunding` are written before the bank is asked, so that
-- a lost answer is asked for again. `fence` is the highest fencing token that commanded it; a lower one is refused.
CREATE TABLE payments (
    order_id     TEXT   NOT NULL PRIMARY KEY,
    state        TEXT   NOT NULL CHECK (state IN ('asked', 'authorised', 'declined', 'capturing', 'captured',
                                                  'capture-refused', 'voided', 'refunding', 'refunded')),
    amount       BIGINT NOT NULL CHECK (amount >= 0),
    currency     TEXT   NOT NULL,
    brand        TEXT   NOT NULL DEFAULT '',
    last_four    TEXT   NOT NULL DEFAULT '',
    reason       TEXT   NOT NULL DEFAULT '',
    fence        BIGINT NOT NULL DEFAULT 0,
    at_millis    BIGINT NOT NULL
);

-- Append only. The entries of one transfer sum to zero in their one currency.
CREATE TABLE transfers (
    transfer_id BIGINT  NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    order_id    TEXT    NOT NULL REFERENCES payments (order_id),
    kind        TEXT    NOT NULL CHECK (kind IN ('authorise', 'capture', 'void', 'refund')),
    at_millis   BIGINT  NOT NULL,
    -- At most one of each per order: the database itself refuses a second capture.
    UNIQUE (order_id, kind)
);

CREATE TABLE entries (
    transfer_id BIGINT NOT NULL REFERENCES transfers (transfer_id),
    account     TEXT   NOT NULL CHECK (account IN ('customer', 'held', 'store')),
    amount      BIGINT NOT NULL CHECK (amount <> 0),
    currency    TEXT   NOT NULL,
    PRIMARY KEY (transfer_id, account)
);

-- The simulated bank: its answer to each key, given again whenever it is asked again.
CREATE TABLE bank_operations (
    operation_key   TEXT   NOT NULL PRIMARY KEY,
    approved        BIGINT NOT NULL CHECK (approved IN (0, 1)),
    reason          TEXT   NOT NULL DEFAULT '',
    card_kind       TEXT   NOT NULL DEFAULT '',
    amount          BIGINT NOT NULL,
    currency        TEXT   NOT NULL,
    answers_to_lose BIGINT NOT NULL DEFAULT 0,
    at_millis       BIGINT NOT NULL
);
