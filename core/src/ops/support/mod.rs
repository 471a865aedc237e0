//! Support staff view every organisation and change nothing. Each operation that shows something of an organisation
//! calls `record_support_access`, so that owners and admins see in their audit what support viewed.

mod record;
mod search;
mod ticket;

pub use record::{SupportAccess, record_support_access};
pub use search::{LookupForm, LookupResult, SupportHit, SupportView, lookup, search};
pub use ticket::{TicketAnswer, TicketView, find_pasted, ticket};
