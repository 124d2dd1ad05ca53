//! The codes of everything that can be wrong with a manifest. Each has a page `docs/errors/SHNNNN.md`.
//!
//! Never: gives a code a second meaning; a code that is no longer used is not given again.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal;)*) => {
        /// What kind of problem it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its number, as in `SH0005`.
            #[must_use]
            pub fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// What it means, in a few words; the title of its page.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

codes! {
    /// The file is not UTF-8.
    NotText = 1, "the manifest is not text";
    /// The file is larger than [`SIZE_MAX`](crate::SIZE_MAX).
    TooLarge = 2, "the manifest is too large";
    /// The text is not TOML.
    Syntax = 3, "the manifest is not TOML";
    /// A key or table is given twice.
    DuplicateKey = 4, "a key is given twice";
    /// A key that nothing reads.
    UnknownKey = 5, "a key is not known";
    /// A number where a text is needed, and the like.
    WrongType = 6, "a value has the wrong type";
    /// A key that must be there is not.
    MissingKey = 7, "a key is missing";
    /// Too many of something, or something too long.
    PastLimit = 8, "a limit is passed";
    /// A NUL character, which no program can be given.
    NulCharacter = 9, "a text holds a NUL character";
    /// Not the name of a service or an application.
    BadName = 10, "a name is not allowed";
    /// A name that Shoal uses itself.
    ReservedName = 11, "a name is reserved";
    /// Not an IP address with a port.
    BadAddress = 12, "an address is not IP:port";
    /// A route's path or host can never match.
    BadRoute = 13, "a route can never match";
    /// Not a span of time, or one that makes no sense there.
    BadDuration = 14, "a span of time is not understood or out of range";
    /// Replica numbers that cannot be.
    BadReplicas = 15, "the number of replicas is not possible";
    /// Not exactly one way to run.
    BadRun = 16, "`run` does not say one program";
    /// Not the name of an environment variable.
    BadVariable = 17, "a variable's name is not allowed";
    /// A variable that Shoal sets itself.
    VariableTaken = 18, "a variable is set by Shoal";
    /// A probe that cannot work for this service.
    BadProbe = 19, "a probe does not fit the service";
    /// A source that is not a folder.
    SourceNotSupported = 20, "a source in a Git repository is not supported yet";
    /// Not one of the words that a key takes.
    UnknownWord = 21, "a word is not one of the choices";
    /// A number of requests, headers or bytes that cannot be.
    BadLimit = 22, "a limit is out of range";
    /// A call to a service that is not declared.
    UnknownCallee = 30, "a call to a service that is not declared";
    /// A service that calls itself.
    CallsItself = 31, "a service calls itself";
    /// A route to a service that is not declared.
    RouteToNowhere = 32, "a route to a service that is not declared";
    /// Two routes with the same host and path.
    DuplicateRoute = 33, "two routes match the same requests";
    /// A route or a call to a service that does not listen.
    DoesNotListen = 34, "a route or a call to a service that does not listen";
    /// Services that wait for each other to start.
    StartCycle = 35, "services wait for each other to start";
    /// The same callee twice.
    ListedTwice = 36, "a service is listed twice";
    /// The gateway's address cannot be had on this machine.
    AddressTaken = 100, "the gateway's address cannot be had";
    /// The program to run is not there, or may not be run.
    ProgramNotFound = 101, "the program to run cannot be found or run";
    /// A folder that the manifest names is not there.
    FolderNotFound = 102, "a folder that the manifest names is not there";
    /// The certificate or its key cannot be read.
    BadCertificate = 103, "the certificate or its key cannot be used";
    /// The contract cannot be read.
    BadContract = 104, "the contract cannot be read";
    /// The build failed.
    BuildFailed = 105, "a service could not be built";
    /// The file cannot be read.
    NotReadable = 106, "the manifest cannot be read";
    /// No address for a database comes of the environment.
    BadDatabase = 107, "the environment does not say where a database is";
}

impl Code {
    /// Its page in the documentation, from the root of the project: `docs/errors/SH0005.md`.
    #[must_use]
    pub fn page(self) -> String {
        format!("docs/errors/{self}.md")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SH{:04}", self.number())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn numbers_are_given_once_and_rise() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        assert_eq!(Code::UnknownKey.to_string(), "SH0005");
    }
}
