//! The simulated bank: another party, with a book of its own, that happens to live in the same file. It decides once
//! per key and gives that answer again whenever it is asked again; an answer may get lost on the way. Payment talks to
//! it only through `ask`, in transactions apart from its own.

use shoal_sdk::{Database, Error};

use crate::Clock;
use crate::card::CardKind;

/// The bank.
pub struct Bank {
    database: Database,
    clock: Clock,
}

/// What the bank is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Hold an amount on a card of this kind; `None` withdraws the question, unless it was answered before.
    Authorise(Option<CardKind>),
    /// Take what is held.
    Capture,
    /// Let go what is held.
    Void,
    /// Give back what was taken.
    Refund,
}

/// A definite answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Approved,
    /// It is not and will not be done; the sentence is for the shopper.
    Refused(String),
}

impl Operation {
    fn key(self, order_id: &str) -> String {
        let name = match self {
            Operation::Authorise(_) => "authorise",
            Operation::Capture => "capture",
            Operation::Void => "void",
            Operation::Refund => "refund",
        };
        format!("{name}:{order_id}")
    }
}

type Row = (i64, String, String, i64);

impl Bank {
    /// The bank whose book is in `database`.
    pub fn new(database: Database, clock: Clock) -> Bank {
        Bank { database, clock }
    }

    /// Asks for an operation on the payment of an order. `None` is silence: nobody can tell whether it took effect,
    /// and asking again is safe.
    ///
    /// # Errors
    /// When the bank's book cannot be read or written.
    pub async fn ask(
        &self,
        operation: Operation,
        order_id: &str,
        amount: i64,
        currency: &str,
    ) -> Result<Option<Verdict>, Error> {
        let key = operation.key(order_id);
        let mut book = self.database.write().await?;
        let (approved, reason, lose) = match find(&mut book, &key).await? {
            Some((approved, reason, _, lose)) => {
                if lose > 0 {
                    sqlx::query("UPDATE bank_operations SET answers_to_lose = $2 WHERE operation_key = $1")
                        .bind(&key)
                        .bind(lose - 1)
                        .execute(&mut *book)
                        .await?;
                }
                (approved != 0, reason, lose)
            }
            None => {
                let (kind, verdict) = decide(&mut book, operation, order_id).await?;
                let (approved, reason) = match verdict {
                    Verdict::Approved => (true, String::new()),
                    Verdict::Refused(reason) => (false, reason),
                };
                let lose = i64::from(matches!(operation, Operation::Authorise(Some(CardKind::LosesAnswers))));
                sqlx::query(
                    "INSERT INTO bank_operations
                     (operation_key, approved, reason, card_kind, amount, currency, answers_to_lose, at_millis)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(&key)
                .bind(i64::from(approved))
                .bind(&reason)
                .bind(kind.name())
                .bind(amount)
                .bind(currency)
                .bind((lose - 1).max(0))
                .bind((self.clock)())
                .execute(&mut *book)
                .await?;
                (approved, reason, lose)
            }
        };
        book.commit().await?;
        if lose > 0 {
            return Ok(None);
        }
        Ok(Some(if approved { Verdict::Approved } else { Verdict::Refused(reason) }))
    }
}

async fn find(book: &mut sqlx::SqliteConnection, key: &str) -> Result<Option<Row>, Error> {
    let row = sqlx::query_as(
        "SELECT approved, reason, card_kind, answers_to_lose FROM bank_operations WHERE operation_key = $1",
    )
    .bind(key)
    .fetch_optional(book)
    .await?;
    Ok(row)
}

/// The bank's decision on an operation it is asked for the first time.
async fn decide(
    book: &mut sqlx::SqliteConnection,
    operation: Operation,
    order_id: &str,
) -> Result<(CardKind, Verdict), Error> {
    if let Operation::Authorise(card) = operation {
        return Ok(match card {
            Some(kind) => (kind, of_card(kind)),
            None => (CardKind::Stranger, refused("The card was not passed on in time: please try again.")),
        });
    }
    let held = find(book, &Operation::Authorise(None).key(order_id)).await?;
    let Some((1, _, kind, _)) = held else {
        return Ok((CardKind::Stranger, refused("The bank holds no money for this order.")));
    };
    let kind = CardKind::from_name(&kind);
    let voided = find(book, &Operation::Void.key(order_id)).await?.is_some();
    let captured = matches!(find(book, &Operation::Capture.key(order_id)).await?, Some((1, ..)));
    let verdict = match operation {
        Operation::Capture if voided => refused("The bank has let this money go."),
        Operation::Capture if kind == CardKind::RefusesCapture => {
            refused("The bank took back its promise to pay: please use another card.")
        }
        Operation::Void if captured => refused("The bank has paid this money out."),
        Operation::Refund if !captured => refused("The bank has not paid this money out."),
        Operation::Capture | Operation::Void | Operation::Refund | Operation::Authorise(_) => Verdict::Approved,
    };
    Ok((kind, verdict))
}

fn of_card(kind: CardKind) -> Verdict {
    match kind {
        CardKind::Good | CardKind::LosesAnswers | CardKind::RefusesCapture => Verdict::Approved,
        CardKind::Declined => refused("The card was declined: please use another card."),
        CardKind::NoFunds => refused("There is not enough money on the card: please use another card."),
        CardKind::Stranger => refused("This bank is simulated and knows only test cards: try 4242 4242 4242 4242."),
    }
}

fn refused(reason: &str) -> Verdict {
    Verdict::Refused(reason.to_owned())
}
