//! The file in which a password is looked for that nothing else says.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::bad_place::BadPlace;

/// What a line of the file has to fit.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
}

/// The password in the file at `path`, if there is one.
pub(super) fn find(login: &Login, path: &Path) -> Result<Option<String>, BadPlace> {
    match fs::read_to_string(path) {
        Ok(lines) => Ok(in_lines(&lines, login)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BadPlace::File { path: path.display().to_string(), why: error.to_string() }),
    }
}

/// The password of the first line that fits: `host:port:database:user:password`, each of the first four may be `*`, and a
/// backslash takes the meaning from a colon or a backslash.
fn in_lines(lines: &str, login: &Login) -> Option<String> {
    let wanted = [&login.host, &login.port.to_string(), &login.database, &login.user];
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines.map(fields).find_map(|fields| {
        let [known @ .., password] = fields.as_slice() else { return None };
        let fits = known.len() == wanted.len()
            && known.iter().zip(wanted).all(|(known, wanted)| known == "*" || known == wanted);
        fits.then(|| password.clone())
    })
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let field = fields.last_mut();
        match (character, field) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(characters.next()),
            (_, Some(field)) => field.push(character),
            (_, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let text = str::to_owned;
        Login { host: text("db.example"), port: 5432, database: text("covers"), user: text("me") }
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        for (lines, expected) in [
            ("db.example:5432:covers:me:secret", Some("secret")),
            ("# a comment\nother:*:*:*:no\n*:*:*:me:secret\n*:*:*:*:late", Some("secret")),
            (r"*:*:*:*:a\:b\\c", Some(r"a:b\c")),
            ("db.example:5433:covers:me:secret", None),
            ("db.example:5432:covers:me", None),
            ("", None),
        ] {
            assert_eq!(in_lines(lines, &login()).as_deref(), expected, "{lines}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        assert_eq!(find(&login(), &path).unwrap(), None);
        fs::write(&path, "*:*:*:*:filed").unwrap();
        assert_eq!(find(&login(), &path).unwrap().as_deref(), Some("filed"));
        assert!(find(&login(), folder.path()).is_err());
    }
}
