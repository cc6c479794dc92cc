//! The sensor as a whole.
