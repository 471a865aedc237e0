//! What a form or an island can ask. Each action takes one struct that refuses unknown fields, calls one operation and
//! ends with `answer`. They are reached only through the server's same-origin layer.

pub mod keys;
pub mod session;
