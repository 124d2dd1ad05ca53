//! The supervisor: assembles the parts, drives the brain, answers the control API.
