//! Transactions that write, and what they owe the audit. A write compares its permit with the row that it changes and
//! charges the transaction: from then on it owes an event of a kind that records the action, about that object. `save`
//! writes the event and settles nothing else; a transaction that still owes one cannot be committed.

use sqlx::{Postgres, Sqlite};

use super::permit::compare;
use super::{Conn, Db, StoreError, Via, audit, config_changes};
use crate::domain::audit::Event;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Authority, Authorized};

/// A transaction that writes. Dropped without being saved, it changes nothing.
pub struct Tx {
    inner: Inner,
    due: Vec<Due>,
    db: Db,
}

enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres { tx: sqlx::Transaction<'static, Postgres>, keeps_statements: bool },
}

/// An event that has to be written before the transaction can be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Due {
    action: Action,
    subject: String,
}

/// What may be committed without an audit event, each with the reason. A test prints the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unaudited {
    /// An attempt to sign in, or a wrong code.
    AttemptCounted,
    /// Attempts that are no longer counted after a right password or code.
    SignIn,
    /// A session begins, is saved or seen, or ends, or what was typed after its end is kept.
    Session,
    /// A person authenticates again within a session.
    Reauthenticated,
    /// The theme that a person has chosen.
    Theme,
    /// A link for the set-up or for a new password.
    LinkMade,
    /// An invitation's mail was handed to the mail server.
    InvitationMailed,
    /// The secret of a second factor that is not on yet.
    SecondFactorPrepared,
    /// A search for a secret, or a test of one.
    SearchCounted,
    /// Keys whose end has come are marked as expired, and budgets whose grant has ended as spent.
    Expiry,
    /// Old sessions, rejections, attempts, reservations and rate counts are deleted.
    Sweep,
    /// Reservations, settled requests and the last use of keys.
    Usage,
    /// What a check of spend found, and who checks.
    SpendCheck,
    /// Single requests that are no longer kept are deleted.
    Retention,
    /// Counts of rejected requests.
    Rejections,
    /// How requests to providers went.
    ProviderWatch,
    /// What keys are found by, after a migration.
    SearchText,
    /// The row that shows whether the database can be written.
    Readiness,
    /// A provider answered a client for the first time.
    ProviderAnswered,
    /// Alerts and their deliveries, and what a person read or wants of them.
    Alerts,
    /// The row with which a process says that it serves.
    Node,
    /// A backup was made.
    BackupMade,
    /// What a benchmark writes.
    Bench,
}

impl Unaudited {
    /// Every variant, for the test that prints the list.
    pub const ALL: [Unaudited; 23] = [
        Unaudited::AttemptCounted,
        Unaudited::SignIn,
        Unaudited::Session,
        Unaudited::Reauthenticated,
        Unaudited::Theme,
        Unaudited::LinkMade,
        Unaudited::InvitationMailed,
        Unaudited::SecondFactorPrepared,
        Unaudited::SearchCounted,
        Unaudited::Expiry,
        Unaudited::Sweep,
        Unaudited::Usage,
        Unaudited::SpendCheck,
        Unaudited::Retention,
        Unaudited::Rejections,
        Unaudited::ProviderWatch,
        Unaudited::SearchText,
        Unaudited::Readiness,
        Unaudited::ProviderAnswered,
        Unaudited::Alerts,
        Unaudited::Node,
        Unaudited::BackupMade,
        Unaudited::Bench,
    ];

    /// Why it needs no event.
    pub const fn reason(self) -> &'static str {
        match self {
            Unaudited::AttemptCounted => "failed attempts are counted for throttling",
            Unaudited::SignIn => "a sign-in changes nothing of an organisation",
            Unaudited::Session => {
                "a session's own data, start, last sight and end, and what was typed after it"
            }
            Unaudited::Reauthenticated => "a re-authentication changes nothing by itself",
            Unaudited::Theme => "a display preference",
            Unaudited::LinkMade => "a one-time link changes nothing until it is used, which is audited",
            Unaudited::InvitationMailed => "the invitation itself was audited",
            Unaudited::SecondFactorPrepared => {
                "a second factor counts only once a code has proved it, which is audited"
            }
            Unaudited::SearchCounted => "searches for secrets and tests of them are counted for throttling",
            Unaudited::Expiry => {
                "the expiry, of a key or of a grant, was decided, and audited, when it was set"
            }
            Unaudited::Sweep => "rows that count no more are removed",
            Unaudited::Usage => "usage, reservations and last use are a record of their own",
            Unaudited::SpendCheck => "what a check found is a record of its own",
            Unaudited::Retention => "how long requests are kept was decided, and audited, in the settings",
            Unaudited::Rejections => "a rejected request changes nothing",
            Unaudited::ProviderWatch => "what providers answered is a record of its own",
            Unaudited::SearchText => "the texts that keys are found by are made from the keys",
            Unaudited::Readiness => "a test write that says only that it was possible",
            Unaudited::ProviderAnswered => "that a provider answers is seen, not decided",
            Unaudited::Alerts => {
                "alerts are a record of their own, and what a person wants of them is theirs"
            }
            Unaudited::Node => "that a process serves, and what it has seen, changes nothing",
            Unaudited::BackupMade => "a backup changes nothing of what it is a copy of",
            Unaudited::Bench => "a benchmark's own database",
        }
    }

    /// Whether what admission reads may change, so that it is waited for until every process has seen it. The others never do,
    /// but for the first use of a new secret (`Usage`): no one is answered, and processes see it at their next look.
    const fn changes_configuration(self) -> bool {
        matches!(self, Unaudited::Expiry | Unaudited::Bench)
    }
}

