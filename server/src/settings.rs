//! Where each setting comes from: an option, an environment variable, the configuration file or the program, in this order. The
//! file is TOML without sections, and its names are those of the options. What it says takes the place of the defaults of the
//! command line, so that its values are read by the same parsers; a name that is no setting is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use toml::{Table, Value};

use crate::config::ServeConfig;
use crate::files::{self, Exposed};

/// Read where none is named, if it is there.
const DEFAULT_FILE: &str = "/etc/keydesk/keydesk.toml";
/// Settings that exclude each other: one that is nearer takes the place of both of the file's.
const ALTERNATIVES: [(&str, &str); 2] =
    [("gateway-token", "gateway_token"), ("gateway-token-file", "gateway_token_file")];

/// What holds for the command that runs.
#[derive(Default)]
pub struct Settings {
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// Whether the file contains passwords or tokens.
    pub file_has_secrets: bool,
    pub list: Vec<Setting>,
}

/// One setting.
pub struct Setting {
    /// The option's name, and the file's.
    pub name: String,
    /// As it is shown: without passwords. `None` when it is left out.
    pub value: Option<String>,
    /// Where it comes from, in words.
    pub from: String,
}

/// Why there is no command to run.
pub enum NotParsed {
    /// What clap says of options and variables; help and version too.
    Command(clap::Error),
    /// A sentence about the configuration file.
    File(String),
}

impl From<clap::Error> for NotParsed {
    fn from(error: clap::Error) -> Self {
        Self::Command(error)
    }
}

/// Reads the command line `C` twice: first alone, which says what the file is, then over the file.
///
/// # Errors
/// When the command line, a variable or the file is wrong.
pub fn parse<C: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
) -> Result<(C, Settings), NotParsed> {
    let first = C::command().try_get_matches_from(&arguments)?;
    let (named, takes_settings, has_token) = {
        let leaf = leaf(&first);
        let takes = |name: &str| leaf.try_contains_id(name).is_ok();
        let is_given = |id: &str| {
            let source = takes(id).then(|| leaf.value_source(id)).flatten();
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let has_token = ALTERNATIVES.iter().any(|(_, id)| is_given(id));
        (leaf.get_one::<PathBuf>("config").cloned(), takes("data"), has_token)
    };
    if !takes_settings {
        return Ok((C::from_arg_matches(&first)?, Settings::default()));
    }
    let path = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let mut values = match &path {
        Some(path) => read(path).map_err(NotParsed::File)?,
        None => BTreeMap::new(),
    };
    if has_token {
        ALTERNATIVES.iter().for_each(|(name, _)| drop(values.remove(*name)));
    }
    if let Some(path) = &path {
        check(path, &values).map_err(NotParsed::File)?;
    }
    let second = with_defaults(C::command(), &values).try_get_matches_from(&arguments)?;
    let cli = C::from_arg_matches(&second)?;
    let names: BTreeSet<&String> = values.keys().collect();
    let list = known().iter().map(|arg| setting(arg, leaf(&second), &names, path.as_deref())).collect();
    let file_has_secrets =
        known().iter().any(|arg| arg.is_hide_env_values_set() && values.contains_key(name_of(arg)));
    Ok((cli, Settings { file: path, file_has_secrets, list }))
}

/// The arguments of the command that was named.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| leaf(matches))
}

/// Every setting there is, as an option.
fn known() -> Vec<Arg> {
    ServeConfig::augment_args(Command::new("")).get_arguments().cloned().collect()
}

fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

/// Names of environment variables that begin like those of settings and are none, such as a mistyped one.
pub fn unknown_variables() -> Vec<String> {
    let mut known: BTreeSet<String> =
        known().iter().filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned())).collect();
    for other in ["KEYDESK_CONFIG", "KEYDESK_BACKUP_PASSPHRASE_FILE"] {
        known.insert(other.into());
    }
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    // Providers' API keys may have any name that ends so.
    names
        .filter(|name| name.starts_with("KEYDESK_") && !name.ends_with("_API_KEY") && !known.contains(name))
        .collect()
}

