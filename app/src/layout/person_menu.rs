//! The person's own menu: theme, account, membership, sign-out.

use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::ops::access::Caller;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};

pub fn person_menu(caller: &Caller, path: &str, org: Option<&str>) -> impl IntoView + use<> {
    let theme = |value: &'static str, label: &'static str| {
        let pressed = if caller.person.theme == value { "true" } else { "false" };
        view! { <button name="form[theme]" value=value aria-pressed=pressed>{label}</button> }
    };
    let item = |href: LocalPath, sign: Icon, words: &'static str| {
        view! {
            <a class="item" href=String::from(href)>
                {icon(sign)}
                {words}
            </a>
        }
    };
    let membership =
        org.map(|org| item(LocalPath::member(org, &caller.person.id), Icon::People, "Your membership"));
    let platform = match caller.person.platform {
        PlatformRole::Support => Some(item(LocalPath::support(), Icon::Search, "Support")),
        PlatformRole::Operator => Some(item(LocalPath::operator(), Icon::Gear, "Organisations")),
        PlatformRole::None => None,
    };
    view! {
        <div class="menu person" id="user-menu" popover aria-label=caller.person.name.clone()>
            <form class="part" method="post" action="/api/session/theme">
                <input type="hidden" name="form[page]" value=path.to_owned() />
                <p class="label" id="theme-label">"Theme"</p>
                <div class="segmented" role="group" aria-labelledby="theme-label">
                    {theme("system", "System")} {theme("light", "Light")} {theme("dark", "Dark")}
                </div>
            </form>
            <hr />
            {item(LocalPath::account(), Icon::Person, "Account")}
            {membership}
            {platform}
            <form method="post" action="/api/session/sign-out">
                <button class="item" name="form[confirm]" value="yes">
                    {icon(Icon::Out)}
                    "Sign out"
                </button>
            </form>
        </div>
    }
}
