//! Where the store is: behind a symbolic link, or where somebody else was first.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use abi_tests::call::Ended;
use abi_tests::{Call, Fidelity, NOBODY, World, artifacts, compare, namespace};

/// Programs that start in a served directory know it, by whatever name the store was found.
#[test]
fn a_root_behind_links() {
    if !namespace::or_skip() {
        return;
    }
    let world = World::of_everything("root-link", Fidelity::Usual);
    let link = world.manifest.with_file_name("link-to-store");
    symlink(&world.store, &link).unwrap_or_else(|error| panic!("{error}"));
    let call = Call::bash(
        "cd dir && ls -l . && readlink /proc/self/cwd && /bin/pwd && bash -c 'cd sub; pwd; cat same-c; ls -la ..'",
    )
    .cwd(&world.at);
    let plain = world.plain(&call).success();
    let served = world.preloaded(&call).env("VELO_ROOT", &link);
    let views = served.clone().env("VELO_VIEW_ROOT", link.join("views"));
    for call in [served, views] {
        let served = call.run(Some(namespace::Namespace::guarded()));
        assert_eq!(compare::difference(&plain, &served), None);
    }
}

/// A directory that is gone at the end, also of a test that failed.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Nobody can make the default root of another user and so decide what that user sees.
#[test]
fn a_default_root_of_somebody_else() {
    if !abi_tests::is_root() || Path::new("/mnt/velo_ram_disk").exists() {
        eprintln!("skipped: only root can be others, with the default root in /dev/shm");
        return;
    }
    let world = World::of_everything("root-foreign", Fidelity::Usual);
    // A user that nobody else is.
    let user = 3_100_000_000 + std::process::id();
    let root = Removed(PathBuf::from(format!("/dev/shm/velo-{user}")));
    let make = |owner: u32, current_owner: u32| -> std::io::Result<()> {
        let _ = std::fs::remove_dir_all(&root.0);
        std::fs::create_dir(&root.0)?;
        std::fs::set_permissions(&root.0, PermissionsExt::from_mode(0o711))?;
        std::fs::write(root.0.join("current"), world.manifest.display().to_string())?;
        chown(root.0.join("current"), Some(current_owner), None)?;
        chown(&root.0, Some(owner), None)
    };
    let look = |on_error: &str| {
        Call::new("stat")
            .args(["-c", "%n %s"])
            .arg(world.path("plain.txt"))
            .env("LD_PRELOAD", artifacts::library())
            .env("VELO_ON_ERROR", on_error)
            .user(user)
            .run(None)
    };
    for (owner, current_owner) in [(NOBODY, NOBODY), (user, NOBODY), (NOBODY, user)] {
        make(owner, current_owner).unwrap_or_else(|error| panic!("{error}"));
        let refused = look("");
        assert_eq!(refused.ended, Ended::Status(127), "{}", refused.text());
        let said = refused.errors();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("found owner 65534") && said.contains("VELO_ROOT"),
            "{said}"
        );
        let unserved = look("passthrough");
        assert_eq!(unserved.ended, Ended::Status(1), "{}", unserved.text());
    }
    for owner in [user, 0] {
        make(owner, owner).unwrap_or_else(|error| panic!("{error}"));
        let served = look("").success().text();
        assert!(served.ends_with("plain.txt 14\n"), "{served}");
    }
}
