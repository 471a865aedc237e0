//! Alerts: finding what crossed a line and writing it with its deliveries (`look`), sending them (`outbox`), what a person
//! sees and wants (`inbox`), and what an organisation sets (`settings`). Finding and sending are the program's own; who gets
//! what is decided when an alert is written, and asked again when it is sent or read.

mod inbox;
mod look;
mod outbox;
mod settings;

pub use inbox::{ChoicesView, InboxEntry, InboxFilter, InboxView, choices, inbox, mark_read, save_choices};
pub use look::{Look, look, sweep};
pub use outbox::{
    Attempt, Place, PostsDue, SlackDue, UserMail, WebhookDue, any_due, failed, mails_due, posts_due, sent,
    take_turn,
};
pub(super) use settings::bound;
pub use settings::{
    AddedChannel, NewWebhook, SettingsView, add_channel, remove_channel, save_settings, settings,
    test_channel,
};
