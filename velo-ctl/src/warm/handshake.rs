//! One request, up to the moment when the child runs.
//!
//! The child prepares everything and says so; it runs when it is told to. Until then this side
//! can give up, and the child ends without having run a line.

use std::ffi::OsString;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
};

use super::attend::{self, Signals};
use super::directory::Directory;
use super::facts::Facts;
use super::key::Key;
use super::python::App;
use super::{Never, Reason, request};

/// How long a child may take to be ready. A parent's first one waits for the interpreter.
const READY_MAX: Duration = Duration::from_secs(20);
const READY: u8 = b'P';
const REFUSED: u8 = b'R';
const GO: &[u8] = b"G";
const TEXT_MAX: usize = 1000;

/// A connection whose other end a parent gets as its first.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Reason> {
    socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| format!("no connection: {error}"))
}

/// A child that waits for the word to run.
pub struct Child {
    /// The parent's.
    pub parent: i32,
    /// A descriptor of the process.
    pub process: OwnedFd,
}

/// Has the program run at the other end, and ends as it ends.
pub fn hand_over(
    connection: &OwnedFd,
    app: &App,
    facts: &Facts,
    variables: &[OsString],
    key: &Key,
    directory: &Directory,
) -> Result<Never, Reason> {
    let targets = request::inherited()?;
    let here = rustix::fs::open(
        ".",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| format!("working directory: {error}"))?;
    let signals = Signals::take();
    let prepared = || -> Result<Child, Reason> {
        let bytes = request::encode(
            app,
            facts,
            variables,
            key,
            directory,
            signals.blocked(),
            &targets,
        );
        let passed: Vec<BorrowedFd<'_>> = std::iter::once(here.as_fd())
            .chain(targets.iter().map(|number| request::borrowed(*number)))
            .collect();
        send_all(connection, &bytes, &passed)?;
        ready(connection)
    };
    match prepared() {
        Ok(child) => {
            let session = facts.terminal;
            if session {
                attend::leave_group(child.parent);
            }
            if send(connection, GO, SendFlags::NOSIGNAL) != Ok(1) {
                if session {
                    attend::return_to_group(facts.group);
                }
                signals.give_back();
                return Err("its parent ended".into());
            }
            drop(here);
            attend::attend(connection, &child, signals)
        }
        Err(reason) => {
            signals.give_back();
            Err(reason)
        }
    }
}

fn send_all(connection: &OwnedFd, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> Result<(), Reason> {
    let failed = |error: rustix::io::Errno| format!("its parent does not listen: {error}");
    let mut space =
        vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(request::TARGETS_MAX + 1))];
    let mut sent = 0;
    while sent < bytes.len() {
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if sent == 0 && !rights.push(SendAncillaryMessage::ScmRights(passed)) {
            return Err("it inherits too many descriptors".into());
        }
        match sendmsg(
            connection,
            &[IoSlice::new(&bytes[sent..])],
            &mut rights,
            SendFlags::NOSIGNAL,
        ) {
            Ok(count) => sent += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Waits for the answer.
fn ready(connection: &OwnedFd) -> Result<Child, Reason> {
    let deadline = Instant::now() + READY_MAX;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut process = None;
    let mut answer = Vec::new();
    loop {
        let wanted = match answer.first() {
            Some(&READY) => 9,
            Some(&REFUSED) if answer.len() >= 5 => {
                5 + (number(&answer[1..5]) as usize).min(TEXT_MAX)
            }
            _ => 5,
        };
        if answer.len() >= wanted {
            break;
        }
        wait(connection, deadline)?;
        let mut buffer = [0; 1 + 4 + TEXT_MAX];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            connection,
            &mut [std::io::IoSliceMut::new(
                &mut buffer[..wanted - answer.len()],
            )],
            &mut rights,
            RecvFlags::CMSG_CLOEXEC,
        );
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                process = descriptors.next().or(process);
            }
        }
        match received {
            Ok(message) if message.bytes > 0 => answer.extend_from_slice(&buffer[..message.bytes]),
            Err(rustix::io::Errno::INTR) => {}
            _ => return Err("its parent ended, or cannot be used".into()),
        }
    }
    match (answer[0], process) {
        (READY, Some(process)) => Ok(Child {
            parent: number(&answer[5..9]) as i32,
            process,
        }),
        (REFUSED, _) => Err(format!(
            "the parent refuses: {}",
            String::from_utf8_lossy(&answer[5..])
        )),
        _ => Err("its parent is of another version".into()),
    }
}

fn wait(connection: &OwnedFd, deadline: Instant) -> Result<(), Reason> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs() as _,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut polled = [PollFd::new(connection, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => return Err("its parent does not answer".into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("its parent: {error}")),
        }
    }
}

/// A number of an answer.
pub fn number(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
