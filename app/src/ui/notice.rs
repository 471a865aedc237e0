//! One line at the top of a page after an act, or above a form that needs a change.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::sealed::Tone;

pub fn notice(tone: Tone, sentence: String) -> AnyView {
    let (class, sign) = match tone {
        Tone::Good => ("notice good", Icon::Check),
        Tone::Warn => ("notice warn", Icon::Warn),
        Tone::Bad => ("notice bad", Icon::Bad),
    };
    // What went well is told when there is a pause; what needs reading is told at once.
    let role = if tone == Tone::Good { "status" } else { "alert" };
    view! {
        <div class=class role=role>
            {icon(sign)} <div>
                <p>{sentence}</p>
            </div>
        </div>
    }
    .into_any()
}
