//! URLs in messages, without what is secret of them.

use std::fmt;

/// A URL as it was typed, for a message: its user, its password and its query are masked, whether it can be read or not.
pub(super) struct Masked<'a>(pub(super) &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_at(self.0.find("://").map_or(0, |at| at + "://".len()));
        // The last `@`: a password may hold anything if nobody has encoded it.
        let (user, rest) = rest.split_at(rest.rfind('@').unwrap_or(0));
        let (address, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let masked = |part: &str, mask| if part.is_empty() { "" } else { mask };
        write!(f, "{scheme}{}{address}{}", masked(user, "***"), masked(query, "?***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_passwords_and_queries_are_masked() {
        for (typed, shown) in [
            ("https://x.example/a", "https://x.example/a"),
            ("https://me:secret@x.example/a", "https://***@x.example/a"),
            ("https://me:se/cr?et@x.example/a", "https://***@x.example/a"),
            ("https://secret@x.example", "https://***@x.example"),
            ("me:secret@x.example", "***@x.example"),
            ("https://x.example/a?key=secret", "https://x.example/a?***"),
            ("https://x.example/a?mail=me@x.example", "https://***@x.example"),
            ("ftp//x.example/#secret", "ftp//x.example/?***"),
            ("", ""),
        ] {
            assert_eq!(Masked(typed).to_string(), shown);
        }
    }
}
