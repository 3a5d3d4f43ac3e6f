"""Programs that read, search and copy trees: coreutils, tar, rsync, find, ripgrep, git."""
import subprocess
from pathlib import Path

from job import Skip, caller

# A real tree with many files of all kinds, whatever the machine has: a Python library's copy, odd names, links, times.
TREE = """
mkdir -p "$TREES"/plain && cd "$TREES"/plain
for part in email json encodings unittest asyncio; do cp -rL --preserve=timestamps,mode /usr/lib/python3.11/$part . ; done
find . -name __pycache__ -prune -exec rm -r {} +
mkdir -p links names hard .hidden/deep; ln -s ../json/decoder.py links/file; ln -s ../json links/dir; ln -s nowhere links/dangling
ln -s loop links/loop; ln -s "$TREES/app/email" links/absolute
printf 'a\\n' > 'names/with space'; printf 'b\\n' > "$(printf 'names/new\\nline')"; printf 'c\\n' > names/-dash; printf 'd\\n' > names/ünï
echo one > hard/first; ln hard/first hard/second; printf '*.pyc\\nencodings/\\n' > .gitignore; echo hidden > .hidden/deep/file
truncate -s 300000 hard/sparse; chmod 600 hard/first; chmod 755 json/tool.py; touch -d @1234567890.5 json/tool.py
head -c 70000 /dev/zero > hard/binary; find . -depth \\( -type d -o -type l \\) -exec touch -h -d @1500000000 {} +
"""


def serve_tree(job):
    """Serves it at `$APP`; the environment that names it."""
    if not Path("/usr/lib/python3.11/email").is_dir():
        raise Skip("no /usr/lib/python3.11 to copy from")
    job.build(TREE)
    job.serve(job.trees / "app", job.trees / "plain")
    return {"APP": str(job.trees / "app")}


@caller("coreutils-programs", packages=["coreutils", "libpython3.11-minimal", "libpython3.11-stdlib"])
def coreutils(job):
    """ls, cp, du, stat, readlink, realpath, install, cat, sha256sum, sort, tac, split of a served tree, changes refused (abi-tests has more)"""
    env = serve_tree(job)
    job.version("ls --version | sed -n '1s/.* //p'")
    everything = 'cd "$APP" && '
    job.step("ls", everything + "ls -lAR --time-style=full-iso -g -o | grep -v ^total; ls -1F links; ls -Q names; ls none", env=env, code=2)
    job.step("stat", everything + 'find . -print0 | sort -z | xargs -0 stat --printf "%n %a %f %F %g %h %N %o %s %u %y\\n"; stat none; stat -L links/dangling', env=env, code=1)
    job.step("cp", 'cp -a "$APP" copy && cp -rL "$APP/json" "$APP/links/dir" . && diff -r --no-dereference "$APP" copy && find copy -printf "%p %y %m %s %n %T@ %l\\n" | sort; cp "$APP/json" x; cp -u "$APP/json/tool.py" "$APP/hard/new"', env=env, code=1)
    job.step("du", everything + "du -ab --apparent-size | sort; du --inodes -s; du -sbL json links/dir", env=env)
    job.step("readlink and realpath", everything + "find . -print0 | sort -z | xargs -0 realpath; readlink links/*; readlink -f links/*; readlink -m links/loop/x; realpath --relative-to=json links/file; realpath -e links/dangling", env=env, code=1)
    job.step("contents", everything + "find . -type f -print0 | sort -z | xargs -0 sha256sum; cat json/*.py | wc; tac json/tool.py | sed -n 1,3p; sort -u email/*.py | md5sum; tail -c 100 json/tool.py; split -n 3 json/tool.py", env=env, code=1)
    job.step("changes", everything + "rm -rf json; mv json new; mkdir new; touch json/tool.py; chmod 600 json/tool.py; ln json/tool.py x; truncate -s 0 json/tool.py; install json/tool.py json/new; tee json/new < /dev/null; mkdir email", env=env, code=1)
    job.step("install and move out", 'install -m 700 -p -D "$APP/json/tool.py" d/t && stat -c "%a %Y" d/t; cp -a "$APP/hard" . && mv hard moved && rm -r moved && ls', env=env)


