//! Places: what the machine complains of later is shown at the line that said it.

use crate::samples::{problems, samples};
use shoal_manifest::{Code, Diagnostic, Place, ServicePart, parse};
use shoal_model::{ProbeKind, ServiceName};
use std::path::Path;

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

#[test]
fn every_place_points_at_its_text() {
    let text = &samples("valid")[1].1;
    let spans = parse(text, Path::new("/store/shoal.toml")).unwrap().spans;
    let of = |service: &str, part| Place::of(&name(service), part);
    let expected = [
        (Place::ApplicationName, "\"store\""),
        (Place::GatewayListen, "\"127.0.0.1:8080\""),
        (Place::Certificate, "\"tls/chain.pem\""),
        (Place::CertificateKey, "\"/etc/store/key.pem\""),
        (Place::Route(0), "{ path = \"/\", service = \"storefront\" }"),
        (of("catalogue", ServicePart::Name), "catalogue"),
        (of("catalogue", ServicePart::Run), "{ cargo = \"catalogue\" }"),
        (of("catalogue", ServicePart::Program), "\"catalogue\""),
        (of("catalogue", ServicePart::Source), "\"services/catalogue\""),
        (of("catalogue", ServicePart::Contract), "\"contracts/store/catalogue/v1\""),
        (of("catalogue", ServicePart::Database), "\"sqlite\""),
        (of("notify", ServicePart::Program), "\"node\""),
        (of("notify", ServicePart::Argument(1)), "\"server.js\""),
        (of("notify", ServicePart::Call(name("storefront"))), "\"storefront\""),
        (of("notify", ServicePart::Variable("LOG_LEVEL".to_owned())), "LOG_LEVEL"),
        (of("notify", ServicePart::Probe(ProbeKind::Readiness)), "probe"),
        (of("notify", ServicePart::Probe(ProbeKind::Startup)), "startup"),
        (of("notify", ServicePart::DrainTimeout), "\"2m\""),
        (of("sweeper", ServicePart::Listen), "\"none\""),
    ];
    for (place, expected) in expected {
        assert_eq!(spans.span(&place).map(|span| &text[span]), Some(expected), "{place:?}");
    }
}

#[test]
fn what_was_left_out_points_at_what_is_nearest() {
    let text = &samples("valid")[0].1;
    let spans = parse(text, Path::new("/hello/shoal.toml")).unwrap().spans;
    let web = name("web");
    let source = spans.span(&Place::of(&web, ServicePart::Source));
    assert_eq!(source.map(|span| &text[span]), Some("web"));
    let argument = spans.span(&Place::of(&web, ServicePart::Argument(9)));
    assert_eq!(argument.map(|span| &text[span]), Some("\"python3\""));
    assert_eq!(spans.span(&Place::GatewayListen), None);
}

#[test]
fn a_later_problem_is_shown_at_its_line() {
    let text = &samples("valid")[0].1;
    let spans = parse(text, Path::new("/hello/shoal.toml")).unwrap().spans;
    let problem = Diagnostic::at(
        Place::of(&name("web"), ServicePart::Program),
        Code::ProgramNotFound,
        "`python3` is not on PATH",
        "install it, or name the program by its whole path",
    );
    let reported = spans.report(vec![problem]);
    assert_eq!(reported.position(&reported.problems()[0]), Some((5, 20)));
    let expected = "\
error[SH0101]: `python3` is not on PATH
 --> /hello/shoal.toml:5:20
  |
5 | run = { command = [\"python3\", \"-m\", \"http.server\"] }
  |                    ^^^^^^^^^
  |
  = help: install it, or name the program by its whole path
  = note: see docs/errors/SH0101.md
";
    assert_eq!(reported.render(false), expected);
}

#[test]
fn problems_serialise_for_scripts_and_print_plainly() {
    let broken = problems("[application]\nname = \"store\"\nsize = 1\n[services.a]\nrun = { cargo = \"a\" }\n");
    let json = serde_json::to_value(&broken).unwrap();
    let expected = serde_json::json!({
        "file": "/store/shoal.toml",
        "problems": [{
            "code": "SH0005",
            "message": "`size` is not a key of `application`",
            "mend": "`application` takes `name`",
            "line": 3,
            "column": 1,
        }],
        "omitted": 0,
    });
    assert_eq!(json, expected);
    let plain = "/store/shoal.toml:3:1: SH0005: `size` is not a key of `application`; `application` takes `name`";
    assert_eq!(broken.to_string(), plain);
}
