//! Settings, by option, by environment variable or in a file (`settings`). Checked at the start; what is wrong stops the program
//! with a sentence that says what to do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use keydesk_core::domain::leak::LeakResponse;
use keydesk_core::domain::live_test::AllowedHost;
use keydesk_core::store::DatabaseUrl;
use secrecy::{ExposeSecret, SecretString};

use crate::gateway::origins::AllowedOrigin;
use crate::gateway::proxies::Proxies;
use crate::leak_keys::LeakKeys;
use crate::mail::Smtp;
use crate::{cookie_keys, log, provider_keys};

/// Where the data is: every command needs it.
#[derive(Args, Clone, Debug)]
pub struct DataConfig {
    /// Folder of the embedded database, of the cookie key and of the key for providers' API keys.
    #[arg(long, env = "KEYDESK_DATA", default_value = "data")]
    pub data: PathBuf,

    /// A postgres:// address to use Postgres instead of the embedded SQLite.
    #[arg(long, env = "KEYDESK_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

impl DataConfig {
    /// # Errors
    /// A sentence for the terminal.
    pub fn database(&self) -> Result<DatabaseUrl, String> {
        match self.database_url.as_deref() {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(DatabaseUrl::Postgres(url.to_owned()))
            }
            Some(_) => Err(
                "KEYDESK_DATABASE_URL must start with postgres://. Leave it out to use the embedded SQLite."
                    .into(),
            ),
            None => Ok(DatabaseUrl::Sqlite(self.data.join("keydesk.sqlite"))),
        }
    }

    /// The SQLite database's file and its write-ahead log; `None` on Postgres.
    pub fn sqlite_files(&self) -> Option<(PathBuf, PathBuf)> {
        match self.database() {
            Ok(DatabaseUrl::Sqlite(path)) => {
                let log = PathBuf::from(format!("{}-wal", path.display()));
                Some((path, log))
            }
            _ => None,
        }
    }
}

/// Where the key is that seals the API keys of providers.
#[derive(Args, Clone, Debug)]
pub struct ProviderKeyConfig {
    /// File with the key that encrypts providers' API keys in the database, at least 32 random bytes. Left out, it is made
    /// in the data folder; several nodes on one database need the same one.
    #[arg(long, env = "KEYDESK_PROVIDER_KEY_FILE")]
    pub provider_key_file: Option<PathBuf>,
}

impl ProviderKeyConfig {
    /// The file that was named, or one in the data folder.
    pub fn path(&self, data: &DataConfig) -> PathBuf {
        self.provider_key_file.clone().unwrap_or_else(|| data.data.join("provider.key"))
    }

    /// # Errors
    /// A sentence for a file that was named and is not there, or is too short.
    pub fn check(&self, data: &DataConfig) -> Result<(), String> {
        provider_keys::check(&self.path(data), self.provider_key_file.is_some())
    }
}

const MIN_TOKEN: usize = 32;

/// `LeakResponse`, as an option names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LeakResponseArg {
    Notify,
    Disable,
    Revoke,
}

