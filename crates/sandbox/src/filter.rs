//! System calls that nothing in the sandbox may make, as programs for the kernel (seccomp(2)).
//!
//! The emulator makes calls on the sample's behalf, so one list for the host's architecture covers all guests. It is a
//! list of refusals, not of permissions: an emulator needs hundreds of calls. What is refused here are the ways into the
//! kernel that namespaces do not shut: other address families, new namespaces, mounts, tracing, BPF, keys, io_uring.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// A filter that cannot be made here.
#[derive(Debug, thiserror::Error)]
#[error("no filter of system calls can be made for this machine: {0}")]
pub struct FilterError(String);

/// Refused whatever their arguments.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pidfd_getfd,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_move_pages,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_set_mempolicy,
];

/// Terminal requests that put characters into somebody's keyboard.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0080;
/// Address families that stay inside the namespace: local, IPv4, IPv6.
const FAMILIES: [u64; 3] = [libc::AF_UNIX as u64, libc::AF_INET as u64, libc::AF_INET6 as u64];

fn error(refused: impl std::fmt::Display) -> FilterError {
    FilterError(refused.to_string())
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, FilterError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(error)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, FilterError> {
    SeccompRule::new(conditions).map_err(error)
}

/// The filters, as the bytes that bubblewrap reads. The second answers `ENOSYS` to `clone3`, whose flags lie in memory
/// where no filter sees them; libraries then fall back to `clone`.
pub fn programs() -> Result<Vec<Vec<u8>>, FilterError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let foreign: Result<Vec<_>, _> = FAMILIES.iter().map(|family| condition(0, SeccompCmpOp::Ne, *family)).collect();
    let foreign = foreign?;
    rules.insert(libc::SYS_socket, vec![rule(foreign.clone())?]);
    rules.insert(libc::SYS_socketpair, vec![rule(foreign)?]);
    rules.insert(
        libc::SYS_ioctl,
        vec![
            rule(vec![condition(1, SeccompCmpOp::Eq, TIOCSTI)?])?,
            rule(vec![condition(1, SeccompCmpOp::Eq, TIOCLINUX)?])?,
        ],
    );
    let mut clones = Vec::new();
    for bit in (0..32).map(|bit| 1u64 << bit).filter(|bit| NEW_NAMESPACES & bit != 0) {
        clones.push(rule(vec![condition(0, SeccompCmpOp::MaskedEq(bit), bit)?])?);
    }
    rules.insert(libc::SYS_clone, clones);
    let never = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok(vec![bytes(&compile(rules, libc::EPERM)?), bytes(&compile(never, libc::ENOSYS)?)])
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: libc::c_int) -> Result<BpfProgram, FilterError> {
    let here = std::env::consts::ARCH.try_into().map_err(error)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), here);
    filter.map_err(error)?.try_into().map_err(error)
}

fn bytes(program: &BpfProgram) -> Vec<u8> {
    let instruction = |one: &seccompiler::sock_filter| {
        let mut bytes = one.code.to_ne_bytes().to_vec();
        bytes.extend([one.jt, one.jf]);
        bytes.extend(one.k.to_ne_bytes());
        bytes
    };
    program.iter().flat_map(instruction).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn filters_fit_a_pipe() {
        for program in super::programs().unwrap() {
            assert!(!program.is_empty() && program.len() % 8 == 0 && program.len() < 32_768, "{}", program.len());
        }
    }
}
