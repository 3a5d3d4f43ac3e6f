//! The table of real functions: what each hook calls when it passes through.
//!
//! A function is looked up at its first pass and then remembered; it is `None`
//! where no loaded library has it, and the hook falls back to the raw system call.

use crate::link_map::{self, LinkMap};
use crate::object_names::Visit;
use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::sys::{Stat, Statx};

/// `argv` or `envp`.
pub type Strings = *const *const c_char;

/// Declares the real functions by their C names and types.
macro_rules! next_functions {
    ($($name:ident($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        #[allow(non_camel_case_types, reason = "the variants are C names")]
        enum Index { $($name),* }
        static NAMES: &[&str] = &[$(concat!(stringify!($name), "\0")),*];
        static FOUND: [AtomicPtr<()>; [$(Index::$name as usize),*].len()] =
            [const { AtomicPtr::new(core::ptr::null_mut()) }; [$(Index::$name as usize),*].len()];
        $(
            #[inline]
            pub fn $name() -> Option<unsafe extern "C" fn($($argument),*) $(-> $answer)?> {
                let address = find(Index::$name as usize)?;
                // SAFETY: the definition of a C name has the C library's type for it.
                Some(unsafe { core::mem::transmute::<*mut (), unsafe extern "C" fn($($argument),*) $(-> $answer)?>(address) })
            }
        )*
    };
}

/// Marks a function that was looked for and is not there.
const MISSING: *mut () = core::ptr::dangling_mut();

#[inline]
fn find(index: usize) -> Option<*mut ()> {
    let slot = FOUND.get(index)?;
    let mut address = slot.load(Relaxed);
    if address.is_null() {
        let name = CStr::from_bytes_with_nul(NAMES.get(index)?.as_bytes()).ok()?;
        address = link_map::next_definition(name);
        if address.is_null() {
            address = MISSING;
        }
        slot.store(address, Relaxed);
    }
    (address != MISSING).then_some(address)
}

next_functions! {
    open(*const c_char, c_int, c_uint) -> c_int;
    openat(c_int, *const c_char, c_int, c_uint) -> c_int;
    __open_2(*const c_char, c_int) -> c_int;
    __openat_2(c_int, *const c_char, c_int) -> c_int;
    creat(*const c_char, c_uint) -> c_int;
    fopen(*const c_char, *const c_char) -> *mut c_void;
    freopen(*const c_char, *const c_char, *mut c_void) -> *mut c_void;
    fclose(*mut c_void) -> c_int;
    fileno(*mut c_void) -> c_int;
    stat(*const c_char, *mut Stat) -> c_int;
    lstat(*const c_char, *mut Stat) -> c_int;
    fstat(c_int, *mut Stat) -> c_int;
    fstatat(c_int, *const c_char, *mut Stat, c_int) -> c_int;
    __xstat(c_int, *const c_char, *mut Stat) -> c_int;
    __lxstat(c_int, *const c_char, *mut Stat) -> c_int;
    __fxstat(c_int, c_int, *mut Stat) -> c_int;
    __fxstatat(c_int, c_int, *const c_char, *mut Stat, c_int) -> c_int;
    statx(c_int, *const c_char, c_int, c_uint, *mut Statx) -> c_int;
    access(*const c_char, c_int) -> c_int;
    faccessat(c_int, *const c_char, c_int, c_int) -> c_int;
    euidaccess(*const c_char, c_int) -> c_int;
    readlink(*const c_char, *mut c_char, usize) -> isize;
    readlinkat(c_int, *const c_char, *mut c_char, usize) -> isize;
    realpath(*const c_char, *mut c_char) -> *mut c_char;
    opendir(*const c_char) -> *mut c_void;
    fdopendir(c_int) -> *mut c_void;
    readdir(*mut c_void) -> *mut c_void;
    readdir_r(*mut c_void, *mut c_void, *mut *mut c_void) -> c_int;
    closedir(*mut c_void) -> c_int;
    dirfd(*mut c_void) -> c_int;
    rewinddir(*mut c_void);
    telldir(*mut c_void) -> c_long;
    seekdir(*mut c_void, c_long);
    getdents64(c_int, *mut c_void, usize) -> isize;
    statfs(*const c_char, *mut c_void) -> c_int;
    statvfs(*const c_char, *mut c_void) -> c_int;
    fstatfs(c_int, *mut c_void) -> c_int;
    fstatvfs(c_int, *mut c_void) -> c_int;
    pathconf(*const c_char, c_int) -> c_long;
    glob(*const c_char, c_int, *const c_void, *mut c_void) -> c_int;
    nftw(*const c_char, *const c_void, c_int, c_int) -> c_int;
    ftw(*const c_char, *const c_void, c_int) -> c_int;
    fts_open(*const *const c_char, c_int, *const c_void) -> *mut c_void;
    fts_read(*mut c_void) -> *mut c_void;
    fts_children(*mut c_void, c_int) -> *mut c_void;
    fts_set(*mut c_void, *mut c_void, c_int) -> c_int;
    fts_close(*mut c_void) -> c_int;
    wordexp(*const c_char, *mut c_void, c_int) -> c_int;
    inotify_add_watch(c_int, *const c_char, c_uint) -> c_int;
    fanotify_mark(c_int, c_uint, u64, c_int, *const c_char) -> c_int;
    scandirat(c_int, *const c_char, *mut *mut *mut c_void, *const c_void, *const c_void) -> c_int;
    scandir(*const c_char, *mut *mut *mut c_void, *const c_void, *const c_void) -> c_int;
    chdir(*const c_char) -> c_int;
    fchdir(c_int) -> c_int;
    chroot(*const c_char) -> c_int;
    getcwd(*mut c_char, usize) -> *mut c_char;
    get_current_dir_name() -> *mut c_char;
    execve(*const c_char, Strings, Strings) -> c_int;
    fexecve(c_int, Strings, Strings) -> c_int;
    posix_spawn(*mut c_int, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int;
    posix_spawnp(*mut c_int, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int;
    pidfd_spawn(*mut c_int, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int;
    pidfd_spawnp(*mut c_int, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int;
    posix_spawn_file_actions_init(*mut c_void) -> c_int;
    posix_spawn_file_actions_adddup2(*mut c_void, c_int, c_int) -> c_int;
    posix_spawn_file_actions_addfchdir_np(*mut c_void, c_int) -> c_int;
    posix_spawn_file_actions_addopen(*mut c_void, c_int, *const c_char, c_int, c_uint) -> c_int;
    posix_spawn_file_actions_addchdir_np(*mut c_void, *const c_char) -> c_int;
    clone(*const c_void, *mut c_void, c_int, *mut c_void, *mut c_void, usize, *mut c_void) -> c_int;
    system(*const c_char) -> c_int;
    popen(*const c_char, *const c_char) -> *mut c_void;
    dlopen(*const c_char, c_int) -> *mut c_void;
    dlmopen(c_long, *const c_char, c_int) -> *mut c_void;
    dladdr(*const c_void, *mut c_void) -> c_int;
    dladdr1(*const c_void, *mut c_void, *mut *const LinkMap, c_int) -> c_int;
    dlinfo(*mut c_void, c_int, *mut c_void) -> c_int;
    dl_iterate_phdr(Visit, *mut c_void) -> c_int;
    dlerror() -> *mut c_char;
    close(c_int) -> c_int;
    close_range(c_uint, c_uint, c_int) -> c_int;
    closefrom(c_int);
    dup(c_int) -> c_int;
    dup2(c_int, c_int) -> c_int;
    dup3(c_int, c_int, c_int) -> c_int;
    fcntl(c_int, c_int, usize) -> c_int;
    unlink(*const c_char) -> c_int;
    unlinkat(c_int, *const c_char, c_int) -> c_int;
    rmdir(*const c_char) -> c_int;
    mkdir(*const c_char, c_uint) -> c_int;
    mkdirat(c_int, *const c_char, c_uint) -> c_int;
    mknod(*const c_char, c_uint, u64) -> c_int;
    mknodat(c_int, *const c_char, c_uint, u64) -> c_int;
    __xmknod(c_int, *const c_char, c_uint, *mut u64) -> c_int;
    __xmknodat(c_int, c_int, *const c_char, c_uint, *mut u64) -> c_int;
    mkfifoat(c_int, *const c_char, c_uint) -> c_int;
    symlink(*const c_char, *const c_char) -> c_int;
    symlinkat(*const c_char, c_int, *const c_char) -> c_int;
    linkat(c_int, *const c_char, c_int, *const c_char, c_int) -> c_int;
    rename(*const c_char, *const c_char) -> c_int;
    renameat(c_int, *const c_char, c_int, *const c_char) -> c_int;
    renameat2(c_int, *const c_char, c_int, *const c_char, c_uint) -> c_int;
    chmod(*const c_char, c_uint) -> c_int;
    fchmod(c_int, c_uint) -> c_int;
    fchmodat(c_int, *const c_char, c_uint, c_int) -> c_int;
    chown(*const c_char, c_uint, c_uint) -> c_int;
    lchown(*const c_char, c_uint, c_uint) -> c_int;
    fchown(c_int, c_uint, c_uint) -> c_int;
    fchownat(c_int, *const c_char, c_uint, c_uint, c_int) -> c_int;
    utime(*const c_char, *const c_void) -> c_int;
    utimes(*const c_char, *const c_void) -> c_int;
    lutimes(*const c_char, *const c_void) -> c_int;
    futimes(c_int, *const c_void) -> c_int;
    futimesat(c_int, *const c_char, *const c_void) -> c_int;
    utimensat(c_int, *const c_char, *const c_void, c_int) -> c_int;
    futimens(c_int, *const c_void) -> c_int;
    truncate(*const c_char, c_long) -> c_int;
    mkostemps(*mut c_char, c_int, c_int) -> c_int;
    mkdtemp(*mut c_char) -> *mut c_char;
    getxattr(*const c_char, *const c_char, *mut c_void, usize) -> isize;
    lgetxattr(*const c_char, *const c_char, *mut c_void, usize) -> isize;
    fgetxattr(c_int, *const c_char, *mut c_void, usize) -> isize;
    listxattr(*const c_char, *mut c_char, usize) -> isize;
    llistxattr(*const c_char, *mut c_char, usize) -> isize;
    flistxattr(c_int, *mut c_char, usize) -> isize;
    setxattr(*const c_char, *const c_char, *const c_void, usize, c_int) -> c_int;
    lsetxattr(*const c_char, *const c_char, *const c_void, usize, c_int) -> c_int;
    fsetxattr(c_int, *const c_char, *const c_void, usize, c_int) -> c_int;
    removexattr(*const c_char, *const c_char) -> c_int;
    lremovexattr(*const c_char, *const c_char) -> c_int;
    fremovexattr(c_int, *const c_char) -> c_int;
    acct(*const c_char) -> c_int;
    swapon(*const c_char, c_int) -> c_int;
    swapoff(*const c_char) -> c_int;
    quotactl(c_int, *const c_char, c_int, *mut c_void) -> c_int;
    mount(*const c_char, *const c_char, *const c_char, c_ulong, *const c_void) -> c_int;
    umount2(*const c_char, c_int) -> c_int;
    pivot_root(*const c_char, *const c_char) -> c_int;
    open_tree(c_int, *const c_char, c_uint) -> c_int;
    move_mount(c_int, *const c_char, c_int, *const c_char, c_uint) -> c_int;
    fspick(c_int, *const c_char, c_uint) -> c_int;
    mount_setattr(c_int, *const c_char, c_uint, *mut c_void, usize) -> c_int;
    name_to_handle_at(c_int, *const c_char, *mut c_void, *mut c_int, c_int) -> c_int;
    open_by_handle_at(c_int, *mut c_void, c_int) -> c_int;
    pidfd_getfd(c_int, c_int, c_uint) -> c_int;
    ioctl(c_int, c_ulong, usize) -> c_int;
    tmpfile() -> *mut c_void;
    mktemp(*mut c_char) -> *mut c_char;
    setmntent(*const c_char, *const c_char) -> *mut c_void;
    endmntent(*mut c_void) -> c_int;
    catopen(*const c_char, c_int) -> *mut c_void;
    daemon(c_int, c_int) -> c_int;
    login_tty(c_int) -> c_int;
    bind(c_int, *const c_void, c_uint) -> c_int;
    connect(c_int, *const c_void, c_uint) -> c_int;
    sendto(c_int, *const c_void, usize, c_int, *const c_void, c_uint) -> isize;
    sendmsg(c_int, *const c_void, c_int) -> isize;
    sendmmsg(c_int, *mut c_void, c_uint, c_int) -> c_int;
    recvmsg(c_int, *mut c_void, c_int) -> isize;
    recvmmsg(c_int, *mut c_void, c_uint, c_int, *mut c_void) -> c_int;
    setuid(c_uint) -> c_int;
    setgid(c_uint) -> c_int;
    seteuid(c_uint) -> c_int;
    setegid(c_uint) -> c_int;
    setreuid(c_uint, c_uint) -> c_int;
    setregid(c_uint, c_uint) -> c_int;
    setresuid(c_uint, c_uint, c_uint) -> c_int;
    setresgid(c_uint, c_uint, c_uint) -> c_int;
    setgroups(usize, *const c_uint) -> c_int;
    initgroups(*const c_char, c_uint) -> c_int;
    setfsuid(c_uint) -> c_int;
    setfsgid(c_uint) -> c_int;
    capset(*mut c_void, *const c_void) -> c_int;
    unshare(c_int) -> c_int;
    setns(c_int, c_int) -> c_int;
    prctl(c_int, usize, usize, usize, usize) -> c_int;
}
