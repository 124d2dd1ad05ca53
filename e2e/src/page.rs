//! Plain HTTP, as a script would speak it.

use std::time::Duration;

/// An answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Page {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The number of the order, when this is the store's page of one that was placed.
    #[must_use]
    pub fn order(&self) -> Option<String> {
        let thanks = self.body.contains("Thank you for your order");
        let number = self.body.split("data-test=\"order-number\">").nth(1)?.split('<').next()?;
        thanks.then(|| number.to_owned())
    }
}

/// Gets a page; `Err` when nobody answered at all.
///
/// # Errors
/// A sentence about the connection.
pub fn get(url: &str) -> Result<Page, String> {
    answer(agent().get(url).call())
}

/// Posts `body` as JSON.
///
/// # Errors
/// A sentence about the connection.
pub fn send(url: &str, body: &str) -> Result<Page, String> {
    answer(agent().post(url).header("content-type", "application/json").send(body))
}

/// Takes any status for an answer and follows no redirects.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// An answer, read to its end.
pub(crate) fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Page, String> {
    let mut response = response.map_err(|error| error.to_string())?;
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Page {
        status: response.status().as_u16(),
        headers: response.headers().iter().map(header).collect(),
        body: response.body_mut().read_to_string().map_err(|error| error.to_string())?,
    })
}
