//! A QR code, drawn here: its text is sent to no other service.

use leptos::prelude::*;
use qrcode::{Color, QrCode};

/// What readers need around the code, in modules.
const MARGIN: usize = 4;

/// Dark on white in both themes, because many readers take nothing else. `None` when the text does not fit into any code.
pub fn qr(text: &str, label: &'static str) -> Option<AnyView> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let side = width + 2 * MARGIN;
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path: String =
        dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + MARGIN, at / width + MARGIN)).collect();
    let drawn = view! {
        <svg class="qr" viewBox=format!("0 0 {side} {side}") role="img" aria-label=label shape-rendering="crispEdges">
            <rect width=side.to_string() height=side.to_string() fill="#fff"></rect>
            <path d=path fill="#000"></path>
        </svg>
    };
    Some(drawn.into_any())
}
