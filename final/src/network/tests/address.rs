//! Who gets which address.
