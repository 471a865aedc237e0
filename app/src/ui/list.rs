//! What the page of a list is made of: its address, the count, search and filters, a table whose columns sort, what is
//! shown in place of no rows, and the way to the next page. The whole state is in the address, so it works without script.

use keydesk_core::domain::moment::Day;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::page::{Cursor, Page};
use leptos::prelude::*;

use super::icon::{Icon, icon};
use super::search::SearchBox;

/// Where a list is, with the parameters that say what it shows. The page is not among them.
#[derive(Clone)]
pub struct Address {
    path: String,
    pairs: Vec<(&'static str, String)>,
}

impl Address {
    /// Parameters without a value are left out.
    pub fn new(path: &str, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { path: path.to_owned(), pairs }
    }

    /// The parameters as they stand in the address.
    pub fn query(&self) -> String {
        serde_urlencoded::to_string(&self.pairs).unwrap_or_default()
    }

    /// The first page.
    pub fn href(&self) -> String {
        let query = self.query();
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    fn page(&self, at: &Cursor) -> String {
        let pairs = self.pairs.iter().cloned().chain([("page", at.to_string())]);
        Self::new(&self.path, pairs).href()
    }

    /// For a form that sets the parameter `but` itself: the others as hidden fields.
    pub fn hidden(&self, but: &str) -> AnyView {
        let kept = self.pairs.iter().filter(|(name, _)| *name != but).cloned();
        kept.map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
            .collect_view()
            .into_any()
    }
}

/// How many there are: `1 key`, `1,200 keys`, or `10,000+ keys` where counting stopped.
pub fn count_words(count: i64, capped: bool, one: &str, many: &str) -> String {
    match (count, capped) {
        (1, _) => format!("1 {one}"),
        (count, false) => format!("{} {many}", grouped(count)),
        (count, true) => format!("{}+ {many}", grouped(count - 1)),
    }
}

/// The page's heading, with how many there are.
pub fn heading(words: &'static str, count: Option<String>) -> AnyView {
    view! {
        {words} " "
        {count.map(|count| view! { <small class="count muted">{count}</small> })}
    }
    .into_any()
}

/// The button that leads to the form for another one.
pub fn create(href: &str, words: &'static str) -> AnyView {
    view! {
        <a class="btn primary" href=href.to_owned() aria-keyshortcuts="n" data-shortcut="n">
            {icon(Icon::Plus)}
            {words}
            <kbd aria-hidden="true">"n"</kbd>
        </a>
    }
    .into_any()
}

/// The search that leads to the same list, narrowed.
pub fn toolbar(address: &Address, search: SearchBox, value: &str) -> AnyView {
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="get" action=address.path.clone()>
                {address.hidden(search.name)}
                {search.draw(value.to_owned())}
            </form>
        </div>
    }
    .into_any()
}

/// Filters that exclude each other: words, address, and whether it is the one in use.
pub fn chips<W: IntoView + 'static>(
    label: &'static str,
    filters: impl IntoIterator<Item = (W, Address, bool)>,
) -> AnyView {
    let links = filters
        .into_iter()
        .map(|(words, to, current)| view! { <a href=to.href() aria-current=current.then_some("true")>{words}</a> })
        .collect_view();
    view! { <nav class="chips" aria-label=label>{links}</nav> }.into_any()
}

/// The newest days as filters: `at` is the address from a first day on, without a last one; `chosen` are the days in use.
pub fn ranges(
    today: Day,
    chosen: (Option<Day>, Option<Day>),
    at: impl Fn(Option<Day>) -> Address,
) -> AnyView {
    let all = [
        ("Any time", None),
        ("Today", Some(today)),
        ("7 days", Some(today.back(6))),
        ("30 days", Some(today.back(29))),
    ];
    chips("Days", all.map(|(words, from)| (words, at(from), chosen == (from, None))))
}

/// In place of rows.
pub fn empty(mark: Icon, heading: String, words: impl IntoView, action: impl IntoView) -> AnyView {
    view! {
        <section class="empty">
            {icon(mark)} <h2>{heading}</h2> <p>{words.into_any()}</p> <div class="actions">{action.into_any()}</div>
        </section>
    }
    .into_any()
}

/// In place of rows where search or filters leave none: `clear` leads to all.
pub fn none_found(heading: String, words: &'static str, path: &str, clear: &'static str) -> AnyView {
    let clear = view! { <a class="btn" href=path.to_owned()>{clear}</a> };
    empty(Icon::Search, heading, words, clear)
}

/// The head of one column.
pub struct Column {
    label: &'static str,
    class: &'static str,
    /// Where a click leads, and which way the rows are sorted, or would be after it (`true` is descending).
    sort: Option<(String, bool)>,
    current: bool,
    unseen: bool,
    /// The name of a tick box for all rows.
    ticks: Option<&'static str>,
}

