//! Node: fs in its three styles, require, ESM, workers.

use std::path::{Path, PathBuf};

use abi_tests::trees::Tree;
use abi_tests::{Call, Fidelity, NOBODY, World, artifacts, compile, probe};

fn node() -> PathBuf {
    std::env::var_os("VELO_ABI_NODE").map_or_else(|| artifacts::program("node"), PathBuf::from)
}

#[test]
fn fs_module() {
    let exact = World::of_everything("node-exact", Fidelity::Exact);
    let usual = World::of_everything("node", Fidelity::Usual);
    for (world, user) in [(&exact, None), (&usual, None), (&usual, Some(NOBODY))] {
        if user.is_some() && !abi_tests::is_root() {
            continue;
        }
        let program = Call::new(node())
            .arg(compile::probes().join("tree_fs.js"))
            .arg(&world.at);
        let call = probe::call(world, Path::new("/bin/true"), user).on(program);
        let seen = world.same(&call).success();
        assert!(
            seen.text().lines().count() > 3000,
            "{}",
            seen.text().lines().count()
        );
    }
}

fn application(base: &Path, at: &Path) {
    let tree = Tree::in_directory(base);
    let modules = "node_modules";
    let package = |name: &str, json: &str| {
        tree.dir(format!("{modules}/{name}"))
            .file(format!("{modules}/{name}/package.json"), json);
    };
    package(
        "plain",
        r#"{"name": "plain", "version": "1.2.3", "main": "lib"}"#,
    );
    tree.dir("node_modules/plain/lib").file(
        "node_modules/plain/lib/index.js",
        "exports.name = 'plain'; exports.file = __filename;\n",
    );
    tree.file(
        "node_modules/plain/lib/deep.js",
        "module.exports = 'deep';\n",
    );
    tree.file(
        "node_modules/plain/throws.js",
        "module.exports = () => { throw new Error('thrown'); };\n",
    );
    // As pnpm lays packages out: the real one in a store of its own, its peer beside it.
    tree.dir("node_modules/.pnpm/linked@1/node_modules/linked")
        .dir("node_modules/.pnpm/linked@1/node_modules/peer");
    tree.link("node_modules/linked", ".pnpm/linked@1/node_modules/linked");
    tree.file(
        "node_modules/linked/index.js",
        "module.exports = __filename;\n",
    )
    .file(
        "node_modules/linked/peer.js",
        "module.exports = require('peer');\n",
    );
    tree.file(
        "node_modules/.pnpm/linked@1/node_modules/peer/index.js",
        "module.exports = 'peer';\n",
    );
    package(
        "mapped",
        r#"{"name": "mapped", "exports": {".": {"import": "./m.mjs", "require": "./c.cjs"}, "./feature": "./feature.js"}}"#,
    );
    tree.file("node_modules/mapped/m.mjs", "export default 'as module';\n")
        .file(
            "node_modules/mapped/c.cjs",
            "module.exports = 'as script';\n",
        );
    tree.file(
        "node_modules/mapped/feature.js",
        "module.exports = 'feature';\n",
    )
    .file("node_modules/mapped/hidden.js", "");
    package(
        "esm",
        r#"{"name": "esm", "type": "module", "exports": "./index.js"}"#,
    );
    tree.file("node_modules/esm/index.js", "export const name = 'esm'; export const url = import.meta.url; export { sibling } from './sibling.js';\n");
    tree.file(
        "node_modules/esm/sibling.js",
        "export const sibling = 'sibling';\n",
    );
    tree.dir("folder")
        .file("folder/index.js", "module.exports = 'folder';\n")
        .file("data.json", "{\"from\": \"json\"}\n");
    tree.file(
        "module.mjs",
        "import plain from 'plain'; export const here = [import.meta.url, plain.name];\n",
    );
    tree.copy("app.js", &compile::probes().join("modules.js"), 0o644)
        .link("app-link.js", at.join("app.js"));
}

#[test]
fn modules() {
    let world = World::moved_away("node-modules", |at| {
        std::fs::create_dir_all(at).unwrap();
        application(at, at);
    });
    let app = world.path("app.js");
    world.all_same([
        Call::new(node()).arg(&app),
        Call::new(node()).arg("app.js").cwd(&world.at),
        Call::new(node()).arg(world.path("app")),
        Call::new(node()).arg(world.path("app-link.js")),
        Call::new(node())
            .args(["--preserve-symlinks", "--preserve-symlinks-main"])
            .arg(world.path("app-link.js")),
        Call::new(node())
            .args(["-e", "console.log(require('plain'), process.cwd())"])
            .cwd(&world.at),
        Call::new(node())
            .args(["-r", "plain", "-p", "require('./data')"])
            .cwd(&world.at),
        Call::new(node())
            .args([
                "--input-type=module",
                "-e",
                "import { name } from 'esm'; console.log(name)",
            ])
            .cwd(&world.at),
        Call::new(node())
            .args(["-p", "require('plain').file"])
            .cwd(world.path("node_modules/linked")),
        Call::new(node())
            .args(["-e", "require('plain')"])
            .env("NODE_PATH", world.path("node_modules")),
        Call::new(node()).arg(world.path("absent.js")).stdout_only(),
    ]);
    let seen = world.same(&Call::new(node()).arg(&app)).success();
    assert!(
        seen.text().contains("'peer'") || seen.text().contains(" peer"),
        "{}",
        seen.text()
    );
}
