//! Tests through the whole program: real routes, layers and databases.