impl Column {
    /// A column that does not sort.
    pub fn new(label: &'static str) -> Self {
        Self { label, class: "", sort: None, current: false, unseen: false, ticks: None }
    }

    /// A column of buttons, whose label is for screen readers only.
    pub fn actions(label: &'static str) -> Self {
        Self { unseen: true, ..Self::new(label) }
    }

    /// A column of tick boxes. The one in its head, which is called `all`, needs the browser's script.
    pub fn ticks(all: &'static str) -> Self {
        Self { unseen: true, ticks: Some(all), ..Self::new("Select") }
    }

    /// A column whose head leads to the list sorted by it. `current` says that it is, `descends` which way it is now,
    /// or would be first.
    pub fn sorted(label: &'static str, to: &Address, current: bool, descends: bool) -> Self {
        Self { sort: Some((to.href(), descends)), current, ..Self::new(label) }
    }

    /// A column of numbers.
    pub fn num(self) -> Self {
        Self { class: "num", ..self }
    }

    /// With another class, such as one that hides it where there is little room.
    pub fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }

    fn draw(self) -> AnyView {
        let Self { label, class, sort, current, unseen, ticks } = self;
        let order = match &sort {
            Some((_, descends)) if current => Some(if *descends { "descending" } else { "ascending" }),
            _ => None,
        };
        let words = match sort {
            Some((href, descends)) => {
                let arrow = if descends { Icon::Down } else { Icon::Up };
                view! { <a href=href>{label} {icon(arrow)}</a> }.into_any()
            }
            None if unseen => view! {
                <span class="sr">{label}</span>
                {ticks.map(|all| view! { <input type="checkbox" data-all aria-label=all autocomplete="off" /> })}
            }
            .into_any(),
            None => label.into_any(),
        };
        view! { <th scope="col" class=class aria-sort=order>{words}</th> }.into_any()
    }
}

/// A table of rows. `even` shares the width out where other columns have as much to say as the first.
pub fn table(even: bool, caption: String, columns: Vec<Column>, rows: impl IntoView) -> AnyView {
    view! {
        <div class="table-wrap">
            <table class=if even { "table even" } else { "table" }>
                <caption class="sr">{caption}</caption>
                <thead>
                    <tr>{columns.into_iter().map(Column::draw).collect_view()}</tr>
                </thead>
                <tbody>{rows.into_any()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Which rows are shown, `1–50 of 299`, and the way to the pages beside. `total` is how many rows there are, where that
/// is known, and whether counting them stopped there.
pub fn pages<T>(page: &Page<T>, address: &Address, total: Option<(i64, bool)>) -> AnyView {
    let of = match total.or(page.only().map(|count| (count, false))) {
        Some((count, false)) => format!(" of {}", grouped(count)),
        Some((count, true)) => format!(" of {}+", grouped(count - 1)),
        None => String::new(),
    };
    let (first, last) = (page.before + 1, page.before + page.rows.len());
    let range = if page.rows.is_empty() { String::new() } else { format!("{first}–{last}{of}") };
    let link = |at: &Option<Cursor>, rel: &'static str, words: AnyView| match at {
        Some(at) => view! { <a class="btn" href=address.page(at) rel=rel>{words}</a> }.into_any(),
        None => view! { <span class="btn" aria-disabled="true">{words}</span> }.into_any(),
    };
    let previous = link(&page.previous, "prev", view! { {icon(Icon::Left)} "Previous" }.into_any());
    let next = link(&page.next, "next", view! { "Next" {icon(Icon::Right)} }.into_any());
    view! {
        <nav class="pager" aria-label="Pages">
            <p>{range}</p>
            <div class="actions">{previous} {next}</div>
        </nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_narrows_and_escapes_it() {
        let address = Address::new("/n/things", [("q", "a&b ü".into()), ("state", String::new())]);
        assert_eq!(address.href(), "/n/things?q=a%26b+%C3%BC");
        assert_eq!(Address::new("/n/things", []).href(), "/n/things");
        let at = Cursor::parse("next~50~7~a&b").unwrap();
        assert_eq!(address.page(&at), "/n/things?q=a%26b+%C3%BC&page=next%7E50%7E7%7Ea%26b");
    }

    #[test]
    fn a_count_says_where_it_stopped() {
        let words = |count, capped| count_words(count, capped, "thing", "things");
        assert_eq!(words(0, false), "0 things");
        assert_eq!(words(1, false), "1 thing");
        assert_eq!(words(1_200, false), "1,200 things");
        assert_eq!(words(10_001, true), "10,000+ things");
    }
}
