//! While the child runs: signals go on to it, it stops and goes on with this process, and this
//! process ends exactly as it ended.
//!
//! With a terminal the child has this process's place in its group, and this process moves to
//! the parent's, so that nothing that is sent to the group arrives twice.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::Never;
use super::handshake::{Child, number};

const ENDED: u8 = b'X';
const STOPPED: u8 = b'T';
const CONTINUED: u8 = b'C';
/// `si_code` of what the kernel itself sends: the terminal's keys.
const SI_KERNEL: i32 = 0x80;
/// The child's end is not known: the parent was killed, and the kernel cannot say.
const UNKNOWN_STATUS: i32 = 125;
const STATUS_TRIES: u32 = 100;

/// All signals, blocked and read from a descriptor.
pub struct Signals {
    before: libc::sigset_t,
    descriptor: Option<OwnedFd>,
}

impl Signals {
    /// Blocks all.
    pub fn take() -> Self {
        // SAFETY: whole sets to fill; this process has one thread.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            libc::sigdelset(&raw mut all, libc::SIGCHLD);
            let descriptor =
                libc::signalfd(-1, &raw const all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            let descriptor = (descriptor >= 0).then(|| OwnedFd::from_raw_fd(descriptor));
            Self { before, descriptor }
        }
    }

    /// The mask that this process was given, one bit a signal.
    pub fn blocked(&self) -> u64 {
        (1..=64)
            // SAFETY: a set that sigprocmask filled.
            .filter(|signal| unsafe { libc::sigismember(&raw const self.before, *signal) } == 1)
            .fold(0, |mask, signal| mask | 1 << (signal - 1))
    }

    /// Puts the mask back as it was; what is pending arrives.
    pub fn give_back(self) {
        // SAFETY: a set that sigprocmask filled.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }

    fn next(&self) -> Option<libc::signalfd_siginfo> {
        let descriptor = self.descriptor.as_ref()?;
        // SAFETY: plain numbers, to be overwritten.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of_val(&info);
        // SAFETY: `size` bytes are there to write to.
        let count = unsafe { libc::read(descriptor.as_raw_fd(), (&raw mut info).cast(), size) };
        (count == size as isize).then_some(info)
    }
}

/// Leaves the group to the child.
pub fn leave_group(parent: i32) {
    // SAFETY: numbers only; a refusal leaves everything as it was.
    unsafe { libc::setpgid(0, libc::getpgid(parent)) };
}

/// Takes the place back.
pub fn return_to_group(group: i32) {
    // SAFETY: numbers only.
    unsafe { libc::setpgid(0, group) };
}

/// Until the child ended.
pub fn attend(connection: &OwnedFd, child: &Child, signals: Signals) -> ! {
    let mut answer = Vec::new();
    let mut open = true;
    loop {
        let mut polled = Vec::new();
        if let Some(descriptor) = &signals.descriptor {
            polled.push(PollFd::new(descriptor, PollFlags::IN));
        }
        // Without a parent, the end of the child itself.
        let last = if open {
            connection.as_fd()
        } else {
            child.process.as_fd()
        };
        polled.push(PollFd::from_borrowed_fd(last, PollFlags::IN));
        if poll(&mut polled, None).is_err_and(|error| error != Errno::INTR) {
            end(UNKNOWN_STATUS << 8);
        }
        let ready = polled.last().is_some_and(|last| !last.revents().is_empty());
        drop(polled);
        while let Some(info) = signals.next() {
            forward(&info, child);
        }
        if !ready {
            continue;
        }
        if !open {
            end(status_of(&child.process).unwrap_or(UNKNOWN_STATUS << 8));
        }
        let mut buffer = [0; 5];
        match recv(
            connection,
            &mut buffer[..5 - answer.len()],
            RecvFlags::empty(),
        ) {
            Ok((0, _)) | Err(Errno::CONNRESET) => open = false,
            Ok((count, _)) => answer.extend_from_slice(&buffer[..count]),
            Err(_) => {}
        }
        if answer.len() == 5 {
            let value = number(&answer[1..]) as i32;
            match answer[0] {
                ENDED => end(value),
                STOPPED => stop(value, child),
                CONTINUED => {}
                _ => open = false,
            }
            answer.clear();
        }
    }
}

/// Sends a signal on, as this process got it.
fn forward(info: &libc::signalfd_siginfo, child: &Child) {
    let signal = info.ssi_signo as i32;
    let from_parent = signal == libc::SIGCONT && info.ssi_pid == child.parent as u32;
    // What the terminal sends to the group, the child got itself.
    if info.ssi_code == SI_KERNEL || from_parent {
        return;
    }
    send_to(child, signal);
}

fn send_to(child: &Child, signal: i32) {
    let none = ptr::null::<libc::siginfo_t>();
    // SAFETY: a descriptor of a process, a number, and no further information.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            child.process.as_raw_fd(),
            signal,
            none,
            0,
        )
    };
}

/// Stops as the child did, so that the shell sees it; the child goes on when this does.
fn stop(signal: i32, child: &Child) {
    // SAFETY: sets of signals to fill, numbers; this process has one thread.
    unsafe {
        let mut one: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut one);
        libc::sigaddset(&raw mut one, signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
        // Here it stops.
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const one, &raw mut before);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
    }
    let _ = child;
}

/// How a process ended that is not a child of this one, where the kernel tells (Linux 6.15).
fn status_of(process: &OwnedFd) -> Option<i32> {
    const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // struct pidfd_info, 64 bytes: the mask first, the exit code in the last four.
    let mut info = [0_u64; 8];
    // It is told when whoever is its parent now has waited for it.
    for _ in 0..STATUS_TRIES {
        info[0] = PIDFD_INFO_EXIT;
        // SAFETY: a descriptor, and as many bytes as the request's number says.
        let asked =
            unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO as _, info.as_mut_ptr()) };
        if asked == 0 && info[0] & PIDFD_INFO_EXIT != 0 {
            return Some((info[7] >> 32) as i32);
        }
        // Who does not wait for its children leaves them where their status can be read.
        if asked == 0
            && let Some(status) = status_of_zombie(info[2] as u32)
        {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// The wait status of a process that nobody has waited for yet: the last field of its `stat`.
fn status_of_zombie(pid: u32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = text.rsplit_once(')')?.1;
    let mut fields = fields.split_whitespace();
    (fields.next()? == "Z")
        .then(|| fields.next_back()?.parse().ok())
        .flatten()
}

/// Ends as the child ended: by the same status, or by the same signal.
fn end(status: i32) -> ! {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: whole values, numbers; the memory image of this process is of no interest.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::signal(signal, libc::SIG_DFL);
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut all);
            libc::sigaddset(&raw mut all, signal);
            libc::kill(libc::getpid(), signal);
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const all, ptr::null_mut());
            libc::_exit(128 + signal);
        }
    }
    // SAFETY: nothing of this process is to be finished.
    unsafe { libc::_exit(libc::WEXITSTATUS(status)) }
}

/// There is no way back.
impl From<Never> for () {
    fn from(never: Never) -> Self {
        match never {}
    }
}
