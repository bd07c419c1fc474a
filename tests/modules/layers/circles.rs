//! Which file uses which, and where that goes round in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Source, is_name};

/// A path of names as code has it.
type Path = Vec<String>;

/// A file as its names are looked up in it.
struct File<'a> {
    source: &'a Source,
    /// What its `use` brings in under which name; a name that is handed on is marked so.
    imports: Vec<Import>,
    /// The paths in the rest of its code.
    paths: Vec<Path>,
}

struct Import {
    name: String,
    path: Path,
    is_handed_on: bool,
}

/// The names that a file takes from another, both by their numbers.
type Uses = BTreeMap<(usize, usize), BTreeSet<String>>;

/// Every circle of files, as what each of them names of the others.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let files: Vec<File<'_>> = sources.iter().map(File::read).collect();
    let uses = uses(&files);
    let reached: Vec<BTreeSet<usize>> = (0..files.len()).map(|file| reached_from(file, &uses)).collect();
    let circle = |file: usize| -> BTreeSet<usize> {
        reached[file].iter().copied().filter(|other| reached[*other].contains(&file)).collect()
    };
    let circles: BTreeSet<BTreeSet<usize>> = (0..files.len()).map(circle).filter(|circle| circle.len() > 1).collect();
    let path = |file: usize| sources[file].path.as_str();
    let told = |circle: BTreeSet<usize>| {
        let within = uses.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
        let line = |((from, to), names): (&(usize, usize), &BTreeSet<String>)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{} names {}: {}", path(*from), path(*to), names.join(", "))
        };
        within.map(line).collect()
    };
    circles.into_iter().map(told).collect()
}

fn reached_from(file: usize, uses: &Uses) -> BTreeSet<usize> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![file]);
    while let Some(file) = left.pop() {
        let next = uses.range((file, 0)..(file + 1, 0)).map(|((_, to), _)| *to);
        left.extend(next.filter(|to| reached.insert(*to)));
    }
    reached
}

fn uses(files: &[File<'_>]) -> Uses {
    let places = files.iter().enumerate().map(|(at, file)| (file.source.place.as_slice(), at)).collect();
    let house = House { files, places };
    let mut uses = Uses::new();
    for (from, file) in files.iter().enumerate() {
        let own = file.imports.iter().filter(|import| !import.is_handed_on).map(|import| &import.path);
        for path in own.chain(&file.paths) {
            if let Some((to, name)) = house.find(from, path)
                && to != from
            {
                uses.entry((from, to)).or_default().insert(name);
            }
        }
    }
    uses
}

/// All files, found by their places.
struct House<'a> {
    files: &'a [File<'a>],
    places: BTreeMap<&'a [String], usize>,
}

impl House<'_> {
    /// The file that defines what a path in a file names, and its name; `None` for what is no item of a file.
    fn find(&self, from: usize, path: &[String]) -> Option<(usize, String)> {
        let mut place: Path = self.files[from].source.place.clone();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => place.clear(),
            "self" => {}
            "super" => drop(place.pop()),
            _ => return self.find_within(from, first, rest),
        }
        self.find_below(place, rest)
    }

    /// The same for a path whose first name is known in the file: a module of it, or what its `use` brings in.
    fn find_within(&self, from: usize, first: &str, rest: &[String]) -> Option<(usize, String)> {
        let file = &self.files[from];
        let child = [file.source.place.as_slice(), &[first.to_owned()]].concat();
        if self.places.contains_key(child.as_slice()) {
            return self.find_below(child, rest);
        }
        let import = file.imports.iter().find(|import| import.name == first)?;
        // One that is brought in under its own name from outside begins with that name.
        let is_ours = import.path.first().is_some_and(|name| name != first);
        is_ours.then(|| self.find(from, &[import.path.as_slice(), rest].concat())).flatten()
    }

    /// The same for a path below a module.
    fn find_below(&self, mut place: Path, rest: &[String]) -> Option<(usize, String)> {
        let mut rest = rest;
        while let [name, after @ ..] = rest {
            if name == "super" {
                place.pop();
            } else {
                place.push(name.clone());
                if !self.places.contains_key(place.as_slice()) {
                    place.pop();
                    break;
                }
            }
            rest = after;
        }
        let at = *self.places.get(place.as_slice())?;
        let name = rest.first()?;
        // What a file hands on is found where it is defined.
        self.find_within(at, name, &rest[1..]).or_else(|| Some((at, name.clone())))
    }
}

impl<'a> File<'a> {
    fn read(source: &'a Source) -> Self {
        let (mut imports, mut others, mut rest) = (Vec::new(), String::new(), source.code.as_str());
        while let Some(at) = next_use(rest) {
            let (before, from) = rest.split_at(at);
            let (tree, after) = from["use ".len()..].split_once(';').unwrap();
            let is_handed_on = before.rsplit('\n').next().is_some_and(|line| line.contains("pub"));
            let mut leaves = Vec::new();
            expand(&[], tree, &mut leaves);
            imports.extend(leaves.into_iter().map(|(name, path)| Import { name, path, is_handed_on }));
            others.push_str(before);
            rest = after;
        }
        others.push_str(rest);
        Self { source, imports, paths: paths(&others) }
    }
}

/// Where the next `use` of the code begins.
fn next_use(code: &str) -> Option<usize> {
    let mut uses = code.match_indices("use ").map(|(at, _)| at);
    uses.find(|at| !code[..*at].ends_with(is_name) && !code[*at..].starts_with("use <"))
}

/// The names that a tree of `use` brings in, each with its path.
fn expand(prefix: &[String], tree: &str, leaves: &mut Vec<(String, Path)>) {
    let tree = tree.trim();
    if let Some((start, group)) = tree.split_once('{') {
        let prefix = [prefix, &names(start)].concat();
        let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
        for part in split_at_top(group) {
            expand(&prefix, part, leaves);
        }
    } else if !tree.is_empty() {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut path = [prefix, &names(path)].concat();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.trim().to_owned() };
        leaves.push((name, path));
    }
}

/// The parts of a group, whose own groups stay whole.
fn split_at_top(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

fn names(path: &str) -> Path {
    path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The paths of more than one name in code that has no `use`.
fn paths(code: &str) -> Vec<Path> {
    let words = code.split(|c: char| !is_name(c) && c != ':');
    words
        .filter(|word| word.contains("::") && !word.starts_with(':'))
        .map(names)
        .filter(|path| path.len() > 1)
        .collect()
}
