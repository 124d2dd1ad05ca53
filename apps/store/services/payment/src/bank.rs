//! The simulated bank: another party, with a book of its own, that happens to live in the same database. It decides
//! once per key and gives that answer again whenever it is asked again; an answer may come late, twice or not at all.
//! Payment talks to it only through `ask`, in transactions apart from its own.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use shoal_sdk::{Connection, Database, Error, query};

use crate::Clock;
use crate::card::CardKind;
use crate::records::Record;

/// How long the bank takes over each operation on a slow card.
const SLOW: Duration = Duration::from_secs(2);

/// The bank.
pub struct Bank {
    database: Database,
    clock: Clock,
    manners: Manners,
}

/// How the bank treats everybody, whatever their card.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// How long after its effect an answer leaves.
    pub delay: Duration,
    /// The share of answers that get lost, 0 to 1.
    pub lost_answers: f64,
}

/// What the bank is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Hold an amount on a card.
    Authorise,
    /// Take what is held.
    Capture,
    /// Let go what is held.
    Void,
    /// Give back what was taken.
    Refund,
}

/// A definite answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it answers.
    pub operation: Operation,
    /// Why it is not and will not be done, one sentence for the shopper; `None` when it is done.
    pub refusal: Option<String>,
}

impl Operation {
    fn key(self, order_id: &str) -> String {
        let name = match self {
            Operation::Authorise => "authorise",
            Operation::Capture => "capture",
            Operation::Void => "void",
            Operation::Refund => "refund",
        };
        format!("{name}:{order_id}")
    }

    /// What must have been done before it.
    fn before(self) -> Option<Operation> {
        match self {
            Operation::Authorise => None,
            Operation::Capture | Operation::Void => Some(Operation::Authorise),
            Operation::Refund => Some(Operation::Capture),
        }
    }
}

/// What stands in the book about an operation.
struct Booked {
    refusal: Option<String>,
    card: CardKind,
    is_new: bool,
}

impl Bank {
    /// The bank whose book is in `database`.
    pub fn new(database: Database, clock: Clock, manners: Manners) -> Bank {
        Bank { database, clock, manners }
    }

    /// Asks for an operation on the payment of an order. To authorise without a card withdraws the question, unless it
    /// was answered before. An empty answer is silence: nobody can tell whether it took effect, and asking again is
    /// safe. There may be more than one answer, also late ones to what was asked before.
    ///
    /// # Errors
    /// When the bank's book cannot be read or written.
    pub async fn ask(
        &self,
        operation: Operation,
        card: Option<CardKind>,
        record: &Record,
    ) -> Result<Vec<Answer>, Error> {
        let order_id = record.order_id.as_str();
        let mut book = self.database.write_for(order_id).await?;
        let booked = match find(&mut book, &operation.key(order_id)).await? {
            Some(booked) => booked,
            None => {
                let booked = decide(&mut book, operation, card, order_id).await?;
                write(&mut book, operation, record, &booked, (self.clock)()).await?;
                booked
            }
        };
        let mut answers = Vec::new();
        if booked.card == CardKind::AnswersTwice
            && let Some(earlier) = operation.before()
            && let Some(late) = find(&mut book, &earlier.key(order_id)).await?
        {
            answers.push(Answer { operation: earlier, refusal: late.refusal });
        }
        book.commit().await?;
        // It has taken effect: whoever gives up waiting or hears nothing must ask again.
        let slow = if booked.is_new && booked.card == CardKind::Slow { SLOW } else { Duration::ZERO };
        tokio::time::sleep(self.manners.delay.max(slow)).await;
        if booked.loses(operation) || self.loses_one() {
            return Ok(Vec::new());
        }
        let times = if booked.card == CardKind::AnswersTwice { 2 } else { 1 };
        answers.extend(std::iter::repeat_n(Answer { operation, refusal: booked.refusal }, times));
        Ok(answers)
    }