impl From<LeakResponseArg> for LeakResponse {
    fn from(named: LeakResponseArg) -> Self {
        match named {
            LeakResponseArg::Notify => LeakResponse::Notify,
            LeakResponseArg::Disable => LeakResponse::Disable,
            LeakResponseArg::Revoke => LeakResponse::Revoke,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct ServeConfig {
    #[command(flatten)]
    pub data: DataConfig,

    /// Address and port to listen on.
    #[arg(long, env = "KEYDESK_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// A separate address and port for the gateway; --listen serves only the desk then.
    #[arg(long, env = "KEYDESK_GATEWAY_LISTEN")]
    pub gateway_listen: Option<SocketAddr>,

    /// The URL at which clients reach a gateway with an address of its own, such as https://gateway.example.com.
    #[arg(long, env = "KEYDESK_GATEWAY_URL")]
    pub gateway_url: Option<String>,

    /// The token that other gateways send to authorize and settle requests, at least 32 characters. Left out, those
    /// routes are not served.
    #[arg(
        long,
        env = "KEYDESK_GATEWAY_TOKEN",
        hide_env_values = true,
        conflicts_with = "gateway_token_file"
    )]
    pub gateway_token: Option<SecretString>,

    /// File with the gateway token.
    #[arg(long, env = "KEYDESK_GATEWAY_TOKEN_FILE")]
    pub gateway_token_file: Option<PathBuf>,

    /// A separate address and port for GET /metrics in Prometheus' text format, such as 127.0.0.1:9464. Without a token,
    /// everyone who can reach it can read it.
    #[arg(long, env = "KEYDESK_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,

    /// The token that GET /metrics wants as its bearer, at least 32 characters. Without --metrics-listen, /metrics is at
    /// --listen then. Left out both, it is not served.
    #[arg(
        long,
        env = "KEYDESK_METRICS_TOKEN",
        hide_env_values = true,
        conflicts_with = "metrics_token_file"
    )]
    pub metrics_token: Option<SecretString>,

    /// File with the token for metrics.
    #[arg(long, env = "KEYDESK_METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,

    /// The URL at which people and programs reach this installation, without a path, such as https://keys.example.com.
    /// With https, cookies are sent over https only.
    #[arg(long, env = "KEYDESK_BASE_URL")]
    pub base_url: Option<String>,

    /// Let people without an account ask at /doctor why requests with their own key fail.
    #[arg(long, env = "KEYDESK_PUBLIC_DOCTOR")]
    pub public_doctor: bool,

    /// Networks of the proxies in front, in CIDR notation: only their X-Forwarded-For is believed.
    #[arg(long = "trusted-proxy", env = "KEYDESK_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,

    /// Connections at the same time, fewer where the system allows fewer open files. One address has at most as many as
    /// are left; what comes through a trusted proxy is not counted by address.
    #[arg(long, env = "KEYDESK_MAX_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub max_connections: u32,

    /// Seconds after which a connection is closed between two requests, or whose client takes nothing of its response.
    /// More than those of a balancer in front.
    #[arg(long, env = "KEYDESK_IDLE_SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub idle_seconds: u32,

    /// Origins of desktop programs that send preflights, such as app://obsidian.md, as they send it: they may call the gateway
    /// with a key. Left out, none. Never list a web page: a key in it is everyone's.
    #[arg(long = "allow-origin", env = "KEYDESK_ALLOW_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<AllowedOrigin>,

    /// File with the key that encrypts short-lived cookies, at least 64 random bytes. Left out, it is made in the data
    /// folder; several nodes on one database need the same one.
    #[arg(long, env = "KEYDESK_COOKIE_KEY_FILE")]
    pub cookie_key_file: Option<PathBuf>,

    #[command(flatten)]
    pub provider_key: ProviderKeyConfig,

    /// Other hosts than this gateway that people may test keys against, such as api.openai.com; left out, none. Never a
    /// host of a private network.
    #[arg(long, env = "KEYDESK_LIVE_TEST_HOSTS", value_delimiter = ',')]
    pub live_test_hosts: Vec<AllowedHost>,

    /// Minutes without a request after which a session expires.
    #[arg(long, env = "KEYDESK_SESSION_IDLE_MINUTES", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=1440))]
    pub session_idle_minutes: i64,

    /// Hours after which a session expires in any case.
    #[arg(long, env = "KEYDESK_SESSION_HOURS", default_value_t = 12, value_parser = clap::value_parser!(i64).range(1..=720))]
    pub session_hours: i64,

    /// File with the public keys of a service that reports leaked secrets, as GitHub publishes them at
    /// https://api.github.com/meta/public_keys/secret_scanning. Left out, POST /api/leaks is not served.
    #[arg(long, env = "KEYDESK_LEAK_KEYS_FILE")]
    pub leak_keys_file: Option<PathBuf>,

    /// What happens to the key of a reported secret that works: tell its people, disable it too, or revoke it too.
    #[arg(long, env = "KEYDESK_LEAK_RESPONSE", value_enum, default_value_t = LeakResponseArg::Disable)]
    pub leak_response: LeakResponseArg,

    /// The mail server for invitations: smtps://user:password@host, or smtp://user:password@host:587?tls=required for
    /// STARTTLS. Left out, no mail is sent, and you pass links on yourself.
    #[arg(long, env = "KEYDESK_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,

    /// The sender of mail, such as Keydesk <keydesk@example.com>.
    #[arg(long, env = "KEYDESK_MAIL_FROM")]
    pub mail_from: Option<String>,

    /// Let webhooks of alerts go to loopback and private networks. Owners and admins of organisations choose their addresses.
    #[arg(long, env = "KEYDESK_ALLOW_PRIVATE_WEBHOOKS")]
    pub allow_private_webhooks: bool,

    /// Seconds between two looks for alerts.
    #[arg(long, env = "KEYDESK_ALERT_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub alert_seconds: u32,

    /// Log as JSON, one object per line.
    #[arg(long, env = "KEYDESK_LOG_JSON")]
    pub log_json: bool,

    /// Which messages are logged, such as debug or warn,security=info.
    #[arg(long, env = "KEYDESK_LOG", default_value = "info,sqlx=warn", value_name = "FILTER")]
    pub log: String,
}

