//! A rotation of several keys, one page after the other. Which keys they are stands in the address, as their ids.

use keydesk_core::domain::bulk::MAX_BULK;
use keydesk_core::domain::ids::KeyId;
use keydesk_core::forms::rotation::{GraceField, RotateForm};

use crate::ask::query;
use crate::path::LocalPath;

pub struct Lot {
    keys: Vec<KeyId>,
    /// What was chosen for the last key, to begin with for the next one.
    pub grace: GraceField,
}

impl Lot {
    /// `None` for fewer than two keys.
    pub fn new(keys: Vec<KeyId>, grace: GraceField) -> Option<Self> {
        (keys.len() > 1).then_some(Self { keys, grace })
    }

    fn read(ids: &str, grace: GraceField) -> Option<Self> {
        Self::new(ids.split('.').take(MAX_BULK).filter_map(KeyId::parse).collect(), grace)
    }

    pub fn of_address() -> Option<Self> {
        let whole = GraceField::default();
        let grace = GraceField {
            mode: query("mode").unwrap_or(whole.mode),
            date: query("date").unwrap_or_default(),
            hours: query("hours").unwrap_or(whole.hours),
        };
        Self::read(&query("of")?, grace)
    }

    pub fn of_form(form: &RotateForm) -> Option<Self> {
        Self::read(&form.of, form.grace.clone())
    }

    pub fn ids(&self) -> String {
        self.keys.iter().map(KeyId::as_str).collect::<Vec<_>>().join(".")
    }

    /// As it stands in an address.
    pub fn query(&self) -> String {
        let GraceField { mode, date, hours } = &self.grace;
        let ids = self.ids();
        let pairs = [("of", &ids), ("mode", mode), ("date", date), ("hours", hours)];
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    }

    fn at(&self, id: &KeyId) -> Option<usize> {
        self.keys.iter().position(|key| key == id)
    }

    /// "Key 2 of 5"; empty for a key that is not among them.
    pub fn place(&self, id: &KeyId) -> String {
        self.at(id).map(|at| format!("Key {} of {}", at + 1, self.keys.len())).unwrap_or_default()
    }

    /// The rotation of the first key.
    pub fn first(&self, org: &str) -> Option<LocalPath> {
        self.keys.first().map(|key| self.page(org, key))
    }

    /// The rotation of the key after this one.
    pub fn next(&self, org: &str, id: &KeyId) -> Option<LocalPath> {
        self.keys.get(self.at(id)? + 1).map(|key| self.page(org, key))
    }

    fn page(&self, org: &str, key: &KeyId) -> LocalPath {
        LocalPath::rotate(org, key.as_str()).with_query(&self.query())
    }
}

#[cfg(test)]
mod tests {
    use keydesk_core::domain::moment::Moment;

    use super::*;

    #[test]
    fn each_key_leads_to_the_next_one_with_the_same_choice() {
        let id = |n| KeyId::new(Moment::from_ms(1), [n; 10]);
        let grace = GraceField { mode: "168".into(), ..GraceField::default() };
        let form = RotateForm { of: format!("{}.key_?.{}", id(1), id(2)), grace, ..RotateForm::default() };
        let lot = Lot::of_form(&form).unwrap();
        assert_eq!((lot.place(&id(1)), lot.place(&id(3))), ("Key 1 of 2".to_owned(), String::new()));
        let next = lot.next("acme", &id(1)).unwrap();
        let query = format!("of={}.{}&mode=168&date=&hours=24", id(1), id(2));
        assert_eq!(next.as_str(), format!("/acme/keys/{}/rotate?{query}", id(2)));
        assert_eq!(lot.next("acme", &id(2)), None);
        assert_eq!(lot.next("acme", &id(3)), None);
        assert!(Lot::of_form(&RotateForm { of: id(1).to_string(), ..RotateForm::default() }).is_none());
    }
}