    fn loses_one(&self) -> bool {
        // Seeded anew by each `RandomState`; no more is needed to lose some answers.
        let even = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(u32::MAX);
        f64::from(even) < self.manners.lost_answers * f64::from(u32::MAX)
    }
}

impl Booked {
    /// Whether this answer is one that the card makes the bank lose.
    fn loses(&self, operation: Operation) -> bool {
        self.is_new
            && match self.card {
                CardKind::LosesAnswer => operation == Operation::Authorise,
                CardKind::LosesEachAnswer => true,
                _ => false,
            }
    }
}

async fn find(book: &mut Connection, key: &str) -> Result<Option<Booked>, Error> {
    let row: Option<(i64, String, String)> =
        query("SELECT approved, reason, card_kind FROM bank_operations WHERE operation_key = $1")
            .bind(key)
            .fetch_optional(book)
            .await?;
    Ok(row.map(|(approved, reason, card)| Booked {
        refusal: (approved == 0).then_some(reason),
        card: CardKind::from_name(&card),
        is_new: false,
    }))
}

async fn write(
    book: &mut Connection,
    operation: Operation,
    record: &Record,
    booked: &Booked,
    now: i64,
) -> Result<(), Error> {
    query(
        "INSERT INTO bank_operations (operation_key, approved, reason, card_kind, amount, currency, at_millis)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(operation.key(&record.order_id))
    .bind(i64::from(booked.refusal.is_none()))
    .bind(booked.refusal.as_deref().unwrap_or_default())
    .bind(booked.card.name())
    .bind(record.amount)
    .bind(&record.currency)
    .bind(now)
    .execute(book)
    .await?;
    Ok(())
}

/// The bank's decision on an operation it is asked for the first time.
async fn decide(
    book: &mut Connection,
    operation: Operation,
    card: Option<CardKind>,
    order_id: &str,
) -> Result<Booked, Error> {
    if operation == Operation::Authorise {
        return Ok(match card {
            Some(kind) => Booked { refusal: of_card(kind), card: kind, is_new: true },
            None => refused(CardKind::Stranger, "The card was not passed on in time: please try again."),
        });
    }
    let held = find(book, &Operation::Authorise.key(order_id)).await?;
    let Some(Booked { refusal: None, card, .. }) = held else {
        return Ok(refused(CardKind::Stranger, "The bank holds no money for this order."));
    };
    let voided = find(book, &Operation::Void.key(order_id)).await?.is_some_and(|void| void.refusal.is_none());
    let captured = find(book, &Operation::Capture.key(order_id)).await?.is_some_and(|taken| taken.refusal.is_none());
    Ok(match operation {
        Operation::Capture if voided => refused(card, "The bank has let this money go."),
        Operation::Capture if card == CardKind::RefusesCapture => {
            refused(card, "The bank took back its promise to pay: please use another card.")
        }
        Operation::Void if captured => refused(card, "The bank has paid this money out."),
        Operation::Refund if !captured => refused(card, "The bank has not paid this money out."),
        Operation::Capture | Operation::Void | Operation::Refund | Operation::Authorise => {
            Booked { refusal: None, card, is_new: true }
        }
    })
}

fn of_card(kind: CardKind) -> Option<String> {
    let why = match kind {
        CardKind::Good
        | CardKind::LosesAnswer
        | CardKind::LosesEachAnswer
        | CardKind::AnswersTwice
        | CardKind::Slow
        | CardKind::RefusesCapture => return None,
        CardKind::Declined => "The card was declined: please use another card.",
        CardKind::NoFunds => "There is not enough money on the card: please use another card.",
        CardKind::Stranger => "This bank is simulated and knows only test cards: please use one of those.",
    };
    Some(why.to_owned())
}

fn refused(card: CardKind, reason: &str) -> Booked {
    Booked { refusal: Some(reason.to_owned()), card, is_new: true }
}
