//! The brain: decides, purely, what must happen next for the target to come true.
