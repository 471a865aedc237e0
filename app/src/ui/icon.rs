//! Icons: 16 px, drawn with the text's colour, hidden from screen readers because words stand beside them.

use leptos::prelude::*;

#[derive(Clone, Copy)]
pub enum Icon {
    Bad,
    Ban,
    Chart,
    Bell,
    Check,
    Copy,
    Dots,
    Down,
    Key,
    Left,
    Menu,
    Model,
    Out,
    Home,
    Pause,
    Pen,
    Play,
    Provider,
    Plus,
    Right,
    Rotate,
    Search,
    Up,
    UpDown,
    Warn,
    Clock,
    Gear,
    Inbox,
    List,
    Person,
    People,
    Shield,
    Team,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Bad => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3.5M8 10.9v.1",
            Icon::Ban => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Zm-4.2 1.8 8.4 8.4",
            Icon::Chart => "M3 13.5h10M4.500 11V7.500M8 11V3M11.500 11V5.500",
            Icon::Bell => "M8 2a4 4 0 0 0-4 4v3l-1.500 2.500h11L12 9V6a4 4 0 0 0-4-4ZM6.500 13.500h3",
            Icon::Check => "m3 8.5 3.2 3.2L13 5",
            Icon::Copy => {
                "M7 5.5h5A1.5 1.5 0 0 1 13.5 7v5a1.5 1.5 0 0 1-1.5 1.5H7A1.5 1.5 0 0 1 5.5 12V7A1.5 1.5 0 0 1 7 5.5ZM10.5 5.5V4A1.5 1.5 0 0 0 9 2.500H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5"
            }
            Icon::Dots => "M3.500 8h.1M8 8h.1M12.500 8h.1",
            Icon::Down => "m4 6 4 4 4-4",
            Icon::Key => "M5 8a3 3 0 1 0 0 6 3 3 0 0 0 0-6Zm2.2.8 6-6M11 5l2 2",
            Icon::Left => "m10 4-4 4 4 4",
            Icon::Menu => "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
            Icon::Model => {
                "M8 2l5 2.800v6.400L8 14l-5-2.800V4.800L8 2ZM3.200 4.900 8 7.600l4.800-2.700M8 7.600V13.800"
            }
            Icon::Out => "M6.5 2.5h-3a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h3M10 11l3-3-3-3M13 8H6.5",
            Icon::Home => "M2.500 7.500 8 3l5.500 4.500M4 6.500v7h8v-7",
            Icon::Pause => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM6.5 6v4M9.5 6v4",
            Icon::Pen => "m3 10.5-.5 3 3-.5 7.5-7.5-2.5-2.5L3 10.5Z",
            Icon::Play => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM6.8 5.7v4.6L10.3 8 6.8 5.7Z",
            Icon::Provider => "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1",
            Icon::Plus => "M8 3v10M3 8h10",
            Icon::Right => "m6 4 4 4-4 4",
            Icon::Rotate => {
                "M13 3v3.500H9.500M3 13V9.500h3.500M12.500 6.500A5 5 0 0 0 3.600 5.500M3.500 9.500a5 5 0 0 0 8.900 1"
            }
            Icon::Search => "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9Zm3.5 8 3 3",
            Icon::Up => "m4 10 4-4 4 4",
            Icon::UpDown => "m5 6 3-3 3 3M5 10l3 3 3-3",
            Icon::Clock => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3.2l2 1.3",
            Icon::Gear => "M2.5 4.5h5M10.5 4.5h3M2.5 11.5h3M8.5 11.5h5M9 3v3M7 10v3",
            Icon::Inbox => {
                "M2.5 9.5h3l1 2h3l1-2h3M2.5 9.5 4.500 3h7l2 6.500v3a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1v-3Z"
            }
            Icon::List => "M3 3.5h.1M6 3.5h7.5M3 8h.1M6 8h7.5M3 12.500h.1M6 12.500h7.5",
            Icon::Person => {
                "M8 2.500a2.700 2.700 0 1 0 0 5.400 2.700 2.700 0 0 0 0-5.400ZM2.800 13.500c.5-2.800 2.500-4 5.200-4s4.700 1.200 5.200 4"
            }
            Icon::People => {
                "M6 3a2.300 2.300 0 1 0 0 4.600A2.300 2.300 0 0 0 6 3ZM1.700 13c.4-2.500 2-3.700 4.300-3.700s3.900 1.200 4.300 3.700M10.500 3.200a2.300 2.300 0 0 1 0 4.200M11.700 9.600c1.500.4 2.400 1.600 2.700 3.400"
            }
            Icon::Shield => {
                "M8 2 3 4v3.500c0 3 2 5.200 5 6.500 3-1.300 5-3.500 5-6.500V4L8 2ZM6 8l1.500 1.500L10.300 6.500"
            }
            Icon::Team => {
                "M5 2.500h6v4H5zM2 9.500h4.500v4H2zM9.500 9.500H14v4H9.500zM8 6.500v1.500M4.200 9.500V8h7.500v1.500"
            }
            Icon::Warn => "M8 2.5 14.2 13H1.8L8 2.5ZM8 6.5v3M8 11.3v.1",
        }
    }
}

pub fn icon(icon: Icon) -> impl IntoView {
    view! { <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=icon.path()></path></svg> }
}

/// The product's mark.
pub fn mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 20 20" aria-hidden="true">
            <rect width="20" height="20" rx="5"></rect>
            <path class="cut" d="M5 5h2.6v4L11.3 5h3.2l-4.1 4.5L14.8 15h-3.2l-3-3.9-1 1.1V15H5V5Z"></path>
        </svg>
    }
}
