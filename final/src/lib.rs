//! The full runtime.

pub mod network;
