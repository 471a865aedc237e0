//! The create and edit form of a key, as a browser sends it (text), and its parsing into a `KeySpec`. The same form
//! serves both, with and without script. Every mistake is found in one pass, each with a sentence for its own field;
//! nothing is guessed. Of a limit's two halves the choice decides: beside "No limit", a value is not meant.

use serde::{Deserialize, Serialize};

use super::parts::{LimitFields, ScopeForm, Take, drawn, lines, parse_models, scope_form};
use crate::domain::addresses::AllowList;
use crate::domain::bounds::Bounds;
use crate::domain::expiry::{EditKey, Expiry, ExtendKey, KeyDraft, default_days};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{PersonId, TeamId};
use crate::domain::key::KeySpec;
use crate::domain::limits::Budget;
use crate::domain::model::Model;
use crate::domain::moment::Day;
use crate::domain::org::{KeyDefaults, Org, OrgRules};
use crate::domain::parse_error::ParseError;
use crate::domain::person::{visible_name, visible_text};
use crate::domain::reauth::Reauth;
use crate::domain::rotation::parse_rotate_days;
use crate::domain::scope::ModelScope;
use crate::domain::team::Team;
use crate::domain::window::Period;

/// The longest name of a key, in characters.
pub const MAX_NAME: usize = 100;
/// The longest note of a key, in characters.
pub const MAX_NOTE: usize = 200;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyForm {
    /// The key's name, of 1 to `MAX_NAME` characters.
    pub name: String,
    /// What the key is for, up to `MAX_NOTE` characters; may be empty.
    pub note: String,
    /// A team's id, or empty for none.
    pub team: String,
    /// A person's id, or empty for who creates the key.
    pub owner: String,
    /// `every` or `listed`.
    pub scope: String,
    /// Ids of the selected models; read only when `scope` is `listed`.
    pub models: Vec<String>,
    /// Further model patterns, one per line or separated by commas; read only when `scope` is `listed`.
    pub patterns: String,
    /// Allowed addresses and networks, separated by commas, spaces or line ends; empty is any address.
    pub addresses: String,
    /// Budgets and rate limits.
    pub limits: LimitFields,
    /// A number of days (see `expiry_days`), `date`, `never`, or (in an edit) `keep`.
    pub expiry: String,
    /// The last day that the key works, such as 2027-01-31; read only when `expiry` is `date`.
    pub expires_on: String,
    /// Days after which the secret is due for rotation; empty is as the organisation says.
    pub rotate_days: String,
    /// `yes` when a program that has the secret may rotate it; empty when not.
    pub self_rotation: String,
}

impl KeyForm {
    /// The form of a new key, filled in as the organisation wants it.
    pub fn with_defaults(models: &[Model], defaults: &KeyDefaults, rules: &OrgRules) -> Self {
        let budget = defaults.month.map(|amount| Budget { period: Period::Month, amount });
        Self {
            scope: if defaults.every_model { "every" } else { "listed" }.into(),
            models: models.iter().map(|model| model.id.clone()).collect(),
            limits: LimitFields::of(budget.as_slice(), &defaults.limits),
            expiry: default_days(rules, defaults).map_or("never".into(), |days| days.to_string()),
            ..Self::default()
        }
    }

    /// The form of a new key in an organisation, with the team it begins in and what that team allows.
    pub fn blank(models: &[Model], org: &Org, owner: &PersonId, team: Option<(&TeamId, &Bounds)>) -> Self {
        let form = Self::with_defaults(models, &org.defaults, &org.rules);
        let form = Self { owner: owner.to_string(), ..form };
        match team {
            Some((team, bounds)) => Self { team: team.to_string(), ..form.narrowed(bounds, models) },
            None => form,
        }
    }

    /// Only what answers now is ticked; where nothing does that the key may have, all stays ticked.
    #[must_use]
    pub fn served_only(mut self, models: &[Model]) -> Self {
        let is_served = |id: &String| models.iter().any(|model| model.id == *id && model.answers());
        if self.models.iter().any(is_served) {
            self.models.retain(is_served);
        }
        self
    }

    /// The form of a new key with the settings of another one. Its expiry is that of new keys, and its team one of `teams`.
    pub fn duplicate(of: &KeySpec, models: &[Model], org: &Org, owner: &PersonId, teams: &[Team]) -> Self {
        let fresh = Self::with_defaults(models, &org.defaults, &org.rules);
        let form = Self::of(of, models);
        let name: String = of.name.chars().take(MAX_NAME - 5).collect();
        let among = teams.iter().any(|team| team.id.as_str() == form.team);
        Self {
            name: format!("{name} copy"),
            owner: owner.to_string(),
            team: if among { form.team } else { String::new() },
            expiry: fresh.expiry,
            ..form
        }
    }

