//! What cannot be indexed is refused, naming what and why; nothing is published then.

mod common;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Place, entries};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use velo_indexer::{Amount, BuildOptions, IndexError, Progress, Special, build};
use velo_store::Store;

fn refusal(place: &Place, options: &BuildOptions) -> String {
    place.build_with(options).unwrap_err().to_string()
}

#[test]
fn a_source_that_is_not_there() {
    let place = Place::new();
    for source in [
        place.path("missing"),
        Path::new("").into(),
        place.path("file/below"),
    ] {
        place.write("file", b"");
        let error = build(&source, &BuildOptions::default(), &place.store, &()).unwrap_err();
        assert!(matches!(error, IndexError::Source { .. }), "{error}");
        assert!(
            error.to_string().contains("name an existing directory"),
            "{error}"
        );
    }
}

#[test]
fn a_source_that_is_a_file() {
    let place = Place::new();
    place.write("app.py", b"");
    let error = build(
        &place.path("app.py"),
        &BuildOptions::default(),
        &place.store,
        &(),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            IndexError::NotDirectory {
                found: "regular file",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_source_in_the_store_or_around_it() {
    let place = Place::with_tree();
    let inside = place.store.root().join("tree");
    std::fs::create_dir(&inside).unwrap();
    for source in [
        inside.as_path(),
        place.store.root(),
        place.directory.path(),
        Path::new("/"),
    ] {
        let error = build(source, &BuildOptions::default(), &place.store, &()).unwrap_err();
        assert!(matches!(error, IndexError::OverlapsStore { .. }), "{error}");
    }
    // A name that only begins like the store's is no overlap.
    let beside = place.directory.path().join("store-too");
    std::fs::create_dir(&beside).unwrap();
    build(&beside, &BuildOptions::default(), &place.store, &()).unwrap();
}

#[test]
fn a_manifest_inside_the_tree_it_describes() {
    let place = Place::with_tree();
    for output in [place.path("app.velo"), place.path("pkg/deep/../app.velo")] {
        let options = BuildOptions {
            output: Some(output),
            ..BuildOptions::default()
        };
        let error = place.build_with(&options).unwrap_err();
        assert!(matches!(error, IndexError::OutputInside { .. }), "{error}");
    }
}

#[test]
fn mount_points_that_are_no_plain_path() {
    let place = Place::with_tree();
    let long = format!("/{}", "long/".repeat(1000));
    for mount in ["relative", "", "/a/../b", "/a/./b", &long] {
        let options = BuildOptions {
            mount: Some(mount.into()),
            ..BuildOptions::default()
        };
        let error = place.build_with(&options).unwrap_err();
        assert!(matches!(error, IndexError::Mount { .. }), "{error}");
    }
}

fn with_special_files() -> Place {
    let place = Place::with_tree();
    drop(UnixListener::bind(place.path("pkg/socket")).unwrap());
    mknodat(CWD, place.path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    place
}

#[test]
fn special_files_are_named_and_refused() {
    let place = with_special_files();
    let text = refusal(&place, &BuildOptions::default());
    let fifo = place.path("fifo");
    let socket = place.path("pkg/socket");
    let named = format!(
        "{} (a fifo), {} (a socket); ",
        fifo.display(),
        socket.display()
    );
    assert!(text.starts_with(&named), "{text}");
    assert!(text.contains("--skip-special"), "{text}");
}

#[test]
fn special_files_can_be_left_out() {
    let place = with_special_files();
    let options = BuildOptions {
        special: Special::Skip,
        ..BuildOptions::default()
    };
    let built = place.build_with(&options).unwrap();
    let mut expected = place.expected();
    expected.remove(Path::new("fifo")).unwrap();
    expected.remove(Path::new("pkg/socket")).unwrap();
    assert_eq!(entries(&built.bytes), expected);
    assert_eq!(built.summary.entries, expected.len() as u64);
    let [warning] = built.summary.warnings.as_slice() else {
        panic!("{:?}", built.summary)
    };
    assert!(
        warning.contains("/fifo (a fifo), ") && warning.contains("/socket (a socket): left out"),
        "{warning}"
    );
    assert_eq!(place.build_with(&options).unwrap().bytes, built.bytes);
}

#[test]
fn many_special_files_are_counted() {
    let place = Place::new();
    for number in 0..12 {
        mknodat(
            CWD,
            place.path(format!("f{number:02}")),
            FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
    }
    let text = refusal(&place, &BuildOptions::default());
    assert!(
        text.contains("f00 (a fifo)") && text.contains("f04 (a fifo) and 7 more;"),
        "{text}"
    );
    assert!(!text.contains("f05"), "{text}");
}

/// Runs `work` as an ordinary user: this one, or `nobody` if this is root. Credentials
/// are a thread's own, and those of the threads that it starts.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let lower = || {
        let (nobody, nogroup) = (Uid::from_raw(65534), Gid::from_raw(65534));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(nogroup, nogroup, nogroup).unwrap();
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if geteuid().is_root() {
                lower();
            }
            work()
        });
        thread.join().unwrap()
    })
}

fn everybody_may(path: &Path) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
}

