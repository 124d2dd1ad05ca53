//! Requests that can be read in more ways than one, sent as raw bytes to our gateway and to nginx and haproxy, each in front of
//! the same strict upstream.
//!
//! What must hold: whatever the gateway passes on has a single reading; it is what was meant, never more; and what nginx or
//! haproxy refuse, the gateway refuses too, but for the differences that `differences.rs` lists with their reasons.

mod answers;
mod corpus;
mod differences;
mod http2;
mod mutate;
mod talk;
mod told;

use corpus::Expect;
use differences::DIFFERENCES;
use mutate::Chance;
use serde_json::Value;
use shoal_e2e::strict::{self, Kind};
use shoal_e2e::{Application, Door, Peers, Proxy};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use talk::Talk;

const MANIFEST: &str = r#"
[application]
name = "ambiguous"

[gateway]
listen = "127.0.0.1:0"
routes = [{ path = "/", service = "strict" }]

[services.strict]
run = { command = ["UPSTREAM", "LOG"] }
"#;

/// How many clients there are at a time.
const CLIENTS: usize = 24;
/// The characters of a request that are compared.
const SHOWN_MAX: usize = 40;

/// Our gateway, with the strict upstream as a service that knows nothing of Shoal.
fn gateway() -> (Application, Proxy) {
    let upstream = env!("CARGO_BIN_EXE_raw-upstream");
    let application = Application::new("");
    let log = application.folder().join("requests.seen");
    let manifest = MANIFEST.replace("UPSTREAM", upstream).replace("LOG", log.to_str().expect("a path is text"));
    application.write("shoal.toml", manifest);
    application.up();
    application.until_ready("strict", 1);
    let address = application.address();
    let address = address.strip_prefix("http://").and_then(|address| address.parse().ok());
    let door = Door::Tcp(address.expect("an address is a host and a port"));
    (application, Proxy { name: "shoal", http1: door.clone(), http2: door, log })
}

/// A request as an upstream got it.
struct Got {
    /// Method, rest of the target and body.
    shown: String,
    headers: Vec<(String, String)>,
}

/// What an upstream has seen, by the case it came from.
#[derive(Default)]
struct Seen {
    requests: BTreeMap<String, Vec<Got>>,
    violations: Vec<String>,
}

impl Seen {
    fn of(log: &Path) -> Self {
        let mut seen = Self::default();
        for line in std::fs::read_to_string(log).unwrap_or_default().lines() {
            let line: Value = serde_json::from_str(line).expect("the upstream writes JSON");
            let word = |key: &str| line[key].as_str().unwrap_or_default();
            if line.get("violation").is_some() {
                seen.violations.push(format!("{}: {}", word("violation"), word("bytes")));
                continue;
            }
            let headers: Vec<(String, String)> = serde_json::from_value(line["headers"].clone()).expect("headers");
            let named = headers.iter().find(|(name, _)| name == "x-case").map(|(_, value)| value.as_str());
            let target = word("target").trim_start_matches('/');
            let case = named.unwrap_or(target).trim_start_matches('/').split('/').next().unwrap_or_default();
            let rest = target.trim_start_matches(case).trim_start_matches('/');
            let shown = format!("{} {rest} {}", word("method"), word("body"));
            let shown = shown.trim_end_matches(' ').chars().take(SHOWN_MAX).collect();
            seen.requests.entry(case.to_owned()).or_default().push(Got { shown, headers });
        }
        seen
    }

    fn shown(&self, case: &str) -> Vec<&str> {
        self.requests.get(case).into_iter().flatten().map(|got| got.shown.as_str()).collect()
    }

    /// Whether anything of a case got there, if only what the strict upstream could not read.
    fn knows(&self, case: &str) -> bool {
        let sign = format!("/{case}/");
        self.shown(case).iter().any(|shown| *shown != "GET end")
            || self.violations.iter().any(|why| why.contains(&sign))
    }
}