    /// A fresh form's values, lowered to what a team allows.
    pub fn narrowed(mut self, bounds: &Bounds, models: &[Model]) -> Self {
        if let ModelScope::Listed(patterns) = &bounds.models {
            self.scope = "listed".into();
            self.models.retain(|model| bounds.models.allows(model));
            let in_catalogue = models.iter().any(|model| bounds.models.allows(&model.id));
            if !in_catalogue {
                self.patterns = lines(patterns);
            }
        }
        self.limits.narrow(bounds);
        self
    }

    /// The form that would change nothing about this key.
    pub fn of(spec: &KeySpec, models: &[Model]) -> Self {
        let ScopeForm { scope, models, patterns } = scope_form(&spec.models, models);
        Self {
            name: spec.name.clone(),
            note: spec.note.clone(),
            team: spec.team.as_ref().map(TeamId::to_string).unwrap_or_default(),
            owner: spec.owner.as_ref().map(PersonId::to_string).unwrap_or_default(),
            scope,
            models,
            patterns,
            addresses: spec.addresses.lines(),
            limits: LimitFields::of(&spec.budgets, &spec.limits),
            expiry: if spec.expires_at.is_some() { "keep" } else { "never" }.into(),
            expires_on: String::new(),
            rotate_days: spec.rotate_days.map(|days| days.to_string()).unwrap_or_default(),
            self_rotation: if spec.rotates_itself { "yes" } else { "" }.into(),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<KeyDraft, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = visible_name(&self.name, "Name", MAX_NAME);
        let name = errors.take("name", name);
        let note = errors.take("note", visible_text(&self.note, "Note", MAX_NOTE));
        let team = errors.take("team", parse_team(&self.team));
        let owner = errors.take("owner", parse_owner(&self.owner));
        let models = parse_models(
            (&self.scope, &self.models, &self.patterns),
            "the key could not be used",
            &mut errors,
        );
        let addresses = errors.take("addresses", AllowList::parse_lines(&self.addresses));
        let limits = self.limits.parse(&mut errors);
        let expiry = errors.take("expiry", parse_expiry(&self.expiry, &self.expires_on));
        let rotate_days = match self.rotate_days.trim() {
            "" => Some(None),
            days => errors.take("rotate_days", parse_rotate_days(days)).map(Some),
        };
        let rotates_itself = match self.self_rotation.as_str() {
            "" => Some(false),
            "yes" => Some(true),
            _ => errors.take("self_rotation", Err(ParseError::new("Tick the box, or leave it empty."))),
        };
        let rotation = rotate_days.zip(rotates_itself);
        match (name, note, team, owner, models, addresses, limits, expiry, rotation) {
            (
                Some(name),
                Some(note),
                Some(team),
                Some(owner),
                Some(models),
                Some(addresses),
                Some((budgets, limits)),
                Some(expiry),
                Some((rotate_days, rotates_itself)),
            ) if errors.is_empty() => {
                let expires_at = None;
                let spec = KeySpec {
                    name,
                    note,
                    team,
                    owner,
                    models,
                    addresses,
                    budgets,
                    limits,
                    expires_at,
                    rotate_days,
                    rotates_itself,
                };
                Ok(KeyDraft { spec, expiry })
            }
            _ => Err(errors),
        }
    }
}

/// A choice as in `KeyForm::expiry`, with the day of `KeyForm::expires_on`.
pub(super) fn parse_expiry(choice: &str, day: &str) -> Result<Expiry, ParseError> {
    match choice {
        "keep" => Ok(Expiry::Keep),
        "never" => Ok(Expiry::Never),
        "date" => Day::parse(day.trim())
            .map(Expiry::On)
            .ok_or_else(|| ParseError::new("Choose a day, such as 2027-01-31.")),
        days => {
            let number = days.parse().ok().filter(|number: &i64| number.to_string() == days);
            number.map(Expiry::Days).ok_or_else(|| ParseError::new("Choose when the key expires."))
        }
    }
}

fn parse_owner(text: &str) -> Result<Option<PersonId>, ParseError> {
    match text {
        "" => Ok(None),
        text => {
            PersonId::parse(text).map(Some).ok_or_else(|| ParseError::new("Choose the owner from the list."))
        }
    }
}

fn parse_team(text: &str) -> Result<Option<TeamId>, ParseError> {
    match text {
        "" => Ok(None),
        text => TeamId::parse(text)
            .map(Some)
            .ok_or_else(|| ParseError::new("Choose a team from the list, or No team.")),
    }
}

/// Creates a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateForm {
    /// The organisation's slug.
    pub org: String,
    /// The new key.
    pub key: KeyForm,
    /// Asked for when the key is for another person.
    pub reauth: Reauth,
}

