//! Who asks: the ids and capabilities that the kernel's permission checks go by.
//!
//! Fetched when an entry asks for them, and not remembered from call to call, because
//! the kernel keeps them for each thread. The one exception is a process under a
//! seccomp filter, which may be killed for a question that it never asked: what was
//! true right before the filter was installed is kept until a hooked call changes it.

use crate::symbol::is_glibc;
use crate::sys::{self, CapabilitySets};
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use velo_core::resolve::{Capabilities, Credentials};

/// Supplementary groups that are looked at.
const GROUPS_MAX: usize = 1024;

/// Whether some thread has file system ids other than its effective ids: only
/// setfsuid(2) and setfsgid(2) make them differ, and exec(2) makes them equal.
static FILE_SYSTEM_IDS: AtomicBool = AtomicBool::new(false);

/// One identity, but for its supplementary groups.
struct Held {
    user: u32,
    group: u32,
    capabilities: Capabilities,
}

impl Held {
    const NOBODY: Self = Self {
        user: u32::MAX,
        group: u32::MAX,
        capabilities: Capabilities::NONE,
    };

    fn of(user: &User) -> Self {
        Self {
            user: user.uid(),
            group: user.group(),
            capabilities: user.capabilities(),
        }
    }
}

/// What was true before a filter was installed.
struct Snapshot {
    effective: Held,
    real: Held,
    groups: [u32; GROUPS_MAX],
    groups_count: usize,
}

struct Slot(UnsafeCell<Snapshot>);
// SAFETY: written once, before `STATE` says TAKEN (release), read only after (acquire).
unsafe impl Sync for Slot {}

static SNAPSHOT: Slot = Slot(UnsafeCell::new(Snapshot {
    effective: Held::NOBODY,
    real: Held::NOBODY,
    groups: [0; GROUPS_MAX],
    groups_count: 0,
}));
static FILTER: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU8 = AtomicU8::new(NONE);

const NONE: u8 = 0;
const TAKING: u8 = 1;
const TAKEN: u8 = 2;
/// The threads may differ, or did so once.
const NEVER: u8 = 3;

#[inline]
fn snapshot() -> Option<&'static Snapshot> {
    if STATE.load(Acquire) != TAKEN {
        return None;
    }
    // SAFETY: see `Slot`.
    Some(unsafe { &*SNAPSHOT.0.get() })
}

/// Whether the process installed a seccomp filter.
pub fn under_filter() -> bool {
    FILTER.load(Relaxed)
}

/// A seccomp filter is about to be installed: keeps what a later call would ask for.
pub fn before_filter() {
    FILTER.store(true, Relaxed);
    if STATE
        .compare_exchange(NONE, TAKING, Acquire, Relaxed)
        .is_err()
    {
        return;
    }
    // SAFETY: this thread has claimed the slot, and nobody reads it yet.
    let slot = unsafe { &mut *SNAPSHOT.0.get() };
    slot.effective = Held::of(&User::effective());
    slot.real = Held::of(&User::real());
    slot.groups_count = sys::groups(&mut slot.groups);
    // Not if they were changed meanwhile.
    let _ = STATE.compare_exchange(TAKING, TAKEN, Release, Relaxed);
}

/// All threads are about to change who they are, as setuid(3) does.
pub fn change() {
    if matches!(STATE.load(Relaxed), TAKING | TAKEN) {
        STATE.store(NEVER, Relaxed);
    }
}

/// One thread is about to change who it is, as the system calls do.
pub fn change_of_thread() {
    STATE.store(NEVER, Relaxed);
}

/// One thread is about to change its file system ids.
pub fn change_of_file_system_ids() {
    FILE_SYSTEM_IDS.store(true, Relaxed);
    change_of_thread();
}

/// Which of its identities is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Effective,
    Real,
    /// As glibc's euidaccess(3): the real one unless the ids differ.
    RealIfSame,
}

/// The calling thread, asked about as far as needed.
pub struct User {
    which: Cell<Which>,
    uid: Cell<Option<u32>>,
    capabilities: Cell<Option<Capabilities>>,
}

impl User {
    /// For most calls.
    #[inline(always)]
    pub fn effective() -> Self {
        Self {
            which: Cell::new(Which::Effective),
            uid: Cell::new(None),
            capabilities: Cell::new(None),
        }
    }

