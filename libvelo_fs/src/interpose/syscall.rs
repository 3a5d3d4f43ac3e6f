//! `syscall()`: programs that make system calls by number, but through the C library.
//!
//! Numbers that name a path or a descriptor go to the hook of that call; all others
//! run in the stub itself, which touches no stack, as in the C library.

use super::{
    access, change, cwd, directory, exec, fd, filesystem, handle, identity, link, mount, mount_tree,
};
use super::{open, openat2, socket, stat, watch, xattr, xattr_at};
use crate::{errno, sys, world};
use core::ffi::{c_int, c_long};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;

const WORDS: usize = 8;

/// One bit per system call number that [`served`] knows.
#[repr(transparent)]
struct Bitmap([u64; WORDS]);

static KNOWN: Bitmap = Bitmap(bitmap());

const NUMBERS: &[u32] = &[
    nr::__NR_open,
    nr::__NR_openat,
    nr::__NR_openat2,
    nr::__NR_creat,
    nr::__NR_stat,
    nr::__NR_fstat,
    nr::__NR_lstat,
    nr::__NR_newfstatat,
    nr::__NR_statx,
    nr::__NR_access,
    nr::__NR_faccessat,
    nr::__NR_faccessat2,
    nr::__NR_readlink,
    nr::__NR_readlinkat,
    nr::__NR_getdents64,
    nr::__NR_chdir,
    nr::__NR_fchdir,
    nr::__NR_getcwd,
    nr::__NR_execve,
    nr::__NR_execveat,
    nr::__NR_close,
    nr::__NR_close_range,
    nr::__NR_dup,
    nr::__NR_dup2,
    nr::__NR_dup3,
    nr::__NR_fcntl,
    nr::__NR_io_uring_setup,
    nr::__NR_unlink,
    nr::__NR_unlinkat,
    nr::__NR_rename,
    nr::__NR_renameat,
    nr::__NR_renameat2,
    nr::__NR_mkdir,
    nr::__NR_mkdirat,
    nr::__NR_rmdir,
    nr::__NR_mknod,
    nr::__NR_mknodat,
    nr::__NR_link,
    nr::__NR_linkat,
    nr::__NR_symlink,
    nr::__NR_symlinkat,
    nr::__NR_chmod,
    nr::__NR_fchmod,
    nr::__NR_fchmodat,
    nr::__NR_chown,
    nr::__NR_lchown,
    nr::__NR_fchown,
    nr::__NR_fchownat,
    nr::__NR_utime,
    nr::__NR_utimes,
    nr::__NR_futimesat,
    nr::__NR_utimensat,
    nr::__NR_truncate,
    nr::__NR_getdents,
    nr::__NR_chroot,
    nr::__NR_statfs,
    nr::__NR_fstatfs,
    nr::__NR_getxattr,
    nr::__NR_lgetxattr,
    nr::__NR_fgetxattr,
    nr::__NR_listxattr,
    nr::__NR_llistxattr,
    nr::__NR_flistxattr,
    nr::__NR_setxattr,
    nr::__NR_lsetxattr,
    nr::__NR_fsetxattr,
    nr::__NR_removexattr,
    nr::__NR_lremovexattr,
    nr::__NR_fremovexattr,
    nr::__NR_getxattrat,
    nr::__NR_listxattrat,
    nr::__NR_setxattrat,
    nr::__NR_removexattrat,
    nr::__NR_fchmodat2,
    nr::__NR_file_getattr,
    nr::__NR_file_setattr,
    nr::__NR_inotify_add_watch,
    nr::__NR_fanotify_mark,
    nr::__NR_name_to_handle_at,
    nr::__NR_open_by_handle_at,
    nr::__NR_pidfd_getfd,
    nr::__NR_bind,
    nr::__NR_connect,
    nr::__NR_sendto,
    nr::__NR_sendmsg,
    nr::__NR_sendmmsg,
    nr::__NR_recvmsg,
    nr::__NR_recvmmsg,
    nr::__NR_ioctl,
    nr::__NR_acct,
    nr::__NR_swapon,
    nr::__NR_swapoff,
    nr::__NR_quotactl,
    nr::__NR_mount,
    nr::__NR_umount2,
    nr::__NR_pivot_root,
    nr::__NR_open_tree,
    nr::__NR_open_tree_attr,
    nr::__NR_move_mount,
    nr::__NR_fspick,
    nr::__NR_mount_setattr,
    nr::__NR_setuid,
    nr::__NR_setgid,
    nr::__NR_setreuid,
    nr::__NR_setregid,
    nr::__NR_setresuid,
    nr::__NR_setresgid,
    nr::__NR_setgroups,
    nr::__NR_setfsuid,
    nr::__NR_setfsgid,
    nr::__NR_capset,
    nr::__NR_unshare,
    nr::__NR_setns,
    nr::__NR_prctl,
    nr::__NR_seccomp,
];

