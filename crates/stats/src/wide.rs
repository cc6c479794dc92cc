//! The same loops compiled once for each width of register, and run at the widest that the processor has.
//!
//! A release must run on any x86-64, so the compiler may assume no more than two values per register; the loops of
//! change scores and factors are two to four times faster with more. They stay plain Rust: nothing here is written for
//! one processor, only compiled for it.

/// A loop to run. Implementations mark `run` as `#[inline(always)]`, so that it is compiled with the features of its
/// caller.
pub(crate) trait Loop {
    /// What it gives.
    type Output;

    /// `WIDTH`: values of a tile that fits the registers, 4, 8 or 32; `FUSED`: whether multiplication and addition in one
    /// rounding is an instruction (else it is a slow function).
    fn run<const WIDTH: usize, const FUSED: bool>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{has_256, has_512};

/// Runs the loop at the widest.
pub(crate) fn run<L: Loop>(body: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_512() {
            return x86::run_512(body);
        }
        if x86::has_256() {
            return x86::run_256(body);
        }
    }
    body.run::<4, false>()
}

/// `a * b + c`.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use super::Loop;
    use std::arch::is_x86_feature_detected;

    pub(crate) fn has_512() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && has_256()
    }

    pub(crate) fn has_256() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    pub(super) fn run_512<L: Loop>(body: L) -> L::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
        fn compiled<L: Loop>(body: L) -> L::Output {
            body.run::<32, true>()
        }
        assert!(has_512());
        // SAFETY: the processor has each feature that the function is compiled for, as just asserted.
        unsafe { compiled(body) }
    }

    pub(super) fn run_256<L: Loop>(body: L) -> L::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<L: Loop>(body: L) -> L::Output {
            body.run::<8, true>()
        }
        assert!(has_256());
        // SAFETY: as above.
        unsafe { compiled(body) }
    }
}
