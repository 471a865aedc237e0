//! Mistakes that the simulation has to find, each with the invariant that it breaks.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// 1: what a node has counts only as long as its lease.
    GrantsEndWithTheLease,
    /// 1: a node is given all of a holder beside requests of others.
    WholeBesideOthers,
    /// 1: counters and grants are written in two transactions.
    ConsumedApart,
    /// 2: starts under a grant that is given back are not counted.
    StartsAreNotTold,
    /// 2: a restarted node forgets its last minute.
    RestartForgetsThePace,
    /// 3: requests under way under a grant that is given back are not reserved.
    UnderWayIsNotTold,
    /// 4: there is no wait for what others give back.
    RejectedAtOnce,
    /// 4: an answer does not wait until what it frees is in the database.
    AnswersDoNotWait,
    /// 5: a change is answered when it is committed.
    AnsweredWithoutWaiting,
    /// 5: a changed limit leaves the grants of before.
    GrantsOutliveAChange,
    /// 6: an answer leaves before its settlement is in the journal.
    AnsweredBeforeTheJournal,
    /// 7: a node that begins anew does not tell what is under way.
    BegunAnewWithoutTelling,
}
