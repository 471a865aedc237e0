//! When somebody saved first: the form as the thing stands now with this person's changes in it, and both values beside
//! each field that both changed. For forms that are flat lists of text.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::field_error::FieldError;
use crate::domain::parse_error::ParseError;

/// Nothing was written; `form` is what to show instead.
#[derive(Debug)]
pub struct EditConflict<F> {
    pub sentence: String,
    pub errors: Vec<FieldError>,
    pub form: F,
}

/// `was` is the form as it was drawn; `reads` says a field's value as people read it.
pub(super) fn merge<F: Serialize + DeserializeOwned + Clone>(
    what: &str,
    (was, mine, now): (&F, &F, &F),
    reads: impl Fn(&str, &str) -> String,
) -> EditConflict<F> {
    let (was, mine, mut merged) = (fields(was), fields(mine), fields(now));
    let mut errors = Vec::new();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    for (field, my) in &mine {
        let (base, theirs) = (was.get(field), merged.get(field).cloned());
        if base == Some(my) {
            continue;
        }
        if theirs.as_ref() != base && theirs.as_ref() != Some(my) {
            let (now, mine) = (reads(field, &text(theirs.as_ref())), reads(field, &text(Some(my))));
            errors.push(FieldError::new(field, ParseError::new(format!("Now: {now}. You entered: {mine}."))));
        }
        merged.insert(field.clone(), my.clone());
    }
    let sentence = format!(
        "This {what} was changed while you were editing. Your changes are below and not saved yet. Check them and save again."
    );
    let form = serde_json::from_value(Value::Object(merged)).unwrap_or_else(|_| now.clone());
    EditConflict { sentence, errors, form }
}

fn fields<F: Serialize>(form: &F) -> Map<String, Value> {
    match serde_json::to_value(form) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::provider::ProviderForm;

    #[test]
    fn each_keeps_what_only_one_changed_and_both_values_are_told_where_both_did() {
        let was = ProviderForm { name: "OpenAI".into(), ..ProviderForm::with_defaults() };
        let mine =
            ProviderForm { name: "OpenAI EU".into(), connect: "9".into(), idle: "30".into(), ..was.clone() };
        let now = ProviderForm { connect: "7".into(), whole: "300".into(), idle: "30".into(), ..was.clone() };
        let conflict = merge("provider", (&was, &mine, &now), |_, value| value.to_owned());
        assert_eq!(conflict.form.name, "OpenAI EU");
        assert_eq!((conflict.form.connect.as_str(), conflict.form.whole.as_str()), ("9", "300"));
        let told: Vec<_> = conflict.errors.iter().map(|e| (e.field.as_str(), e.problem.sentence())).collect();
        assert_eq!(told, [("connect", "Now: 7. You entered: 9.")]);
    }
}
