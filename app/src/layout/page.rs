//! A page: its title, head and body, in the frame around them.

use keydesk_core::domain::org::OrgName;
use keydesk_core::ops::access::{Caller, OrgContext};
use leptos::prelude::*;
use leptos_meta::Title;

use super::frame::{Width, framed, framed_apart};
use crate::ask::{desk, here};
use crate::returned::returned;
use crate::sealed::{self, FLASH, Flash};
use crate::ui::notice::notice_with;
use crate::ui::page_head::page_head;

/// What stands above a page's body, and how wide the page is.
pub struct Page {
    title: String,
    crumbs: Vec<(String, String)>,
    heading: Option<AnyView>,
    under: Option<AnyView>,
    actions: Option<AnyView>,
    path: Option<String>,
    width: Width,
}

impl Page {
    /// The title is also the heading, unless `heading` sets another one.
    pub fn new(title: impl Into<String>, width: Width) -> Self {
        let title = title.into();
        Self { title, crumbs: Vec::new(), heading: None, under: None, actions: None, path: None, width }
    }

    /// A page above this one: its path and its name.
    pub fn crumb(mut self, path: impl Into<String>, name: impl Into<String>) -> Self {
        self.crumbs.push((path.into(), name.into()));
        self
    }

    /// Several of them, from the top down.
    pub fn crumbs(mut self, crumbs: Vec<(String, String)>) -> Self {
        self.crumbs = crumbs;
        self
    }

    pub fn heading(mut self, heading: impl IntoView + 'static) -> Self {
        self.heading = Some(heading.into_view().into_any());
        self
    }

    /// A sentence or facts below the heading.
    pub fn under(mut self, under: impl IntoView + 'static) -> Self {
        self.under = Some(under.into_view().into_any());
        self
    }

    /// Links and buttons at the right of the heading.
    pub fn actions(mut self, actions: impl IntoView + 'static) -> Self {
        self.actions = Some(actions.into_view().into_any());
        self
    }

    /// The path that the navigation and the theme switch go by, where it is not the request's.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The page in the frame of an organisation.
    pub fn in_org(self, context: &OrgContext, caller: &Caller, body: impl IntoView + 'static) -> AnyView {
        let (path, width, body) = self.draw(body);
        framed(context, caller, &path, width, body)
    }

    /// The page in the frame of no organisation, with the way to the caller's own.
    pub fn apart(self, orgs: &[OrgName], caller: &Caller, body: impl IntoView + 'static) -> AnyView {
        let (path, width, body) = self.draw(body);
        framed_apart(orgs, caller, &path, width, body)
    }

    fn draw(self, body: impl IntoView + 'static) -> (String, Width, AnyView) {
        let heading = self.heading.unwrap_or_else(|| self.title.clone().into_any());
        let head = page_head(self.crumbs, heading, self.under.into_any(), self.actions.into_any());
        let body = view! {
            {title(self.title)}
            {notice_line()}
            {head}
            {body}
        };
        (self.path.unwrap_or_else(here), self.width, body.into_any())
    }
}

/// The document's title. `leptos_meta` puts it into the page as it is, so it is escaped here: a name may contain markup.
pub fn title(words: impl Into<String>) -> impl IntoView {
    let words = words.into().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    view! { <Title text=format!("{words} · Keydesk") /> }
}

/// The sentence that the last action left for this page, or what is wrong with the form that came back.
///
/// Each mistake is a link to the sentence beside its field.
pub fn notice_line() -> Option<AnyView> {
    let left = desk().ok().and_then(|desk| sealed::take::<Flash>(FLASH, "/", desk.now()));
    let returned = returned();
    // After an edit conflict the sentence itself says what to look at.
    let wrong = returned.iter().filter(|form| form.merged.is_none()).flat_map(|form| &form.errors);
    let links = wrong.map(|error| (format!("#{}-error", error.field), error.problem.to_string())).collect();
    let flash = returned.as_ref().map(|form| form.notice.clone()).or(left)?;
    Some(notice_with(flash.tone, flash.sentence, links))
}
