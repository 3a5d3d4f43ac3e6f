//! Round trips of every id kind, and messages that say expected and found.
extern crate std;
use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::{ContentHash, HexPrefix, ObjectId, ParseIdError, TenantId};

const HEX: &str = "a8f9c1d20123456789abcdef0123456789abcdef0123456789abcdef01234567";

fn message<T: core::fmt::Debug>(result: Result<T, ParseIdError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn prints_and_parses_the_forms_of_the_spec() {
    let hash: ContentHash = HEX.parse().unwrap();
    assert_eq!(hash.as_bytes()[..4], [0xa8, 0xf9, 0xc1, 0xd2]);
    assert_eq!(hash.to_string(), HEX);
    assert_eq!(format!("{hash:.8}"), "a8f9c1d2");
    for kind in ["blob", "tree", "uvlock"] {
        let text = format!("{kind}:{HEX}");
        assert_eq!(ObjectId::parse(&text).unwrap().to_string(), text);
    }
    let commit = format!("commit:{}", &HEX[..40]);
    assert_eq!(ObjectId::parse(&commit).unwrap().to_string(), commit);
    let tenant = "ref:refs/tenants/user_123/HEAD";
    assert_eq!(
        ObjectId::parse(tenant),
        Ok(ObjectId::TenantRef(TenantId("user_123")))
    );
    assert_eq!(ObjectId::parse(&tenant[4..]).unwrap().to_string(), tenant);
}

#[test]
fn long_forms_and_upper_case_are_the_same_id() {
    let upper = HEX.to_uppercase();
    for (short, long) in [
        (format!("blob:{HEX}"), format!("blob:blake3:{upper}")),
        (format!("tree:{HEX}"), format!("tree:blake3:{HEX}")),
        (format!("uvlock:{HEX}"), format!("uvlock:sha256:{HEX}")),
        (
            format!("commit:{}", &HEX[..40]),
            format!("commit:sha1:{}", &HEX[..40]),
        ),
    ] {
        assert_eq!(ObjectId::parse(&short), ObjectId::parse(&long), "{long}");
        assert!(ObjectId::parse(&short).is_ok(), "{short}");
    }
    assert!(
        ObjectId::parse(&format!("blob:sha256:{HEX}")).is_err(),
        "the algorithm is part of the kind"
    );
}

#[test]
fn messages_say_expected_and_found() {
    assert_eq!(
        message(ObjectId::parse("bolb:00")),
        "expected an id that begins with blob:, tree:, commit:, ref: or uvlock:, found \"bolb:00\""
    );
    assert_eq!(
        message(ObjectId::parse("blob:00")),
        "expected 64 hexadecimal digits, found 2 characters"
    );
    let too_long = format!("{HEX}0");
    assert_eq!(
        message(too_long.parse::<ContentHash>()),
        "expected 64 hexadecimal digits, found 65 characters"
    );
    assert_eq!(
        message("12é4".parse::<ContentHash>()),
        "expected a hexadecimal digit at position 3, found 'é'"
    );
    assert_eq!(
        message("a8f9c1d".parse::<HexPrefix>()),
        "expected 8 to 64 hexadecimal digits, found 7 characters"
    );
    assert_eq!(
        message(ObjectId::parse("ref:refs/heads/a-branch-with-a-long-name")),
        "expected refs/tenants/<id>/HEAD, found \"refs/heads/a-branch-with-a-lon\"..."
    );
    assert!(message(TenantId::parse("a/b")).ends_with("found \"a/b\""));
}

#[test]
fn tenant_names_are_safe_as_a_directory_and_in_a_ref() {
    for good in ["a", "user_123", "A-b.c", "0"] {
        assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
    }
    let long = "x".repeat(129);
    for bad in [
        "", ".", "..", ".a", "-rf", "a.", "a..b", "a.lock", "a/b", "a b", "ä", "a\0", &long,
    ] {
        assert!(TenantId::parse(bad).is_err(), "{bad:?}");
    }
}

#[cfg(feature = "std")]
#[test]
fn hashes_with_blake3() {
    // The test vector of the BLAKE3 paper for the empty input.
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(ContentHash::of(b"").to_string(), empty);
}

proptest! {
    #[test]
    fn hashes_round_trip(bytes: [u8; 32], commit: [u8; 20]) {
        let hash = ContentHash::from_bytes(bytes);
        prop_assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        for id in [ObjectId::Blob(hash), ObjectId::Tree(hash), ObjectId::UvLock(bytes), ObjectId::Commit(commit)] {
            let text = id.to_string();
            prop_assert_eq!(ObjectId::parse(&text), Ok(id));
        }
    }

    #[test]
    fn any_text_is_an_id_that_prints_back_or_an_error(text in "(blob:|tree:|ref:|ref:refs/tenants/|)\\PC{0,80}") {
        if let Ok(id) = ObjectId::parse(&text) {
            let printed = id.to_string();
            prop_assert_eq!(ObjectId::parse(&printed), Ok(id));
        }
    }

    #[test]
    fn a_prefix_matches_what_starts_with_it(bytes: [u8; 32], digits in 8_usize..=64, wrong in 0_usize..64) {
        let hash = ContentHash::from_bytes(bytes);
        let text = hash.to_string();
        let prefix: HexPrefix = text[..digits].parse().unwrap();
        prop_assert_eq!(prefix.to_string(), &text[..digits]);
        prop_assert_eq!(prefix.digits(), digits);
        prop_assert!(prefix.matches(&bytes));
        prop_assert!(prefix.lowest() <= hash);
        let mut other = bytes;
        other[wrong / 2] ^= if wrong.is_multiple_of(2) { 0x10 } else { 0x01 };
        prop_assert_eq!(prefix.matches(&other), wrong >= digits);
        prop_assert!(!prefix.matches(&bytes[..3]), "shorter than the prefix");
    }
}
