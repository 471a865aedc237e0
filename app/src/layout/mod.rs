//! What surrounds the pages: the frame, the navigation, the palette, the person's menu, the fields that ask for the
//! password again. It knows the features that it leads to; `ui` does not.

mod frame;
mod navigation;
mod palette;
mod person_menu;
pub mod reauth;

pub use frame::{Width, framed, framed_apart, solo};
