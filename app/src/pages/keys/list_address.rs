//! The address of the list of keys: what it asks for, and the address that asks for something.

use keydesk_core::domain::ids::{PersonId, TeamId};
use keydesk_core::domain::key_filter::{KeyFilter, SecretAge, Sort, StateFilter};

use crate::ask::{self, query};
use crate::path::LocalPath;
use crate::ui::list::Address;

/// What the address asks for, as far as it makes sense; the rest is as if it were not there.
pub(super) fn read() -> KeyFilter {
    let sort = query("sort").and_then(|text| Sort::parse(&text)).unwrap_or(Sort::Created);
    KeyFilter {
        search: ask::search(),
        state: query("state").and_then(|text| StateFilter::parse(&text)).unwrap_or(StateFilter::Live),
        older: query("older").and_then(|text| SecretAge::parse(&text)),
        team: query("team").and_then(|text| TeamId::parse(&text)),
        owner: query("owner").and_then(|text| PersonId::parse(&text)),
        sort,
        descending: match query("dir").as_deref() {
            Some("asc") => false,
            Some("desc") => true,
            _ => sort.descends_first(),
        },
        page: ask::cursor(),
    }
}

pub(super) fn address(org: &str, filter: &KeyFilter) -> Address {
    let plain = filter.sort == Sort::Created && filter.descending;
    let turned = filter.descending != filter.sort.descends_first();
    let dir = if filter.descending { "desc" } else { "asc" };
    Address::new(
        LocalPath::keys(org).as_str(),
        [
            ("q", filter.search.clone()),
            ("state", filter.state.as_str().to_owned()),
            ("older", filter.older.map(|age| age.days().to_string()).unwrap_or_default()),
            ("team", filter.team.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("owner", filter.owner.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("sort", if plain { "" } else { filter.sort.as_str() }.to_owned()),
            ("dir", if turned { dir } else { "" }.to_owned()),
        ],
    )
}
