//! The fields of forms that are fine as they are.

/// The fields of a new key's form that is fine as it is.
pub fn new_key<'a>(org: &'a str, team: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("form[org]", org),
        ("form[key][name]", name),
        ("form[key][note]", ""),
        ("form[key][team]", team),
        ("form[key][scope]", "every"),
        ("form[key][patterns]", ""),
        ("form[key][addresses]", ""),
        ("form[key][limits][month][mode]", "limit"),
        ("form[key][limits][month][value]", "50"),
        ("form[key][limits][week][mode]", "none"),
        ("form[key][limits][week][value]", ""),
        ("form[key][limits][day][mode]", "none"),
        ("form[key][limits][day][value]", ""),
        ("form[key][limits][total][mode]", "none"),
        ("form[key][limits][total][value]", ""),
        ("form[key][limits][rpm][mode]", "limit"),
        ("form[key][limits][rpm][value]", "60"),
        ("form[key][limits][tpm][mode]", "none"),
        ("form[key][limits][tpm][value]", ""),
        ("form[key][limits][concurrent][mode]", "none"),
        ("form[key][limits][concurrent][value]", ""),
        ("form[key][expiry]", "90"),
        ("form[key][expires_on]", ""),
    ]
}

/// The fields of a team's form without bounds.
pub fn new_team<'a>(org: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("form[org]", org),
        ("form[team][name]", name),
        ("form[team][scope]", "every"),
        ("form[team][patterns]", ""),
        ("form[team][limits][month][mode]", "none"),
        ("form[team][limits][week][mode]", "none"),
        ("form[team][limits][day][mode]", "none"),
        ("form[team][limits][total][mode]", "none"),
        ("form[team][limits][rpm][mode]", "none"),
        ("form[team][limits][tpm][mode]", "none"),
        ("form[team][limits][concurrent][mode]", "none"),
    ]
}

/// The fields of a new provider's form that is fine as it is.
pub fn new_provider(name: &str) -> Vec<(&str, &str)> {
    vec![
        ("form[provider][name]", name),
        ("form[provider][kind]", "openai"),
        ("form[provider][base_url]", "https://api.openai.com/v1/"),
        ("form[provider][credential_env]", "KEYDESK_TESTS_API_KEY"),
        ("form[provider][connect]", "5"),
        ("form[provider][idle]", "60"),
        ("form[provider][whole]", "600"),
        ("form[provider][on_disconnect]", "read_on"),
    ]
}
