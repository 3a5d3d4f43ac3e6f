"""Reads a manifest by docs/FORMAT.md alone, and compares it with the tree that it was made of.

    format.py MANIFEST TREE MOUNT

Knows nothing of the code: if this and the page disagree with a manifest, the page is wrong. Prints what it
has compared; the first difference ends it. Slow on purpose: BLAKE3 and rapidhash are written out here.
"""

import os
import stat
import struct
import sys

U64 = (1 << 64) - 1

# rapidhash v3, the published C++ function.
SECRET = (0x2D358DCCAA6C78A5, 0x8BB84B93962EACC9, 0x4B33A62ED433D4A3, 0x4D5A2DA51DE1AA47,
          0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x90ED1765281C388C, 0xAAAAAAAAAAAAAAAA)


def mix(a, b):
    product = a * b
    return (product & U64) ^ (product >> 64)


def rapidhash(data, seed=0):
    def word(at):
        return int.from_bytes(data[at:at + 8], "little")

    seed ^= mix(seed ^ SECRET[2], SECRET[1])
    left = len(data)
    if left <= 16:
        a = b = 0
        if left >= 4:
            seed ^= left
            size = 8 if left >= 8 else 4
            a = int.from_bytes(data[:size], "little")
            b = int.from_bytes(data[-size:], "little")
        elif left:
            a = data[0] << 45 | data[-1]
            b = data[left >> 1]
    else:
        at = 0
        if left > 112:
            lanes = [seed] * 7
            while left > 112:
                for lane in range(7):
                    lanes[lane] = mix(word(at) ^ SECRET[lane], word(at + 8) ^ lanes[lane])
                    at += 16
                left -= 112
            seed = 0
            for lane in lanes:
                seed ^= lane
        for step, secret in enumerate((2, 2, 1, 1, 2, 1)):
            if left > 16 + 16 * step:
                seed = mix(word(at + 16 * step) ^ SECRET[secret], word(at + 16 * step + 8) ^ seed)
        a = word(len(data) - 16) ^ left
        b = word(len(data) - 8)
    product = (a ^ SECRET[1]) * (b ^ seed)
    return mix(product & U64 ^ SECRET[7], product >> 64 ^ SECRET[1] ^ left)


# BLAKE3, from its specification.
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXED = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED = 1, 2, 4, 8, 16


