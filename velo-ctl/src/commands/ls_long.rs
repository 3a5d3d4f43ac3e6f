//! The long form of `ls`: the columns of `ls -l` in the C locale.

use std::time::{SystemTime, UNIX_EPOCH};

use velo_core::manifest::Time;

use super::ls::Listing;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::format::{self, Accounts};
use crate::output::Output;

/// Half a Gregorian year in seconds: younger files show the time of day.
const RECENT_SECONDS: i64 = 31_556_952 / 2;

/// Shows one listing, columns aligned.
pub fn show(out: &mut Output, listing: &Listing) -> Result<(), Failure> {
    let mut accounts = Accounts::default();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    let rows: Vec<[String; 6]> = listing
        .entries
        .iter()
        .map(|entry| row(entry, &mut accounts, now))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (links, user, group, size) = (width(1), width(2), width(3), width(4));
    if listing.heading.is_some() {
        let kibibytes = listing
            .entries
            .iter()
            .map(|entry| entry.metadata.blocks)
            .sum::<u64>()
            .div_ceil(2);
        out.line(format_args!("total {kibibytes}"))?;
    }
    for (entry, row) in listing.entries.iter().zip(&rows) {
        let [permissions, count, owner, owners, bytes, time] = row;
        let columns = format!(
            "{permissions} {count:>links$} {owner:<user$} {owners:<group$} {bytes:>size$} {time} "
        );
        out.bytes(columns.as_bytes())?;
        out.name(&entry.name)?;
        if let Some(target) = &entry.target {
            out.bytes(b" -> ")?;
            out.name(target)?;
        }
        out.bytes(b"\n")?;
    }
    Ok(())
}

fn row(entry: &Entry, accounts: &mut Accounts, now: i64) -> [String; 6] {
    let data = &entry.metadata;
    let named = |name: Option<&str>, id: u32| name.map_or_else(|| id.to_string(), str::to_owned);
    [
        format::permissions(data.mode),
        data.nlink.to_string(),
        named(accounts.user(data.uid), data.uid),
        named(accounts.group(data.gid), data.gid),
        data.size.to_string(),
        short_time(data.mtime, now),
    ]
}

fn short_time(time: Time, now: i64) -> String {
    let recent = time.sec <= now && now - time.sec < RECENT_SECONDS;
    format::local_time(time.sec, if recent { c"%b %e %H:%M" } else { c"%b %e  %Y" })
}
