//! The workshop's helper: makes the root filesystem, compares the steps, checks containers with
//! evidence from the kernel, and removes what killed containers left behind.

#![cfg(target_os = "linux")]

pub mod bench;
pub mod cage;
pub mod check;
pub mod checks;
pub mod class;
pub mod clean;
pub mod clock;
pub mod container;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod hint;
pub mod home;
pub mod kernel;
pub mod ladder;
pub use make_rootfs::mountinfo;
pub mod mine;
pub mod network;
pub mod output;
pub mod patch;
pub mod progress;
pub mod project;
pub mod pty;
pub mod rootfs;
pub mod sabotage;
pub mod schedule;
mod signals;
pub mod steps;
pub mod sudo;
pub mod supervisor;
pub mod terminal;
pub mod testing;
pub mod transcript;
pub mod vm;
pub mod wait;
