//! `keydesk rotate-cookie-key`: what the cookie key encrypts in the database is encrypted with a new one, and cookies that the old
//! one sealed are accepted further. No one is signed out: sessions have no key.

use clap::Args;
use keydesk_core::ops::cookie_key;
use keydesk_core::ops::orgs::OperatorActor;

use crate::config::ServeConfig;
use crate::cookie_keys;
use crate::open::{changing, op_error};
use crate::serve::make_key;

#[derive(Args)]
pub struct RotateCookieKeyArgs {
    /// The old key may have been read by others: nothing that it sealed is accepted any more, so that devices are unknown
    /// again and sign-ins under way begin anew.
    #[arg(long)]
    forget_old: bool,
    #[command(flatten)]
    serve: ServeConfig,
}

/// Makes the new key, unless it is there already. It can be stopped anywhere and run again.
pub async fn run(args: RotateCookieKeyArgs) -> Result<(), String> {
    let path = args.serve.cookie_key_path();
    let new = cookie_keys::new_path(&path);
    let shown = path.display();
    if !path.exists() {
        return Err(format!("There is no key to rotate at {shown}. Name its file with --cookie-key-file."));
    }
    if !new.exists() {
        make_key(&new)
            .map_err(|error| format!("The cookie key {} cannot be made: {error}.", new.display()))?;
    }
    if !cookie_keys::is_key(&new) {
        return Err(format!(
            "{} is no key: it needs at least 64 random bytes. Remove it, and run this again.",
            new.display()
        ));
    }
    let vault = cookie_keys::vault(vec![new, path.clone(), cookie_keys::old_path(&path)]);
    let count = changing(&args.serve.data, async |desk| {
        let desk = desk.clone().with_vault(vault);
        cookie_key::reseal(&desk, OperatorActor::CommandLine).await.map_err(op_error)
    })
    .await?;
    cookie_keys::replace(&path, args.forget_old)?;
    println!("Secrets encrypted with the new cookie key: {count}. It is in {shown}.");
    if !args.forget_old {
        println!(
            "Cookies of the old one are accepted while {} is there.",
            cookie_keys::old_path(&path).display()
        );
    }
    Ok(())
}
