//! Names with their values, as entries of a `<dl>` of class `facts` or `tiles`.

use leptos::prelude::*;

pub fn fact(name: impl Into<String>, value: impl IntoView) -> impl IntoView {
    view! {
        <div>
            <dt>{name.into()}</dt>
            <dd>{value}</dd>
        </div>
    }
}