/// Edits a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    /// The form as it was sent.
    pub key: KeyForm,
}

impl EditForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditKey, Vec<FieldError>> {
        let base = drawn::<KeyForm>(&self.was, "name")?.parse().ok();
        let EditForm { org, id, version, .. } = self.clone();
        Ok(EditKey { org, id, version, base, mine: self.key.parse()? })
    }

    /// The form that shows `merged`: the key as it stands with this person's changes in it.
    pub fn merged(&self, merged: &KeySpec, models: &[Model]) -> KeyForm {
        let mut form = KeyForm::of(merged, models);
        let was: KeyForm = serde_json::from_str(&self.was).unwrap_or_default();
        if (&was.expiry, &was.expires_on) != (&self.key.expiry, &self.key.expires_on) {
            // The form would say "keep", which means the expiry as it stands and not the one chosen here.
            form.expiry.clone_from(&self.key.expiry);
            form.expires_on.clone_from(&self.key.expires_on);
        }
        form
    }
}

/// Gives an expired key a later expiry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtendKeyForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The key's name, which may have to be another one.
    pub name: String,
    /// A number of days, `date` or `never`.
    pub expiry: String,
    /// The last day that the key works, such as 2027-01-31; read only when `expiry` is `date`.
    pub expires_on: String,
}

impl ExtendKeyForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<ExtendKey, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = visible_name(&self.name, "Name", MAX_NAME);
        let name = errors.take("name", name);
        let expiry = errors.take("expiry", parse_expiry(&self.expiry, &self.expires_on));
        let (Some(name), Some(expiry)) = (name, expiry) else { return Err(errors) };
        let ExtendKeyForm { org, id, version, .. } = self.clone();
        Ok(ExtendKey { org, id, version, name, expiry })
    }
}

/// Searches the list of keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchForm {
    /// The organisation's slug.
    pub org: String,
    /// Part of a name, last four characters, a key's id, or a whole secret.
    pub q: Hidden,
    /// The list's other parameters, to go on with.
    pub rest: String,
}

/// Disables or enables a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyRef {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
}

