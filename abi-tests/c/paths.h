/* Paths below P that have something to go wrong, in the tree of trees::everything. */
#ifndef PATHS_H
#define PATHS_H

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X255 X50 X50 X50 X50 X50 "xxxxx"

static const char *const PATHS[] = {
    "", ".", "./", "./.", "..", "../", "../.", "../tree", "../tree/", "../tree/plain.txt", "../../at/tree/dir",
    "/", "//", "///plain.txt", "//dir//", "/./dir", "/../tree/dir",
    "plain.txt", "plain.txt/", "plain.txt/.", "plain.txt/..", "plain.txt/below", "plain.txt//", "empty", "one",
    "bytes-4095", "bytes-4096", "bytes-4097", "bytes-70000", "sparse", "big-sparse",
    "dir", "dir/", "dir/.", "dir/..", "dir/../plain.txt", "dir//sub", "./dir/./sub/", "dir/sub/../../dir/sub/empty",
    "dir/sub/empty", "dir/sub/empty/", "dir/sub/empty/..", "dir/same-a", "dir/same-b", "dir/sub/same-c",
    "missing", "missing/", "missing/.", "missing/..", "missing/below", "missing/../plain.txt", "dir/missing", "dir/missing/",
    "DIR", "Plain.txt", "plain.tx", "plain.txt.", "plain.txt ", "dir/sub/empty/missing",
    "hard/first", "hard/second", "hard/elsewhere/third", "hard/symlink", "hard/symlink-too",
    "links", "links/relative", "links/relative/", "links/relative/.", "links/relative/below", "links/absolute",
    "links/absolute/", "links/dangling", "links/dangling/", "links/dangling/below", "links/dangling-deep", "links/self",
    "links/self/", "links/self/below", "links/loop-a", "links/loop-b/", "links/to-dir", "links/to-dir/", "links/to-dir/.",
    "links/to-dir/..", "links/to-dir/../plain.txt", "links/to-dir/same-a", "links/to-dir/missing", "links/to-dir-slash",
    "links/to-dir-slash/same-a", "links/to-dir-absolute", "links/to-dir-absolute/sub", "links/dot", "links/dot/",
    "links/dot/dot/dot/relative", "links/dotdot", "links/dotdot/", "links/dotdot/plain.txt", "links/dotdot/links/dotdot/dir",
    "links/to-root", "links/to-root/", "links/to-root/links/to-root/plain.txt", "links/slash", "links/slash/", "links/messy",
    "links/messy/", "links/messy/same-c", "links/file-slash", "links/through-file", "links/hosts", "links/out", "links/out/",
    "links/out/.", "links/out/file", "links/out/inner/file", "links/out/missing", "links/out/gone", "links/out/..",
    "links/out/../tree", "links/out/../tree/plain.txt", "links/out-file", "links/out-file/", "links/out-dangling", "links/back",
    "links/out-and-back", "links/through-outside", "links/out/return", "links/out/return/", "links/out/return/plain.txt",
    "links/out/return/dir/..", "links/a-link-to-a-link", "links/long-target", "links/chain-01", "links/chain-39",
    "links/chain-40", "links/chain-41", "links/chain-42", "links/chain-40/",
    "modes/file-0000", "modes/file-0111", "modes/file-0200", "modes/file-0400", "modes/file-0444", "modes/file-0600",
    "modes/file-0640", "modes/file-0755", "modes/file-1644", "modes/file-2755", "modes/file-4755", "modes/file-6711",
    "modes/dir-0000", "modes/dir-0000/", "modes/dir-0000/file", "modes/dir-0000/missing", "modes/dir-0000/..",
    "modes/dir-0000/../dir-0755/file", "modes/dir-0111", "modes/dir-0111/file", "modes/dir-0111/missing", "modes/dir-0444",
    "modes/dir-0444/file", "modes/dir-0444/.", "modes/dir-0700", "modes/dir-0700/file", "modes/dir-0700/sub/..",
    "modes/dir-0711", "modes/dir-0711/file", "modes/dir-1777", "modes/dir-2775/sub", "owners/user", "owners/large",
    "owners/secret", "owners/private", "owners/private/file", "owners/link",
    "times", "times/dir", "times/zero", "times/ns", "times/almost", "times/first", "times/before", "times/long-before",
    "times/late", "times/later", "times/link",
    "names/ ", "names/  two spaces ", "names/new\nline", "names/-rf", "names/*", "names/back\\slash", "names/...",
    "names/..data", "names/.hidden", "names/\xc3\xa9\xe6\x97\xa5", "names/\xff\xfe not utf-8 \x80", "names/\x01\x7f",
    "names/" X255, "names/" X255 "x", "names/" X255 "x/..", "names/" X255 "/below", "names/" X255 X255, "names/a", "names/a/z",
    "names/a.b", "names/a-b", "names/aa", "names/a/../a.b", "wide", "wide/file-0000", "wide/file-0699", "wide/file-0700",
    "deep/level-00/level-01/level-02/level-03/level-04", "deep/level-00/level-01/level-02/level-03/level-04/missing",
};

/* Whether the path ends outside the tree, where a change would be a real one. */
__attribute__((unused)) static int leads_out(const char *path) {
    return path[0] == '/' || strncmp(path, "..", 2) == 0 || strstr(path, "links/out") != NULL ||
           strstr(path, "links/slash") != NULL || strstr(path, "links/hosts") != NULL ||
           strstr(path, "links/through-outside") != NULL || strstr(path, "links/dotdot/..") != NULL;
}

#endif
