//! What a running process and its supervisor tell each other: endpoints down; acknowledgements, counters and health up.
