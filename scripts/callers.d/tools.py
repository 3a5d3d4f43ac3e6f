"""Tools that open what is served: sqlite3, jq, vim, less, gdb, strace."""
from job import caller


@caller("sqlite3", packages=["sqlite3"])
def sqlite3(job):
    """Served databases: queries, integrity_check, rollback and WAL journals, backup, attach, .import, writes refused"""
    job.version("sqlite3 --version | cut -d' ' -f1")
    job.build(
        """mkdir "$TREES/plain" && cd "$TREES/plain" && seq 2000 | sed 's/.*/&,word &/' > rows.csv && printf 'select count(*) from t;\\n' > query.sql
        sqlite3 a.db 'create table t(id integer primary key, word text); create index i on t(word);' '.mode csv' '.import rows.csv t'
        sqlite3 wal.db 'pragma journal_mode=wal; create table u(x); insert into u values (7);'"""
    )
    job.serve(job.trees / "app", job.trees / "plain")
    env = {"APP": str(job.trees / "app")}
    job.step("queries", 'sqlite3 "$APP/a.db" .schema "select count(*), sum(id), max(word) from t" "select * from t where word like \'%99%\' order by id" "explain query plan select * from t where word=\'x\'" "pragma integrity_check"', env=env)
    job.step("ways to open", 'sqlite3 -readonly "$APP/a.db" "select count(*) from t"; sqlite3 "file:$APP/a.db?immutable=1" "select 1, count(*) from t"; sqlite3 "file:$APP/wal.db?immutable=1" "select * from u"; sqlite3 "$APP/wal.db" "select * from u"; cd "$APP" && sqlite3 a.db < query.sql; sqlite3 -cmd "pragma mmap_size=1000000" a.db ".dump t" | sha256sum', env=env)
    job.step("copies", 'sqlite3 "$APP/a.db" ".backup b.db" "vacuum into \'c.db\'" && sqlite3 b.db "insert into t values (9999, \'new\')" "attach \'$APP/a.db\' as o" "select count(*) from t where id not in (select id from o.t)" && sqlite3 d.db "create table t(id, word)" ".mode csv" ".import $APP/rows.csv t" "select count(*) from t"', env=env)
    job.step("writes", 'sqlite3 "$APP/a.db" "insert into t values (9999, 1)"; sqlite3 "$APP/new.db" "create table x(y)"; sqlite3 "$APP/none/x.db" .schema', env=env, code=None)


@caller("jq", packages=["jq"])
def jq(job):
    """Served data, programs (-f) and modules (-L, import, include), --slurpfile"""
    job.version("jq --version | cut -d- -f2")
    job.build(
        """mkdir -p "$TREES/plain/lib" && cd "$TREES/plain" && printf '{"a": [1, 2, {"b": "x"}], "n": 3.5}\\n' > data.json && seq 1000 > many.json
        printf 'import "part" as p; include "whole"; .a | p::first, twice\\n' > main.jq; printf 'def first: .[0];\\n' > lib/part.jq; printf 'def twice: . + .;\\n' > lib/whole.jq; echo '{' > bad.json"""
    )
    job.serve(job.trees / "app", job.trees / "plain")
    env = {"APP": str(job.trees / "app")}
    job.step("data", 'jq . "$APP/data.json"; jq -s add "$APP/many.json"; jq -c --slurpfile d "$APP/data.json" -n \'$d\'; jq -n "[inputs] | length" "$APP"/*n*.json', env=env, code=None)
    job.step("modules", 'jq -c -L "$APP/lib" -f "$APP/main.jq" "$APP/data.json"; cd "$APP" && jq -c -L lib -f main.jq data.json; jq -L lib \'import "none" as n; .\' data.json', env=env, code=None)
    job.step("errors", 'jq . "$APP/bad.json"; jq . "$APP/none.json" "$APP/lib"', env=env, code=2)


@caller("vim", packages=["vim"])
def vim(job):
    """Its runtime (/usr/share/vim) and files served: vim -es with print, search, undo, :help, syntax, :vimgrep, glob(), a write refused"""
    job.version("vim --version | sed -n '1s/.*IMproved \\([^ ]*\\).*/\\1/p'")
    job.build("""mkdir -p "$TREES/plain/sub" && cd "$TREES/plain" && seq 50 > numbers && printf 'int main(void) { return 0; }\\n' > a.c && echo needle > sub/b.txt && printf 'set number\\n' > own.vim""")
    job.serve(job.trees / "app", job.trees / "plain")
    job.serve("/usr/share/vim")
    env = {"APP": str(job.trees / "app")}
    vim = "vim -es -u NONE -N -i NONE -n "
    job.step("print", vim + '"$APP/numbers" -c "2,4print" -c "g/7/print" -c "%s/1/one/" -c "1print" -c "undo" -c "1print" -c "qa!"', env=env)
    job.step("syntax and help", vim + '-c "filetype plugin indent on" -c "syntax on" -c "edit $APP/a.c" -c "verbose set filetype? syntax? cindent?" -c "echo synIDattr(synID(1, 1, 1), \'name\')" -c "scriptnames" -c "help usr_01" -c "1,3print" -c "qa!"', env=env, code=None)
    job.step("searching", 'cd "$APP" && ' + vim + '-c "vimgrep /needle/ **/*" -c "clist" -c "echo glob(\'**\')" -c "echo readdir(\'.\') readfile(\'own.vim\') filereadable(\'a.c\') filewritable(\'a.c\') isdirectory(\'sub\') getftime(\'none\') resolve(\'sub/../a.c\')" -c "source own.vim" -c "set number?" -c "qa!"', env=env, code=None)
    job.step("writing", vim + '"$APP/numbers" -c "1delete" -c "write" -c "echo v:errmsg" -c "write! $APP/new" -c "echo v:errmsg" -c "saveas! mine" -c "qa!"; head -n 2 mine; wc -l < "$APP/numbers"', env=env, code=None)


