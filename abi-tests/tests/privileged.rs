//! Programs with the set-user-ID bit: the loader drops every preload before they start, so they run as without Velo,
//! by whatever call they are started.

use std::os::unix::fs::{PermissionsExt, chown};

use abi_tests::{Call, Fidelity, NOBODY, World, compile, trees::Tree};

fn world() -> World {
    World::new("privileged", Fidelity::Usual, |base, at| {
        let program = compile::c("secure");
        Tree::in_directory(base).copy("secure", &program, 0o755);
        let beside = Tree::in_directory(&at.with_file_name("outside"));
        beside.copy("secure", &program, 0o755);
    })
}

#[test]
fn set_user_id() {
    if !abi_tests::is_root() || !abi_tests::namespace::or_skip() {
        eprintln!("skipped: a set-user-ID program of somebody else is made by root");
        return;
    }
    let world = world();
    let program = world.outside.join("secure");
    chown(&program, Some(1000), Some(1000)).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let script = format!(
        "ls '{at}' && '{program}' '{at}'; echo ended $?; \
         python3 -c 'import os, sys; os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ); os.wait()' '{program}' '{at}'; \
         exec '{program}' '{at}'",
        at = world.at.display(),
        program = program.display()
    );
    let seen = world.same(&Call::bash(&script).user(NOBODY));
    let text = seen.text();
    assert!(
        text.contains("euid 0 secure 1") && text.contains("ended 0"),
        "{text}"
    );
}
