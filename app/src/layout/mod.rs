//! What surrounds the pages: the frame, the navigation, the palette, the person's menu, forms with what they send
//! besides their fields. It knows the features that it leads to; `ui` does not.

mod form;
mod frame;
mod navigation;
mod page;
mod palette;
mod person_menu;
pub mod reauth;

pub use form::{cancel_or_act, post_button, post_form, post_form_on, save_or_cancel};
pub use frame::{Width, framed, framed_apart, solo};
pub use page::{Page, notice_line, title};
