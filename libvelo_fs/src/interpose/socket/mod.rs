//! bind(2), connect(2), sendto(2) with a path of AF_UNIX: nothing served is a socket, and nothing can be made there.

mod message;

pub(super) use message::*;

use super::change::{Change, may_write, refusal};
use crate::locate::{Where, is_bad, locate};
use crate::stats::{Family, Outcome, count};
use crate::{errno, next, sys};
use core::ffi::{c_char, c_int, c_uint, c_void};
use linux_raw_sys::general as nr;
use velo_core::errno::Errno;
use velo_core::resolve::{Options, PathBuffer};

/// `struct sockaddr_un` (unix(7)).
#[repr(C)]
#[derive(Clone, Copy)]
struct Address {
    family: u16,
    path: [u8; Self::PATH_BYTES],
}

impl Address {
    const PATH_BYTES: usize = 108;
    const FAMILY_BYTES: usize = size_of::<u16>();
}

const AF_UNIX: u16 = 1;
const SOL_SOCKET: usize = 1;
const SO_TYPE: usize = 3;
const SO_DOMAIN: usize = 39;
const SOCK_DGRAM: c_int = 2;
const EADDRINUSE: Errno = Errno(98);
const ECONNREFUSED: Errno = Errno(111);

/// What the calls are for, as far as it matters to a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Bind,
    Connect,
    /// Only datagrams go to an address.
    Send,
}

/// What becomes of a call.
enum Decision {
    /// The caller's own arguments.
    Pass,
    /// Another address of that many bytes.
    At(Address, c_uint),
    Fail(Errno),
}

/// The path in an address and its NUL, unless it has none.
unsafe fn path_of(address: *const c_void, bytes: c_uint) -> Option<[u8; Address::PATH_BYTES + 1]> {
    let length = (bytes as usize).checked_sub(Address::FAMILY_BYTES)?;
    if is_bad(address) || length > Address::PATH_BYTES {
        return None;
    }
    let mut path = [0; Address::PATH_BYTES + 1];
    // SAFETY: the caller's address of that many bytes.
    unsafe {
        if address.cast::<u16>().read_unaligned() != AF_UNIX {
            return None;
        }
        let text = address.byte_add(Address::FAMILY_BYTES).cast::<u8>();
        core::ptr::copy_nonoverlapping(text, path.as_mut_ptr(), length);
    }
    // An abstract address starts with a NUL.
    (*path.first()? != 0).then_some(path)
}

fn option(socket: c_int, name: usize) -> Result<c_int, Errno> {
    let mut value: c_int = 0;
    let mut bytes = size_of::<c_int>() as c_uint;
    let arguments = [
        socket as usize,
        SOL_SOCKET,
        name,
        &raw mut value as usize,
        &raw mut bytes as usize,
        0,
    ];
    // SAFETY: our own buffers of the sizes that are said.
    sys::result(unsafe { sys::syscall6(nr::__NR_getsockopt as usize, arguments) })?;
    Ok(value)
}

unsafe fn decide(
    purpose: Purpose,
    socket: c_int,
    address: *const c_void,
    bytes: c_uint,
) -> Decision {
    if crate::world::get().is_none() {
        return Decision::Pass;
    }
    // SAFETY: the caller's address.
    let Some(path) = (unsafe { path_of(address, bytes) }) else {
        return Decision::Pass;
    };
    let path: *const c_char = path.as_ptr().cast();
    let options = match purpose {
        Purpose::Bind => Options::ENTRY,
        Purpose::Connect | Purpose::Send => Options::FOLLOW,
    };
    let mut scratch = PathBuffer::new();
    // SAFETY: a C string of ours.
    let place = unsafe { locate(nr::AT_FDCWD, path, options, &mut scratch) };
    let error = match (&place, purpose) {
        (Where::Kernel, _) => return Decision::Pass,
        (Where::KernelAt(path), _) => return at(path.to_bytes()),
        (_, Purpose::Bind) => match refusal(Change::Create, nr::AT_FDCWD, path, &place) {
            Some(Errno::EEXIST) => EADDRINUSE,
            Some(error) => error,
            None => return Decision::Pass,
        },
        (Where::Absent { .. }, _) => Errno::ENOENT,
        (Where::Failed(error), _) => *error,
        (Where::Served(world, entry), _) if may_write(world, *entry) => ECONNREFUSED,
        (Where::Served(..), _) => Errno::EACCES,
    };
    // Whether the kernel looks at the address at all depends on the socket.
    match option(socket, SO_DOMAIN) {
        Err(error) => Decision::Fail(error),
        Ok(domain) if domain != c_int::from(AF_UNIX) => Decision::Pass,
        Ok(_) if purpose == Purpose::Send && option(socket, SO_TYPE) != Ok(SOCK_DGRAM) => {
            Decision::Pass
        }
        Ok(_) => Decision::Fail(error),
    }
}