impl Via for Tx {
    fn conn(&mut self) -> Conn<'_> {
        match &mut self.inner {
            Inner::Sqlite(tx) => Conn::Sqlite(tx),
            Inner::Postgres { tx, keeps_statements } => Conn::Postgres(tx, *keeps_statements),
        }
    }
}

impl Tx {
    pub(super) fn sqlite(tx: sqlx::Transaction<'static, Sqlite>, db: Db) -> Self {
        Self { inner: Inner::Sqlite(tx), due: Vec::new(), db }
    }

    pub(super) fn postgres(tx: sqlx::Transaction<'static, Postgres>, keeps_statements: bool, db: Db) -> Self {
        Self { inner: Inner::Postgres { tx, keeps_statements }, due: Vec::new(), db }
    }

    /// Called by each write that a permit is needed for: the permit must allow one of `actions` on `object`, and an event
    /// about `object` is due.
    ///
    /// # Errors
    /// `WrongPermit` when it is for another action or another object; nothing is written then.
    pub(super) fn charge(
        &mut self,
        permit: &impl Authorized,
        actions: &[Action],
        object: &str,
    ) -> Result<(), StoreError> {
        self.charge_about(permit, actions, object, object)
    }

    /// Like `charge`, when the event is about something else than the permit's object: about the key that is made in an
    /// organisation, or the team that a person joins.
    ///
    /// # Errors
    /// As `charge`.
    pub(super) fn charge_about(
        &mut self,
        permit: &impl Authorized,
        actions: &[Action],
        object: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        compare(permit, actions, Some(object))?;
        let due = Due { action: permit.authority().action(), subject: subject.to_owned() };
        if !self.due.contains(&due) {
            self.due.push(due);
        }
        Ok(())
    }

    /// Writes the event to the permit's chains and commits: the change and the event that records it, or neither.
    ///
    /// # Errors
    /// `Unaudited` when a write owes an event that this is not.
    pub async fn save(
        mut self,
        permit: &impl Authorized,
        event: Event,
        now: Moment,
    ) -> Result<(), StoreError> {
        self.record(permit.authority(), &event, now).await?;
        self.commit_seen().await
    }

    /// For several things changed at once: an event for each.
    ///
    /// # Errors
    /// `Unaudited` when a write owes an event that is not among them.
    pub async fn save_all<P: Authorized>(
        mut self,
        events: Vec<(P, Event)>,
        now: Moment,
    ) -> Result<(), StoreError> {
        for (permit, event) in &events {
            self.record(permit.authority(), event, now).await?;
        }
        self.commit_seen().await
    }

    async fn record(&mut self, authority: &Authority, event: &Event, now: Moment) -> Result<(), StoreError> {
        let action = authority.action();
        if !action.recorded_as().contains(&event.kind) {
            let kind = event.kind.as_str();
            return Err(StoreError::WrongPermit(format!(
                "a permit for {action:?} cannot save the event {kind}"
            )));
        }
        audit::append(self, authority, event, now).await?;
        self.due.retain(|due| due.action != action || due.subject != event.subject_id);
        Ok(())
    }

    /// Commits what needs no event.
    ///
    /// # Errors
    /// `Unaudited` when a write owes an event.
    pub async fn save_unaudited(self, reason: Unaudited) -> Result<(), StoreError> {
        match reason.changes_configuration() {
            true => self.commit_seen().await,
            false => self.commit().await,
        }
    }

    /// Commits whatever is due, for tests that prepare a database; the program is built without it.
    ///
    /// # Errors
    /// `Database` when it cannot be written.
    #[cfg(feature = "testing")]
    pub async fn save_without_events(mut self) -> Result<(), StoreError> {
        self.due.clear();
        self.commit_seen().await
    }

    /// Answers when the change applies to every request that starts from now on, at every process that serves.
    async fn commit_seen(self) -> Result<(), StoreError> {
        let db = self.db.clone();
        self.commit().await?;
        if db.config().waits() {
            config_changes::wait_until_seen(&db).await;
        }
        Ok(())
    }

    async fn commit(self) -> Result<(), StoreError> {
        if let Some(due) = self.due.first() {
            return Err(StoreError::Unaudited(format!(
                "{:?} of {} has no audit event",
                due.action, due.subject
            )));
        }
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await?,
            Inner::Postgres { tx, .. } => tx.commit().await?,
        }
        Ok(())
    }
}
