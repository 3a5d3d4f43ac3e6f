//! The reader of program files, on heads made by hand.

use std::vec::Vec;

use super::{Kind, Machine, Obstacle, Source, look};

/// A file in memory.
struct Bytes<'b>(&'b [u8]);

impl Source for Bytes<'_> {
    type Error = ();

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, ()> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|start| self.0.get(start..))
            .unwrap_or(&[]);
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

fn kind(bytes: &[u8]) -> Kind {
    look(&mut Bytes(bytes)).unwrap()
}

/// Interpreter and argument of a script, `None` for what is no script.
fn script(bytes: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    match kind(bytes) {
        Kind::Script(line) => Some((
            line.interpreter().to_bytes().to_vec(),
            line.argument().map(|text| text.to_bytes().to_vec()),
        )),
        _ => None,
    }
}

fn of(interpreter: &str, argument: Option<&str>) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    Some((interpreter.into(), argument.map(Into::into)))
}

#[test]
fn first_lines_are_split_as_the_kernel_splits_them() {
    assert_eq!(script(b"#!/bin/sh\necho"), of("/bin/sh", None));
    let words = b"#! \t/usr/bin/env  python3 -X dev \t\nx";
    assert_eq!(script(words), of("/usr/bin/env", Some("python3 -X dev")));
    assert_eq!(script(b"#!/bin/true"), of("/bin/true", None));
    assert_eq!(
        script(b"#!/bin/sh -e  "),
        of("/bin/sh", Some("-e  ")),
        "no newline, no trimming"
    );
    assert_eq!(script(b"#!/bin/sh -a\0b\n"), of("/bin/sh", Some("-a")));
    for bad in [&b"#!\n/bin/sh"[..], b"#!   ", b"#!", b"#!  \t\n", b"#", b""] {
        assert_eq!(script(bad), None, "{bad:?}");
    }
}