impl ServeConfig {
    /// What no other account of the machine may read or change: the cookie key, the key for API keys and, on SQLite, the database with its log.
    pub fn private_files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.cookie_key_path(), self.provider_key_path()];
        files.push(provider_keys::new_path(&self.provider_key_path()));
        files.extend(
            [cookie_keys::new_path, cookie_keys::old_path].map(|beside| beside(&self.cookie_key_path())),
        );
        if let Ok(DatabaseUrl::Sqlite(path)) = self.data.database() {
            let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
            files.extend([path.clone(), beside("-wal"), beside("-shm")]);
        }
        files
    }

    /// The cookie key's file: the one that was named, or one in the data folder.
    pub fn cookie_key_path(&self) -> PathBuf {
        self.cookie_key_file.clone().unwrap_or_else(|| self.data.data.join("cookie.key"))
    }

    /// The file with the key for providers' API keys.
    pub fn provider_key_path(&self) -> PathBuf {
        self.provider_key.path(&self.data)
    }

    /// The proxy on the way to providers, as the environment says.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn proxies() -> Result<Proxies, String> {
        Proxies::from_env(|name| std::env::var(name).ok())
    }

    /// `None` when this installation sends no mail.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn mail(&self) -> Result<Option<Smtp>, String> {
        let url = self.smtp_url.as_ref().map(ExposeSecret::expose_secret).filter(|url| !url.is_empty());
        url.map(|url| Smtp::new(url, self.mail_from.as_deref())).transpose()
    }

    /// `None` when other gateways cannot ask this one.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn token(&self) -> Result<Option<SecretString>, String> {
        read_token("gateway token", self.gateway_token.as_ref(), self.gateway_token_file.as_deref())
    }

    /// `None` when who reads the metrics needs none.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn metrics_token(&self) -> Result<Option<SecretString>, String> {
        read_token("metrics token", self.metrics_token.as_ref(), self.metrics_token_file.as_deref())
    }

    /// `None` when no service reports leaked secrets here.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn leak_keys(&self) -> Result<Option<LeakKeys>, String> {
        let Some(path) = &self.leak_keys_file else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("The leak keys {} cannot be read: {error}.", path.display()))?;
        let keys = LeakKeys::parse(&text).map_err(|why| format!("The leak keys {} {why}", path.display()))?;
        Ok(Some(keys))
    }

    /// Without a slash at the end.
    pub fn base_url(&self) -> String {
        match &self.base_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// Where clients reach the gateway, without a slash at the end.
    pub fn gateway_url(&self) -> String {
        match (&self.gateway_url, self.gateway_listen) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(listen)) => format!("http://{listen}"),
            (None, None) => self.base_url(),
        }
    }

    /// The same for a client that uses the desk or the gateway at the address `at`, where none is configured.
    pub fn gateway_url_at(&self, at: Option<&str>) -> String {
        let configured = self.gateway_url.is_some() || self.base_url.is_some();
        match (at.filter(|_| !configured), self.gateway_listen) {
            (Some(at), None) => at.to_owned(),
            // On a port of its own, and on the same host if it listens on all addresses.
            (Some(at), Some(listen)) if listen.ip().is_unspecified() => {
                let host = at.split_once("://").map_or(at, |(_, host)| host);
                let name = match host.rfind(':') {
                    Some(colon) if !host.ends_with(']') => &host[..colon],
                    _ => host,
                };
                format!("http://{name}:{}", listen.port())
            }
            _ => self.gateway_url(),
        }
    }

    pub fn secure(&self) -> bool {
        self.base_url().starts_with("https://")
    }

    /// # Errors
    /// A sentence for the terminal.
    pub fn check(&self) -> Result<(), String> {
        self.data.database()?;
        self.mail()?;
        self.token()?;
        self.metrics_token()?;
        self.leak_keys()?;
        self.provider_key.check(&self.data)?;
        Self::proxies()?;
        log::parse_filter(&self.log)?;
        if self.gateway_listen == Some(self.listen) && self.listen.port() != 0 {
            return Err(format!(
                "The desk and the gateway cannot both listen on {}. Leave --gateway-listen out to serve both there.",
                self.listen
            ));
        }
        if let Some(metrics) = self.metrics_listen.filter(|metrics| metrics.port() != 0)
            && [Some(self.listen), self.gateway_listen].contains(&Some(metrics))
        {
            return Err(format!(
                "The metrics cannot be served at {metrics} too. Choose another port with --metrics-listen, or leave it out and set KEYDESK_METRICS_TOKEN."
            ));
        }
        check_url(&self.base_url(), "base URL", "KEYDESK_BASE_URL")?;
        check_url(&self.gateway_url(), "gateway's URL", "KEYDESK_GATEWAY_URL")
    }
}

/// A token that was given itself, or in a file.
fn read_token(
    what: &str,
    token: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, String> {
    let token = match (token, file) {
        (Some(token), _) => token.expose_secret().to_owned(),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| format!("The {what} {} cannot be read: {error}.", path.display()))?,
        (None, None) => return Ok(None),
    };
    let token = token.trim();
    if token.len() < MIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "The {what} has to be at least {MIN_TOKEN} characters without spaces. Make one with: openssl rand -hex 32"
        ));
    }
    Ok(Some(token.into()))
}

fn check_url(url: &str, what: &str, variable: &str) -> Result<(), String> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '"']) => Ok(()),
        _ => Err(format!(
            "The {what} {url:?} must be http:// or https:// and a host, without a path. Set {variable}."
        )),
    }
}
