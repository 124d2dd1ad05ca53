//! `shoal scale catalogue=6`: changes how many replicas a service has.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::screen;
use shoal_model::Replicas;
use shoal_sdk::Call;
use shoal_server::api::ScaleRequest;

/// Reads all the wishes before it asks for any, so that a mistyped one changes nothing.
pub async fn run(at: &Where, wanted: &[String], json: bool) -> Result<(), Failure> {
    let wishes = wanted.iter().map(|text| wish(text)).collect::<Result<Vec<_>, _>>()?;
    let control = Application::at(at)?.control().await?;
    for (service, replicas) in wishes {
        let request = ScaleRequest { service: service.clone(), replicas, ..Default::default() };
        let response = control.scale(&Call::new(), request).await?;
        if json {
            screen::json(&serde_json::json!({ "service": service, "before": response.before, "replicas": replicas }))?;
        } else {
            crate::say!("{service}: {} → {replicas} replicas", response.before);
        }
    }
    Ok(())
}

fn wish(text: &str) -> Result<(String, u32), Failure> {
    let refuse = |why: String| Failure::new(format!("`{text}` is not a wish such as catalogue=6: {why}"));
    let (service, number) = text.split_once('=').ok_or_else(|| refuse("there is no `=`".to_owned()))?;
    let most = Replicas::MOST;
    let replicas = number.parse().ok().filter(|number| *number <= most);
    let replicas = replicas.ok_or_else(|| refuse(format!("`{number}` is not a whole number from 0 to {most}")))?;
    Ok((service.to_owned(), replicas))
}

#[cfg(test)]
mod tests {
    use super::wish;

    #[test]
    fn wishes_are_read() {
        assert_eq!(wish("catalogue=6").unwrap(), ("catalogue".to_owned(), 6));
        for bad in ["catalogue", "catalogue=", "catalogue=-1", "catalogue=100000", "catalogue=two"] {
            assert!(wish(bad).is_err(), "{bad}");
        }
    }
}
