//! The sessions of a person: where they are signed in, and how to end them.

use keydesk_core::domain::device::device_of;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::session::OpenSession;
use keydesk_core::ops::account;
use leptos::prelude::*;

use super::{crumbs, framed, life};
use crate::ask::{caller, desk};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::page_head::page_head;
use crate::ui::when;

#[component]
pub fn SessionsPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let life = life()?;
        let (sessions, now) = account::list_sessions(&desk, &caller, life).await?;
        let others = sessions.iter().filter(|session| session.id != caller.session).count();
        let end_others = (others > 0).then(|| {
            view! {
                <form method="post" action="/api/account/end-other-sessions" data-enhance>
                    <button class="btn" name="form[confirm]" value="yes">"End all other sessions"</button>
                </form>
            }
        });
        let rows = sessions
            .into_iter()
            .map(|session| row(&session, session.id == caller.session, now))
            .collect_view();
        let under = view! {
            <p>
                {format!(
                    "A session ends {} after its last request, and at the latest {} after sign-in.",
                    span(life.idle_ms),
                    span(life.whole_ms),
                )}
            </p>
        };
        let body = view! {
            {title("Sessions")}
            {page_head(crumbs(), "Sessions".into_any(), under.into_any(), end_others.into_any())}
            {notice_line()}
            <section class="card">
                <ul class="rows">{rows}</ul>
            </section>
        };
        framed(&caller, LocalPath::sessions(), body.into_any()).await
    })
}

fn row(session: &OpenSession, own: bool, now: Moment) -> impl IntoView + use<> {
    let zone = Zone::utc();
    let device = device_of(&session.user_agent);
    let address =
        if session.address.is_empty() { "an unknown address".to_owned() } else { session.address.clone() };
    let end = match own {
        true => badge(BadgeTone::Good, "This session".into(), "You are using it now.".into()).into_any(),
        false => view! {
            <form method="post" action="/api/account/end-session" data-enhance>
                <input type="hidden" name="form[id]" value=session.id.to_string() />
                <button class="btn" aria-label=format!("End session of {device}, {address}")>"End session"</button>
            </form>
        }
        .into_any(),
    };
    view! {
        <li>
            <div>
                <h2 class="h3" title=session.user_agent.clone()>{device}</h2>
                <p class="help">
                    {address} " · started " {when::ago(session.begun_at, now, &zone)} " · last seen "
                    {when::ago(session.seen_at, now, &zone)}
                </p>
            </div>
            {end}
        </li>
    }
}

/// Such as "30 minutes" or "12 hours".
fn span(ms: i64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        1 => "one minute".into(),
        60 => "one hour".into(),
        minutes if minutes % 60 == 0 => format!("{} hours", minutes / 60),
        minutes => format!("{minutes} minutes"),
    }
}
