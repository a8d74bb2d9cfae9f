//! The attendee's own container: the crate in `mine/`.

pub mod keep;
pub mod start;