@caller("less", packages=["less", "bsdutils"])
def less(job):
    """Served files, piped and on a terminal (script): -F, -N, -p, several files, a directory, a missing file"""
    job.version("less --version | sed -n '1s/^less \\([^ ]*\\).*/\\1/p'")
    job.build("""mkdir -p "$TREES/plain/sub" && cd "$TREES/plain" && seq 200 > numbers && printf 'one\\ntwo\\n' > short && head -c 3000 /dev/zero > binary""")
    job.serve(job.trees / "app", job.trees / "plain")
    env = {"APP": str(job.trees / "app"), "LESSHISTFILE": "-", "TERM": "xterm"}
    job.step("piped", 'less "$APP/numbers" | md5sum; cd "$APP" && less -N short numbers | tail -n 3; less -p 150 numbers | sed -n 1,2p; less none; less sub; more short', env=env, code=None)
    job.step("on a terminal", 'script -qec "less -FXN $APP/short" /dev/null < /dev/null; script -qec "less -FX $APP/short" /dev/null < /dev/null', env=env, code=None)


PROGRAM = """
mkdir -p "$TREES/app" && cd "$TREES/app"
printf 'int deeper(int x) {\\n    return x * 2;\\n}\\n' > part.c
printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <unistd.h>\\n#include <sys/wait.h>\\nint deeper(int);\\nint main(int c, char **v) {\\n    int y = deeper(c);\\n    FILE *f = fopen(v[0], "r");\\n    printf("%%d %%d\\\\n", y, f != NULL);\\n    fflush(stdout);\\n    if (fork() == 0)\\n        execl("/bin/cat", "cat", v[1], (char *)0);\\n    wait(0);\\n    if (c > 2)\\n        abort();\\n    return y;\\n}\\n' > main.c
gcc -g -O0 -shared -fPIC -o libpart.so "$TREES/app/part.c"
gcc -g -O0 -o app "$TREES/app/main.c" -L. -lpart -Wl,-rpath,'$ORIGIN'; echo text > text
mv "$TREES/app" "$TREES/plain"
"""


@caller("gdb", packages=["gdb", "gcc", "libc6-dev"])
def gdb(job):
    """A served program with its library and sources, gdb's own Python served: list, break, run, backtrace, a signal"""
    job.version("gdb --version | sed -n '1s/.* //p'")
    job.build(PROGRAM)
    job.serve(job.trees / "app", job.trees / "plain")
    job.serve("/usr/share/gdb")
    env = {"APP": str(job.trees / "app"), "DEBUGINFOD_URLS": ""}
    gdb = "gdb -nx -batch -ex 'set width 0' "
    clean = [(r"process \d+", "process N"), (r"\(LWP \d+\)", "(LWP N)"), (r"0x[0-9a-f]{9,}", "ADDRESS"), (r"Detaching after (v?fork) from child process N", r"\1")]
    job.step("without running", gdb + '-ex "info line main" -ex "list main" -ex "info functions deeper" -ex "info sources" -ex "disassemble main" -ex "info files" "$APP/app"; cd "$APP" && ' + gdb + '-ex "list deeper" libpart.so', env=env, clean=clean)
    job.step("break and backtrace", gdb + '-ex "break deeper" -ex "run" -ex "backtrace" -ex "print x" -ex "up" -ex "list" -ex "finish" -ex "continue" --args "$APP/app" "$APP/text"', env=env, clean=clean)
    job.step("a signal", gdb + '-ex run -ex "frame function main" -ex "info source" --args "$APP/app" "$APP/text" more', env=env, clean=clean, code=None)
    job.step("python", gdb + '-ex "python import gdb.printing; print(gdb.__file__, gdb.VERSION[:2]); print([b.number for b in gdb.breakpoints()])" -ex "info pretty-printer"', env=env, clean=clean)


@caller("strace", packages=["strace", "gcc", "libc6-dev"])
def strace(job):
    """strace -f of a served program, its children and a script: what they print and how they end; a log of every process"""
    job.version("strace --version | sed -n '1s/.* //p'")
    job.build(PROGRAM)
    job.serve(job.trees / "app", job.trees / "plain")
    env = {"APP": str(job.trees / "app")}
    job.step("a program", 'strace -f -o log "$APP/app" "$APP/text"; echo $?; grep -c exited log; grep -q clone log && tail -n 1 log | sed "s/^[0-9]* //"', env=env)
    job.step("counting", 'strace -fc -o counts "$APP/app" "$APP/text"; echo $?; grep -c execve counts; strace -ff -o each "$APP/app" "$APP/text"; ls each.* | wc -l', env=env)
    job.step("a signal", 'strace -f -o log "$APP/app" "$APP/text" more; echo $?; grep -c SIGABRT log', env=env, clean=[(r"line 1: +\d+", "line 1: PID")])
