//! A new team, and changing what people decide about one. Only what a person changed is written, and only if nobody
//! changed it first. Keys that are above a lowered bound stay as they are; the team's page lists them.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{find_seen, must_be_in_use, name_taken};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::audit_words;
use crate::domain::field_error::FieldError;
use crate::domain::ids::TeamId;
use crate::domain::model::Model;
use crate::domain::parse_error::ParseError;
use crate::domain::policy::{Action, On};
use crate::domain::team::{TeamField, TeamSpec, WholeTeam};
use crate::forms::team::{CreateForm, EditForm, TeamForm};
use crate::store::teams::{self, NewTeam};
use crate::store::{audit, models};

/// How far back in a team's history to look for who changed it last: looks stand among the changes.
const RECENT: i64 = 50;

/// What the form of a team is drawn from.
pub struct FormView {
    pub context: OrgContext,
    pub form: TeamForm,
    pub models: Vec<Model>,
    /// The team as it stands, when it is edited.
    pub team: Option<WholeTeam>,
}

/// # Errors
/// `Forbidden` when the caller may not create teams here.
pub async fn blank(desk: &Desk, caller: &Caller, slug: &str) -> Result<FormView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::CreateTeam, On::Org)?;
    let models = models::offered(&mut read).await?;
    Ok(FormView { form: TeamForm::of(&TeamSpec::default(), &models), context, models, team: None })
}

/// # Errors
/// `Invalid` with every mistake.
pub async fn create(desk: &Desk, caller: &Caller, form: &CreateForm) -> Result<TeamId, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let permit = context.permit(Action::CreateTeam, On::Org)?;
    let spec = form.team.parse().map_err(OpError::Invalid)?;
    let id = TeamId::new(now, desk.id_entropy());
    let new = NewTeam { id: &id, spec: &spec, now };
    teams::insert(&mut tx, &permit, &new).await.map_err(|error| name_taken(error, &spec.name))?;
    let changes = spec.changes_since(&TeamSpec::default());
    let event = Event::new(EventKind::TeamCreated, id.as_str(), &spec.name).with_new(changes);
    tx.save(&permit, event, now).await?;
    Ok(id)
}

/// # Errors
/// `Conflict` when the team is archived.
pub async fn edit_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<FormView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let team = find_seen(&mut read, &context, id, desk.now()).await?;
    context.permit(Action::EditTeam, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let models = models::offered(&mut read).await?;
    Ok(FormView { form: TeamForm::of(&team.spec, &models), context, models, team: Some(team) })
}

pub enum Edited {
    Saved(TeamId),
    Nothing(TeamId),
    /// Somebody saved first. Nothing was written; `form` is the team as it stands with this person's changes in it.
    EditConflict(Box<EditConflict>),
}

pub struct EditConflict {
    pub sentence: String,
    pub errors: Vec<FieldError>,
    pub form: TeamForm,
}

/// Writes the fields that the person changed, and only those, if the team is still as they saw it.
///
/// # Errors
/// `Invalid` with every mistake; `Conflict` when the team is archived.
pub async fn edit(desk: &Desk, caller: &Caller, form: &EditForm) -> Result<Edited, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let team = find_seen(&mut tx, &context, &form.id, now).await?;
    let permit = context.permit(Action::EditTeam, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let current = &team.spec;
    let was: TeamForm = serde_json::from_str(&form.was)
        .map_err(|_| OpError::say("name", "The form is incomplete. Open it again."))?;
    let mine = form.team.parse().map_err(OpError::Invalid)?;
    let base = was.parse().unwrap_or_else(|_| current.clone());
    let changed: Vec<TeamField> =
        TeamField::ALL.into_iter().filter(|field| mine.differs(&base, *field)).collect();
    let mut spec = current.clone();
    changed.iter().for_each(|field| spec.take(&mine, *field));

    if form.version != team.version {
        let past = audit::of_subject(&mut tx, &context.org.id, team.id.as_str(), RECENT).await?;
        let who = past.iter().find(|event| event.kind != EventKind::SupportAccessed);
        let who = who.map_or("Somebody", |event| event.actor_name.as_str());
        let errors = changed
            .iter()
            .filter(|field| current.differs(&base, **field))
            .map(|field| {
                let words = |spec: &TeamSpec| audit_words::value(&spec.value(*field), &context.org.zone);
                let sentence = format!("Now: {}. You entered: {}.", words(current), words(&mine));
                FieldError::new(form_field(*field, &mine), ParseError::new(sentence))
            })
            .collect();
        let models = models::offered(&mut tx).await?;
        return Ok(Edited::EditConflict(Box::new(EditConflict {
            sentence: format!(
                "{who} changed this team while you were editing. Your changes are below and not saved yet: look them over and save again."
            ),
            errors,
            form: TeamForm::of(&spec, &models),
        })));
    }
    if spec == *current {
        return Ok(Edited::Nothing(team.id));
    }
    let saved = teams::update(&mut tx, &permit, &team.id, team.version, &spec)
        .await
        .map_err(|error| name_taken(error, &spec.name))?;
    if !saved {
        return Err(OpError::Conflict("The team was changed at this very moment. Open it again.".into()));
    }
    let changes = spec.changes_since(current);
    let event = Event::new(EventKind::TeamEdited, team.id.as_str(), &spec.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Edited::Saved(team.id))
}

/// The form field under which a conflict about a field is shown: budgets have one field per period.
fn form_field(field: TeamField, mine: &TeamSpec) -> &'static str {
    match field {
        TeamField::Budgets => mine.bounds.budgets.first().map_or("month", |budget| budget.period.as_str()),
        other => other.as_str(),
    }
}
