//! The ledger's totals and one order's entries. It only reads.

use shoal_sdk::{Connection, Error, query};
use store_contracts::store::payment::v1::{CurrencyAudit, LedgerEntry};
use store_contracts::store::types::v1::Money;

/// Each currency's totals, by code.
pub async fn currencies(connection: &mut Connection) -> Result<Vec<CurrencyAudit>, Error> {
    let rows: Vec<(String, i64, i64, i64, i64, i64)> = query(
        "SELECT entries.currency,
                CAST(SUM(entries.amount) AS BIGINT),
                CAST(SUM(CASE WHEN kind = 'capture' AND account = 'store' THEN amount ELSE 0 END) AS BIGINT),
                CAST(SUM(CASE WHEN kind = 'refund' AND account = 'customer' THEN amount ELSE 0 END) AS BIGINT),
                CAST(SUM(CASE WHEN account = 'held' THEN amount ELSE 0 END) AS BIGINT),
                CAST(SUM(CASE WHEN kind = 'capture' AND account = 'store' THEN 1 ELSE 0 END) AS BIGINT)
         FROM entries JOIN transfers ON transfers.transfer_id = entries.transfer_id
         GROUP BY entries.currency ORDER BY entries.currency",
    )
    .fetch_all(connection)
    .await?;
    let audit = |(currency, ledger_sum, captured, refunded, held, captures)| CurrencyAudit {
        currency,
        ledger_sum,
        captured,
        refunded,
        held,
        captures,
        ..Default::default()
    };
    Ok(rows.into_iter().map(audit).collect())
}

/// One order's entries, oldest first.
pub async fn entries(connection: &mut Connection, order_id: &str) -> Result<Vec<LedgerEntry>, Error> {
    let rows: Vec<(i64, String, i64, String, i64)> = query(
        "SELECT transfers.transfer_id, entries.account, entries.amount, entries.currency, transfers.at_millis
         FROM transfers JOIN entries ON entries.transfer_id = transfers.transfer_id
         WHERE transfers.order_id = $1 ORDER BY transfers.transfer_id, entries.amount",
    )
    .bind(order_id)
    .fetch_all(connection)
    .await?;
    let entry = |(transfer_id, account, minor, currency, at_ms): (i64, String, i64, String, i64)| LedgerEntry {
        transfer_id: transfer_id.to_string(),
        account,
        amount: Money { minor, currency, ..Default::default() }.into(),
        at_ms,
        ..Default::default()
    };
    Ok(rows.into_iter().map(entry).collect())
}