/// Revokes a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The key's name, typed; asked for only when the key is in use.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::expiry::{ExpiryRules, expiry_days};
    use crate::domain::limits::Limits;
    use crate::domain::moment::{Moment, Zone};
    use crate::domain::money::Money;
    use crate::forms::parts::LimitField;

    const NOW: Moment = Moment::from_ms(1_800_000_000_000);

    fn with_defaults() -> KeyForm {
        KeyForm {
            name: "ci-prod".into(),
            scope: "every".into(),
            models: vec![],
            ..KeyForm::with_defaults(&[], &KeyDefaults::default(), &OrgRules::default())
        }
    }

    fn parse_in(form: &KeyForm, zone: &Zone, current: Option<&KeySpec>) -> Result<KeySpec, Vec<FieldError>> {
        let (rules, defaults) = (&OrgRules::default(), &KeyDefaults::default());
        resolve(form, &ExpiryRules { now: NOW, zone, rules, defaults, current })
    }

    fn resolve(form: &KeyForm, rules: &ExpiryRules<'_>) -> Result<KeySpec, Vec<FieldError>> {
        form.parse()?.resolve(rules).map_err(|error| vec![error])
    }

    fn limited(limits: LimitFields) -> KeyForm {
        KeyForm { limits, ..with_defaults() }
    }

    fn parse(form: &KeyForm) -> Result<KeySpec, Vec<FieldError>> {
        parse_in(form, &Zone::utc(), None)
    }

    #[test]
    fn only_the_name_must_be_typed() {
        let spec = parse(&with_defaults()).unwrap();
        assert_eq!(spec.limits, Limits { rpm: Some(60), tpm: Some(100_000), concurrent: Some(8) });
        assert_eq!(spec.expires_at, Some(NOW.plus_days(90)));
        let nameless = KeyForm { name: " ".into(), ..with_defaults() };
        assert_eq!(parse(&nameless).unwrap_err()[0].field, "name");
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        let form = KeyForm {
            name: "".into(),
            limits: LimitFields {
                month: LimitField::limit("0"),
                rpm: LimitField::limit("many"),
                ..with_defaults().limits
            },
            addresses: "10.0.0.300".into(),
            expiry: "date".into(),
            expires_on: "2027-02-30".into(),
            ..with_defaults()
        };
        let fields: Vec<String> = parse(&form).unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "addresses", "month", "rpm", "expiry"]);
    }

    #[test]
    fn no_limit_is_no_limit_whatever_still_stands_in_its_field() {
        for value in ["60", "", "many"] {
            let rpm = LimitField { mode: "none".into(), value: value.into() };
            let form = limited(LimitFields { rpm, ..with_defaults().limits });
            assert_eq!(parse(&form).unwrap().limits.rpm, None);
        }
        let form = limited(LimitFields { rpm: LimitField::limit(""), ..with_defaults().limits });
        assert_eq!(parse(&form).unwrap_err()[0].field, "rpm");
    }

    #[test]
    fn no_model_at_all_is_refused_and_every_model_is_a_choice() {
        let none = KeyForm { scope: "listed".into(), ..with_defaults() };
        assert_eq!(parse(&none).unwrap_err()[0].field, "models");
        let some = KeyForm {
            scope: "listed".into(),
            models: vec!["gpt-5".into()],
            patterns: "claude-*\ngpt-5".into(),
            ..with_defaults()
        };
        assert_eq!(parse(&some).unwrap().models.summary(), "claude-*, gpt-5");
    }

    #[test]
    fn a_shorter_periods_budget_cannot_be_above_a_longer_ones() {
        let form = limited(LimitFields { day: LimitField::limit("80"), ..with_defaults().limits });
        assert_eq!(parse(&form).unwrap_err()[0].field, "day");
    }

    #[test]
    fn a_form_made_from_a_spec_changes_nothing() {
        let spec = parse(&with_defaults()).unwrap();
        let again = parse_in(&KeyForm::of(&spec, &[]), &Zone::utc(), Some(&spec));
        assert_eq!(again.unwrap(), spec);
    }

    #[test]
    fn a_day_ends_in_the_organisations_zone() {
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let form = KeyForm { expiry: "date".into(), expires_on: "2027-06-30".into(), ..with_defaults() };
        let spec = parse_in(&form, &zone, None).unwrap();
        assert_eq!(spec.expires_at.unwrap().rfc3339(), "2027-06-30T21:59:59Z");
    }

    #[test]
    fn only_what_the_organisation_allows_is_offered_and_taken_as_an_end() {
        let rules = |max| OrgRules { max_key_days: Some(max), ..OrgRules::default() };
        let defaults = KeyDefaults { days: Some(45), ..KeyDefaults::default() };
        assert_eq!(expiry_days(&OrgRules::default(), &defaults), [7, 30, 45, 90, 365]);
        assert_eq!(expiry_days(&rules(60), &defaults), [7, 30, 45]);
        assert_eq!(expiry_days(&rules(5), &defaults), [5]);
        assert_eq!(KeyForm::with_defaults(&[], &defaults, &rules(5)).expiry, "5");

        let parse = |expiry: &str, max| {
            let form = KeyForm { expiry: expiry.into(), ..with_defaults() };
            let (zone, rules) = (&Zone::utc(), &rules(max));
            resolve(&form, &ExpiryRules { now: NOW, zone, rules, defaults: &defaults, current: None })
        };
        assert_eq!(parse("45", 60).unwrap().expires_at, Some(NOW.plus_days(45)));
        for (expiry, max) in [("90", 60), ("never", 60), ("46", 60), ("045", 60), ("-7", 60)] {
            assert_eq!(parse(expiry, max).unwrap_err()[0].field, "expiry", "{expiry}");
        }
    }

    #[test]
    fn a_fresh_form_is_lowered_to_what_the_team_allows() {
        let dollars = |amount: i64| Money::from_nanos(amount * 1_000_000_000);
        let bounds = Bounds {
            models: ModelScope::Listed(ModelScope::parse_lines("claude-*").unwrap()),
            budgets: vec![
                Budget { period: Period::Month, amount: dollars(30) },
                Budget { period: Period::Day, amount: dollars(40) },
            ],
            limits: Limits { rpm: Some(1_000), tpm: None, concurrent: Some(2) },
        };
        let form = KeyForm { name: "ci-prod".into(), ..with_defaults() }.narrowed(&bounds, &[]);
        let spec = parse(&form).unwrap();
        assert!(bounds.contain(&spec.bounds()), "{form:?}");
        assert_eq!(form.patterns, "claude-*");
        let LimitFields { month, day, rpm, tpm, concurrent, .. } = &form.limits;
        let values = [month, day, rpm, tpm, concurrent].map(|field| field.value.as_str());
        assert_eq!(values, ["30", "30", "60", "100,000", "2"]);
    }
}
