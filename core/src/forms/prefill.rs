//! The form of a new key as a link fills it in, for runbooks and for asks that are granted. What a parameter says wrongly
//! is said beside its field; the rest of the form stays as it is for everyone.

use super::key::KeyForm;
use super::parts::{LimitField, lines};
use crate::domain::ask::{Ask, Wanted};
use crate::domain::expiry::expiry_days;
use crate::domain::field_error::FieldError;
use crate::domain::ids::TeamId;
use crate::domain::model::Model;
use crate::domain::moment::Day;
use crate::domain::money::parse_budget;
use crate::domain::org::Org;
use crate::domain::parse_error::ParseError;
use crate::domain::person::{PersonName, fold};
use crate::domain::scope::{ModelPattern, ModelScope};
use crate::domain::team::Team;
use crate::domain::window::Period;

/// Longer values are cut: an address may hold anything.
const MAX_VALUE: usize = 2_000;

/// What a link to the form says. Empty is left as the organisation has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefill {
    /// The key's name.
    pub name: String,
    /// A team, by name or id.
    pub team: String,
    /// The owner, by name or id.
    pub owner: String,
    /// Dollars.
    pub budget: String,
    /// `month`, `week`, `day` or `total`; empty is a month.
    pub period: String,
    /// A number of days, a day such as 2027-01-31, or `never`.
    pub expires: String,
    /// Ids or patterns of models, separated by commas.
    pub models: String,
    /// The key's note.
    pub note: String,
}

impl Prefill {
    /// Reads the parameters of an address; other ones say nothing here.
    pub fn of(queries: Vec<(String, String)>) -> Self {
        let mut prefill = Self::default();
        for (name, value) in queries {
            let value: String = value.trim().chars().filter(|c| *c != '\0').take(MAX_VALUE).collect();
            match name.as_str() {
                "name" => prefill.name = value,
                "team" => prefill.team = value,
                "owner" => prefill.owner = value,
                "budget" => prefill.budget = value,
                "period" => prefill.period = value,
                "expires" => prefill.expires = value,
                "models" => prefill.models = value,
                "note" => prefill.note = value,
                _ => {}
            }
        }
        prefill
    }

    /// What creates the key that is asked for; `None` for an ask about a budget.
    pub fn of_ask(ask: &Ask) -> Option<Self> {
        let Wanted::Key { name, team, month } = &ask.wanted else { return None };
        let team = team.as_ref().map(|team| team.id.to_string()).unwrap_or_default();
        let budget = month.map(|amount| amount.input()).unwrap_or_default();
        let owner = ask.person.id.to_string();
        Some(Self { name: name.clone(), team, owner, budget, ..Self::default() })
    }

    /// The parameters of an address that says this.
    pub fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("name", self.name.as_str()),
            ("team", &self.team),
            ("owner", &self.owner),
            ("budget", &self.budget),
            ("period", &self.period),
            ("expires", &self.expires),
            ("models", &self.models),
            ("note", &self.note),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The form with what the link says in it, and what is wrong with the link.
    pub fn fill(
        &self,
        mut form: KeyForm,
        org: &Org,
        (teams, owners): (&[Team], &[PersonName]),
        models: &[Model],
    ) -> (KeyForm, Vec<FieldError>) {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, sentence: String| {
            errors.push(FieldError::new(field, ParseError::new(sentence)));
        };
        if !self.name.is_empty() {
            form.name.clone_from(&self.name);
        }
        if !self.note.is_empty() {
            form.note.clone_from(&self.note);
        }
        if !self.team.is_empty() {
            match team_of(&self.team, teams) {
                Some(team) => form.team = team.to_string(),
                None => wrong(
                    "team",
                    format!("The link says “{}”, which is none of the teams that you can choose.", self.team),
                ),
            }
        }
        if !self.owner.is_empty() {
            let named = |person: &&PersonName| {
                person.id.as_str() == self.owner || fold(&person.name) == fold(&self.owner)
            };
            match owners.iter().find(named) {
                Some(person) => form.owner = person.id.to_string(),
                None => wrong(
                    "owner",
                    format!(
                        "The link says “{}”, which is none of the people that you can choose.",
                        self.owner
                    ),
                ),
            }
        }
        self.fill_budget(&mut form, &mut wrong);
        self.fill_expiry(&mut form, org, &mut wrong);
        self.fill_models(&mut form, models, &mut wrong);
        (form, errors)
    }