def compress(chain, block, counter, size, flags):
    m = struct.unpack("<16I", block.ljust(64, b"\0"))
    v = [*chain, *IV[:4], counter & 0xFFFFFFFF, counter >> 32, size, flags]
    for turn in range(7):
        for at, (a, b, c, d) in enumerate(MIXED):
            for half, (first, second) in enumerate(((16, 12), (8, 7))):
                v[a] = v[a] + v[b] + m[2 * at + half] & 0xFFFFFFFF
                x = v[d] ^ v[a]
                v[d] = (x >> first | x << 32 - first) & 0xFFFFFFFF
                v[c] = v[c] + v[d] & 0xFFFFFFFF
                x = v[b] ^ v[c]
                v[b] = (x >> second | x << 32 - second) & 0xFFFFFFFF
        m = [m[place] for place in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def blake3(data, key=None):
    words = IV if key is None else struct.unpack("<8I", key)
    mode = 0 if key is None else KEYED

    def subtree(start, stop, root):
        if stop - start <= 1024:
            chain = words
            blocks = range(start, max(stop, start + 1), 64)
            for at in blocks:
                flags = mode | (CHUNK_START if at == start else 0)
                if at == blocks[-1]:
                    flags |= CHUNK_END | root
                block = data[at:min(at + 64, stop)]
                chain = compress(chain, block, start // 1024, len(block), flags)
            return chain
        left = 1024
        while left * 2 < stop - start:
            left *= 2
        pair = subtree(start, start + left, 0) + subtree(start + left, stop, 0)
        return compress(words, struct.pack("<16I", *pair), 0, 64, mode | PARENT | root)

    return struct.pack("<8I", *subtree(0, len(data), ROOT))


def expect(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: expected {expected!r}, found {found!r}")


NAMES = ("", "PHF", "SLOTS", "VNODES", "NODES", "NAMES", "OWNERS", "TARGETS", "HARDLINKS", "XATTRS", "ROOTS",
         "PACKAGES", "PROVENANCE", "SOURCE_STAT", "SPARSE", "SUBDIRS", "MODULES")
DIR, SYMLINK, EXECUTABLE, IN_VIEW, PUBLIC, HARDLINK, SPARSE, XATTR = (1 << bit for bit in range(8))


def table(section, form):
    return list(struct.iter_unpack("<" + form, section))


class Manifest:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.file = data = file.read()
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
        expect("magic", b"\x89VELO\r\n\x1a", data[:8])
        version, endian, compat, ro_compat, incompat, size = struct.unpack_from("<II QQQQ", data, 8)
        expect("version, endian", (1, 0x01020304), (version, endian))
        expect("feature bits", (0, 0), (compat, ro_compat))
        expect("incompatible features but UNSLOTTED", 0, incompat & ~1)
        expect("file_bytes", len(data), size)
        self.count, self.root_count, checksum = struct.unpack_from("<II Q", data, 48)
        self.digest = data[64:96]
        expect("header_checksum", struct.unpack_from("<Q", data, 504)[0], rapidhash(data[:504]))
        expect("body_checksum", checksum, rapidhash(data[512:]))
        expect("body_digest", self.digest, blake3(data[512:]))
        stamp = int.from_bytes(self.digest[:8], "little") % 1_000_000_000 or 1
        expect("stamp", stamp, mtime_ns % 1_000_000_000)
        self.section = dict.fromkeys(NAMES[1:], b"")
        at = 512
        for kind, reserved, offset, length in table(data[96:504], "IIQQ"):
            if kind:
                expect("place of a section", (0, at), (reserved, offset))
                self.section[NAMES[kind]] = data[offset:offset + length]
                at = (offset + length + 63) // 64 * 64
                expect("padding", b"", data[offset + length:at].strip(b"\0"))
        expect("end of the last section", len(data), at)
        self.vnodes = table(self.section["VNODES"], "32s QQ I HH")
        self.nodes = table(self.section["NODES"], "IIII IHBB")
        self.owners = table(self.section["OWNERS"], "II")
        self.stats = table(self.section["SOURCE_STAT"], "QQqqq IIIIII")
        self.sparse = {entry: blocks for entry, _, blocks in table(self.section["SPARSE"], "IIQ")}
        self.subdirs = dict(table(self.section["SUBDIRS"], "II"))
        expect("entries", (self.count, self.count), (len(self.vnodes), len(self.nodes)))
        self.read_links()
        self.read_xattrs()
        self.read_phf()
        self.read_modules()

    def read_links(self):
        self.groups, self.group_of_symlink = [], {}
        section = self.section["HARDLINKS"]
        if section:
            groups, members, symlinks, zero = struct.unpack_from("<4I", section)
            expect("reserved of HARDLINKS", 0, zero)
            at = 16 + 8 * groups
            list_of_members = [member for member, in table(section[at:at + 4 * members], "I")]
            for first, count in table(section[16:at], "II"):
                self.groups.append(list_of_members[first:first + count])
            at += 4 * members
            self.group_of_symlink = dict(table(section[at:], "II"))
            expect("symlinks of HARDLINKS", symlinks, len(self.group_of_symlink))

    def read_xattrs(self):
        self.xattrs = {}
        section = self.section["XATTRS"]
        if section:
            entries, lists = struct.unpack_from("<II", section)
            starts = [start for start, in table(section[8 + 8 * entries:8 + 8 * entries + 4 * lists], "I")]
            base = 8 + 8 * entries + 4 * lists
            for entry, number in table(section[8:8 + 8 * entries], "II"):
                at, found = base + starts[number], {}
                count, = struct.unpack_from("<I", section, at)
                at += 4
                for _ in range(count):
                    name, value = struct.unpack_from("<II", section, at)
                    at += 8
                    found[section[at:at + name]] = section[at + name:at + name + value]
                    at += name + value
                self.xattrs[entry] = found

    def read_phf(self):
        section = self.section["PHF"]
        self.keys, self.per_part, self.parts, self.bits, self.multiplier = struct.unpack_from("<4IQ", section)
        self.pilots = section[24:]
        self.slots = table(self.section["SLOTS"], "II")
        expect("pilots", self.parts << self.bits, len(self.pilots))
        expect("slots", self.parts * self.per_part, len(self.slots))

    def lookup(self, root, path):
        key = rapidhash(path, root)
        position = key * self.multiplier & U64
        bucket = position * (self.parts << self.bits) >> 64
        mixed = (position ^ self.pilots[bucket] * 0x9E3779B97F4A7C15 & U64) * 0xD6E8FEB86659FD93 & U64
        tag, entry = self.slots[(bucket >> self.bits) * self.per_part + (mixed * self.per_part >> 64)]
        return entry if tag == key >> 32 else None

    def name(self, entry):
        offset, length = self.nodes[entry][1], self.nodes[entry][6]
        return self.section["NAMES"][offset:offset + length]

    def read_modules(self):
        """The records by directory and name: flags, place, source."""
        self.modules = {}
        section = self.section["MODULES"]
        if not section:
            return
        count, bits = struct.unpack_from("<II", section)
        expect("bits of a bucket", (max(1, -(-count // 4)) - 1).bit_length(), bits)
        starts = [start for start, in table(section[8:8 + (4 << bits)], "I")]
        records = table(section[8 + (4 << bits):], "IIII")
        expect("modules", count, len(records))
        expect("order of modules", sorted(records, key=lambda record: (record[0], record[2])), records)
        buckets = [record[0] >> 32 - bits for record in records]
        expect("buckets", [sum(other < bucket for other in buckets) for bucket in range(1 << bits)], starts)
        for hashed, flags, place, source in records:
            directory, name = self.nodes[place][0], self.name(place).split(b".")[0]
            expect(f"hash of module {name!r}", rapidhash(name, directory) >> 32, hashed)
            self.modules[directory, name] = flags, place, source

    def children(self, entry):
        first, count = self.nodes[entry][2:4]
        return range(first, first + count)

    def target(self, entry):
        offset, length = self.nodes[entry][2:4]
        return self.section["TARGETS"][offset:offset + length]

    def mount(self, root):
        offset, length = struct.unpack_from("<II", self.section["ROOTS"], 8 * root)
        return self.section["ROOTS"][offset:offset + length]

    def stat(self, entry):
        """What stat(2) answers: mode, size, mtime ns, owner, inode, links, blocks, block size, ctime ns."""
        _, size, mtime, mode, flags, zero = self.vnodes[entry]
        _, _, first, count, nanoseconds, owner, _, subdirs = self.nodes[entry]
        expect("reserved of a vnode", 0, zero)
        mtime = (mtime - (mtime >> 63 << 64)) * 1_000_000_000 + nanoseconds
        inode, links = entry + 1, 1
        if flags & DIR:
            links = 2 + (self.subdirs[entry] if subdirs == 255 else subdirs)
        elif flags & HARDLINK:
            group = self.groups[self.group_of_symlink[entry] if flags & SYMLINK else count - 1]
            expect(f"entry {entry} in its group", True, entry in group)
            inode, links = group[0] + 1, len(group)
        blocks = -(-size // 4096) * 8
        if flags & SYMLINK:
            blocks = 0 if size < 60 else 8
        if flags & SPARSE:
            blocks = self.sparse[entry]
        answer = [mode, size, mtime, self.owners[owner], inode, links, blocks, 4096, mtime]
        if self.stats:
            ino, blocks, _, ctime, _, _, ctime_ns, _, nlink, blksize, zero = self.stats[entry]
            expect("reserved of SOURCE_STAT", 0, zero)
            answer[4:] = [ino, nlink, blocks, blksize, ctime * 1_000_000_000 + ctime_ns]
        return answer


def directory_hash(manifest, entry):
    text = b""
    for child in manifest.children(entry):
        name = manifest.name(child)
        text += struct.pack("<IB", manifest.vnodes[child][3], len(name)) + name + manifest.vnodes[child][0]
    return blake3(text, b"velo manifest v1: directory hash")


SUFFIXES = ((b".py", 16), (b".pyc", 32), (b".so", 64))


def module_flags(directory, name):
    """(flags, first name, path of the source or None) by looking; flags are 0 of what is no module."""
    def files(directory, stem):
        flags, first, source = 0, None, None
        for found in sorted(os.listdir(directory)):
            path = os.path.join(directory, found)
            for suffix, flag in SUFFIXES:
                named = found == stem + suffix or flag == 64 and found.startswith(stem + b".") and found.endswith(suffix)
                if named and not stat.S_ISDIR(os.lstat(path).st_mode):
                    first = first or found
                    flags |= 128 if os.path.islink(path) else flag
                    if flag == 16 and not os.path.islink(path):
                        source = path
        return flags, first, source

    path = os.path.join(directory, name)
    flags, first, source = files(directory, name)
    if os.path.islink(path):
        return flags | 128, name, source
    if os.path.isdir(path):
        init, _, package = files(path, b"__init__")
        return flags | 1 | init & 128 | (init & 0x70) >> 3, name, package or source
    return flags, first, source


def compare_modules(manifest, tree, paths):
    """`paths`: of all entries, by number."""
    expected = {}
    for entry, path in paths.items():
        real = os.path.join(tree, path) if path else tree
        if not manifest.vnodes[entry][4] & DIR:
            continue
        for name in {found.split(b".")[0] for found in os.listdir(real)} - {b""}:
            flags, first, source = module_flags(real, name)
            if flags:
                expected[entry, name] = flags, first, source
    if not any(flags & 0x7E for flags, _, _ in expected.values()):
        expected = {}
    numbers = {os.path.join(tree, path): entry for entry, path in paths.items()}
    expect("names of modules", sorted(expected), sorted(manifest.modules))
    for key, (flags, first, source) in expected.items():
        found, place, number = manifest.modules[key]
        expect(f"module {key}", (flags, first, numbers.get(source, 0xFFFFFFFF)), (found, manifest.name(place), number))


def compare(manifest, tree, read_bytes_max=8192):
    seen, inodes, read, paths = 0, {}, 0, {}
    waiting = [(0, b"", True)]
    while waiting:
        entry, path, public_above = waiting.pop()
        seen += 1
        paths[entry] = path
        real = os.path.join(tree, path) if path else tree
        info = os.lstat(real)
        mode, size, mtime, owner, inode, links, blocks, blksize, ctime = manifest.stat(entry)
        flags = manifest.vnodes[entry][4]
        expect(f"{path!r}: mode, size, mtime, owner",
               (info.st_mode, info.st_size, info.st_mtime_ns, (info.st_uid, info.st_gid)), (mode, size, mtime, owner))
        if manifest.stats:
            expect(f"{path!r}: inode, links, blocks, block size, ctime",
                   (info.st_ino, info.st_nlink, info.st_blocks, info.st_blksize, info.st_ctime_ns),
                   (inode, links, blocks, blksize, ctime))
        else:
            expect(f"{path!r}: one inode number for each inode", inode, inodes.setdefault(info.st_ino, inode))
        expect(f"{path!r}: lookup", entry, manifest.lookup(0, path))
        is_public = public_above and (not flags & DIR or mode & 0o111 == 0o111)
        expect(f"{path!r}: PUBLIC", is_public, bool(flags & PUBLIC))
        attributes = {}
        if not stat.S_ISLNK(mode):
            names = [name for name in os.listxattr(real) if name.startswith("user.")]
            attributes = {name.encode(): os.getxattr(real, name) for name in names}
        expect(f"{path!r}: attributes", attributes, manifest.xattrs.get(entry, {}))
        if stat.S_ISDIR(mode):
            expect(f"{path!r}: names", sorted(os.listdir(real)), [manifest.name(c) for c in manifest.children(entry)])
            expect(f"{path!r}: directory hash", manifest.vnodes[entry][0], directory_hash(manifest, entry))
            for child in manifest.children(entry):
                expect("parent", entry, manifest.nodes[child][0])
                name = manifest.name(child)
                waiting.append((child, path + b"/" + name if path else name, is_public))
        elif stat.S_ISLNK(mode):
            expect(f"{path!r}: target", os.readlink(real), manifest.target(entry))
            expect(f"{path!r}: hash of the target", blake3(manifest.target(entry)), manifest.vnodes[entry][0])
        elif size <= read_bytes_max:
            with open(real, "rb") as file:
                expect(f"{path!r}: content", blake3(file.read()), manifest.vnodes[entry][0])
            read += 1
    expect("entries", manifest.count, seen)
    compare_modules(manifest, tree, paths)
    return seen, read


def main():
    path, tree, mount = sys.argv[1:]
    expect("BLAKE3 of nothing", "af1349b9f5f9a1a6a0404dea36dcc949", blake3(b"").hex()[:32])
    manifest = Manifest(path)
    expect("roots", (1, os.fsencode(mount)), (manifest.root_count, manifest.mount(0)))
    expect("a path that is not there", False, manifest.lookup(0, b"no/such/path") not in (None, 0xFFFFFFFF))
    seen, read = compare(manifest, os.fsencode(tree))
    print(f"{seen} entries and {read} contents are as docs/FORMAT.md says")


main()
