//! The field for when a key expires, and the same in words.

use keydesk_core::domain::expiry::expiry_days;
use keydesk_core::domain::moment::{Day, Moment};
use keydesk_core::domain::numbers::days_words;
use keydesk_core::domain::org::Org;
use leptos::prelude::*;

use crate::ui::field::{FieldErrors, field_error, help};

/// What a choice means, to go on with after "It": "expires on 24 Feb 2027". `day` is the day of the choice `date`, `keep`
/// the expiry that stands.
pub(super) fn expiry_words(
    choice: &str,
    day: &str,
    keep: Option<Moment>,
    (org, now): (&Org, Moment),
) -> String {
    let on = |at: Moment| format!("expires on {}", at.date(&org.zone));
    match (choice, keep) {
        ("never", _) => "never expires".to_owned(),
        ("keep", Some(at)) => on(at),
        ("date", _) => Day::parse(day.trim()).map_or("expires on …".into(), |day| on(day.start(&org.zone))),
        (days, _) => days.parse().map_or_else(|_| "expires on …".into(), |days| on(now.plus_days(days))),
    }
}

/// When a key expires.
pub(super) struct ExpiryField {
    /// The name that the choice is sent under.
    pub name: &'static str,
    /// The name that its day is sent under.
    pub date_name: &'static str,
    /// An expiry that may stay as it is.
    pub keep: Option<Moment>,
    /// Offers numbers of days from now.
    pub days: bool,
    /// Offers "Never" also where the organisation does not allow it to new keys.
    pub never: bool,
}

impl ExpiryField {
    /// `chosen` and `day` as they were sent.
    pub(super) fn draw(
        &self,
        (org, now): (&Org, Moment),
        (chosen, day): (&str, &str),
        field_errors: &FieldErrors,
    ) -> AnyView {
        let zone = &org.zone;
        // `words` go on with "It" in the summary; those of a date end with the date.
        let choice = |value: String, label: String, words: String| {
            let checked = chosen == value;
            let date = value == "date";
            view! {
                <label>
                    <input
                        type="radio"
                        name=self.name
                        value=value
                        data-reveals=date
                        data-words=words
                        data-words-from=date.then_some("expires_on")
                        checked=checked
                    />
                    {label}
                </label>
            }
        };
        let keep = self
            .keep
            .map(|_| choice("keep".into(), "Keep".into(), expiry_words("keep", "", self.keep, (org, now))));
        let rules = &org.rules;
        let offered = if self.days { expiry_days(rules, &org.defaults) } else { vec![] };
        let offered = offered.into_iter().map(|days| {
            let label = days_words(days);
            let words = expiry_words(&days.to_string(), "", None, (org, now));
            choice(days.to_string(), label, words)
        });
        let never = rules.max_key_days.is_none() || self.never;
        let last = rules.max_key_days.map(|max| Day::of(now.plus_days(max), zone).to_string());
        let max = rules.max_key_days.map(|max| {
            help(
                "max_expiry",
                format!("Keys in this organisation can't last longer than {}.", days_words(max)),
            )
        });
        let stands = self.keep.map(|at| help("expiry", format!("Keep: expires {}.", at.exact(zone))));
        let first = Day::of(now, zone);
        let wrong = field_errors.of("expiry");
        view! {
            <div class="reveals" data-field="expiry">
                <div class="segmented" role="radiogroup" aria-label="Expires">
                    {keep}
                    {offered.collect_view()}
                    {choice("date".into(), "On a date".into(), "expires on".into())}
                    {never.then(|| choice("never".into(), "Never".into(), "never expires".into()))}
                </div>
                {stands}
                {max}
                <div class="reveal">
                    <div class="field">
                        <label class="label" for="expires_on">"Date"</label>
                        <span class="affix">
                            <input
                                class="input"
                                type="date"
                                id="expires_on"
                                name=self.date_name
                                value=day.to_owned()
                                min=first.to_string()
                                max=last
                                aria-describedby="expires_on-help"
                            />
                        </span>
                        {help("expires_on", format!("The key works until the end of this day, {}.", zone.name()))}
                    </div>
                </div>
                {field_error("expiry", wrong)}
            </div>
        }
        .into_any()
    }
}
