//! Where a page leads: addresses of the web, files beside it, pictures in it, and views of itself.
//!
//! What is not certainly harmless is shown as text and leads nowhere.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::Status;

/// What stands for itself in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What stands for itself in the page's own view.
const IN_VIEW: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The address, if it is one of the web.
pub(super) fn web(url: &str) -> Option<&str> {
    let has = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let plain = !url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
    (plain && (has("http://") || has("https://"))).then_some(url)
}

/// The way to a file beside the page; `None` for one that is not.
pub(super) fn beside(file: &str) -> Option<String> {
    let relative = !file.is_empty() && !file.starts_with('/');
    relative.then(|| format!("./{}", utf8_percent_encode(file, IN_PATH)))
}

/// The picture, if it is one that stands in the page.
pub(super) fn embedded(picture: &str) -> Option<&str> {
    let base64 = picture.strip_prefix("data:image/jpeg;base64,")?;
    base64.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).then_some(picture)
}

impl Status {
    /// The address within the page of what has this status and text; any text if it is empty.
    pub(super) fn view(self, text: &str) -> String {
        let status = format!("#status={self}");
        if text.is_empty() { status } else { format!("{status}&q={}", utf8_percent_encode(text, IN_VIEW)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_links() {
        assert_eq!(web("https://cdn.example/a.png?x=1&y='2'"), Some("https://cdn.example/a.png?x=1&y='2'"));
        assert_eq!(web("HTTP://cdn.example/a"), Some("HTTP://cdn.example/a"));
        for bad in [
            "",
            "http",
            "javascript:alert(1)",
            " https://x",
            "https://x/\njavascript:1",
            "java\tscript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "//evil.example/x",
            "file:///etc/passwd",
            "https:\\\\evil.example",
            "ｈttps://x",
        ] {
            assert_eq!(web(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_is_a_path_and_never_a_scheme() {
        assert_eq!(beside("covers/a-1.png").unwrap(), "./covers/a-1.png");
        assert_eq!(beside("../c o/ä%41.png").unwrap(), "./../c%20o/%C3%A4%2541.png");
        assert_eq!(beside("javascript:alert(1)").unwrap(), "./javascript%3Aalert%281%29");
        assert_eq!(beside("a\"onclick=x?#").unwrap(), "./a%22onclick%3Dx%3F%23");
        assert_eq!(beside("/etc/passwd"), None);
        assert_eq!(beside("//evil.example/a"), None);
        assert_eq!(beside(""), None);
    }

    #[test]
    fn only_pictures_are_embedded() {
        assert_eq!(embedded("data:image/jpeg;base64,/9j+A="), Some("data:image/jpeg;base64,/9j+A="));
        assert_eq!(embedded("data:image/svg+xml;base64,AAAA"), None);
        assert_eq!(embedded("data:image/jpeg;base64,\" onerror=\"x"), None);
        assert_eq!(embedded("https://cdn.example/a.jpg"), None);
    }

    #[test]
    fn a_view_is_read_back_as_it_was_meant() {
        assert_eq!(Status::GaveUp.view(""), "#status=gave_up");
        assert_eq!(Status::Failed.view("a&b=c é+"), "#status=failed&q=a%26b%3Dc%20%C3%A9%2B");
    }
}
