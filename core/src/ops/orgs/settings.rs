//! The settings of an organisation, seen and changed by its owners and admins. Only what a person changed is written, and
//! only if nobody changed anything first.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::audit_words;
use crate::domain::field_error::FieldError;
use crate::domain::ledger::Balance;
use crate::domain::moment::Moment;
use crate::domain::org::Org;
use crate::domain::parse_error::ParseError;
use crate::domain::policy::{Action, On};
use crate::domain::settings::{Setting, Settings};
use crate::domain::window::WindowStarts;
use crate::forms::settings::{SaveForm, SettingsForm};
use crate::store::ledger::{self, OrgLeft};
use crate::store::{ConstraintViolation, StoreError, Via, audit, orgs};

/// Among how many of the newest events about an organisation the last change of its settings is looked for.
const EVENTS_BACK: i64 = 20;

pub struct SettingsView {
    pub context: OrgContext,
    pub form: SettingsForm,
    /// The organisation's budgets with what was spent of them.
    pub left: OrgLeft,
    pub balance: Balance,
    pub now: Moment,
}

/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn settings(desk: &Desk, caller: &Caller, slug: &str) -> Result<SettingsView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::SeeSettings, On::Org)?;
    let now = desk.now();
    let (left, settings) = principal(&mut read, &context.org, now).await?;
    let balance = ledger::balance(&mut read, &context.org.id).await?;
    Ok(SettingsView { context, form: SettingsForm::of(&settings), left, balance, now })
}

/// The settings as they stand; the budgets among them lie in a table of their own.
async fn principal(via: &mut impl Via, org: &Org, now: Moment) -> Result<(OrgLeft, Settings), OpError> {
    let left = ledger::left(via, &org.id, WindowStarts::at(now, &org.zone)).await?;
    let budgets = left.budgets.iter().map(|used| used.budget).collect();
    Ok((left, Settings::of(org, budgets)))
}

pub enum Saved {
    /// The organisation's address from now on.
    Saved(String),
    Nothing,
    /// Somebody saved first. Nothing was written; `form` is the settings as they stand with this person's changes in them.
    EditConflict(Box<SettingsConflict>),
}

pub struct SettingsConflict {
    pub sentence: String,
    pub errors: Vec<FieldError>,
    pub form: SettingsForm,
}

/// # Errors
/// `Invalid` with every mistake; `ReauthRequired` when the second factor's requirement changes and the caller's last proof is old.
pub async fn save(desk: &Desk, caller: &Caller, form: &SaveForm) -> Result<Saved, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let permit = context.permit(Action::EditSettings, On::Org)?;
    let (_, current) = principal(&mut tx, &context.org, now).await?;
    let mine = form.settings.parse().map_err(OpError::Invalid)?;
    if form.version != context.org.version {
        let who = audit::of_subject(&mut tx, &context.org.id, context.org.id.as_str(), EVENTS_BACK).await?;
        let who = who.iter().find(|event| event.kind == EventKind::OrgEdited);
        let who = who.map_or("Another person", |event| event.actor_name.as_str());
        return Ok(Saved::EditConflict(Box::new(conflict(who, form, &current, &mine)?)));
    }
    if mine == current {
        return Ok(Saved::Nothing);
    }
    if mine.differs(&current, Setting::SecondFactor) {
        if mine.rules.second_factor && !caller.person.second_factor {
            return Err(OpError::say(
                Setting::SecondFactor.as_str(),
                "You have not turned on 2FA yourself, so this would lock you out. Turn it on in your account first.",
            ));
        }
        caller.require_recent_auth(now)?;
    }
    let saved = orgs::update(&mut tx, &permit, form.version, &mine)
        .await
        .map_err(|error| slug_taken(error, &mine.slug))?;
    if !saved {
        return Err(OpError::Conflict(
            "The settings were changed at the same time. Reload and try again.".into(),
        ));
    }
    let event = Event::new(EventKind::OrgEdited, context.org.id.as_str(), &mine.name);
    tx.save(&permit, event.with(mine.changes_since(&current)), now).await?;
    Ok(Saved::Saved(mine.slug))
}

/// What the form becomes when somebody saved first: the settings as they stand with this person's changes in them, and
/// both values beside each field that both changed.
fn conflict(
    who: &str,
    form: &SaveForm,
    current: &Settings,
    mine: &Settings,
) -> Result<SettingsConflict, OpError> {
    let was: SettingsForm = serde_json::from_str(&form.was)
        .map_err(|_| OpError::say("name", "The form is incomplete. Reload and try again."))?;
    let base = was.parse().unwrap_or_else(|_| current.clone());
    let mut merged = current.clone();
    let mut errors = Vec::new();
    for setting in Setting::ALL.into_iter().filter(|setting| mine.differs(&base, *setting)) {
        merged.take(mine, setting);
        if current.differs(&base, setting) && current.differs(mine, setting) {
            let words = |spec: &Settings| audit_words::value(&spec.value(setting), &spec.zone);
            let sentence = format!("Now: {}. You entered: {}.", words(current), words(mine));
            errors.push(FieldError::new(setting.as_str(), ParseError::new(sentence)));
        }
    }
    let sentence = format!(
        "{who} changed the settings while you were editing. Your changes are below and not saved yet. Check them and save again."
    );
    Ok(SettingsConflict { sentence, errors, form: SettingsForm::of(&merged) })
}

pub(super) fn slug_taken(error: StoreError, slug: &str) -> OpError {
    if !matches!(error, StoreError::ConstraintViolation(ConstraintViolation::Slug)) {
        return error.into();
    }
    OpError::say(
        Setting::Slug.as_str(),
        format!("Another organisation uses the address {slug}. Choose another."),
    )
}