@caller("tar", packages=["tar", "gzip", "xz-utils"])
def tar(job):
    """Archives of a served tree, by relative and absolute names, with -C, with pax headers, compressed, -h, -S, --diff, --exclude, extracted"""
    env = serve_tree(job)
    job.version("tar --version | sed -n '1s/.* //p'")
    job.step("create", 'tar c --sort=name -C "$APP" . | sha256sum; tar cPf a.tar --sort=name "$APP"; tar tvf a.tar', env=env)
    job.step("pax, gnu, ustar", 'for f in gnu ustar pax; do tar c --format=$f --sort=name --pax-option=delete=atime,delete=ctime -C "$APP" . 2>&1 | sha256sum; done', env=env)
    job.step("compare", 'tar cf b.tar -C "$APP" . && tar df b.tar -C "$APP" && echo same; tar dPf a.tar && echo same; tar tf b.tar | sort', env=env)
    job.step("extract", 'mkdir x && tar xf b.tar -C x && diff -r --no-dereference x "$APP" && tar xf b.tar -C "$APP" 2>&1 | sort | sed -n 1,5p', env=env)
    job.step("compressed", 'tar czf c.tgz --sort=name -C "$APP" json && tar tzf c.tgz; tar cJf c.txz --exclude="*.py" -C "$APP" . && tar tJf c.txz | sort; tar c -h -C "$APP" links/dir | tar t | sort; tar cS --sort=name -C "$APP" hard | tar tv', env=env)
    job.step("what is not there", 'tar cf d.tar "$APP/none" "$APP/json/none"', env=env, code=2, proves=False)


@caller("rsync", packages=["rsync"])
def rsync(job):
    """Copies of a served tree: -aH, checksums, --link-dest, filters from .gitignore, dry runs, into the served tree"""
    env = serve_tree(job)
    job.version("rsync --version | sed -n '1s/.*version \\([^ ]*\\).*/\\1/p'")
    job.step("copy", 'rsync -aH "$APP/" copy/ && diff -r --no-dereference copy "$APP" && find copy -printf "%p %y %m %s %n %T@ %l\\n" | sort', env=env)
    job.step("nothing to do", 'rsync -aHin --delete "$APP/" copy/; rsync -aci "$APP/" copy/; echo changed > copy/json/tool.py; rsync -ain "$APP/" copy/', env=env)
    job.step("filters", 'rsync -ai --filter=":- .gitignore" --exclude="/links" "$APP/" some/ | sort; rsync --list-only "$APP/json/" | cut -c1-10,24-', env=env)
    job.step("link-dest", 'rsync -a --link-dest="$APP" "$APP/json/" l/; stat -c "%h %n" l/*; rsync -aL "$APP/links/" l2/; ls l2; rsync -a --copy-dest="$APP" "$APP/" l3/ && diff -r --no-dereference l3 "$APP"', env=env, clean=[(r"\[sender=.*", "")])
    job.step("into it", 'rsync -a copy/json/ "$APP/json/" 2>&1 | sed "s/\\.[^.\\"]*\\.[A-Za-z0-9]*\\"/.TEMP\\"/" | sed -n 1,3p; rsync -a copy/json/tool.py "$APP/new/" 2>&1 | sed -n 1,2p', env=env)


@caller("find", packages=["findutils"])
def find(job):
    """find and xargs over a served tree: every -printf field, tests, -exec and -execdir, -L, -H, a -delete that is refused"""
    env = serve_tree(job)
    job.version("find --version | sed -n '1s/.* //p'")
    cd = 'cd "$APP" && '
    job.step("printf", cd + r"find . -printf '%d %f %g %G %h %H %l %m %M %n %p %P %s %T@ %u %U %y %Y\n' | sort", env=env)
    job.step("tests", cd + "for t in '-empty' '-size +100k' '-newer json/tool.py' '-perm 600' '-links +1 -type f' '-samefile hard/first' '-lname *json*' '-xtype l' '-executable -type f' '-writable' '-regex .*/n.*' '-path *deep*' '-maxdepth 1'; do echo \"== $t\"; find . $t -print0 | tr '\\0' '\\n' | sort; done", env=env)
    job.step("exec", cd + "find json -name '*.py' -exec wc -l {} + | sort; find json -type f -execdir basename {} \\; | sort; find names -print0 | xargs -0 -n1 -P2 stat -c %s | sort", env=env)
    job.step("follow", cd + "find -L links -printf '%p %y %s\\n' | sort; find -H links/dir -maxdepth 1 | sort; find links/loop/ links/dangling/ 2>&1", env=env, code=1)
    job.step("delete", cd + "find json -type f -delete; find . -name none; find none", env=env, code=1)


