"""git between repositories: clones, bundles, fetches, worktrees, submodules and pushes, with what they come from served."""
from job import caller

# A repository with a linked worktree, a submodule, loose and packed objects; a bare one with bitmaps and a commit graph, and
# one of packs that borrow from it; bundles. Everything has the same times and names, so equal commits have equal hashes.
MADE = """
mkdir "$TREES/app" && cd "$TREES/app" && git init -q -b main part && git -C part commit -q --allow-empty -m part
git init -q -b main work && cd work && git config gc.auto 0
for n in $(seq 40); do mkdir -p d$((n % 5)); seq $n $((n * 30)) > d$((n % 5))/f$n; git add . ; git commit -q -m "number $n"; done
git repack -q -a -d; git branch side HEAD~7; git tag -a -m tagged v1 HEAD~3; git tag light HEAD~9
git -c protocol.file.allow=always submodule --quiet add "$TREES/app/part" part; git commit -q -m submodule
git worktree add -q ../tree side; git -C ../tree commit -q --allow-empty -m "on the side"; ln -s d1 link; git add link; git commit -q -m link
git clone -q --bare . ../bare.git; git -C ../bare.git repack -q -a -d -b; git -C ../bare.git commit-graph write --reachable
git -C ../bare.git config uploadpack.allowFilter true; git -C ../bare.git config uploadpack.allowAnySHA1InWant true; git -C ../bare.git multi-pack-index write
git clone -q --shared --bare ../bare.git ../borrows.git; git bundle create -q ../all.bundle --all; git bundle create -q ../part.bundle main~5..main
mv "$TREES/app" "$TREES/plain" && git -C "$TREES/plain/work" worktree list > /dev/null
"""

# What a repository holds, in an order and a form that no two runs change.
SHOW = """show() { git -C "$1" fsck --full --strict --no-dangling 2>&1 | sort; git -C "$1" show-ref | sort; git -C "$1" rev-list --objects --all | sort | sha256sum; git -C "$1" status -sb 2>&1; }
"""


