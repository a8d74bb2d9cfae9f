//! The workshop's helper: makes the root filesystem, compares the steps, checks containers with
//! evidence from the kernel, and removes what killed containers left behind.

pub mod clean;
pub mod diff;
pub mod ladder;
pub mod output;
pub mod project;
pub mod steps;
