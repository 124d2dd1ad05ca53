//! Drives the real shoal binary with real processes, faults and a browser.
