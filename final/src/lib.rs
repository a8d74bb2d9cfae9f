//! The full runtime.
