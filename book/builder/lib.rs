//! The book's builder: shows the steps' differences, recorded sessions and sources in the chapters,
//! and checks that nothing is missing.

pub mod colour;
pub mod coverage;
pub mod difference;
pub mod directives;
pub mod expand;
pub mod items;
pub mod project;
pub mod schedule;
pub mod transcript;
pub mod view;