@caller("ripgrep", packages=["ripgrep"])
def ripgrep(job):
    """Searches a served tree with threads: --files, .gitignore, hidden and binary files, -L, --mmap, --json, globs, types"""
    env = serve_tree(job)
    job.version("rg --version | sed -n '1s/^ripgrep \\([^ ]*\\).*/\\1/p'")
    cd = 'cd "$APP" && '
    job.step("search", cd + "rg -n 'def [a-z]+' | sort; rg -c import --sort path; rg -l class \"$APP\" | sort; rg -j 4 --count-matches self | sort", env=env)
    job.step("files", cd + "rg --files | sort; rg --files -uu | sort; rg --files --hidden -g '!json' --sort path; rg --files -tpy json -L links | sort", env=env)
    job.step("ways to read", cd + "rg --mmap -c def json/decoder.py; rg --no-mmap -c def json/decoder.py; rg -a x hard/binary; rg -z x hard/binary; rg one hard; rg def - < json/decoder.py | wc -l; rg --stats -q def json", env=env, code=None, clean=[(r"^[\d.]+ seconds.*$", "TIME")])
    job.step("json", cd + "rg --json -n JSONDecoder json --sort path", env=env, clean=[(r'"(elapsed|elapsed_total)":\{[^}]*\}', "TIME")])
    job.step("errors", cd + "rg x none; rg x links/dangling links/loop", env=env, code=2)


@caller("git", packages=["git"])
def git(job):
    """This repository served: status, log, diff, fsck, blame, grep, archive, worktree list, clone of it in six ways, add and commit refused"""
    repo = Path(__file__).resolve().parents[2]
    if subprocess.run(["git", "-C", str(repo), "rev-parse", "HEAD"], capture_output=True).returncode != 0:
        raise Skip("the project is not in a git repository here")
    job.version("git --version | cut -d' ' -f3")
    job.build(
        """git clone -q --no-hardlinks "$REPO" "$TREES/plain" && cd "$TREES/plain" && git config gc.auto 0
        for n in 1 2 3; do echo $n > new-$n; git add new-$n; git -c user.name=A -c user.email=a@b commit -q -m "loose $n"; done
        git tag -a -m tagged v0 2>/dev/null || git -c user.name=A -c user.email=a@b tag -a -m tagged v0; git branch side HEAD~2
        echo changed >> README.md; rm LICENSE-MIT; echo untracked > untracked; sed -i 1d scripts/test; git add scripts/test; git update-index -q --refresh || true""",
        env={"REPO": str(repo)},
    )
    app = job.trees / "app"
    job.serve(app, job.trees / "plain", exact=True)  # git compares inode numbers and ctimes with its index
    env = {
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_PAGER": "cat", "APP": str(app),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
    }
    cd = 'cd "$APP" && '
    job.step("status", cd + "git status && git status --porcelain=v2 --branch -uall --ignored; git diff --stat; git diff --cached; git ls-files -s -o -m -d", env=env)
    job.step("log", cd + "git log --stat --graph | sha256sum; git log -p --follow README.md | sha256sum; git shortlog -sn HEAD; git reflog; git describe", env=env)
    job.step("fsck", cd + "git fsck --full --strict --no-dangling; git count-objects -v; git verify-pack -v .git/objects/pack/*.idx | sha256sum", env=env)
    job.step("diff", cd + "git diff HEAD~2 --raw -M; git diff side; git diff --no-index scripts/lib docs; git grep -n served -- docs | sort; git blame HEAD -- README.md | sha256sum", env=env)
    job.step("objects", cd + "git cat-file --batch-all-objects --batch-check | sha256sum; git archive HEAD | sha256sum; git rev-list --objects --all | sha256sum; git worktree list; git ls-tree -r HEAD | sha256sum", env=env)
    job.step(
        "clone",
        'for how in "" --no-local --no-hardlinks --bare "--depth 1 file://"; do rm -rf c; git clone -q ${how%file://} $(case $how in *file://) echo file://;; esac)"$APP" c; '
        'git -C c fsck --full; git -C c log --oneline --all | sha256sum; git -C c status --short 2>&1; done; git clone -q --shared "$APP" s && git -C s log -1 --oneline; git ls-remote "$APP" | sort',
        env=env,
    )
    job.step("changes", cd + "git add untracked; git commit -m no; git checkout side; git gc; git stash; git tag new; git clean -fd; git fetch", env=env, code=None, clean=[(r"tmp_obj_\w+", "tmp_obj")])
