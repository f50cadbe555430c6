//! Where hooks are, and which are run.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Whoever may write is a group, or anybody.
const OTHERS_WRITE: u32 = 0o022;
/// Whoever may execute.
const EXECUTE: u32 = 0o111;

/// The program of a hook, if there is one that is executable. The error says why one that is there is not run: it, or the
/// folder that it is in, is a link, or belongs to or may be written by somebody else than `user`.
pub fn program(ghost_dir: &Path, name: &str, user: u32) -> Result<Option<PathBuf>, String> {
    let folder = ghost_dir.join("hooks");
    let path = folder.join(name);
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("cannot be looked at: {error}")),
    };
    if metadata.is_file() && metadata.mode() & EXECUTE == 0 {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err("is not run: it is no file of its own".to_owned());
    }
    let of_folder = folder
        .symlink_metadata()
        .map_err(|error| format!("is not run: its folder cannot be looked at: {error}"))?;
    if !of_folder.is_dir() {
        return Err("is not run: its folder is a link".to_owned());
    }
    for (what, metadata) in [("it", &metadata), ("its folder", &of_folder)] {
        if metadata.uid() != user {
            return Err(format!(
                "is not run: {what} belongs to user {}, not to user {user}",
                metadata.uid()
            ));
        }
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(format!("is not run: others may write {what}; chmod go-w mends that"));
        }
    }
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use fs_err as fs;

    use super::*;

    #[test]
    fn only_programs_of_the_user_are_run() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = folder.path().join("hooks");
        let user = rustix::process::geteuid().as_raw();
        let find = |name: &str, user: u32| program(folder.path(), name, user);
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(find("a", user), Ok(None));
        fs::create_dir(&hooks).unwrap();
        mode(&hooks, 0o700);
        assert_eq!(find("a", user), Ok(None));
        let path = hooks.join("a");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        mode(&path, 0o600);
        assert_eq!(find("a", user), Ok(None), "not executable: a sample");
        mode(&path, 0o755);
        assert_eq!(find("a", user), Ok(Some(path.clone())));
        assert!(find("a", user + 1).unwrap_err().contains("belongs to user"));
        for (what, bad, good) in [(&path, 0o775, 0o755), (&path, 0o757, 0o755), (&hooks, 0o777, 0o700)] {
            mode(what, bad);
            assert!(find("a", user).unwrap_err().contains("others may write"), "{bad:o}");
            mode(what, good);
        }
        symlink(&path, hooks.join("b")).unwrap();
        fs::create_dir(hooks.join("c")).unwrap();
        for name in ["b", "c"] {
            assert!(find(name, user).unwrap_err().contains("no file of its own"), "{name}");
        }
        fs::rename(&hooks, folder.path().join("elsewhere")).unwrap();
        symlink(folder.path().join("elsewhere"), &hooks).unwrap();
        assert!(find("a", user).unwrap_err().contains("its folder is a link"));
    }
}
