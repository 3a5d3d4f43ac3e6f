//! CPython: os, pathlib, subprocess (vfork), the import system, multiprocessing, virtual environments.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, NOBODY, World, compile, probe};

/// The interpreter itself, behind any version manager: `VELO_ABI_PYTHON` or the system's.
fn interpreter() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let name = std::env::var_os("VELO_ABI_PYTHON").unwrap_or_else(|| "python3".into());
        let shown = Call::new(name)
            .args([
                "-c",
                "import os, sys; print(os.path.realpath(sys.executable))",
            ])
            .run(None);
        PathBuf::from(shown.success().text().trim())
    };
    FOUND.get_or_init(find).clone()
}

fn python(script: &str, world: &World) -> Call {
    Call::new(interpreter())
        .args(["-X", "utf8", "-B"])
        .arg(compile::probes().join(script))
        .arg(&world.at)
}

#[test]
fn os_module() {
    let exact = World::of_everything("python-exact", Fidelity::Exact);
    let usual = World::of_everything("python", Fidelity::Usual);
    for (world, user) in [(&exact, None), (&usual, None), (&usual, Some(NOBODY))] {
        if user.is_some() && !abi_tests::is_root() {
            continue;
        }
        let like = probe::call(world, Path::new("/bin/true"), user).on(python("tree_os.py", world));
        let seen = world.same(&like).success();
        assert!(seen.text().lines().count() > 3000, "{}", seen.text());
    }
}

/// A package, a namespace package, a zip, metadata, data; made without bytecode.
fn application(base: &Path) {
    let tree = Tree::in_directory(base);
    tree.dir("package/sub")
        .dir("namespace")
        .dir("thing-1.2.3.dist-info")
        .dir("zipped");
    tree.file("package/__init__.py", "from . import inner\n")
        .file("package/data.txt", "some data\n");
    tree.file(
        "package/inner.py",
        "import os\nVALUE = 6\ndef where():\n    return os.path.dirname(__file__)\ndef fail():\n    return VALUE / 0  # here\n",
    );
    tree.file("package/broken.py", "x = (\ny = 1\n")
        .file("package/sub/__init__.py", "NAME = 'sub'\n")
        .file("package/sub/__main__.py", "NAME = __name__\n");
    tree.file("namespace/part.py", "NAME = 'part'\n")
        .file("script.py", "RESULT = __file__\n");
    tree.file(
        "thing-1.2.3.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: thing\nVersion: 1.2.3\n",
    );
    tree.file(
        "thing-1.2.3.dist-info/RECORD",
        "package/__init__.py,,\npackage/inner.py,,\n",
    );
    tree.file("zipped/__init__.py", "")
        .file("zipped/member.py", "NAME = 'member'\n")
        .time("zipped/member.py", 1_600_000_000, 0);
    let zip = Command::new(interpreter())
        .current_dir(base)
        .args(["-m", "zipfile", "-c", "archive.zip", "zipped"])
        .status();
    assert!(zip.is_ok_and(|status| status.success()), "zip");
    std::fs::remove_dir_all(base.join("zipped")).unwrap();
    // `multiprocessing` spawns what `__main__` was.
    tree.copy("app.py", &compile::probes().join("app.py"), 0o644);
}

#[test]
fn imports() {
    let world = World::moved_away("python-imports", |at| {
        std::fs::create_dir_all(at).unwrap();
        application(at);
    });
    let call = |flags: &[&str]| {
        Call::new(interpreter())
            .args(flags)
            .arg(world.path("app.py"))
            .arg(&world.at)
    };
    world.all_same([
        call(&[]),
        call(&["-B"]),
        call(&["-I"]),
        call(&["-O"]),
        call(&["-X", "importtime"]).stdout_only(),
    ]);
    let seen = world.same(&call(&[])).success();
    assert!(
        seen.text().contains("spawn [(0, 'package/inner.py'), (6,"),
        "{}",
        seen.text()
    );
}

