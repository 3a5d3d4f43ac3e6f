//! sendmsg(2), sendmmsg(2) to a path of AF_UNIX; recvmsg(2), recvmmsg(2): a descriptor that arrives has no past here.

use super::{Decision, Purpose, SOL_SOCKET, addressed, decide, raw};
use crate::locate::is_bad;
use crate::{errno, fd_table, next};
use core::ffi::{c_int, c_uint, c_void};
use linux_raw_sys::general as nr;

/// `struct msghdr` of glibc and musl on 64-bit machines.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Message {
    name: *const c_void,
    name_bytes: c_uint,
    parts: *const c_void,
    part_count: usize,
    control: *const u8,
    control_bytes: usize,
    flags: c_int,
}

/// `struct mmsghdr`.
#[repr(C)]
pub struct Batched {
    message: Message,
    length: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(socket: c_int, message: *const Message, flags: c_int) -> isize {
    let real = |message: *const Message| match next::sendmsg() {
        // SAFETY: the caller's message, or a copy of it.
        Some(real) => unsafe { real(socket, message.cast(), flags) },
        None => raw(
            nr::__NR_sendmsg,
            [socket as usize, message as usize, flags as usize, 0, 0, 0],
        ),
    };
    // SAFETY: see the module above.
    unsafe {
        if is_bad(message) || (*message).name.is_null() {
            return real(message);
        }
        let own = *message;
        addressed(
            Purpose::Send,
            socket,
            own.name,
            own.name_bytes,
            |name, name_bytes| {
                if name == own.name {
                    return real(message);
                }
                real(&Message {
                    name,
                    name_bytes,
                    ..own
                })
            },
        )
    }
}

/// The messages before the first that cannot be sent are sent, as the kernel has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(
    socket: c_int,
    messages: *mut Batched,
    message_count: c_uint,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module above; the caller's messages.
    unsafe {
        let mut sendable = message_count;
        if !is_bad(messages) {
            for number in 0..message_count {
                let message = &(*messages.add(number as usize)).message;
                if message.name.is_null() {
                    continue;
                }
                match decide(Purpose::Send, socket, message.name, message.name_bytes) {
                    Decision::Pass => {}
                    Decision::Fail(error) if number == 0 => return errno::fail(error),
                    // One by one: `sendmsg` finds the other address.
                    Decision::At(..) if number == 0 => {
                        let sent = sendmsg(socket, message, flags);
                        if sent < 0 {
                            return -1;
                        }
                        (*messages).length = sent as c_uint;
                        return 1;
                    }
                    Decision::Fail(_) | Decision::At(..) => {
                        sendable = number;
                        break;
                    }
                }
            }
        }
        match next::sendmmsg() {
            Some(real) => real(socket, messages.cast(), sendable, flags),
            None => raw(
                nr::__NR_sendmmsg,
                [
                    socket as usize,
                    messages as usize,
                    sendable as usize,
                    flags as usize,
                    0,
                    0,
                ],
            ) as c_int,
        }
    }
}

/// `struct cmsghdr`, before its data.
#[repr(C)]
#[derive(Clone, Copy)]
struct ControlHeader {
    bytes: usize,
    level: c_int,
    kind: c_int,
}

const SCM_RIGHTS: c_int = 1;

/// Forgets what the numbers of received descriptors were before.
unsafe fn forget_received(message: &Message) {
    const ALIGNMENT: usize = size_of::<usize>();
    let mut at = 0;
    while at + size_of::<ControlHeader>() <= message.control_bytes && !is_bad(message.control) {
        // SAFETY: within the control data that the kernel has filled.
        unsafe {
            let header = message
                .control
                .add(at)
                .cast::<ControlHeader>()
                .read_unaligned();
            let end = header.bytes.min(message.control_bytes - at);
            if header.level as usize == SOL_SOCKET && header.kind == SCM_RIGHTS {
                let mut data = size_of::<ControlHeader>();
                while data + size_of::<c_int>() <= end {
                    let received = message.control.add(at + data).cast::<c_int>();
                    fd_table::clear(received.read_unaligned());
                    data += size_of::<c_int>();
                }
            }
            if header.bytes < size_of::<ControlHeader>() {
                return;
            }
            at += end.next_multiple_of(ALIGNMENT);
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(socket: c_int, message: *mut Message, flags: c_int) -> isize {
    // SAFETY: see the module above; a received message is the caller's own memory.
    unsafe {
        let received = match next::recvmsg() {
            Some(real) => real(socket, message.cast(), flags),
            None => raw(
                nr::__NR_recvmsg,
                [socket as usize, message as usize, flags as usize, 0, 0, 0],
            ),
        };
        if received >= 0 {
            forget_received(&*message);
        }
        received
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    socket: c_int,
    messages: *mut Batched,
    message_count: c_uint,
    flags: c_int,
    timeout: *mut c_void,
) -> c_int {
    // SAFETY: see the module above; received messages are the caller's own memory.
    unsafe {
        let received = match next::recvmmsg() {
            Some(real) => real(socket, messages.cast(), message_count, flags, timeout),
            None => raw(
                nr::__NR_recvmmsg,
                [
                    socket as usize,
                    messages as usize,
                    message_count as usize,
                    flags as usize,
                    timeout as usize,
                    0,
                ],
            ) as c_int,
        };
        for number in 0..received.max(0) as usize {
            forget_received(&(*messages.add(number)).message);
        }
        received
    }
}
