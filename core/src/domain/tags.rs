//! Tags: words that a request carries for its organisation's own reports, such as a user, a job or a feature inside one
//! key. They come from the client and decide nothing. What is no tag is left out; it never fails a request.

use super::key_format::has_secret;

/// Tags of one request.
pub const MAX_TAGS: usize = 5;
/// Characters of a tag.
pub const MAX_TAG: usize = 64;
/// Under which the tags of a key are counted beyond those that are counted by name.
pub const OTHER_TAGS: &str = "other";

/// The tag in this text: 1 to `MAX_TAG` printable ASCII characters and no secret; `None` for any other text.
pub fn read_tag(text: &str) -> Option<String> {
    let text = text.trim_matches(' ');
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let fits = (1..=MAX_TAG).contains(&text.len());
    (fits && printable && !has_secret(text)).then(|| text.to_owned())
}

/// The first `MAX_TAGS` different tags among these texts.
pub fn read_tags<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in texts.into_iter().filter_map(read_tag) {
        if tags.len() == MAX_TAGS {
            break;
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tag_is_left_out() {
        let long = "x".repeat(MAX_TAG + 1);
        for none in ["", "  ", "a\nb", "caf\u{e9}", "\u{7f}", &long, "sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(read_tag(none), None, "{none:?}");
        }
        assert_eq!(read_tag(&long[..MAX_TAG]).unwrap().len(), MAX_TAG);
        assert_eq!(read_tags(" job=nightly , team a,, job=nightly".split(',')), ["job=nightly", "team a"]);
        assert_eq!(read_tags(["1", "2", "3", "4", "5", "6"]).len(), MAX_TAGS);
    }
}