#[test]
fn imports_from_bytecode() {
    let world = World::moved_away("python-bytecode", |at| {
        std::fs::create_dir_all(at).unwrap();
        application(at);
        let compiled = Command::new(interpreter())
            .args(["-m", "compileall", "-q", "-x", "broken"])
            .arg(at)
            .status();
        assert!(compiled.is_ok_and(|status| status.success()));
    });
    let verbose = Call::new(interpreter()).args(["-v", "-c"]).arg(format!(
        "import sys; sys.path.insert(0, {:?}); import package",
        world.at
    ));
    let seen = world.same_after(&verbose, |outcome| {
        let about_us = |line: &&str| {
            line.contains("package") && !line.contains("site-packages") && !line.contains("at 0x")
        };
        outcome.stderr = outcome
            .errors()
            .lines()
            .filter(about_us)
            .collect::<Vec<_>>()
            .join("\n")
            .into_bytes();
    });
    assert!(
        seen.errors().contains("code object from") && seen.errors().contains("matches"),
        "{}",
        seen.errors()
    );
    let _ = world
        .same(
            &Call::new(interpreter())
                .arg(world.path("app.py"))
                .arg(&world.at),
        )
        .success();
}

/// A virtual environment, with its interpreter, scripts and .pth files, all of it moved away.
#[test]
fn virtual_environment() {
    environment_made_with("python-venv", "--symlinks");
}

/// Its interpreter is a served file.
#[test]
fn virtual_environment_with_its_own_interpreter() {
    environment_made_with("python-venv-copies", "--copies");
}

fn environment_made_with(name: &str, how: &str) {
    let world = World::moved_away(name, |at| {
        let made = Command::new(interpreter())
            .args(["-m", "venv", "--without-pip", how])
            .arg(at)
            .status();
        assert!(made.is_ok_and(|status| status.success()), "venv");
        let tree = Tree::in_directory(at);
        let version = Call::new(at.join("bin/python")).args([
            "-c",
            "import sysconfig; print(sysconfig.get_path('purelib'))",
        ]);
        let packages = PathBuf::from(version.run(None).success().text().trim());
        std::fs::write(
            packages.join("mine.py"),
            "import sys\ndef main():\n    print('mine', sys.prefix, __file__)\n",
        )
        .unwrap();
        std::fs::write(
            packages.join("more.pth"),
            format!("{}\n", at.join("extra").display()),
        )
        .unwrap();
        tree.dir("extra").file("extra/also.py", "NAME = 'also'\n");
        tree.file(
            "bin/mine",
            format!(
                "#!{}\nfrom mine import main\nmain()\n",
                at.join("bin/python").display()
            ),
        )
        .mode("bin/mine", 0o755);
    });
    // By `env`, because the first program of all is started by somebody without the preload.
    let python = world.path("bin/python");
    let show = "import sys, mine, also, os; print(sys.executable, sys.prefix, sys.base_prefix, sys.path, mine.__file__, also.NAME, os.path.realpath(sys.executable))";
    let again = "import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', 'import sys, mine; print(sys.executable, mine.__file__)'], env={}))";
    let exe = "import os, sys, mine; print(os.readlink('/proc/self/exe'), sys.argv, mine.__file__, flush=True); len(sys.argv) > 1 or os.execv('/proc/self/exe', [sys.executable, '-c', os.environ['SHOW'], 'again'])";
    let spawned = "import multiprocessing as m; p = m.get_context('spawn').Process(target=print, args=('spawned', __import__('mine').__file__)); p.start(); p.join(); print(p.exitcode)";
    world.all_same([
        Call::new("env").arg(&python).args(["-c", show]),
        Call::new("env").arg(&python).args(["-c", again]),
        Call::new("env").arg(&python).args(["-c", exe]).env("SHOW", exe),
        Call::new("env").arg(&python).args(["-c", spawned]),
        Call::new("env").arg(&python).args(["-I", "-c", show]),
        Call::new("env").arg(&python).args(["-m", "site"]),
        Call::new("env").arg(world.path("bin/mine")),
        Call::bash("PATH=$V/bin:$PATH; python -c 'import sys; print(sys.executable, sys.prefix)'; mine; . $V/bin/activate; type python mine; python -m mine; mine").env("V", &world.at),
        Call::new("env").arg("-i").arg(&python).args(["-c", show]),
        Call::new("env").arg(&python).args(["-c", show]).cwd(&world.at),
        Call::bash("exec bin/python -c 'import mine; mine.main()'").cwd(&world.at),
        Call::bash("cd bin && ./mine; ./python3 -c 'import sys; print(sys.executable)'").cwd(&world.at),
    ]);
}
