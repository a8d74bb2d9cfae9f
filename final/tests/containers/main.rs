//! Containers are run for real, each group of tests on a machine of its own: what the options do,
//! what becomes of the command, and what hostile images, full disks and crashes cannot do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cgroups;
mod crash;
mod hostile;
mod inside;
mod limits;
mod machine;
mod many;
mod network;
mod options;
mod process;
mod second_kernel;
mod settling;
mod storage;