    fn fill_budget(&self, form: &mut KeyForm, wrong: &mut impl FnMut(&str, String)) {
        let period = match self.period.as_str() {
            "" => Some(Period::Month),
            period => Period::parse(period),
        };
        let Some(period) = period else {
            wrong(
                Period::Month.as_str(),
                format!("The link says the period “{}”. Use month, week, day or total.", self.period),
            );
            return;
        };
        if self.budget.is_empty() {
            return;
        }
        *form.limits.budget_mut(period) = LimitField::limit(self.budget.as_str());
        if let Err(problem) = parse_budget(&self.budget) {
            wrong(period.as_str(), problem.to_string());
        }
    }

    fn fill_expiry(&self, form: &mut KeyForm, org: &Org, wrong: &mut impl FnMut(&str, String)) {
        let days = expiry_days(&org.rules, &org.defaults);
        match self.expires.as_str() {
            "" => {}
            "never" => form.expiry = "never".into(),
            day if Day::parse(day).is_some() => {
                form.expiry = "date".into();
                form.expires_on = day.to_owned();
            }
            text => match text.parse::<i64>() {
                Ok(number) if days.contains(&number) => form.expiry = number.to_string(),
                _ => wrong("expiry", format!("The link says “{text}”. Choose when the key expires.")),
            },
        }
    }

    fn fill_models(&self, form: &mut KeyForm, models: &[Model], wrong: &mut impl FnMut(&str, String)) {
        if self.models.is_empty() {
            return;
        }
        let patterns = match ModelScope::parse_lines(&self.models) {
            Ok(patterns) => patterns,
            Err(problem) => return wrong("models", problem.to_string()),
        };
        let (known, other): (Vec<ModelPattern>, Vec<ModelPattern>) =
            patterns.into_iter().partition(|pattern| models.iter().any(|model| model.id == pattern.as_str()));
        let none = |pattern: &&ModelPattern| !models.iter().any(|model| pattern.matches(&model.id));
        let unknown: Vec<&str> = other.iter().filter(none).map(ModelPattern::as_str).collect();
        if !unknown.is_empty() {
            wrong(
                "models",
                format!("The link names models that are not in the list: {}.", unknown.join(", ")),
            );
        }
        form.scope = "listed".into();
        form.models = known.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        form.patterns = lines(&other);
    }
}

/// The team that a link names, by its name or id.
pub fn team_of<'a>(text: &str, teams: &'a [Team]) -> Option<&'a TeamId> {
    let named = |team: &&Team| team.id.as_str() == text || fold(&team.name) == fold(text);
    teams.iter().find(named).map(|team| &team.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{OrgId, PersonId};
    use crate::domain::moment::{Moment, Zone};

    fn filled(query: &[(&str, &str)]) -> (KeyForm, Vec<String>) {
        let at = Moment::from_ms(1);
        let org = Org::new(OrgId::new(at, [1; 10]), "n".into(), "N".into(), Zone::utc());
        let teams = [Team { id: TeamId::new(at, [2; 10]), name: "Data Science".into() }];
        let owners = [PersonName { id: PersonId::new(at, [3; 10]), name: "Priya".into() }];
        let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let form = KeyForm::with_defaults(&[], &org.defaults, &org.rules);
        let (form, errors) = Prefill::of(pairs.collect()).fill(form, &org, (&teams, &owners), &[]);
        (form, errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn a_link_fills_the_form_in() {
        let (form, errors) = filled(&[
            ("name", " nightly "),
            ("team", "data science"),
            ("owner", "priya"),
            ("budget", "$25"),
            ("period", "week"),
            ("expires", "2027-01-31"),
            ("note", "From the runbook"),
            ("utm_source", "wiki"),
        ]);
        assert_eq!(errors, [""; 0]);
        assert_eq!((form.name.as_str(), form.note.as_str()), ("nightly", "From the runbook"));
        assert_eq!(form.team, TeamId::new(Moment::from_ms(1), [2; 10]).to_string());
        assert_eq!(form.limits.week, LimitField::limit("$25"));
        assert_eq!((form.expiry.as_str(), form.expires_on.as_str()), ("date", "2027-01-31"));
    }

    #[test]
    fn what_a_link_says_wrongly_is_said_beside_its_field() {
        let wrong = |name, value| filled(&[(name, value)]).1;
        assert_eq!(wrong("team", "Nowhere"), ["team"]);
        assert_eq!(wrong("owner", "No one"), ["owner"]);
        assert_eq!(wrong("budget", "lots"), ["month"]);
        assert_eq!(wrong("period", "fortnight"), ["month"]);
        assert_eq!(wrong("expires", "soon"), ["expiry"]);
        assert_eq!(wrong("models", "gpt-99"), ["models"]);
    }
}
