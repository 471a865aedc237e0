//! A node's lease: how long it may admit from what it was granted, and the numbers by which the database knows a renewal
//! or a call that comes too late.

/// How long one renewal lasts, in milliseconds.
pub const NODE_LEASE_MS: i64 = 2_000;
/// How often a node renews, in milliseconds.
pub const NODE_RENEW_MS: i64 = 400;
/// A node stops using its lease so much earlier, in milliseconds.
pub const NODE_MARGIN_MS: i64 = 100;

/// The lease of one node. Its times are those of the node's monotonic clock, in milliseconds, so that a lease is over when
/// a node that was paused wakes.
#[derive(Clone, Debug)]
pub struct NodeLease {
    valid_until: i64,
    turn: i64,
    answered: i64,
    call: i64,
}

impl Default for NodeLease {
    fn default() -> Self {
        Self { valid_until: i64::MIN, turn: 0, answered: 0, call: 0 }
    }
}

/// What a renewal says. A row whose turn is below `answered` lost a renewal that its node knows of, so the node begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The number of this renewal.
    pub turn: i64,
    /// The last whose answer came.
    pub answered: i64,
}

impl NodeLease {
    /// Whether the node may admit.
    pub fn is_valid(&self, now: i64) -> bool {
        now < self.valid_until
    }

    /// The node has registered, by a call that it sent then.
    pub fn registered(&mut self, sent: i64) {
        (self.turn, self.answered) = (0, 0);
        self.extend(sent);
    }

    /// The next renewal.
    pub fn renewal(&mut self) -> Renewal {
        self.turn += 1;
        Renewal { turn: self.turn, answered: self.answered }
    }

    /// The database has renewed, by a call that was sent then: it counts from its own, later time.
    pub fn renewed(&mut self, renewal: Renewal, sent: i64) {
        self.answered = self.answered.max(renewal.turn);
        self.extend(sent);
    }

    /// The database does not know this node as it knows itself.
    pub fn lost(&mut self) {
        self.valid_until = i64::MIN;
    }

    /// The number of the next call that changes grants. The database obeys a number once and in order, so that a call whose
    /// answer was given up cannot undo a later one.
    pub fn next_call(&mut self) -> i64 {
        self.call += 1;
        self.call
    }

    fn extend(&mut self, sent: i64) {
        self.valid_until = self.valid_until.max(sent + NODE_LEASE_MS - NODE_MARGIN_MS);
    }
}