/// Does `work` with each of `tasks`, some at a time.
fn each<T: Sync, R: Send>(tasks: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some((index, task)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, tasks.get(i)?)))
                {
                    let result = work(task);
                    done.lock().expect("no client panics").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no client panics");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What is wrong with what reached the gateway's upstream.
fn fault(expect: Expect, seen: &[&str]) -> Option<String> {
    let fits = match expect {
        Expect::Nothing => seen.is_empty(),
        Expect::Exactly(wanted) => seen == wanted,
        Expect::AtMost(wanted) => wanted.get(..seen.len()).is_some_and(|most| seen == most),
    };
    (!fits).then(|| format!("the upstream got {seen:?}, where {expect:?} was right"))
}

/// Holds what the three upstreams have seen against what may be.
fn compare(cases: &[(&str, Expect)], proxies: &[Proxy]) -> Vec<String> {
    let views: Vec<(&str, Seen)> = proxies.iter().map(|proxy| (proxy.name, Seen::of(&proxy.log))).collect();
    let (_, ours) = &views[0];
    let mut faults: Vec<String> =
        ours.violations.iter().map(|why| format!("passed on what has no single reading: {why}")).collect();
    let known = |case: &str| cases.iter().any(|(name, _)| *name == case);
    let strays = ours.requests.keys().filter(|case| !known(case));
    faults.extend(strays.map(|case| format!("a request of no case: {case}")));
    for (name, expect) in cases {
        faults.extend(fault(*expect, &ours.shown(name)).map(|why| format!("{name}: {why}")));
        let listed = DIFFERENCES.iter().any(|(cases, _)| cases.contains(name));
        let refusing = views.iter().skip(1).filter(|(_, view)| !view.knows(name)).map(|(peer, _)| *peer);
        let refusing: Vec<&str> = refusing.collect();
        if listed && !ours.knows(name) {
            faults.push(format!("{name}: is listed as a difference, but we refuse it"));
        }
        if ours.knows(name) && !refusing.is_empty() && !listed {
            faults.push(format!("{name}: {} refuses, we do not", refusing.join(" and ")));
        }
    }
    faults
}

/// A case of the corpus as it is sent, with one more request that ends the connection.
fn bytes(name: &str, sent: &str) -> Vec<u8> {
    let last = "GET ~/end HTTP/1.1|Host: h|Connection: close||";
    let text = format!("{sent}{last}").replace('|', "\r\n").replace('~', &format!("/{name}"));
    // What a case writes as a letter beyond ASCII is one byte, and no valid UTF-8.
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
}

/// Sends a case of the corpus in pieces of so many bytes.
fn send(proxy: &Proxy, name: &str, sent: &str, piece: usize) -> Talk {
    let method = sent.split(' ').next().unwrap_or_default();
    talk::send(proxy, &bytes(name, sent), &[method], piece, talk::PATIENCE)
}

/// All requests over HTTP/1.1.
fn corpus() -> Vec<(&'static str, String, Expect)> {
    let tables = [corpus::PROPER, corpus::LENGTHS, corpus::CODINGS, corpus::CHUNKS, corpus::STARTS, corpus::HEADERS];
    let cases = tables.into_iter().flatten().map(|(name, sent, expect)| (*name, (*sent).to_owned(), *expect));
    corpus::large().into_iter().chain(cases).collect()
}

#[test]
fn requests_over_http_1_have_one_reading_or_are_refused() {
    let (application, ours) = gateway();
    let peers = Peers::start(Path::new(env!("CARGO_BIN_EXE_raw-upstream")));
    let proxies: Vec<Proxy> = std::iter::once(ours).chain(peers.proxies.iter().cloned()).collect();
    let cases = corpus();
    let tasks: Vec<_> = cases.iter().flat_map(|case| proxies.iter().map(move |proxy| (case, proxy))).collect();
    let talks = each(&tasks, |((name, sent, _), proxy)| send(proxy, name, sent, usize::MAX));
    let expected: Vec<(&str, Expect)> = cases.iter().map(|(name, _, expect)| (*name, *expect)).collect();
    let mut faults = compare(&expected, &proxies);
    for (((name, _, expect), proxy), talk) in tasks.iter().zip(&talks).filter(|((_, proxy), _)| proxy.name == "shoal") {
        faults.extend(talk_fault(name, *expect, talk).map(|why| format!("{name}: {} {why}: {talk:?}", proxy.name)));
    }
    drop(application);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn requests_in_pieces_are_read_as_in_one() {
    let (application, ours) = gateway();
    let cases: Vec<_> = corpus().into_iter().filter(|(_, sent, _)| sent.len() < 1024).collect();
    let talks = each(&cases, |(name, sent, _)| send(&ours, name, sent, 1));
    let expected: Vec<(&str, Expect)> = cases.iter().map(|(name, _, expect)| (*name, *expect)).collect();
    let mut faults = compare(&expected, std::slice::from_ref(&ours));
    for ((name, _, expect), talk) in cases.iter().zip(&talks) {
        faults.extend(talk_fault(name, *expect, talk).map(|why| format!("{name}: {why}: {talk:?}")));
    }
    drop(application);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// How many requests are changed by chance, where nothing else is said by `SHOAL_FUZZ_COUNT`, and the first number of those.
const CHANGED: u64 = 1500;
const CHANGED_FIRST: u64 = 1;

#[test]
fn requests_changed_by_chance_have_one_reading_or_are_refused() {
    let (application, ours) = gateway();
    let number =
        |name: &str, otherwise| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (first, count) = (number("SHOAL_FUZZ_FIRST", CHANGED_FIRST), number("SHOAL_FUZZ_COUNT", CHANGED));
    let cases: Vec<_> = corpus().into_iter().filter(|(_, sent, _)| sent.len() < 1024).collect();
    let seeds: Vec<u64> = (first..first + count).collect();
    let sent = each(&seeds, |seed| {
        let chance = &mut Chance(*seed);
        let (_, sent, _) = &cases[chance.below(cases.len())];
        let bytes = mutate::mutated(bytes(&mutate::name(*seed), sent), chance);
        let piece = if chance.below(4) == 0 { 1 + chance.below(9) } else { usize::MAX };
        talk::send(&ours, &bytes, &[], piece, Duration::from_millis(200));
        bytes
    });
    let next = send(&ours, "after", "GET ~/a HTTP/1.1|Host: h||", usize::MAX);
    let seen = Seen::of(&ours.log);
    drop(application);
    assert_eq!(next.statuses, [200, 200], "it still serves");
    let cause = |why: &str| seeds.iter().find(|seed| why.contains(&mutate::name(**seed)));
    let mut faults: Vec<String> = seen.violations.iter().map(|why| format!("{:?}: {why}", cause(why))).collect();
    for (seed, bytes) in seeds.iter().zip(sent) {
        let name = mutate::name(*seed);
        let got = seen.shown(&name);
        // What the strictest reader makes of it is all that may be made of it.
        let strict = strictly(&bytes, &format!("/{name}/"));
        if strict
            .as_ref()
            .is_some_and(|strict| !strict.starts_with(&got.iter().map(ToString::to_string).collect::<Vec<_>>()))
        {
            faults
                .push(format!("{seed}: the upstream got {got:?}, where {strict:?} was sent: {}", bytes.escape_ascii()));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The requests that are in these bytes, as [`Seen`] shows them; `None` when they have no single reading to the end.
fn strictly(bytes: &[u8], prefix: &str) -> Option<Vec<String>> {
    let mut rest = bytes;
    let mut requests = Vec::new();
    while let Some((request, taken)) = strict::read(rest, Kind::Request).ok()? {
        rest = rest.get(taken..)?;
        let body = String::from_utf8_lossy(&request.body);
        let shown = format!("{} {} {body}", request.start[0], request.start[1].strip_prefix(prefix)?);
        requests.push(shown.trim_end_matches(' ').chars().take(SHOWN_MAX).collect());
    }
    Some(requests)
}

/// What is wrong with what the gateway's client got.
fn talk_fault(name: &str, expect: Expect, talk: &Talk) -> Option<String> {
    if let Some(why) = &talk.nonsense {
        return Some(format!("answered nonsense: {why}"));
    }
    if let Some(body) = talk.bodies.iter().find(|body| body.contains(" /") && !body.contains(name) && body.len() < 200)
    {
        return Some(format!("gave the answer of another case: {body}"));
    }
    let served = talk.statuses.iter().filter(|status| **status == 200).count();
    match expect {
        Expect::Exactly(wanted) if served != wanted.len() => Some(format!("answered {served} of {}", wanted.len())),
        Expect::Nothing if served > 0 => Some("answered as if all were well".to_owned()),
        Expect::Nothing if !talk.ended => Some("went on waiting".to_owned()),
        _ => None,
    }
}

#[test]
fn requests_over_http_2_have_one_reading_or_are_refused() {
    let (application, ours) = gateway();
    let peers = Peers::start(Path::new(env!("CARGO_BIN_EXE_raw-upstream")));
    let proxies: Vec<Proxy> = std::iter::once(ours).chain(peers.proxies.iter().cloned()).collect();
    let tasks: Vec<_> = http2::CASES.iter().flat_map(|case| proxies.iter().map(move |proxy| (case, proxy))).collect();
    let ended = each(&tasks, |(case, proxy)| http2::send(proxy, case));
    let expected: Vec<(&str, Expect)> = http2::CASES.iter().map(|case| (case.name, case.expect)).collect();
    let mut faults = compare(&expected, &proxies);
    let ours = tasks.iter().zip(ended).filter(|((_, proxy), ended)| proxy.name == "shoal" && !ended);
    faults.extend(ours.map(|((case, _), _)| format!("{}: no end within {} s", case.name, talk::PATIENCE.as_secs())));
    drop(application);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_replica_is_told_the_truth_about_its_requests() {
    let (application, gateway) = gateway();
    let talks = each(told::CASES, |(name, sent, ..)| send(&gateway, name, sent, usize::MAX));
    assert!(talks.iter().all(|talk| talk.statuses == [200, 200]), "{talks:?}");
    let crumbs = http2::CASES.iter().find(|case| case.name == "h2-cookies-in-crumbs").expect("it is in the corpus");
    assert!(http2::send(&gateway, crumbs));
    let seen = Seen::of(&gateway.log);
    drop(application);
    let values = |case: &str, header: &str| -> Vec<&str> {
        let headers = &seen.requests[case][0].headers;
        headers.iter().filter(|(name, _)| name == header).map(|(_, value)| value.as_str()).collect()
    };
    for (name, _, header, expected) in told::CASES {
        let got = values(name, header);
        let fits = |(got, expected): (&&str, &Option<&str>)| expected.is_none_or(|value| *got == value);
        assert!(got.len() == expected.len() && got.iter().zip(*expected).all(fits), "{name}: {header} is {got:?}");
    }
    assert_eq!(values(crumbs.name, "cookie"), ["a=1; b=2"]);
}

#[test]
fn an_answer_that_is_none_harms_its_own_client_only() {
    let (application, gateway) = gateway();
    let mut faults = Vec::new();
    for (name, answer, closes, expected) in answers::CASES {
        let answer: String = answer.replace('|', "\r\n").bytes().map(|byte| format!("{byte:02x}")).collect();
        let then = if *closes { "X-Then: close|" } else { "" };
        let request =
            |asked: &str| format!("{asked}|Host: h|Connection: close|Content-Length: 0|X-Answer: {answer}|{then}|");
        // No proxy may ask such a thing twice, so that the answer is the first one's.
        let post = request(&format!("POST /{name}/a HTTP/1.1")).replace('|', "\r\n");
        let talk = talk::send(&gateway, post.as_bytes(), &["POST"], usize::MAX, talk::PATIENCE);
        let got = talk.statuses.first().copied().zip(talk.bodies.first().map(String::as_str));
        let is_refused = talk.statuses.len() == 1 && talk.statuses[0] == 502;
        let fits = match expected {
            answers::Seen::Refused => is_refused,
            answers::Seen::Whole(status, body) => got == Some((*status, *body)),
            answers::Seen::Either(status, body) => is_refused || got == Some((*status, *body)),
            answers::Seen::Cut => is_refused || (talk.statuses.is_empty() && talk.ended),
        };
        if !fits || talk.nonsense.is_some() {
            faults.push(format!("{name}: {talk:?}, where {expected:?} was right"));
        }
        let next = send(&gateway, &format!("after-{name}"), "GET ~/a HTTP/1.1|Host: h||", usize::MAX);
        let own = next.bodies.iter().all(|body| body.contains(&format!("/after-{name}/")));
        if next.statuses != [200, 200] || !own {
            faults.push(format!("{name}: the next request got {next:?}"));
        }
    }
    drop(application);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_difference_is_of_a_case() {
    let mut names: Vec<&str> = corpus().into_iter().map(|(name, ..)| name).collect();
    names.extend(http2::CASES.iter().map(|case| case.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "names are told apart");
    for (cases, why) in DIFFERENCES {
        assert!(cases.iter().all(|case| names.binary_search(case).is_ok()) && !why.is_empty(), "{cases:?}");
    }
}