    /// For access(2): the real ids, and the capabilities that they stand for.
    pub fn real() -> Self {
        Self {
            which: Cell::new(Which::Real),
            ..Self::effective()
        }
    }

    /// For euidaccess(3), which glibc makes of access(2) where that is the same, file
    /// system ids and capabilities left aside.
    pub fn of_euidaccess() -> Self {
        Self {
            which: Cell::new(if is_glibc() {
                Which::RealIfSame
            } else {
                Which::Effective
            }),
            ..Self::effective()
        }
    }

    fn is_real(&self) -> bool {
        if self.which.get() == Which::RealIfSame {
            let (effective, real) = (Self::effective(), Self::real());
            let same = effective.own_ids() == real.own_ids();
            self.which
                .set(if same { Which::Real } else { Which::Effective });
        }
        self.which.get() == Which::Real
    }

    /// User and group, whatever the file system ids are.
    fn own_ids(&self) -> (u32, u32) {
        match (self.held(), self.is_real()) {
            (Some(held), _) => (held.user, held.group),
            (None, true) => (sys::real_user(), sys::real_group()),
            (None, false) => (sys::effective_user(), sys::effective_group()),
        }
    }

    /// Whether it may do what only the owner of a file may.
    pub fn owns(&self, owner: u32) -> bool {
        self.uid() == owner || self.capabilities().has(Capabilities::FOWNER)
    }

    fn held(&self) -> Option<&'static Held> {
        let snapshot = snapshot()?;
        Some(if self.is_real() {
            &snapshot.real
        } else {
            &snapshot.effective
        })
    }

    fn fetch_uid(&self) -> u32 {
        if let Some(held) = self.held() {
            return held.user;
        }
        match (self.is_real(), FILE_SYSTEM_IDS.load(Relaxed)) {
            (true, _) => sys::real_user(),
            (false, false) => sys::effective_user(),
            (false, true) => sys::file_system_user(),
        }
    }

    fn group(&self) -> u32 {
        if let Some(held) = self.held() {
            return held.group;
        }
        match (self.is_real(), FILE_SYSTEM_IDS.load(Relaxed)) {
            (true, _) => sys::real_group(),
            (false, false) => sys::effective_group(),
            (false, true) => sys::file_system_group(),
        }
    }

    /// As access(2) in the kernel: the effective set is taken for what a program of
    /// the real user would have, unless the thread's secure bits say not to.
    fn fetch_capabilities(&self) -> Capabilities {
        if let Some(held) = self.held() {
            return held.capabilities;
        }
        let Ok(CapabilitySets {
            effective,
            permitted,
        }) = sys::capabilities()
        else {
            // An old kernel or a filter: what user id 0 usually has.
            return if self.uid() == 0 {
                Capabilities::ALL
            } else {
                Capabilities::NONE
            };
        };
        if !self.is_real() {
            return Capabilities(effective);
        }
        let of_real = if self.uid() == 0 { permitted } else { 0 };
        if of_real == effective || sys::keeps_capabilities_for_access() {
            Capabilities(effective)
        } else {
            Capabilities(of_real)
        }
    }
}

/// The answer in `known`, fetched first if there is none.
#[inline]
fn once<T: Copy>(known: &Cell<Option<T>>, fetch: impl FnOnce() -> T) -> T {
    known.get().unwrap_or_else(|| {
        let fetched = fetch();
        known.set(Some(fetched));
        fetched
    })
}

impl Credentials for User {
    fn uid(&self) -> u32 {
        once(&self.uid, || self.fetch_uid())
    }

    fn in_group(&self, gid: u32) -> bool {
        if self.group() == gid {
            return true;
        }
        if let Some(snapshot) = snapshot() {
            let groups = snapshot.groups.get(..snapshot.groups_count);
            return groups.is_some_and(|groups| groups.contains(&gid));
        }
        let mut groups = [0; GROUPS_MAX];
        let count = sys::groups(&mut groups);
        groups
            .get(..count)
            .is_some_and(|groups| groups.contains(&gid))
    }

    fn capabilities(&self) -> Capabilities {
        once(&self.capabilities, || self.fetch_capabilities())
    }
}