#[test]
fn a_first_line_is_256_bytes_long_at_most() {
    let mut long = b"#!/".to_vec();
    long.resize(300, b'a');
    assert_eq!(script(&long), None, "a name cut off at 256 bytes");
    long[250] = b' ';
    let (name, argument) = script(&long).unwrap();
    assert_eq!((name.len(), argument), (248, Some(b"aaaa".to_vec())));
    long[255] = b' ';
    assert_eq!(script(&long).unwrap().1, Some(b"aaaa".to_vec()));
    long[250] = b'a';
    assert_eq!(script(&long).unwrap().0.len(), 253);
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A 64-bit little-endian program with these segments (type, content) and section names.
fn program(segments: &[(u32, &[u8])], sections: &[&str]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    put(&mut file, 18, &62_u16.to_le_bytes());
    put(&mut file, 32, &64_u64.to_le_bytes());
    put(&mut file, 54, &56_u16.to_le_bytes());
    put(&mut file, 56, &(segments.len() as u16).to_le_bytes());
    let mut end = 64 + 56 * segments.len();
    for (number, (kind, content)) in segments.iter().enumerate() {
        let header = 64 + 56 * number;
        put(&mut file, header, &kind.to_le_bytes());
        put(&mut file, header + 8, &(end as u64).to_le_bytes());
        put(
            &mut file,
            header + 32,
            &(content.len() as u64).to_le_bytes(),
        );
        put(&mut file, end, content);
        end += content.len();
    }
    let names: Vec<u8> = sections
        .iter()
        .flat_map(|name| [&[0], name.as_bytes()].concat())
        .chain([0])
        .collect();
    // Far from the head, as in real programs.
    let (strings, table) = (5000, 5000 + names.len());
    put(&mut file, strings, &names);
    put(&mut file, table, &[0; 64]);
    put(&mut file, table + 24, &(strings as u64).to_le_bytes());
    put(&mut file, table + 32, &(names.len() as u64).to_le_bytes());
    put(&mut file, 40, &(table as u64).to_le_bytes());
    put(&mut file, 58, &64_u16.to_le_bytes());
    put(&mut file, 60, &1_u16.to_le_bytes());
    file
}

const LOADER: (u32, &[u8]) = (3, b"/lib64/ld-linux-x86-64.so.2\0");

fn obstacle(file: &[u8], machine: Option<Machine>) -> Option<Obstacle> {
    match kind(file) {
        Kind::Elf(elf) => elf.obstacle(machine),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_with_a_loader_can_be_served() {
    let file = program(&[(6, b""), LOADER, (1, b"code")], &[".text", ".data"]);
    assert_eq!(obstacle(&file, None), None);
    let Kind::Elf(elf) = kind(&file) else {
        panic!("it is an ELF program")
    };
    let place = elf.interpreter.unwrap();
    let path = &file[place.offset as usize..][..place.bytes as usize];
    assert_eq!(path, LOADER.1);
}

#[test]
fn without_a_loader_it_is_static_unless_it_is_the_loader() {
    assert_eq!(
        obstacle(&program(&[(1, b"code")], &[]), None),
        Some(Obstacle::Static)
    );
    let entry = |tag: u64| [tag.to_le_bytes(), [0; 8]].concat();
    let soname = [entry(5), entry(14), entry(0)].concat();
    assert_eq!(obstacle(&program(&[(2, &soname)], &[]), None), None);
    let pie = [entry(5), entry(0), entry(14)].concat();
    assert_eq!(
        obstacle(&program(&[(2, &pie)], &[]), None),
        Some(Obstacle::Static)
    );
}

/// Where its libraries are looked for, and whether that is first.
fn search_path(tags: &[(u64, u64)], strings: &[u8]) -> Option<(Vec<u8>, bool)> {
    let entry = |(tag, value): &(u64, u64)| [tag.to_le_bytes(), value.to_le_bytes()].concat();
    let dynamic: Vec<u8> = tags.iter().flat_map(entry).collect();
    let file = program(&[LOADER, (1, strings), (2, &dynamic)], &[]);
    let Kind::Elf(elf) = kind(&file) else {
        panic!("it is an ELF program")
    };
    let path = elf.search_path(&mut Bytes(&file)).unwrap()?;
    let mut out = [0; 12];
    let text = path.text(&mut Bytes(&file), &mut out).unwrap();
    Some((text.to_vec(), path.first))
}

#[test]
fn the_places_of_libraries_are_read() {
    let strings = b"\0/a:$ORIGIN\0/b\0/longer-than-room\0";
    let (table, end) = ((5, 0), (0, 0));
    let first = Some((b"/a:$ORIGIN".to_vec(), true));
    assert_eq!(search_path(&[(1, 9), (15, 1), table, end], strings), first);
    let later = Some((b"/b".to_vec(), false));
    assert_eq!(search_path(&[table, (15, 1), (29, 12)], strings), later);
    let unread = Some((Vec::new(), false));
    assert_eq!(search_path(&[table, (29, 15), end], strings), unread);
    assert_eq!(search_path(&[table, end, (29, 1)], strings), None);
    assert_eq!(search_path(&[(29, 1), end], strings), None, "no strings");
    assert_eq!(search_path(&[(5, 9999), (29, 1), end], strings), None);
    let many: Vec<(u64, u64)> = (0..100).map(|_| (1, 9)).chain([table, (29, 12)]).collect();
    assert_eq!(search_path(&many, strings), later);
}

#[test]
fn runtimes_with_system_calls_of_their_own_are_known_by_their_marks() {
    let note = |owner: &[u8]| {
        let other = [
            &[4_u32.to_le_bytes(), [5, 0, 0, 0], 1_u32.to_le_bytes()].concat()[..],
            b"GNU\0",
            b"12345\0\0\0",
        ];
        let own = [
            &[4_u32.to_le_bytes(), [3, 0, 0, 0], 4_u32.to_le_bytes()].concat()[..],
            owner,
            b"abc\0",
        ];
        [other.concat(), own.concat()].concat()
    };
    let go = program(&[LOADER, (4, &note(b"Go\0\0"))], &[]);
    assert_eq!(obstacle(&go, None), Some(Obstacle::Go));
    assert_eq!(
        obstacle(&program(&[LOADER, (4, &note(b"GNU\0"))], &[]), None),
        None
    );
    for (section, expected) in [
        (".gopclntab", Obstacle::Go),
        (".go.buildinfo", Obstacle::Go),
        (".note.go.buildid", Obstacle::Go),
        (".bun", Obstacle::Bun),
    ] {
        let file = program(&[LOADER], &[".text", section, ".bss"]);
        assert_eq!(obstacle(&file, None), Some(expected), "{section}");
    }
    assert_eq!(
        obstacle(&program(&[LOADER], &[".text.bun", ".bundle"]), None),
        None
    );
}

#[test]
fn other_machines_are_told_apart() {
    let mut file = program(&[LOADER], &[]);
    let Kind::Elf(elf) = kind(&file) else {
        panic!("it is an ELF program")
    };
    let own = elf.machine;
    assert_eq!(obstacle(&file, Some(own)), None);
    put(&mut file, 18, &183_u16.to_le_bytes());
    assert_eq!(obstacle(&file, Some(own)), Some(Obstacle::Machine));
    assert_eq!(obstacle(&file, None), None);
    // A 32-bit program has its headers elsewhere.
    let mut small = b"\x7fELF\x01\x01\x01".to_vec();
    put(&mut small, 18, &3_u16.to_le_bytes());
    put(&mut small, 28, &52_u32.to_le_bytes());
    put(&mut small, 42, &32_u16.to_le_bytes());
    put(&mut small, 44, &1_u16.to_le_bytes());
    put(&mut small, 52, &3_u32.to_le_bytes());
    put(&mut small, 56, &84_u32.to_le_bytes());
    put(&mut small, 68, &20_u32.to_le_bytes());
    put(&mut small, 84, b"/lib/ld-linux.so.2\0\0");
    assert_eq!(obstacle(&small, Some(own)), Some(Obstacle::Machine));
    assert_eq!(obstacle(&small, None), None);
}

#[test]
fn programs_of_this_machine() {
    let own = std::fs::read("/proc/self/exe").unwrap();
    assert_eq!(obstacle(&own, Some(Machine::OWN)), None);
    for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
        if let Ok(file) = std::fs::read(loader) {
            assert_eq!(obstacle(&file, Some(Machine::OWN)), None, "{loader}");
        }
    }
}

#[test]
fn whatever_the_bytes_say_is_an_answer() {
    let sound = program(
        &[LOADER, (4, &[1; 40]), (2, &[14; 64])],
        &[".gnu.version_d", ".go"],
    );
    for length in 0..sound.len() {
        let _ = kind(&sound[..length]);
    }
    for position in 0..sound.len().min(400) {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut mutant = sound.clone();
            mutant[position] = byte;
            let _ = kind(&mutant);
        }
    }
    assert_eq!(kind(b"\x7fELF"), Kind::Other);
    assert_eq!(
        kind(b"\x7fELF\x02\x01 and then nothing of the kind"),
        Kind::Other
    );
}
