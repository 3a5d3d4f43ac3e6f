//! Extended attributes from `build-manifest --xattrs` down to getxattr(2) under the preload.

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, World, artifacts, namespace};

/// An access control list (linux/posix_acl_xattr.h): user 1 may read.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, 1),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 4, u32::MAX),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}

/// Lists and reads by path, by descriptor and of the link itself, with ls -l for the `+`.
const LOOK: &str = r#"
import os, subprocess, sys
os.chdir(sys.argv[1])
for path in (".", "file", "dir", "dir/bare", "link"):
    for follow in (True, False):
        # In no promised order.
        names = sorted(os.listxattr(path, follow_symlinks=follow))
        print(path, follow, [(name, os.getxattr(path, name, follow_symlinks=follow)) for name in names])
with open("file") as file:
    print(sorted(os.listxattr(file.fileno())), os.getxattr(file.fileno(), "user.note"))
for name in ("user.none", "security.none", "system.posix_acl_access", "nonsense"):
    try:
        print(os.getxattr("dir/bare", name))
    except OSError as error:
        print(name, error.errno)
print(subprocess.run(["ls", "-l", "file", "dir"], capture_output=True, text=True).stdout)
"#;

#[test]
fn what_is_recorded_is_read_back() {
    let mut complete = true;
    let world = World::new("attributes", Fidelity::Exact, |base, _| {
        let tree = Tree::in_directory(base);
        tree.file("file", "content\n")
            .dir("dir")
            .file("dir/bare", "");
        tree.link("link", "file");
        complete &= tree.attribute("file", "user.note", b"kept")
            && tree.attribute("file", "user.bytes", &[0, 255, 10])
            && tree.attribute("file", "user.empty", b"")
            && tree.attribute("dir", "user.note", b"of a directory")
            && tree.attribute("file", "system.posix_acl_access", &acl())
            && tree.attribute("dir", "system.posix_acl_default", &acl());
    });
    if !complete {
        eprintln!("skipped: no extended attributes or access control lists here");
        return;
    }
    let build = |options: &[&str]| {
        let call = Call::new(artifacts::velo_ctl())
            .args(["build-manifest", "--exact"])
            .args(options)
            .arg(&world.plain)
            .arg("--at")
            .arg(&world.at)
            .arg("-o")
            .arg(&world.manifest);
        let _ = world.with_store(&call).run(None).success();
    };
    let look = Call::new("python3").args(["-B", "-c", LOOK]).arg(&world.at);
    build(&["--xattrs"]);
    if namespace::or_skip() {
        let said = world.same(&look).success().text();
        assert!(
            said.contains("system.posix_acl_access") && said.contains("+ "),
            "{said}"
        );
    }
    build(&["--xattrs=user"]);
    let said = world.served(&look).success().text();
    assert!(said.contains("('user.note', b'kept')"), "{said}");
    assert!(!said.contains("posix_acl_default"), "{said}");
    build(&["--xattrs=none"]);
    let bare = Call::new("python3")
        .args([
            "-B",
            "-c",
            "import os, sys; print(os.listxattr(sys.argv[1]))",
        ])
        .arg(world.path("file"));
    assert_eq!(world.served(&bare).success().text(), "[]\n");
}
