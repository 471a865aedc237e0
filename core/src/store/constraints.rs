//! The uniqueness rules of the schema, by name.

/// A uniqueness rule that a write ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintViolation {
    /// The name of a live key, unique in its team, or among the organisation's keys without a team.
    KeyName,
    /// The name of a team in use, unique in its organisation.
    TeamName,
    /// A person's address, unique in the installation.
    Email,
    /// An organisation's slug, unique in the installation.
    Slug,
    /// The name of a provider in use.
    ProviderName,
    /// An open invitation to the same address.
    Invitation,
    /// An open ask of the same person about the same key, or for a new one.
    Ask,
    /// Any other rule, such as a primary key.
    Other,
}

impl ConstraintViolation {
    /// Which rule a unique violation broke: Postgres names the index, SQLite the columns, except for an index over an
    /// expression, which it names.
    pub(super) fn of(error: &dyn sqlx::error::DatabaseError) -> Self {
        let constraint = error.constraint().unwrap_or_default();
        let message = error.message();
        let is = |index: &str, column: &str| {
            constraint == index || message.contains(index) || message.ends_with(column)
        };
        if is("keys_name_unique", "keys.name_folded") {
            Self::KeyName
        } else if is("teams_name_unique", "teams.name_folded") {
            Self::TeamName
        } else if is("people_email_unique", "people.email") {
            Self::Email
        } else if is("orgs_slug_unique", "orgs.slug") {
            Self::Slug
        } else if is("providers_name_unique", "providers.name") {
            Self::ProviderName
        } else if is("invitations_open_unique", "invitations.email") {
            Self::Invitation
        } else if is("asks_open_unique", "asks_open_unique") {
            Self::Ask
        } else {
            Self::Other
        }
    }
}