/// The settings in a file, each with its values as an option would have them.
fn read(path: &Path) -> Result<BTreeMap<String, Vec<String>>, String> {
    let shown = path.display();
    if let Some(found @ Exposed::Writable) = files::exposed(path) {
        return Err(files::sentence(path, found));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("The configuration file {shown} cannot be read: {error}."))?;
    let table: Table =
        text.parse().map_err(|error| format!("The configuration file {shown} is no TOML: {error}"))?;
    let known: BTreeSet<String> = known().iter().map(|arg| name_of(arg).to_owned()).collect();
    let mut values = BTreeMap::new();
    for (name, value) in table {
        if !known.contains(&name) {
            return Err(format!(
                "{shown}: there is no setting {name:?}. The names are those of the options in: keydesk serve --help"
            ));
        }
        let texts = texts(&value).ok_or_else(|| {
            format!("{shown}: {name} has to be a text, a number, true or false, or a list of texts.")
        })?;
        values.insert(name, texts);
    }
    if ALTERNATIVES.iter().all(|(name, _)| values.contains_key(*name)) {
        return Err(format!("{shown}: gateway-token and gateway-token-file cannot both be set."));
    }
    Ok(values)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(is_so) => Some(is_so.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}

/// Reads the values as options would be read.
fn check(path: &Path, values: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
    let shown = path.display();
    let mut options = Vec::new();
    for arg in known() {
        let name = name_of(&arg);
        let Some(values) = values.get(name) else { continue };
        match (arg.get_action(), &values[..]) {
            (ArgAction::SetTrue, [value]) if value == "true" => options.push(format!("--{name}")),
            (ArgAction::SetTrue, [value]) if value == "false" => {}
            (ArgAction::SetTrue, _) => return Err(format!("{shown}: {name} has to be true or false.")),
            (ArgAction::Append, _) | (_, [_]) => {
                options.extend(values.iter().map(|value| format!("--{name}={value}")));
            }
            _ => return Err(format!("{shown}: {name} has to be one value and no list.")),
        }
    }
    let command = ServeConfig::augment_args(Command::new("keydesk").no_binary_name(true));
    let wrong = command.try_get_matches_from(options).err();
    wrong.map_or(Ok(()), |error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Err(format!("{shown}: {first}"))
    })
}

/// The same command, with these values where neither an option nor a variable says another.
fn with_defaults(command: Command, values: &BTreeMap<String, Vec<String>>) -> Command {
    let given = |arg: Arg| match values.get(name_of(&arg)) {
        // What has the same name and no variable is no setting, such as the address of `keydesk rotate`.
        Some(values) if arg.get_env().is_some() => arg.default_values(values.clone()),
        _ => arg,
    };
    command.mut_args(given).mut_subcommands(|command| with_defaults(command, values))
}

fn setting(arg: &Arg, matches: &ArgMatches, in_file: &BTreeSet<&String>, path: Option<&Path>) -> Setting {
    let (name, id) = (name_of(arg).to_owned(), arg.get_id().as_str());
    // A command that needs only some of the settings does not know the others.
    let is_taken = matches.try_contains_id(id).is_ok();
    let texts: Vec<String> = is_taken
        .then(|| matches.get_raw(id))
        .flatten()
        .map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let shown = |text: &String| if arg.is_hide_env_values_set() { masked(text) } else { text.clone() };
    let value = texts.iter().map(shown).collect::<Vec<_>>().join(", ");
    let from = match is_taken.then(|| matches.value_source(id)).flatten() {
        Some(ValueSource::CommandLine) => format!("option --{name}"),
        Some(ValueSource::EnvVariable) => {
            format!("variable {}", arg.get_env().unwrap_or_default().to_string_lossy())
        }
        _ if in_file.contains(&name) => format!("file {}", path.unwrap_or(Path::new("")).display()),
        _ => "default".into(),
    };
    Setting { name, value: Some(value).filter(|value| !value.is_empty()), from }
}

/// An address without its password and its parameters; of anything else nothing.
fn masked(secret: &str) -> String {
    let Some((scheme, rest)) = secret.split_once("://") else { return "***".into() };
    let (account, place) = rest.rsplit_once('@').map_or(("", rest), |(account, place)| (account, place));
    // An @ among the parameters, or a password that was not encoded: what is which cannot be said.
    if account.contains(['/', '?']) {
        return format!("{scheme}://***");
    }
    let user = match account.split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None if account.is_empty() => String::new(),
        None => format!("{account}@"),
    };
    let (place, parameters) = place.split_once('?').map_or((place, ""), |(place, _)| (place, "?***"));
    format!("{scheme}://{user}{place}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_has_neither_password_nor_parameters() {
        for (secret, shown) in [
            ("postgres://desk:hunter2@db.example.com/keydesk", "postgres://desk:***@db.example.com/keydesk"),
            ("postgres://db/keydesk?password=hunter2", "postgres://db/keydesk?***"),
            ("smtps://me:hunter2@x@mail.example.com:465", "smtps://me:***@mail.example.com:465"),
            ("smtp://me:hun?ter2@mail.example.com", "smtp://***"),
            ("postgres://db/keydesk?user=a@b&password=hunter2", "postgres://***"),
            ("smtp://localhost", "smtp://localhost"),
            ("hunter2hunter2hunter2hunter2hunter2", "***"),
        ] {
            assert_eq!(masked(secret), shown);
        }
    }

    #[test]
    fn every_setting_has_a_name_and_a_variable() {
        let settings = known();
        assert!(settings.len() > 20);
        for arg in settings {
            assert!(!name_of(&arg).is_empty() && arg.get_env().is_some(), "{}", arg.get_id());
        }
    }
}
