//! The workshop's helper: makes the root filesystem, compares the steps, checks containers with
//! evidence from the kernel, and removes what killed containers left behind.

pub mod cage;
pub mod checks;
pub mod container;
pub mod kernel;
pub mod network;
pub mod project;
pub mod pty;
pub mod wait;
