//! One line at the top of a page after an action, or above a form that has errors.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::sealed::Tone;

pub fn notice(tone: Tone, sentence: String) -> AnyView {
    notice_with(tone, sentence, vec![])
}

/// With links below the sentence: address and words of each.
pub fn notice_with(tone: Tone, sentence: String, links: Vec<(String, String)>) -> AnyView {
    let (class, sign) = match tone {
        Tone::Good => ("notice good", Icon::Check),
        Tone::Warn => ("notice warn", Icon::Warn),
        Tone::Bad => ("notice bad", Icon::Bad),
    };
    // Screen readers announce a success at the next pause, and everything else immediately.
    let role = if tone == Tone::Good { "status" } else { "alert" };
    let links = (!links.is_empty()).then(|| {
        let link = |(href, words)| view! { <li><a href=href>{words}</a></li> };
        view! { <ul>{links.into_iter().map(link).collect_view()}</ul> }
    });
    view! {
        <div class=class role=role>
            {icon(sign)} <div>
                <p>{sentence}</p> {links}
            </div>
        </div>
    }
    .into_any()
}
