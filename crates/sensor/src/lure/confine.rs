//! What a lure process gives up before it meets its first visitor, and cannot take back.
//!
//! - resource limits: no core files, no file growth, no new processes (for users other than root), bounded memory;
//! - its user, when it was started by root;
//! - every capability, and the right to gain any (`no_new_privs`);
//! - Landlock: no file, no TCP port to bind or connect to, no signal or abstract socket outside (where the kernel has it);
//! - seccomp: a list of system calls that remain, all others fail with EPERM. `socket`, `connect`, `bind`, `open*`,
//!   `execve`, `fork`, `clone` and `ptrace` are not on it. A process for dialogues may send only on connections that it
//!   accepted; one for datagrams may send only from the sockets it has.
//!
//! The list is what the runtime was seen to need (strace of a whole talk over each protocol).

use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::os::fd::RawFd;

/// Memory of a lure process, in bytes of address space: ten thousand dialogues take a quarter of it.
const ADDRESS_SPACE: u64 = 2 << 30;

/// What a lure process is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// Dialogues over connections that visitors make.
    Dialogues,
    /// Datagrams, answered from these sockets.
    Datagrams(Vec<RawFd>),
    /// Packets of a device that is open.
    Segments,
}

/// Something could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The system refused.
    #[error("cannot give up rights ({what}): {reason}")]
    Refused {
        /// Which.
        what: &'static str,
        /// The system's reason.
        reason: String,
    },
    /// No such user.
    #[error("there is no user \"{0}\" for lures to run as; give --lure-user an existing one")]
    User(String),
}

fn refused(what: &'static str) -> impl Fn(String) -> ConfineError {
    move |reason| ConfineError::Refused { what, reason }
}

/// A user, looked up while files can still be read. Only root has one to change to.
pub fn user(name: Option<&str>) -> Result<Option<nix::unistd::User>, ConfineError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let name = name.unwrap_or("nobody");
    let found = nix::unistd::User::from_name(name).ok().flatten();
    found.map(Some).ok_or_else(|| ConfineError::User(name.to_owned()))
}

/// Gives everything up for this thread and those it starts. Returns what holds, for people.
pub fn confine(role: &Role, user: Option<&nix::unistd::User>) -> Result<String, ConfineError> {
    limits()?;
    if let Some(user) = user {
        become_user(user)?;
    }
    drop_capabilities()?;
    let landlock = restrict_files()?;
    let filter = filter(role).map_err(|error| refused("seccomp")(error.to_string()))?;
    seccompiler::apply_filter(&filter).map_err(|error| refused("seccomp")(error.to_string()))?;
    let who = user.map_or(String::new(), |user| format!(", user {}", user.name));
    Ok(format!("seccomp, {landlock}{who}"))
}

fn limits() -> Result<(), ConfineError> {
    noroshi_wire::raise_descriptors();
    let set = |resource, value: u64| {
        setrlimit(resource, value, value).map_err(|error| refused("resource limits")(error.to_string()))
    };
    set(Resource::RLIMIT_CORE, 0)?;
    set(Resource::RLIMIT_FSIZE, 0)?;
    set(Resource::RLIMIT_NPROC, 0)?;
    set(Resource::RLIMIT_AS, ADDRESS_SPACE)?;
    // Other processes of the same user must not read this one's memory, nor it theirs.
    nix::sys::prctl::set_dumpable(false).map_err(|error| refused("dumpable")(error.to_string()))
}

fn become_user(user: &nix::unistd::User) -> Result<(), ConfineError> {
    let change = || -> nix::Result<()> {
        nix::unistd::setgroups(&[])?;
        nix::unistd::setresgid(user.gid, user.gid, user.gid)?;
        nix::unistd::setresuid(user.uid, user.uid, user.uid)
    };
    change().map_err(|error| refused("user")(error.to_string()))
}

fn drop_capabilities() -> Result<(), ConfineError> {
    for set in [caps::CapSet::Ambient, caps::CapSet::Inheritable, caps::CapSet::Effective, caps::CapSet::Permitted] {
        caps::clear(None, set).map_err(|error| refused("capabilities")(error.to_string()))?;
    }
    nix::sys::prctl::set_no_new_privs().map_err(|error| refused("new privileges")(error.to_string()))
}

fn restrict_files() -> Result<String, ConfineError> {
    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
    let wrong = |error: landlock::RulesetError| refused("Landlock")(error.to_string());
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp))
        .and_then(|rules| rules.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self())
        .map_err(wrong)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "Landlock".into(),
        RulesetStatus::PartiallyEnforced => "Landlock in part (an older kernel)".into(),
        RulesetStatus::NotEnforced => "no Landlock (the kernel has none)".into(),
    })
}

type Rules = Vec<(i64, Vec<SeccompRule>)>;

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    let length = if value > u64::from(u32::MAX) { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    SeccompCondition::new(argument, length, operator, value)
}

fn only(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions)
}

/// System calls without condition.
fn plain() -> Vec<i64> {
    let mut calls = vec![
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_shutdown,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_sched_yield,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.push(libc::SYS_epoll_wait);
    calls
}

/// The program that the kernel runs before each system call.
fn filter(role: &Role) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: Rules = plain().into_iter().map(|call| (call, Vec::new())).collect();
    let no_code = |at| condition(at, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0);
    rules.push((libc::SYS_mmap, vec![only(vec![no_code(2)?])?]));
    rules.push((libc::SYS_mprotect, vec![only(vec![no_code(2)?])?]));
    let non_blocking = condition(1, SeccompCmpOp::Eq, libc::FIONBIO)?;
    rules.push((libc::SYS_ioctl, vec![only(vec![non_blocking])?]));
    let mut flags = Vec::new();
    for flag in [libc::F_GETFL, libc::F_SETFL, libc::F_GETFD, libc::F_SETFD] {
        flags.push(only(vec![condition(1, SeccompCmpOp::Eq, flag as u64)?])?);
    }
    rules.push((libc::SYS_fcntl, flags));
    match role {
        Role::Dialogues => {
            rules.push((libc::SYS_accept4, Vec::new()));
            rules.push((libc::SYS_recvfrom, Vec::new()));
            // `send` is `sendto` without an address: both halves of the pointer must be zero.
            let nowhere = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
            rules.push((libc::SYS_sendto, vec![only(vec![nowhere])?]));
        }
        Role::Segments => {}
        Role::Datagrams(sockets) => {
            rules.push((libc::SYS_recvmmsg, Vec::new()));
            let mut own = Vec::new();
            for socket in sockets {
                own.push(only(vec![condition(0, SeccompCmpOp::Eq, *socket as u64)?])?);
            }
            if !own.is_empty() {
                rules.push((libc::SYS_sendmsg, own));
            }
        }
    }
    let arch = std::env::consts::ARCH.try_into()?;
    let (denied, allowed) = (SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow);
    SeccompFilter::new(rules.into_iter().collect(), denied, allowed, arch)?.try_into()
}
