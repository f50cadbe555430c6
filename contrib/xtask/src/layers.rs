//! The layers of the library point one way.
//!
//! 1. The order is read from the numbered list in `plumbing/src/lib.rs`, so that it is written down once.
//! 2. Every `crate::NAME` in a module's code, tests left out, is compared with that order.
//! 3. A module may use those of earlier numbers, itself, and those before it on its own line.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Outcome, read, rust_files};

/// `error` names objects by their ids: a cycle of two pure modules, allowed so that errors stay values.
const ALLOWED: &[(&str, &str)] = &[("error", "object")];

/// Checks all files of the library.
pub fn run(root: &Path) -> Outcome {
    let source = root.join("plumbing/src");
    let ranks = ranks(&read(&source.join("lib.rs"))?)?;
    let mut problems = Vec::new();
    for path in rust_files(&source)? {
        let inside = path.strip_prefix(&source).unwrap_or(&path);
        let Some(module) = inside.iter().next().and_then(|name| name.to_str()) else {
            continue;
        };
        let module = module.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let shown = format!("plumbing/src/{}", inside.display());
        check_file(&shown, module, &read(&path)?, &ranks, &mut problems);
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("\n"))
}

/// The rank of each module: its place in the list, first number first.
fn ranks(lib: &str) -> Result<BTreeMap<String, usize>, String> {
    let mut ranks = BTreeMap::new();
    for line in lib.lines() {
        let Some(item) = line.strip_prefix("//! ") else {
            continue;
        };
        let Some((number, rest)) = item.split_once(". ") else {
            continue;
        };
        if number.parse::<usize>().is_err() {
            continue;
        }
        let names = rest.split("[`").skip(1).filter_map(|after| after.split("`]").next());
        for name in names {
            let rank = ranks.len();
            ranks.insert(name.to_owned(), rank);
        }
    }
    if ranks.is_empty() {
        return Err("plumbing/src/lib.rs has no numbered list of layers in its doc comment".to_owned());
    }
    Ok(ranks)
}

fn check_file(shown: &str, module: &str, text: &str, ranks: &BTreeMap<String, usize>, problems: &mut Vec<String>) {
    let Some(own) = ranks.get(module) else {
        problems.push(format!(
            "{shown}: module `{module}` is not in the list of layers in plumbing/src/lib.rs"
        ));
        return;
    };
    for (number, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        for used in used_modules(code) {
            let upward = ranks.get(used).is_some_and(|rank| rank > own);
            if upward && !ALLOWED.contains(&(module, used)) {
                let line = number + 1;
                problems.push(format!(
                    "{shown}:{line}: `{module}` uses `{used}`, which is above it in the layers"
                ));
            }
        }
    }
}

/// The modules named right after `crate::` in a line; of `crate::{a, b::C}` both.
fn used_modules(code: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for after in code.split("crate::").skip(1) {
        let names = match after.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![after],
        };
        for name in names {
            let name = name.trim();
            let end = name
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            used.push(&name[..end]);
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! 1. [`limits`], [`error`]: bounds\n//! 2. [`disk`]: the seam\n//! 3. [`object`]: ids\n";

    fn problems(module: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check_file("x.rs", module, text, &ranks(LIB).unwrap_or_default(), &mut problems);
        problems
    }

    #[test]
    fn refuses_upward_imports_only() {
        assert!(problems("object", "use crate::disk::Disk;\nuse crate::{error::Error, limits};").is_empty());
        assert!(problems("disk", "use crate::disk::memory::Memory;\n// crate::object").is_empty());
        assert_eq!(problems("disk", "use crate::object::ObjectId;").len(), 1);
        assert_eq!(problems("limits", "use crate::{error::Error, disk};").len(), 2);
        assert_eq!(problems("disk", "fn f(id: crate::object::ObjectId) {}").len(), 1);
        assert!(problems("error", "use crate::object::ObjectId;").is_empty());
        assert!(problems("disk", "#[cfg(test)]\nmod tests { use crate::object::ObjectId; }").is_empty());
        assert_eq!(problems("stray", "").len(), 1);
    }
}
