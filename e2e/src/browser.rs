//! A real browser: Chromium without a screen, driven through `chromedriver` by the WebDriver protocol, which is JSON over HTTP.
//! What is looked for is waited for; a page that is still loading is no failure.
//!
//! Never: opens a profile that anybody uses; leaves a process behind.

use crate::page::{agent, answer};
use crate::processes::pids_with_variable;
use crate::wait::eventually;
use base64::Engine;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// What a page is shown in.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether pages may run scripts.
    pub scripts: bool,
}

impl Window {
    /// On a desk.
    pub const DESK: Self = Self { width: 1280, height: 900, scripts: true };
    /// Held in a hand.
    pub const PHONE: Self = Self { width: 390, height: 844, scripts: true };

    /// The same where pages may not run scripts.
    #[must_use]
    pub const fn without_scripts(self) -> Self {
        Self { scripts: false, ..self }
    }
}

/// One browser with a fresh profile. Ended when it is dropped.
pub struct Browser {
    driver: Child,
    /// Kept open: whoever writes into a closed pipe dies.
    _words: BufReader<ChildStdout>,
    profile: tempfile::TempDir,
    agent: ureq::Agent,
    /// The address of the driver; then that of the session.
    address: String,
}

/// Why the driver did not do as it was asked.
struct Refusal {
    error: String,
    message: String,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.error, self.message)
    }
}

impl Refusal {
    /// Whether the page may just not be there yet.
    fn may_pass(&self) -> bool {
        const PASSING: [&str; 4] =
            ["no such element", "stale element reference", "element not interactable", "element click intercepted"];
        PASSING.contains(&self.error.as_str())
    }
}

/// How often a driver is started that finds no port.
const ATTEMPTS: usize = 10;

