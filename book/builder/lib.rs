//! The book's builder: shows the steps' differences, recorded sessions and sources in the chapters,
//! and checks that nothing is missing.

pub mod build;
pub mod colour;
pub mod commands;
pub mod coverage;
pub mod difference;
pub mod directives;
pub mod expand;
pub mod experiments;
pub mod fence;
pub mod items;
pub mod links;
pub mod linux;
pub mod policy;
pub mod project;
pub mod schedule;
pub mod serve;
pub mod skeleton;
pub mod transcript;
pub mod view;
pub mod vm;
