//! People and teams as the palette finds them, beside keys: those that the caller may see.

use super::OpError;
use super::access::{Caller, open_org};
use crate::Desk;
use crate::domain::list_filter::MemberFilter;
use crate::domain::person::{PersonName, fold};
use crate::domain::policy::{Action, On, Scope};
use crate::domain::search::words;
use crate::domain::team::Team;
use crate::store::{members, teams};

/// How many of each are found.
const MAX_FOUND: usize = 5;

/// What was found by name.
#[derive(Default)]
pub struct FoundNames {
    /// Members with the text in their name or email address.
    pub people: Vec<PersonName>,
    /// Teams in use with each word in their name.
    pub teams: Vec<Team>,
}

/// Nothing for support, whose views of people are recorded on their own pages.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn find_names(desk: &Desk, caller: &Caller, slug: &str, text: &str) -> Result<FoundNames, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let mut found = FoundNames::default();
    let wanted = words(text);
    if wanted.is_empty() || context.principal.is_support() {
        return Ok(found);
    }
    if context.may(Action::ListMembers, On::Org) {
        let permit = context.permit(Action::ListMembers, On::Org)?;
        let filter =
            MemberFilter { search: text.trim().replace('\0', "\u{fffd}"), ..MemberFilter::default() };
        let page = members::list(&mut read, &permit, &filter).await?;
        let name = |member: crate::domain::member::Member| PersonName { id: member.id, name: member.name };
        found.people = page.rows.into_iter().take(MAX_FOUND).map(name).collect();
    }
    if context.may(Action::ListTeams, On::Org) {
        let permit = context.permit(Action::ListTeams, On::Org)?;
        let teams = match permit.scope() {
            Scope::Org => teams::in_use(&mut read, &context.org.id).await?,
            Scope::OfPerson(person) => teams::of_person(&mut read, &context.org.id, person).await?,
        };
        let matches = |team: &Team| {
            let name = fold(&team.name);
            wanted.iter().all(|word| name.contains(word.as_str()))
        };
        found.teams = teams.into_iter().filter(matches).take(MAX_FOUND).collect();
    }
    Ok(found)
}