@caller("git-repositories", quick=False, packages=["git"])
def git_repositories(job):
    """Served repositories (with a worktree, a submodule, bitmaps, alternates) and bundles: clone by path and file:// in all ways, fetch, pull, bundle, worktree, submodule, archive, export, push refused"""
    job.version("git --version | cut -d' ' -f3")
    app = job.trees / "app"
    env = {
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_PAGER": "cat", "APP": str(app),
        "GIT_CONFIG_COUNT": "4", "GIT_CONFIG_KEY_3": "init.defaultBranch", "GIT_CONFIG_VALUE_3": "main", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_1": "protocol.file.allow", "GIT_CONFIG_VALUE_1": "always", "GIT_CONFIG_KEY_2": "pack.threads", "GIT_CONFIG_VALUE_2": "1",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
        "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
    }
    job.build(MADE, env=env)
    job.serve(app, job.trees / "plain", exact=True)  # git compares inode numbers and ctimes with its index

    def step(name, script, code=0, **more):
        job.step(name, SHOW + script, env=env, code=code, **more)

    for how in ("", "--no-hardlinks", "--no-local", "--mirror", "--bare", "--shared", "--single-branch -b side", "--no-checkout", "--recurse-submodules", "--sparse"):
        step(f"clone {how}".strip(), f'for r in work bare.git borrows.git; do git clone -q {how} "$APP/$r" c 2>&1; show c; (cd c && git ls-files -s | sha256sum; find . -path ./.git -prune -o -type f -print | sort | sha256sum); rm -rf c; done')
    for how in ("", "--mirror", "--depth 3", "--shallow-exclude v1", "--filter=blob:none", "--filter=tree:0 --bare"):
        step(f"clone file:// {how}".strip(), f'for r in work bare.git; do git clone -q {how} "file://$APP/$r" c 2>&1; git -C c log --oneline --all | sha256sum; git -C c rev-list --objects --all --missing=print | sort | sha256sum; git -C c status -sb 2>&1; rm -rf c; done')
    step("clone with a reference", 'git clone -q --reference "$APP/bare.git" "$APP/work" r && cat r/.git/objects/info/alternates && show r; git clone -q --reference "$APP/bare.git" --dissociate "file://$APP/work" d && ls d/.git/objects/info; show d')
    step("work in a shared clone", 'git clone -q --shared "$APP/work" s && cd s && echo x > new && git add new && git commit -q -m new && git repack -q -a -d -l && git count-objects -v && git gc -q && git merge -q -m m origin/side && git rebase -q main~2 && show . && git worktree add -q ../w HEAD~1 && show ../w && git worktree list --porcelain && git prune && git blame d1/f1 | sha256sum')
    step("bundles", 'git -C "$APP/work" bundle verify "$APP/all.bundle"; git bundle list-heads "$APP/all.bundle"; git clone -q "$APP/all.bundle" b 2>&1; show b; cd b && git bundle verify "$APP/part.bundle" 2>&1; git fetch -q "$APP/part.bundle" main; git -C "$APP/work" bundle create -q "$HOME/own" --all && git -C "$APP/work" bundle create -q "$HOME/some" main~3..main && git bundle unbundle "$HOME/some" && git bundle list-heads "$HOME/own" && git clone -q "$HOME/own" o && show o', code=None)
    step("fetch and pull", 'git init -q f -b main && cd f && git fetch -q "$APP/work" main && git log --oneline FETCH_HEAD | sha256sum; git remote add o "file://$APP/bare.git"; git fetch -q --depth 2 o; git fetch -q --deepen 4 o side; git fetch -q --unshallow o; git remote update -p o 2>&1; git fetch -q --all --tags; git pull -q o main; show .; git fetch -q "$APP/borrows.git" "+refs/heads/*:refs/remotes/b/*"; show .; git ls-remote o; git remote show o; git fetch -q "$APP/none.git"', code=None)
    step("a served worktree", 'cd "$APP/tree" && git status && git log --oneline -3 && git rev-parse --git-dir --git-common-dir --show-toplevel --show-superproject-working-tree && git diff main --stat | tail -n 1; git worktree list; git stash list; git worktree add ../x; git worktree add "$HOME/x"; git worktree prune -v; git worktree lock .; cd "$APP/work/part" && git rev-parse --show-superproject-working-tree --git-dir && git status', code=None)
    step("submodules", 'git init -q m -b main && cd m && git submodule --quiet add "$APP/part" p 2>&1; git commit -q -m p; git submodule status; git clone -q --recurse-submodules "file://$APP/work" n && git -C n submodule status --recursive; git -C n submodule foreach "git log --oneline"; cd "$APP/work" && git submodule status && git submodule update --init 2>&1; git submodule summary')
    step("archives and exports", 'git archive --remote="$APP/work" main | sha256sum; git archive --remote="file://$APP/bare.git" --format=tar.gz v1 | gunzip | sha256sum; git -C "$APP/work" fast-export --all | sha256sum; git init -q i -b main && git -C "$APP/work" fast-export --all | git -C i fast-import --quiet && show i; git -C "$APP/work" format-patch -q -3 --stdout main~3 | sha256sum; git -C "$APP/work" format-patch -o "$HOME/p" main~2 | sed "s,.*/,,"')
    step("packs", 'cd "$APP/bare.git" && git rev-list --use-bitmap-index --count --objects --all; git commit-graph verify; git multi-pack-index verify; git verify-pack -s objects/pack/*.idx; git cat-file --batch-check --batch-all-objects | sha256sum; git rev-list --all | git pack-objects --revs --stdout -q | git -C "$APP/work" index-pack --stdin "$HOME/o.pack" | wc -c; git -C "$APP/borrows.git" count-objects -v; git for-each-ref', code=None)
    step("alternates by hand", 'git init -q a -b main && echo "$APP/bare.git/objects" > a/.git/objects/info/alternates && cd a && git read-tree -m -u "$(git -C "$APP/bare.git" rev-parse main)" && ls d1 && git write-tree; GIT_ALTERNATE_OBJECT_DIRECTORIES="$APP/work/.git/objects" git cat-file -t "$(git -C "$APP/tree" rev-parse HEAD)"; GIT_DIR="$APP/bare.git" GIT_WORK_TREE=$PWD git diff --stat main; GIT_DIR="$APP/work/.git" GIT_INDEX_FILE=own git read-tree main && GIT_INDEX_FILE=own git ls-files | sha256sum; mkdir o && GIT_OBJECT_DIRECTORY=$PWD/o GIT_ALTERNATE_OBJECT_DIRECTORIES="$APP/bare.git/objects" git hash-object -w d1/f1', code=None)
    step("pushes refused", 'git clone -q "$APP/bare.git" c && cd c && git commit -q --allow-empty -m c && for u in "$APP/bare.git" "file://$APP/bare.git" "$APP/work"; do git push -q "$u" HEAD:refs/heads/new; git push -q "$u" :side; git push -q --force "$u" HEAD~3:main; done; git clone -q c "$APP/new.git"; git init -q "$APP/new"; git -C "$APP/work" fetch ../bare.git; git -C "$APP/bare.git" update-ref refs/heads/x main; git -C "$APP/work" commit -q --allow-empty -m x; git -C "$APP/bare.git" gc', code=None, clean=[(r"(tmp_(?:obj|pack|idx)_|incoming-|/tmp_objdir-)\w+", r"\1X"), (r"\b\d+ bytes", "N bytes")])