/// A driver on a port of its own choice; none when that was not free after all: it chooses by one protocol and then wants the same by another.
fn driver() -> Option<(Child, BufReader<ChildStdout>, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts; Debian has it in the package chromium-driver");
    let mut words = BufReader::new(driver.stdout.take().expect("its output is piped"));
    let port = words.by_ref().lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    if port.is_none() {
        let _ = driver.wait();
    }
    Some((driver, words, port?))
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When `chromedriver` or Chromium do not start.
    #[track_caller]
    #[must_use]
    pub fn start(window: Window) -> Self {
        let (driver, words, port) = (0..ATTEMPTS).find_map(|_| driver()).expect("chromedriver says its port");
        let mut browser = Self {
            driver,
            _words: words,
            profile: tempfile::Builder::new().prefix("browser").tempdir().expect("a temporary folder"),
            agent: agent(),
            address: format!("http://127.0.0.1:{port}"),
        };
        let session = browser.command("/session", &browser.capabilities(window));
        let session = session["sessionId"].as_str().expect("a session has a name");
        browser.address = format!("{}/session/{session}", browser.address);
        browser.resize(window);
        browser
    }

    fn capabilities(&self, window: Window) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let scripts = if window.scripts { 1 } else { 2 };
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "implicit": 0, "pageLoad": 30_000, "script": 10_000 },
            "goog:chromeOptions": {
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync", profile,
                ],
                "prefs": { "profile.managed_default_content_settings.javascript": scripts },
            },
        } } })
    }

    /// Gives the page exactly this much room.
    #[track_caller]
    pub fn resize(&self, window: Window) {
        let room = json!({ "width": window.width, "height": window.height, "deviceScaleFactor": 1, "mobile": false });
        self.command("/goog/cdp/execute", &json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": room }));
        self.command(
            "/goog/cdp/execute",
            &json!({ "cmd": "Emulation.setScrollbarsHidden", "params": { "hidden": true } }),
        );
    }

    /// Goes to an address and waits until its page is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// The address of the page.
    #[track_caller]
    #[must_use]
    pub fn address(&self) -> String {
        self.ask("/url", None).unwrap_or_else(|refusal| panic!("{refusal:?}")).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page's address contains `part`; answers the address.
    #[track_caller]
    pub fn until_at(&self, part: &str) -> String {
        eventually(&format!("the browser is at {part}"), || {
            Some(self.address()).filter(|address| address.contains(part))
        })
    }

    /// The visible text of the first element that a CSS selector finds.
    #[track_caller]
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        self.until(selector, |element| self.ask(&format!("{element}/text"), None))
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the first element that a CSS selector finds shows a text that contains `part`; answers the text.
    #[track_caller]
    pub fn until_text(&self, selector: &str, part: &str) -> String {
        eventually(&format!("{selector} says {part:?}"), || {
            Some(self.text(selector)).filter(|text| text.contains(part))
        })
    }

    /// The visible texts of all elements that a CSS selector finds now.
    #[track_caller]
    #[must_use]
    pub fn texts(&self, selector: &str) -> Vec<String> {
        eventually(&format!("{selector} can be read"), || {
            let found = passing(self.ask("/elements", Some(&json!({ "using": "css selector", "value": selector }))))?;
            let found = found.as_array().cloned().unwrap_or_default();
            let text = |element: &Value| passing(self.ask(&format!("{}/text", path_of(element)), None));
            let texts: Option<Vec<Value>> = found.iter().map(text).collect();
            Some(texts?.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect())
        })
    }

    /// An attribute of the first element that a CSS selector finds; empty when it has none of that name.
    #[track_caller]
    #[must_use]
    pub fn attribute(&self, selector: &str, name: &str) -> String {
        let value = self.until(selector, |element| self.ask(&format!("{element}/attribute/{name}"), None));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on the first element that a CSS selector finds.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.until(selector, |element| self.ask(&format!("{element}/click"), Some(&json!({}))));
    }

    /// Empties the field that a CSS selector finds, and types into it.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.until(selector, |element| {
            self.ask(&format!("{element}/clear"), Some(&json!({})))?;
            self.ask(&format!("{element}/value"), Some(&json!({ "text": text })))
        });
    }

    /// Evaluates a script in the page, as its developer would; works also where pages may not run scripts.
    #[track_caller]
    #[must_use]
    pub fn evaluate(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": format!("return {script}"), "args": [] }))
    }

    /// Writes what the window shows as a PNG.
    ///
    /// # Panics
    /// When it cannot be taken or written.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        let picture = self.ask("/screenshot", None).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap_or_default());
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, picture.expect("a picture in base64")).expect("a picture can be written");
    }

    /// Does something with the first element that a selector finds, as soon as that works.
    #[track_caller]
    fn until(&self, selector: &str, mut action: impl FnMut(&str) -> Result<Value, Refusal>) -> Value {
        eventually(&format!("the page has {selector} and it can be used"), || {
            let element = passing(self.ask("/element", Some(&json!({ "using": "css selector", "value": selector }))))?;
            passing(action(&path_of(&element)))
        })
    }

    /// Says what the browser shows, for who reads of a failed test.
    fn tell(&self) {
        let address = self.ask("/url", None);
        let text = self.ask("/execute/sync", Some(&json!({ "script": "return document.body.innerText", "args": [] })));
        let text = text.map(|text| text.as_str().unwrap_or_default().to_owned());
        eprintln!("the browser shows {address:?}:\n{}", text.unwrap_or_else(|refusal| format!("{refusal:?}")));
    }

    /// A command that must succeed.
    #[track_caller]
    fn command(&self, path: &str, body: &Value) -> Value {
        self.ask(path, Some(body)).unwrap_or_else(|refusal| panic!("{path} {body}: {refusal:?}"))
    }

    /// Posts a body, or gets when there is none.
    fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let url = format!("{}{path}", self.address);
        let page = match body {
            Some(body) => {
                let request = self.agent.post(&url).header("content-type", "application/json; charset=utf-8");
                answer(request.send(body.to_string()))
            }
            None => answer(self.agent.get(&url).call()),
        };
        let page = page.map_err(|message| Refusal { error: "no answer".to_owned(), message })?;
        let mut answer: Value = serde_json::from_str(&page.body)
            .map_err(|error| Refusal { error: error.to_string(), message: page.body.clone() })?;
        let value = answer["value"].take();
        if page.status == 200 {
            return Ok(value);
        }
        let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Refusal { error: word("error"), message: word("message") })
    }
}

/// What an element is called in the driver's paths.
fn path_of(element: &Value) -> String {
    let name = element.as_object().and_then(|element| element.values().next()).and_then(Value::as_str);
    format!("/element/{}", name.unwrap_or_default())
}

/// The answer; none when the page may just not be there yet.
#[track_caller]
fn passing(answer: Result<Value, Refusal>) -> Option<Value> {
    match answer {
        Ok(value) => Some(value),
        Err(refusal) if refusal.may_pass() => None,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        if self.address.contains("/session/") {
            // Whatever it answers, the driver and its browser are ended below.
            let _ = answer(self.agent.delete(&self.address).call());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        for pid in pids_with_variable(self.profile.path()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                // It may end by itself between the look and the signal.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
