//! Running when nobody else wants to: `io.idle`.
//!
//! Linux keeps both priorities by thread, and a new thread inherits those of the one that starts it. So the thread that
//! starts all others asks, before it does.

use std::io;

/// The priority of whoever waits for all others to leave the processor.
const PRIORITY_LOWEST: i32 = 19;

/// `IOPRIO_WHO_PROCESS` of `ioprio_set(2)`: one thread; 0 is the calling one.
const WHO_PROCESS: libc::c_int = 1;
/// `IOPRIO_CLASS_IDLE`, which gets the disk when no other class asks for it, in the three highest bits of sixteen.
const CLASS_IDLE: libc::c_int = 3 << 13;

/// Gives the calling thread, and those that it starts from now on, the lowest priority for the processor and the idle
/// class for disks.
///
/// # Errors
///
/// Where the system refuses; the thread may have got one of the two.
pub fn enter() -> io::Result<()> {
    let processor = rustix::process::setpriority_process(None, PRIORITY_LOWEST);
    // SAFETY: the call takes three numbers and touches no memory of the process.
    let disk = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) };
    if disk != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(processor?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_thread_and_those_that_it_starts_are_idle() {
        let seen = std::thread::spawn(|| {
            enter().unwrap();
            std::thread::spawn(|| {
                let thread = rustix::thread::gettid().as_raw_nonzero();
                let output = Command::new("ionice")
                    .arg("-p")
                    .arg(thread.to_string())
                    .output()
                    .unwrap();
                let nice = rustix::process::getpriority_process(None).unwrap();
                (String::from_utf8(output.stdout).unwrap(), nice)
            })
            .join()
            .unwrap()
        })
        .join()
        .unwrap();
        assert_eq!(seen, ("idle\n".to_owned(), PRIORITY_LOWEST));
    }
}
