//! Which requests failed that could have been served. Pure.

use crate::faults::{Kill, Phase};
use shoal_load::Stage;
use shoal_load::store::{Step, Visit};
use std::time::{Duration, Instant};

/// Notices of a page on which nothing is missing.
const GOOD: [&str; 3] = ["added", "placed", "out-of-stock"];

/// How long the storefront lets a page wait for what it shows.
const PAGE_LIMIT: Duration = Duration::from_millis(1_500);

/// How the store says that an order was taken, and is still being worked on.
const ON_ITS_WAY: &str = "on its way to being placed";

/// How the store says that somebody else bought the last piece.
const SOLD_OUT: &str = "cannot be ordered as it is";

/// How the gateway says that a request was sent to nobody.
const NOT_SENT: [&str; 2] = ["has no replica ready", "could not be reached"];

/// The services that work on an order while its buyer waits. Guests buy here, so the customers' is not one of them.
const ORDER_WAY: [&str; 9] =
    ["gateway", "storefront", "checkout", "basket", "catalogue", "inventory", "payment", "orders", "shipping"];

/// The services that work on a change of a basket.
const BASKET_WAY: [&str; 3] = ["gateway", "storefront", "basket"];

/// How the unmodified program says that its own call, which goes through the gateway, broke off.
const CALL_BROKE: &str = "no stock";

/// How it says that the answer to its call had begun.
const ANSWER_BROKE: &str = "IncompleteRead";

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered as it should be.
    Served,
    /// It was inside a process that was killed, and must not be asked twice, or its answer had begun.
    Apart(String),
    /// It was held for as long as the store lets it wait, which says how slow the machine is, and then answered with what was there.
    Late(String),
    /// It could have been served.
    Failed(String),
}

/// All requests, and when each was over.
pub fn of(visits: &[Visit], phases: &[Phase]) -> Vec<(Verdict, Instant)> {
    let kills: Vec<&Kill> = phases.iter().flat_map(|phase| &phase.kills).collect();
    let mut verdicts = Vec::new();
    for visit in visits {
        verdicts.extend(visit.steps.iter().map(|step| (of_step(step, &kills), step.ended)));
        if let (Some(Err(why)), Some(first), Some(last)) = (&visit.order, visit.steps.first(), visit.steps.last()) {
            let killed = killed_between(&kills, first.started, last.ended);
            let is_killed = killed.iter().any(|what| ORDER_WAY.contains(what));
            let verdict = match format!("no order: {why}") {
                why if why.contains(SOLD_OUT) => continue,
                why if is_killed => Verdict::Apart(why),
                why if why.contains(ON_ITS_WAY) => Verdict::Late(why),
                why => Verdict::Failed(why),
            };
            verdicts.push((verdict, last.ended));
        }
    }
    verdicts
}

fn of_step(step: &Step, kills: &[&Kill]) -> Verdict {
    let why = match (&step.outcome, &step.notice) {
        (Ok((status, _)), None) if *status < 400 => return Verdict::Served,
        (Ok((status, _)), Some(notice)) if *status < 400 && GOOD.contains(&notice.as_str()) => return Verdict::Served,
        (Ok((status, _)), Some(notice)) if *status < 400 => format!("it says {notice}"),
        (Ok((status, said)), _) => format!("{status} {said}"),
        (Err(failure), _) => failure.to_string(),
    };
    let killed = killed_between(kills, step.started, step.ended);
    let stage = step.outcome.as_ref().err().map(|failure| failure.stage);
    let is_apart = if step.idempotent {
        // Whoever has the connection to the client is the only one who could ask again.
        let in_gateway = matches!(stage, Some(Stage::Unanswered | Stage::Begun)) || why.contains(CALL_BROKE);
        let in_front = stage == Some(Stage::Begun);
        killed.iter().any(|what| match *what {
            "gateway" => in_gateway,
            "storefront" | "pages" => in_front,
            "stock" => why.contains(ANSWER_BROKE),
            _ => false,
        })
    } else {
        let is_unsent = stage == Some(Stage::Unsent) || NOT_SENT.iter().any(|sign| why.contains(sign));
        killed.iter().any(|what| is_on_the_way(&step.name, what)) && !is_unsent
    };
    let took = step.ended - step.started;
    let is_late = took >= PAGE_LIMIT && step.notice.is_some() && step.succeeded();
    match format!("{} after {} ms: {why}", step.name, took.as_millis()) {
        why if is_apart => Verdict::Apart(why),
        why if is_late => Verdict::Late(why),
        why => Verdict::Failed(why),
    }
}

/// Whether a service works on what is asked for, of what must not be asked twice.
fn is_on_the_way(name: &str, service: &str) -> bool {
    match name {
        "POST /basket/add" => BASKET_WAY.contains(&service),
        "POST /checkout" | "POST /checkout/pay" => ORDER_WAY.contains(&service),
        _ => false,
    }
}

