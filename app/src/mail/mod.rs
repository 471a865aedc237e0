//! Mail, as far as pages and actions know it: a letter in plain text, handed over or not. How it is sent, the server
//! knows. An installation may send none at all: whatever depends on mail has another way.

pub mod alerts;
pub mod asks;
pub mod leaks;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use leptos::prelude::use_context;

/// To one person, in plain text. `Debug` shows nothing of it: it may contain a one-time link.
#[derive(Clone)]
pub struct Letter {
    pub to: String,
    pub subject: String,
    pub text: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter")
    }
}

/// The mail server took it, or not. Why not is logged where it happened and goes no further.
pub type Sending<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

pub trait Mailer: Send + Sync {
    /// Answers within a bounded time. Call it with no transaction open.
    fn send(&self, letter: Letter) -> Sending<'_>;

    /// `send` with the same words as a page of HTML beside them.
    fn send_html(&self, letter: Letter, _html: String) -> Sending<'_> {
        self.send(letter)
    }
}

/// In the context of pages and actions when this installation sends mail.
#[derive(Clone)]
pub struct Post(pub Arc<dyn Mailer>);

pub fn mailer() -> Option<Arc<dyn Mailer>> {
    use_context::<Post>().map(|post| post.0)
}
