//! Mails and places in the database. Never: asks another service.

use crate::letters::Letter;
use shoal_sdk::{Connection, Error, query};
use store_contracts::store::notify::v1::Mail;

/// The sequence of a source's last event that was dealt with; 0 at first.
pub async fn place(connection: &mut Connection, source: &str) -> Result<i64, Error> {
    let found: Option<(i64,)> =
        query("SELECT sequence FROM places WHERE source = $1").bind(source).fetch_optional(connection).await?;
    Ok(found.map_or(0, |place| place.0))
}

/// Moves a source's place on; never back.
pub async fn move_place(connection: &mut Connection, source: &str, sequence: i64) -> Result<(), Error> {
    query(
        "INSERT INTO places (source, sequence) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET sequence = excluded.sequence WHERE places.sequence < excluded.sequence",
    )
    .bind(source)
    .bind(sequence)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes a mail, unless its event has one: mails are kept, so they are their own inbox.
pub async fn write(connection: &mut Connection, letter: &Letter, now_ms: i64) -> Result<(), Error> {
    query(
        "INSERT INTO mails (mail_id, event_id, recipient, subject, body, order_id, sent_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (event_id) DO NOTHING",
    )
    .bind(uuid::Uuid::now_v7().to_string())
    .bind(&letter.event_id)
    .bind(&letter.recipient)
    .bind(&letter.subject)
    .bind(&letter.body)
    .bind(&letter.order_id)
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    sequence: i64,
    mail_id: String,
    recipient: String,
    subject: String,
    body: String,
    order_id: String,
    sent_at_ms: i64,
}

/// Mails before a sequence, newest first; and the sequence to go on from, when there are more.
pub async fn list(
    connection: &mut Connection,
    recipient: &str,
    before: i64,
    limit: i64,
) -> Result<(Vec<Mail>, Option<i64>), Error> {
    let statement = if recipient.is_empty() {
        "SELECT sequence, mail_id, recipient, subject, body, order_id, sent_at_ms FROM mails
         WHERE sequence < $2 AND $1 = '' ORDER BY sequence DESC LIMIT $3"
    } else {
        "SELECT sequence, mail_id, recipient, subject, body, order_id, sent_at_ms FROM mails
         WHERE recipient = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3"
    };
    // One more than asked for tells whether there is a next page.
    let mut rows: Vec<Row> =
        query(statement).bind(recipient).bind(before).bind(limit + 1).fetch_all(connection).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    let next = rows.last().filter(|_| more).map(|row| row.sequence);
    let mails = rows.into_iter().map(|row| Mail {
        mail_id: row.mail_id,
        recipient: row.recipient,
        subject: row.subject,
        body: row.body,
        order_id: row.order_id,
        sent_at_ms: row.sent_at_ms,
        ..Default::default()
    });
    Ok((mails.collect(), next))
}