const fn bitmap() -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let mut at = 0;
    while at < NUMBERS.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
        let number = NUMBERS[at] as usize;
        #[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
        {
            words[number / 64] |= 1 << (number % 64);
        }
        at += 1;
    }
    words
}

#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn syscall() -> c_long {
    core::arch::naked_asm!(
        "cmp rdi, 512",
        "jae 2f",
        "lea r10, [rip + {known}]",
        "mov rax, rdi",
        "shr rax, 6",
        "mov r10, [r10 + 8*rax]",
        "bt r10, rdi",
        "jc {served}",
        "2:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        "3:",
        "mov rdi, rax",
        "sub rsp, 8",
        "call {failed}",
        "add rsp, 8",
        "ret",
        known = sym KNOWN,
        served = sym served,
        failed = sym failed,
    )
}

extern "C" fn failed(answer: isize) -> c_long {
    c_long::from(errno::from_kernel(answer))
}

/// The calls that have hooks, with the kernel's argument order.
unsafe extern "C" fn served(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let (fd_a, int_b, int_c, int_d, int_e) =
        (a as c_int, b as c_int, c as c_int, d as c_int, e as c_int);
    let all = [a, b, c, d, e, f];
    // SAFETY: each hook takes what its system call takes.
    let answer: c_int = unsafe {
        match number as u32 {
            nr::__NR_open => open::open(a as _, int_b, c as _),
            nr::__NR_openat => open::openat(fd_a, b as _, int_c, d as _),
            nr::__NR_openat2 => return c_long::from(openat2::openat2(fd_a, b as _, c as _, d)),
            nr::__NR_creat => open::creat(a as _, b as _),
            nr::__NR_stat => stat::stat(a as _, b as _),
            nr::__NR_lstat => stat::lstat(a as _, b as _),
            nr::__NR_fstat => stat::fstat(fd_a, b as _),
            nr::__NR_newfstatat => stat::fstatat(fd_a, b as _, c as _, int_d),
            nr::__NR_statx => stat::statx(fd_a, b as _, int_c, d as _, e as _),
            nr::__NR_access => access::access(a as _, int_b),
            nr::__NR_faccessat => access::faccessat(fd_a, b as _, int_c, 0),
            nr::__NR_faccessat2 => access::faccessat(fd_a, b as _, int_c, int_d),
            nr::__NR_readlink if c as c_int > 0 => {
                return link::readlink(a as _, b as _, c) as c_long;
            }
            nr::__NR_readlinkat if d as c_int > 0 => {
                return link::readlinkat(fd_a, b as _, c as _, d) as c_long;
            }
            nr::__NR_getdents64 => return directory::getdents64(fd_a, b as _, c) as c_long,
            nr::__NR_chdir => cwd::chdir(a as _),
            nr::__NR_fchdir => cwd::fchdir(fd_a),
            nr::__NR_getcwd => return cwd::getcwd_raw(a as _, b),
            nr::__NR_execve => exec::execve(a as _, b as _, c as _),
            nr::__NR_execveat => exec::execveat(fd_a, b as _, c as _, d as _, int_e),
            nr::__NR_close => fd::close(fd_a),
            nr::__NR_close_range => fd::close_range(a as _, b as _, int_c),
            nr::__NR_dup => fd::dup(fd_a),
            nr::__NR_dup2 => fd::dup2(fd_a, int_b),
            nr::__NR_dup3 => fd::dup3(fd_a, int_b, int_c),
            nr::__NR_fcntl => return c_long::from(fd::fcntl(fd_a, int_b, c)),
            // File operations submitted to a ring would pass by unseen (brief §8).
            nr::__NR_io_uring_setup if world::get().is_some() => errno::fail(Errno::ENOSYS),
            nr::__NR_unlink => change::unlink(a as _),
            nr::__NR_unlinkat => change::unlinkat(fd_a, b as _, int_c),
            nr::__NR_rename => change::rename(a as _, b as _),
            nr::__NR_renameat => change::renameat(fd_a, b as _, int_c, d as _),
            nr::__NR_renameat2 => change::renameat2(fd_a, b as _, int_c, d as _, e as _),
            nr::__NR_mkdir => change::mkdir(a as _, b as _),
            nr::__NR_mkdirat => change::mkdirat(fd_a, b as _, c as _),
            nr::__NR_rmdir => change::rmdir(a as _),
            nr::__NR_mknod => change::mknod(a as _, b as _, c as _),
            nr::__NR_mknodat => change::mknodat(fd_a, b as _, c as _, d as _),
            nr::__NR_link => change::link(a as _, b as _),
            nr::__NR_linkat => change::linkat(fd_a, b as _, int_c, d as _, int_e),
            nr::__NR_symlink => change::symlink(a as _, b as _),
            nr::__NR_symlinkat => change::symlinkat(a as _, int_b, c as _),
            nr::__NR_chmod => change::chmod(a as _, b as _),
            nr::__NR_fchmod => change::fchmod(fd_a, b as _),
            nr::__NR_fchmodat => change::fchmodat(fd_a, b as _, c as _, 0),
            nr::__NR_chown => change::chown(a as _, b as _, c as _),
            nr::__NR_lchown => change::lchown(a as _, b as _, c as _),
            nr::__NR_fchown => change::fchown(fd_a, b as _, c as _),
            nr::__NR_fchownat => change::fchownat(fd_a, b as _, c as _, d as _, int_e),
            nr::__NR_utime => change::utime(a as _, b as _),
            nr::__NR_utimes => change::utimes(a as _, b as _),
            nr::__NR_futimesat => change::futimesat(fd_a, b as _, c as _),
            nr::__NR_utimensat => change::utimensat_raw(fd_a, b as _, c as _, int_d),
            nr::__NR_truncate => change::truncate(a as _, b as _),
            nr::__NR_getdents => return directory::getdents_raw(fd_a, b as _, c) as c_long,
            nr::__NR_chroot => cwd::chroot(a as _),
            nr::__NR_statfs => filesystem::statfs_raw(a as _, b as _),
            nr::__NR_fstatfs => filesystem::fstatfs_raw(fd_a, b as _),
            nr::__NR_getxattr => return xattr::getxattr(a as _, b as _, c as _, d) as c_long,
            nr::__NR_lgetxattr => return xattr::lgetxattr(a as _, b as _, c as _, d) as c_long,
            nr::__NR_fgetxattr => return xattr::fgetxattr(fd_a, b as _, c as _, d) as c_long,
            nr::__NR_listxattr => return xattr::listxattr(a as _, b as _, c) as c_long,
            nr::__NR_llistxattr => return xattr::llistxattr(a as _, b as _, c) as c_long,
            nr::__NR_flistxattr => return xattr::flistxattr(fd_a, b as _, c) as c_long,
            nr::__NR_setxattr => xattr::setxattr(a as _, b as _, c as _, d, int_e),
            nr::__NR_lsetxattr => xattr::lsetxattr(a as _, b as _, c as _, d, int_e),
            nr::__NR_fsetxattr => xattr::fsetxattr(fd_a, b as _, c as _, d, int_e),
            nr::__NR_removexattr => xattr::removexattr(a as _, b as _),
            nr::__NR_lremovexattr => xattr::lremovexattr(a as _, b as _),
            nr::__NR_fremovexattr => xattr::fremovexattr(fd_a, b as _),
            nr::__NR_getxattrat => xattr_at::getxattrat(all),
            nr::__NR_listxattrat => xattr_at::listxattrat(all),
            nr::__NR_setxattrat => xattr_at::setxattrat(all),
            nr::__NR_removexattrat => xattr_at::removexattrat(all),
            nr::__NR_fchmodat2 => xattr_at::fchmodat2(all),
            nr::__NR_file_getattr => xattr_at::file_getattr(all),
            nr::__NR_file_setattr => xattr_at::file_setattr(all),
            nr::__NR_inotify_add_watch => watch::inotify_add_watch(fd_a, b as _, c as _),
            nr::__NR_fanotify_mark => watch::fanotify_mark(fd_a, b as _, c as _, int_d, e as _),
            nr::__NR_name_to_handle_at => {
                handle::name_to_handle_at(fd_a, b as _, c as _, d as _, int_e)
            }
            nr::__NR_open_by_handle_at => handle::open_by_handle_at(fd_a, b as _, int_c),
            nr::__NR_pidfd_getfd => handle::pidfd_getfd(fd_a, int_b, c as _),
            nr::__NR_bind => socket::bind(fd_a, b as _, c as _),
            nr::__NR_connect => socket::connect(fd_a, b as _, c as _),
            nr::__NR_sendto => {
                return socket::sendto(fd_a, b as _, c, int_d, e as _, f as _) as c_long;
            }
            nr::__NR_sendmsg => return socket::sendmsg(fd_a, b as _, int_c) as c_long,
            nr::__NR_sendmmsg => socket::sendmmsg(fd_a, b as _, c as _, int_d),
            nr::__NR_recvmsg => return socket::recvmsg(fd_a, b as _, int_c) as c_long,
            nr::__NR_recvmmsg => socket::recvmmsg(fd_a, b as _, c as _, int_d, e as _),
            nr::__NR_ioctl => change::ioctl(fd_a, b as _, c),
            nr::__NR_acct => mount::acct(a as _),
            nr::__NR_swapon => mount::swapon(a as _, int_b),
            nr::__NR_swapoff => mount::swapoff(a as _),
            nr::__NR_quotactl => mount::quotactl(fd_a, b as _, int_c, d as _),
            nr::__NR_mount => mount::mount(a as _, b as _, c as _, d as _, e as _),
            nr::__NR_umount2 => mount::umount2(a as _, int_b),
            nr::__NR_pivot_root => mount::pivot_root(a as _, b as _),
            nr::__NR_open_tree => mount_tree::open_tree(fd_a, b as _, c as _),
            nr::__NR_open_tree_attr => mount_tree::open_tree_attr(fd_a, b as _, c as _, d as _, e),
            nr::__NR_move_mount => mount_tree::move_mount(fd_a, b as _, int_c, d as _, e as _),
            nr::__NR_fspick => mount_tree::fspick(fd_a, b as _, c as _),
            nr::__NR_mount_setattr => mount_tree::mount_setattr(fd_a, b as _, c as _, d as _, e),
            nr::__NR_setuid
            | nr::__NR_setgid
            | nr::__NR_setreuid
            | nr::__NR_setregid
            | nr::__NR_setresuid
            | nr::__NR_setresgid
            | nr::__NR_setgroups
            | nr::__NR_setfsuid
            | nr::__NR_setfsgid
            | nr::__NR_capset
            | nr::__NR_unshare
            | nr::__NR_setns
            | nr::__NR_prctl
            | nr::__NR_seccomp => return identity::by_number(number as u32, all),
            _ => return errno::from_kernel(sys::syscall6(number, all)).into(),
        }
    };
    c_long::from(answer)
}
