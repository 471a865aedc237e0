//! What an installation can be told, by option or by environment variable. Checked at the start; what is wrong stops
//! the program with a sentence that says what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use keydesk_core::store::Place;

/// Where the data is: every command needs it.
#[derive(Args, Clone, Debug)]
pub struct DataConfig {
    /// Folder of the embedded database and of the cookie key. Made when it is missing.
    #[arg(long, env = "KEYDESK_DATA", default_value = "data")]
    pub data: PathBuf,

    /// A postgres:// address to use Postgres instead of the embedded SQLite.
    #[arg(long, env = "KEYDESK_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

impl DataConfig {
    /// # Errors
    /// A sentence for whoever started the program.
    pub fn place(&self) -> Result<Place, String> {
        match self.database_url.as_deref() {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Place::Postgres(url.to_owned()))
            }
            Some(_) => Err(
                "KEYDESK_DATABASE_URL must start with postgres://. Leave it out to use the embedded SQLite."
                    .into(),
            ),
            None => Ok(Place::Sqlite(self.data.join("keydesk.sqlite"))),
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

    /// The address that people and programs use, without a path, such as https://keys.example.com. With https, cookies
    /// are sent over https only.
    #[arg(long, env = "KEYDESK_BASE_URL")]
    pub base_url: Option<String>,

    /// Networks of proxies in front, in CIDR form: only they may say where a request came from.
    #[arg(long = "trusted-proxy", env = "KEYDESK_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,

    /// File with the key that seals short-lived cookies, at least 64 random bytes. Made in the data folder when it is
    /// left out; several nodes on one database need the same one.
    #[arg(long, env = "KEYDESK_COOKIE_KEY_FILE")]
    pub cookie_key_file: Option<PathBuf>,

    /// Minutes without a request after which a session ends.
    #[arg(long, env = "KEYDESK_SESSION_IDLE_MINUTES", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=1440))]
    pub session_idle_minutes: i64,

    /// Hours after which a session ends in any case.
    #[arg(long, env = "KEYDESK_SESSION_HOURS", default_value_t = 12, value_parser = clap::value_parser!(i64).range(1..=720))]
    pub session_hours: i64,

    /// Logs as JSON, one object a line.
    #[arg(long, env = "KEYDESK_LOG_JSON")]
    pub log_json: bool,
}

impl ServeConfig {
    /// Without a slash at the end.
    pub fn base_url(&self) -> String {
        match &self.base_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    pub fn secure(&self) -> bool {
        self.base_url().starts_with("https://")
    }

    /// # Errors
    /// A sentence for whoever started the program.
    pub fn check(&self) -> Result<(), String> {
        self.data.place()?;
        let url = self.base_url();
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        match host {
            Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '"']) => Ok(()),
            _ => Err(format!(
                "The base URL {url:?} must be http:// or https:// and a host, without a path. Set KEYDESK_BASE_URL."
            )),
        }
    }
}
