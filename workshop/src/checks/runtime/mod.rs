//! The runtime that the steps lead to: what Docker's users rely on, and what the steps do not do.

use super::Check;

mod devices;
mod filesystems;
mod limits;
mod namespaces;
mod network;
mod privileges;
mod process;
mod root;
mod terminal;

/// In the order of the steps that they go beyond.
pub(super) const CHECKS: [&[Check]; 9] = [
    process::CHECKS,
    terminal::CHECKS,
    namespaces::CHECKS,
    root::CHECKS,
    devices::CHECKS,
    filesystems::CHECKS,
    limits::CHECKS,
    network::CHECKS,
    privileges::CHECKS,
];