#[test]
fn unreadable_files_and_directories_are_counted() {
    let place = Place::with_tree();
    everybody_may(place.directory.path());
    for number in 0..10 {
        place.write(format!("secret/{number}"), b"secret");
        place.mode(&format!("secret/{number}"), 0o000);
    }
    std::fs::create_dir(place.path("closed")).unwrap();
    place.mode("closed", 0o000);
    let root = place.directory.path().join("nobody");
    let error = as_nobody(|| {
        let store = Store::open_or_create(&root).unwrap();
        build(&place.source, &BuildOptions::default(), &store, &()).unwrap_err()
    });
    let IndexError::Unreadable { paths } = &error else {
        panic!("{error}")
    };
    assert_eq!((paths.total, paths.first.len()), (11, 5));
    let text = error.to_string();
    assert!(
        text.contains("/closed (cannot open the directory: Permission denied"),
        "{text}"
    );
    assert!(
        text.contains("/secret/0 (cannot open: Permission denied"),
        "{text}"
    );
    assert!(
        text.contains(" and 6 more; make the tree readable"),
        "{text}"
    );
    // The rest was taken in, so only what was unreadable is read after the repair.
    place.mode("closed", 0o755);
    for number in 0..10 {
        place.mode(&format!("secret/{number}"), 0o644);
    }
    common::settle();
    let built = as_nobody(|| {
        let store = Store::open_or_create(&root).unwrap();
        build(&place.source, &BuildOptions::default(), &store, &()).unwrap()
    });
    assert_eq!(entries(&built.bytes), place.expected());
    assert_eq!(
        (built.summary.hashed_files, built.summary.cached_files),
        (10, 6)
    );
}

#[test]
fn somebody_elses_files_are_read_without_noatime() {
    let place = Place::with_tree();
    everybody_may(place.directory.path());
    let root = place.directory.path().join("nobody");
    let built = as_nobody(|| {
        let store = Store::open_or_create(&root).unwrap();
        build(&place.source, &BuildOptions::default(), &store, &()).unwrap()
    });
    assert_eq!(entries(&built.bytes), place.expected());
}

/// Does something to the tree after the scan, before any content is read.
struct Between<F: Fn(u64) + Sync> {
    attempts: AtomicU64,
    act: F,
}

impl<F: Fn(u64) + Sync> Progress for Between<F> {
    fn ingested(&self, done: Amount, _total: Amount) {
        if done == Amount::default() {
            (self.act)(self.attempts.fetch_add(1, Ordering::Relaxed));
        }
    }
}

fn between<F: Fn(u64) + Sync>(act: F) -> Between<F> {
    Between {
        attempts: AtomicU64::new(0),
        act,
    }
}

#[test]
fn a_change_under_the_build_is_followed() {
    let place = Place::with_tree();
    let progress = between(|attempt| match attempt {
        0 => place.write("app.py", b"print('changed meanwhile')\n"),
        1 => std::fs::remove_file(place.path("app.py")).unwrap(),
        _ => {}
    });
    let built = build(
        &place.source,
        &BuildOptions::default(),
        &place.store,
        &progress,
    )
    .unwrap();
    assert_eq!(entries(&built.bytes), place.expected());
    assert_eq!(
        progress.attempts.into_inner(),
        3,
        "the third scan did not know of app.py"
    );
}

#[test]
fn a_tree_that_never_holds_still_is_refused() {
    let place = Place::with_tree();
    let progress =
        between(|attempt| place.write("app.py", format!("version {attempt}").as_bytes()));
    let error = build(
        &place.source,
        &BuildOptions::default(),
        &place.store,
        &progress,
    )
    .unwrap_err();
    let IndexError::Changed { paths, attempts } = &error else {
        panic!("{error}")
    };
    assert_eq!((paths.total, *attempts), (1, 4));
    let text = error.to_string();
    assert!(
        text.contains("/app.py (changed after it was scanned); the tree changed while"),
        "{text}"
    );
}

#[test]
fn a_directory_replaced_by_a_link_is_not_followed() {
    let place = Place::with_tree();
    let elsewhere = place.directory.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("__init__.py"), b"evil").unwrap();
    let aside = place.directory.path().join("aside");
    let progress = between(|attempt| {
        if attempt == 0 {
            std::fs::rename(place.path("pkg"), &aside).unwrap();
            std::os::unix::fs::symlink(&elsewhere, place.path("pkg")).unwrap();
        }
    });
    let built = build(
        &place.source,
        &BuildOptions::default(),
        &place.store,
        &progress,
    )
    .unwrap();
    assert_eq!(entries(&built.bytes), place.expected());
    assert!(
        !place
            .store
            .contains(&velo_core::id::ContentHash::of(b"evil"))
    );
}

#[test]
fn a_tree_that_vanishes_is_refused() {
    let place = Place::with_tree();
    let progress = between(|_| {
        // Gone for good, though its root stays open.
        let _gone = std::fs::remove_dir_all(&place.source);
    });
    let error = build(
        &place.source,
        &BuildOptions::default(),
        &place.store,
        &progress,
    )
    .unwrap_err();
    assert!(matches!(error, IndexError::Changed { .. }), "{error}");
    assert!(error.to_string().contains("vanished"), "{error}");
}

#[test]
fn the_kernels_own_file_systems_are_refused() {
    let place = Place::new();
    let error = build(
        Path::new("/proc/self"),
        &BuildOptions::default(),
        &place.store,
        &(),
    )
    .unwrap_err();
    assert!(
        matches!(error, IndexError::PseudoFileSystem { found: "proc", .. }),
        "{error}"
    );
}
