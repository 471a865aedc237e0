//! Changing what people decide about a key. Only what a person changed is written, and only if nobody changed it first.

use super::super::OpError;
use super::super::access::{Caller, open_org};
use super::create::{FormView, name_taken};
use super::place::{self, may_go_without_team, owners_to_choose, teams_to_choose};
use super::{find_seen, must_live};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::audit_words;
use crate::domain::field_error::FieldError;
use crate::domain::ids::KeyId;
use crate::domain::key::{Field, KeySpec, Names};
use crate::domain::parse_error::ParseError;
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, On};
use crate::forms::key::{EditForm, FormContext, KeyForm};
use crate::store::{audit, keys, members, models, teams};

/// How far back in a key's history to look for who changed it last: looks stand among the changes.
const RECENT: i64 = 50;

/// What the edit form is drawn from.
///
/// # Errors
/// `Conflict` when the key is revoked or expired: it cannot be edited any more.
pub async fn edit_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<FormView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::EditKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    let models = models::offered(&mut read).await?;
    let teams = teams_to_choose(&mut read, &context).await?;
    let owners = owners_to_choose(&mut read, &context).await?;
    let may_go_without_team = may_go_without_team(&context) || key.team.is_none();
    let form = KeyForm::of(&key.spec(), &models);
    Ok(FormView { form, context, models, teams, may_go_without_team, owners, now, key: Some(key) })
}

pub enum Edited {
    Saved(KeyId),
    Nothing(KeyId),
    /// Somebody saved first. Nothing was written; `form` is the key as it stands with this person's changes in it.
    EditConflict(Box<EditConflict>),
}

pub struct EditConflict {
    pub id: KeyId,
    pub sentence: String,
    pub errors: Vec<FieldError>,
    pub form: KeyForm,
}

/// Writes the fields that the person changed, and only those, if the key is still as they saw it. Another team or owner
/// moves the key with its id, secrets and history; what it spent stays where it was spent.
///
/// # Errors
/// `Invalid` with every mistake, also when the caller may not create a key where it would go; `Conflict` when the key is
/// revoked or expired.
pub async fn edit(desk: &Desk, caller: &Caller, form: &EditForm) -> Result<Edited, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let key = find_seen(&mut tx, &context, &form.id, now).await?;
    let permit = context.permit(Action::EditKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    let current = key.spec();
    let (org, zone) = (&context.org, &context.org.zone);
    let (rules, defaults) = (&org.rules, &org.defaults);
    let form_context = FormContext { now, zone, rules, defaults, editing: Some(&current) };
    let was: KeyForm = serde_json::from_str(&form.was).map_err(|_| {
        OpError::Invalid(vec![FieldError::say("name", "The form is incomplete. Reload and try again.")])
    })?;
    let mine = form.key.parse(&form_context).map_err(OpError::Invalid)?;
    // A form that was drawn from an older state parses against today's rules all the same: it was valid then.
    let base = was.parse(&form_context).unwrap_or_else(|_| current.clone());
    let changed: Vec<Field> = Field::ALL.into_iter().filter(|field| mine.differs(&base, *field)).collect();
    let mut spec = current.clone();
    changed.iter().for_each(|field| spec.take(&mine, *field));
    if spec.owner.is_none() {
        spec.owner.clone_from(&current.owner);
    }

    let mut teams = teams::in_use(&mut tx, &org.id).await?;
    // Its own team is named also when it is archived.
    teams.extend(key.team.clone().filter(|_| key.team_archived));
    let mut owners = vec![key.owner.clone()];
    if let Some(owner) = spec.owner.clone().filter(|owner| *owner != key.owner.id)
        && let Some(member) = members::find(&mut tx, &org.id, &owner).await?
    {
        owners.push(PersonName { id: owner, name: member.name });
    }
    let names = Names { teams: &teams, people: &owners };
    if form.version != key.version {
        let past = audit::of_subject(&mut tx, &context.org.id, key.id.as_str(), RECENT).await?;
        let who = past.iter().find(|event| event.kind != EventKind::SupportAccessed);
        let who = who.map_or("Another person", |event| event.actor_name.as_str());
        let words = |spec: &KeySpec, field| audit_words::value(&spec.value(field, names), zone);
        let errors = changed
            .iter()
            // A form says "keep" of an expiry that may have changed since, so there the two values are all there is.
            .filter(|field| {
                let kept = **field == Field::Expiry && was.expiry == "keep";
                current.differs(if kept { &mine } else { &base }, **field)
            })
            .map(|field| {
                let sentence =
                    format!("Now: {}. You entered: {}.", words(&current, *field), words(&mine, *field));
                FieldError::new(form_field(*field, &mine), ParseError::new(sentence))
            })
            .collect();
        let models = models::offered(&mut tx).await?;
        let mut merged = KeyForm::of(&spec, &models);
        if changed.contains(&Field::Expiry) {
            // The form would say "keep", which means the expiry as it stands and not the one chosen here.
            merged.expiry.clone_from(&form.key.expiry);
            merged.expires_on.clone_from(&form.key.expires_on);
        }
        return Ok(Edited::EditConflict(Box::new(EditConflict {
            id: key.id.clone(),
            sentence: format!(
                "{who} changed this key while you were editing. Your changes are below and not saved yet. Check them and save again."
            ),
            errors,
            form: merged,
        })));
    }
    if spec == current {
        return Ok(Edited::Nothing(key.id));
    }
    place::check(&mut tx, &context, &spec, Some(&current), now).await?;
    let saved = keys::update(&mut tx, &permit, &key.id, key.version, &spec)
        .await
        .map_err(|error| name_taken(error, &spec))?;
    if !saved {
        return Err(OpError::Conflict("This key was changed at the same time. Reload and try again.".into()));
    }
    let changes = spec.changes_since(&current, names);
    let event = Event::new(EventKind::KeyEdited, key.id.as_str(), &spec.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Edited::Saved(key.id))
}

/// The form field under which a conflict about a field is shown: budgets have one field per period.
fn form_field(field: Field, mine: &KeySpec) -> &'static str {
    match field {
        Field::Budgets => mine.budgets.first().map_or("month", |budget| budget.period.as_str()),
        other => other.as_str(),
    }
}
