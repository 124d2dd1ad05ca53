//! An error and what caused it, as one sentence. Never: decides what is shown to whom.

use std::error::Error;

/// What the error says, then each of its causes, after colons: `failed to start: cannot bind: address in use`. A cause
/// that was said already is not said again, as many an error of a library has its cause in its own sentence.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !sentence.contains(&text) {
            sentence.push_str(": ");
            sentence.push_str(&text);
        }
        cause = error.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Nested(&'static str, Option<Box<Nested>>);

    impl fmt::Display for Nested {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Nested {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    #[test]
    fn nothing_is_said_twice() {
        let outer = Nested("cannot bind: in use", Some(Box::new(Nested("in use", None))));
        assert_eq!(with_causes(&outer), "cannot bind: in use");
    }

    #[test]
    fn causes_follow_in_order() {
        let innermost = Nested("address in use", None);
        assert_eq!(with_causes(&innermost), "address in use");
        let outer = Nested("cannot start", Some(Box::new(Nested("cannot bind", Some(Box::new(innermost))))));
        assert_eq!(with_causes(&outer), "cannot start: cannot bind: address in use");
    }
}
