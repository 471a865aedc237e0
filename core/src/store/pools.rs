//! How much of the connections to the database is in use.

use sqlx::{Database, Pool};

use super::Db;

/// One pool of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// What it is for: `writer` or `readers` on SQLite, `all` on Postgres.
    pub name: &'static str,
    /// Connections that someone uses.
    pub in_use: usize,
    /// Connections that are open and free.
    pub idle: usize,
    /// As many as it opens.
    pub max: usize,
}

impl Db {
    /// Each pool, as it is now.
    pub fn pools(&self) -> Vec<PoolUse> {
        match self {
            Db::Sqlite { writer, readers, .. } => vec![used("writer", writer), used("readers", readers)],
            Db::Postgres(pool, _) => vec![used("all", pool)],
        }
    }
}

fn used<D: Database>(name: &'static str, pool: &Pool<D>) -> PoolUse {
    // Two numbers of two moments: one that was opened in between must not make the difference less than nothing.
    let (open, idle) = (pool.size() as usize, pool.num_idle());
    PoolUse {
        name,
        in_use: open.saturating_sub(idle),
        idle,
        max: pool.options().get_max_connections() as usize,
    }
}