/// The address of another path, which may be too long for one.
fn at(path: &[u8]) -> Decision {
    let mut address = Address {
        family: AF_UNIX,
        path: [0; Address::PATH_BYTES],
    };
    let Some(slot) = address.path.get_mut(..path.len()) else {
        return Decision::Fail(Errno::ENAMETOOLONG);
    };
    slot.copy_from_slice(path);
    Decision::At(address, (Address::FAMILY_BYTES + path.len()) as c_uint)
}

/// Makes a call with the address that is decided on.
unsafe fn addressed(
    purpose: Purpose,
    socket: c_int,
    address: *const c_void,
    bytes: c_uint,
    call: impl FnOnce(*const c_void, c_uint) -> isize,
) -> isize {
    // SAFETY: the caller's address.
    match unsafe { decide(purpose, socket, address, bytes) } {
        Decision::Pass => call(address, bytes),
        Decision::At(other, bytes) => call((&raw const other).cast(), bytes),
        Decision::Fail(error) => {
            count(Family::Change, Outcome::Failed);
            errno::fail(error) as isize
        }
    }
}

fn raw(number: u32, arguments: [usize; 6]) -> isize {
    // SAFETY: the kernel checks its pointers.
    let answer = unsafe { sys::syscall6(number as usize, arguments) };
    sys::result(answer).map_or_else(|error| errno::fail(error) as isize, |value| value as isize)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bind(socket: c_int, address: *const c_void, bytes: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        addressed(
            Purpose::Bind,
            socket,
            address,
            bytes,
            |address, bytes| match next::bind() {
                Some(real) => real(socket, address, bytes) as isize,
                None => raw(
                    nr::__NR_bind,
                    [socket as usize, address as usize, bytes as usize, 0, 0, 0],
                ),
            },
        ) as c_int
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(socket: c_int, address: *const c_void, bytes: c_uint) -> c_int {
    // SAFETY: see the module above.
    unsafe {
        addressed(
            Purpose::Connect,
            socket,
            address,
            bytes,
            |address, bytes| match next::connect() {
                Some(real) => real(socket, address, bytes) as isize,
                None => raw(
                    nr::__NR_connect,
                    [socket as usize, address as usize, bytes as usize, 0, 0, 0],
                ),
            },
        ) as c_int
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __connect(socket: c_int, address: *const c_void, bytes: c_uint) -> c_int {
    // SAFETY: another name of the same function.
    unsafe { connect(socket, address, bytes) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    socket: c_int,
    data: *const c_void,
    length: usize,
    flags: c_int,
    address: *const c_void,
    bytes: c_uint,
) -> isize {
    // SAFETY: see the module above.
    unsafe {
        addressed(
            Purpose::Send,
            socket,
            address,
            bytes,
            |address, bytes| match next::sendto() {
                Some(real) => real(socket, data, length, flags, address, bytes),
                None => raw(
                    nr::__NR_sendto,
                    [
                        socket as usize,
                        data as usize,
                        length,
                        flags as usize,
                        address as usize,
                        bytes as usize,
                    ],
                ),
            },
        )
    }
}