/// What was killed within a span of time.
fn killed_between(kills: &[&Kill], from: Instant, to: Instant) -> Vec<&'static str> {
    kills
        .iter()
        .filter(|kill| kill.from <= to && kill.to >= from && kill.what != "supervisor")
        .map(|kill| kill.what)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_load::Failure;

    fn step(start: Instant, milliseconds: [u64; 2], idempotent: bool, outcome: Result<(u16, &str), Stage>) -> Step {
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let outcome = outcome.map(|(status, said)| (status, said.to_owned()));
        Step {
            name: if idempotent { "GET /" } else { "POST /basket/add" }.to_owned(),
            idempotent,
            started: at(milliseconds[0]),
            ended: at(milliseconds[1]),
            outcome: outcome.map_err(|stage| Failure { stage, late: false, why: "closed".to_owned() }),
            notice: None,
        }
    }

    #[test]
    fn a_page_may_lack_something_only_once_it_was_waited_for() {
        let start = Instant::now();
        for (took, notice, expected) in
            [(1_600, "stock-unknown", "Late"), (900, "stock-unknown", "Failed"), (900, "added", "Served")]
        {
            let step = Step { notice: Some(notice.to_owned()), ..step(start, [0, took], true, Ok((200, ""))) };
            let verdict = format!("{:?}", of_step(&step, &[]));
            assert!(verdict.starts_with(expected), "{notice} after {took} ms: {verdict}");
        }
    }

    #[test]
    fn a_killed_process_excuses_only_what_it_works_on() {
        let start = Instant::now();
        for (what, name, is_apart) in [
            ("basket", "POST /basket/add", true),
            ("notify", "POST /basket/add", false),
            ("orders", "POST /basket/add", false),
            ("orders", "POST /checkout/pay", true),
            ("notify", "POST /checkout/pay", false),
            ("basket", "POST /what-is-new", false),
        ] {
            let kill = Kill { what, from: start, to: start + Duration::from_millis(1) };
            let step = Step { name: name.to_owned(), ..step(start, [0, 20], false, Ok((503, ""))) };
            let verdict = of_step(&step, &[&kill]);
            assert_eq!(matches!(verdict, Verdict::Apart(_)), is_apart, "{what} killed, {name}: {verdict:?}");
        }
    }

    #[test]
    fn an_order_is_excused_by_what_works_on_orders() {
        let start = Instant::now();
        for (what, is_apart) in [("payment", true), ("notify", false), ("customer", false)] {
            let kills = vec![Kill { what, from: start, to: start + Duration::from_millis(1) }];
            let phases = [Phase { name: "", began: start, ended: start, kills }];
            let steps = vec![step(start, [0, 20], true, Ok((200, "")))];
            let visit = Visit { steps, order: Some(Err("it is gone".to_owned())) };
            let verdicts = of(&[visit], &phases);
            assert_eq!(matches!(verdicts[1].0, Verdict::Apart(_)), is_apart, "{what}: {verdicts:?}");
        }
    }

    #[test]
    fn only_what_was_inside_a_killed_process_is_apart() {
        let start = Instant::now();
        let kill = |what| Kill { what, from: start + Duration::from_millis(10), to: start + Duration::from_millis(11) };
        let (storefront, gateway, supervisor) = (kill("storefront"), kill("gateway"), kill("supervisor"));
        let stock = kill("stock");
        let during = [0, 20];
        let before = [0, 9];
        for (kill, span, idempotent, outcome, is_apart) in [
            (&storefront, during, false, Ok((502, "did not answer")), true),
            (&storefront, before, false, Ok((502, "did not answer")), false),
            (&storefront, during, false, Ok((502, "could not be reached")), false),
            (&storefront, during, false, Err(Stage::Unsent), false),
            (&storefront, during, true, Ok((502, "did not answer")), false),
            (&storefront, during, true, Err(Stage::Unanswered), false),
            (&storefront, during, true, Err(Stage::Begun), true),
            (&gateway, during, true, Err(Stage::Unanswered), true),
            (&gateway, during, true, Err(Stage::Unsent), false),
            (&gateway, during, true, Ok((503, "")), false),
            (&gateway, during, true, Ok((500, "no stock: reset")), true),
            (&storefront, during, true, Ok((500, "no stock: reset")), false),
            (&stock, during, true, Ok((500, "no stock: reset")), false),
            (&stock, during, true, Ok((500, "no stock: IncompleteRead(0 bytes read)")), true),
            (&gateway, during, false, Err(Stage::Unanswered), true),
            (&supervisor, during, false, Ok((502, "did not answer")), false),
        ] {
            let verdict = of_step(&step(start, span, idempotent, outcome), &[kill]);
            assert_eq!(
                matches!(verdict, Verdict::Apart(_)),
                is_apart,
                "{} {outcome:?} {span:?}: {verdict:?}",
                kill.what
            );
        }
    }
}
