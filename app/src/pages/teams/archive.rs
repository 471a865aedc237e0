//! The confirmation page for archiving a team.

use keydesk_core::ops::teams;
use leptos::prelude::*;

use super::{crumbs, keys_href};
use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed};
use crate::pages::{here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::field::on_page;
use crate::ui::page_head::page_head;

#[component]
pub fn ArchiveTeamPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::archive_form(&desk, &caller, &slug, &id).await?;
        let team = &view.team;
        let name = team.spec.name.clone();
        let team_page = LocalPath::team(&slug, &team.id).as_str().to_owned();
        let keys = keys_href(&slug, team);
        let consequence = match team.live_keys {
            0 => view! { <li>"It has no live keys."</li> }.into_any(),
            1 => view! {
                <li>"Its " <a href=keys>"1 live key"</a> " stops working at once. Requests in progress finish."</li>
            }
            .into_any(),
            _ => view! {
                <li>
                    "Its " <a href=keys>{team.live_keys_words()} " live keys"</a>
                    " stop working at once. Requests in progress finish."
                </li>
            }
            .into_any(),
        };
        let heading = format!("Archive {name}");
        let body = view! {
            {title(heading.clone())}
            {notice_line()}
            {page_head(crumbs(&slug, Some(team)), heading.into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                <ul class="bullets">
                    {consequence}
                    <li>"An archived team can’t be edited, and only owners and admins see it."</li>
                    <li>
                        "You can restore it with its people, limits and keys. Move keys that must keep working to another team first."
                    </li>
                </ul>
                <form class="form" method="post" action="/api/teams/archive" data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[org]" value=slug.clone() />
                    <input type="hidden" name="form[id]" value=id.clone() />
                    <div class="actions">
                        <button class="btn danger">"Archive team"</button>
                        <a class="btn quiet" href=team_page.clone()>
                            "Cancel"
                        </a>
                    </div>
                </form>
            </div>
        };
        Ok(framed(&view.context, &caller, &format!("{team_page}/archive"), Width::Narrow, body.into_any()))
    })
}
