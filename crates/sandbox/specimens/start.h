/* The floor that specimens stand on: system calls and the entry point for nine architectures, without a C library.
 *
 * Numbers are from the kernel's tables (arch/<name>/.../syscall.tbl). MIPS o32, i386 and powerpc have had the socket
 * calls as calls of their own since Linux 4.3; qemu knows them. */
#ifndef START_H
#define START_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#if defined(__x86_64__)
enum { NR_read = 0, NR_write = 1, NR_close = 3, NR_mmap = 9, NR_nanosleep = 35, NR_getpid = 39, NR_socket = 41,
       NR_connect = 42, NR_sendto = 44, NR_recvfrom = 45, NR_setsockopt = 54, NR_clone = 56, NR_exit = 231,
       NR_kill = 62, NR_setsid = 112, NR_ptrace = 101, NR_unshare = 272, NR_mount = 165, NR_openat = 257,
       NR_clock_gettime = 228, NR_ioctl = 16, NR_ftruncate = 77, NR_bpf = 321, NR_io_uring_setup = 425, NR_keyctl = 250 };
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return r;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\n and $-16,%rsp\n call start\n");
#elif defined(__i386__)
enum { NR_read = 3, NR_write = 4, NR_close = 6, NR_mmap = 192, NR_nanosleep = 162, NR_getpid = 20, NR_socket = 359,
       NR_connect = 362, NR_sendto = 369, NR_recvfrom = 371, NR_setsockopt = 366, NR_clone = 120, NR_exit = 252,
       NR_kill = 37, NR_setsid = 66, NR_ptrace = 26, NR_unshare = 310, NR_mount = 21, NR_openat = 295,
       NR_clock_gettime = 265, NR_ioctl = 54, NR_ftruncate = 93, NR_bpf = 357, NR_io_uring_setup = 425, NR_keyctl = 288 };
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  long r, args[2] = {n, f};
  /* Five registers are taken, so number and sixth argument travel through memory. */
  __asm__ volatile("push %%ebp\n push %%edi\n mov %1,%%eax\n mov 4(%%eax),%%ebp\n mov (%%eax),%%eax\n mov 0(%%esp),%%edi\n"
                   "int $0x80\n pop %%edi\n pop %%ebp"
                   : "=a"(r) : "a"(args), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
  return r;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\n and $-16,%esp\n call start\n");
#elif defined(__aarch64__)
enum { NR_read = 63, NR_write = 64, NR_close = 57, NR_mmap = 222, NR_nanosleep = 101, NR_getpid = 172, NR_socket = 198,
       NR_connect = 203, NR_sendto = 206, NR_recvfrom = 207, NR_setsockopt = 208, NR_clone = 220, NR_exit = 94,
       NR_kill = 129, NR_setsid = 157, NR_ptrace = 117, NR_unshare = 97, NR_mount = 40, NR_openat = 56,
       NR_clock_gettime = 113, NR_ioctl = 29, NR_ftruncate = 46, NR_bpf = 280, NR_io_uring_setup = 425, NR_keyctl = 219 };
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
__asm__(".globl _start\n_start: mov x29,#0\n bl start\n");
#elif defined(__arm__)
enum { NR_read = 3, NR_write = 4, NR_close = 6, NR_mmap = 192, NR_nanosleep = 162, NR_getpid = 20, NR_socket = 281,
       NR_connect = 283, NR_sendto = 290, NR_recvfrom = 292, NR_setsockopt = 294, NR_clone = 120, NR_exit = 248,
       NR_kill = 37, NR_setsid = 66, NR_ptrace = 26, NR_unshare = 337, NR_mount = 21, NR_openat = 322,
       NR_clock_gettime = 263, NR_ioctl = 54, NR_ftruncate = 93, NR_bpf = 386, NR_io_uring_setup = 425, NR_keyctl = 311 };
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long r7 __asm__("r7") = n, r0 __asm__("r0") = a, r1 __asm__("r1") = b, r2 __asm__("r2") = c,
                r3 __asm__("r3") = d, r4 __asm__("r4") = e, r5 __asm__("r5") = f;
  __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5) : "memory");
  return r0;
}
__asm__(".globl _start\n_start: mov r11,#0\n bl start\n");
#elif defined(__mips__)
#if defined(__mips64)
#define BASE 5000
enum { NR_read = BASE + 0, NR_write = BASE + 1, NR_close = BASE + 3, NR_mmap = BASE + 9, NR_nanosleep = BASE + 34,
       NR_getpid = BASE + 38, NR_socket = BASE + 40, NR_connect = BASE + 41, NR_sendto = BASE + 43,
       NR_recvfrom = BASE + 44, NR_setsockopt = BASE + 53, NR_clone = BASE + 55, NR_exit = BASE + 205,
       NR_kill = BASE + 60, NR_setsid = BASE + 110, NR_ptrace = BASE + 99, NR_unshare = BASE + 262,
       NR_mount = BASE + 160, NR_openat = BASE + 247, NR_clock_gettime = BASE + 222, NR_ioctl = BASE + 15,
       NR_ftruncate = BASE + 75, NR_bpf = BASE + 315, NR_io_uring_setup = BASE + 425, NR_keyctl = BASE + 241 };
#else
#define BASE 4000
enum { NR_read = BASE + 3, NR_write = BASE + 4, NR_close = BASE + 6, NR_mmap = BASE + 90, NR_nanosleep = BASE + 166,
       NR_getpid = BASE + 20, NR_socket = BASE + 183, NR_connect = BASE + 170, NR_sendto = BASE + 180,
       NR_recvfrom = BASE + 176, NR_setsockopt = BASE + 181, NR_clone = BASE + 120, NR_exit = BASE + 246,
       NR_kill = BASE + 37, NR_setsid = BASE + 66, NR_ptrace = BASE + 26, NR_unshare = BASE + 303,
       NR_mount = BASE + 21, NR_openat = BASE + 288, NR_clock_gettime = BASE + 263, NR_ioctl = BASE + 54,
       NR_ftruncate = BASE + 93, NR_bpf = BASE + 355, NR_io_uring_setup = BASE + 425, NR_keyctl = BASE + 282 };
#endif
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long v0 __asm__("$2") = n, a0 __asm__("$4") = a, a1 __asm__("$5") = b, a2 __asm__("$6") = c,
                a3 __asm__("$7") = d;
#if defined(__mips64)
  register long a4 __asm__("$8") = e, a5 __asm__("$9") = f;
  __asm__ volatile("syscall" : "+r"(v0), "+r"(a3), "+r"(a4), "+r"(a5) : "r"(a0), "r"(a1), "r"(a2)
                   : "$1", "$3", "$10", "$11", "$12", "$13", "$14", "$15", "$24", "$25", "hi", "lo", "memory");
#else
  /* The fifth and sixth argument lie on the stack (o32). */
  register long t0 __asm__("$8") = e, t1 __asm__("$9") = f;
  __asm__ volatile(".set noat\n addiu $29,$29,-32\n sw %2,16($29)\n sw %3,20($29)\n syscall\n addiu $29,$29,32"
                   : "+r"(v0), "+r"(a3), "+r"(t0), "+r"(t1) : "r"(a0), "r"(a1), "r"(a2)
                   : "$1", "$3", "$10", "$11", "$12", "$13", "$14", "$15", "$24", "$25", "hi", "lo", "memory");
#endif
  return a3 ? -v0 : v0;
}
#if defined(__mips64)
__asm__(".globl __start\n.globl _start\n.set noreorder\n__start:\n_start: move $30,$0\n bal 1f\n nop\n1: lui $28,%hi(%neg(%gp_rel(1b)))\n"
        " addiu $28,$28,%lo(%neg(%gp_rel(1b)))\n daddu $28,$28,$31\n dla $25,start\n jalr $25\n nop\n.set reorder\n");
#else
__asm__(".globl __start\n.globl _start\n.set noreorder\n__start:\n_start: move $30,$0\n la $25,start\n addiu $29,$29,-32\n jalr $25\n nop\n.set reorder\n");
#endif
#elif defined(__powerpc__)
enum { NR_read = 3, NR_write = 4, NR_close = 6, NR_mmap = 90, NR_nanosleep = 162, NR_getpid = 20, NR_socket = 326,
       NR_connect = 328, NR_sendto = 335, NR_recvfrom = 337, NR_setsockopt = 339, NR_clone = 120, NR_exit = 234,
       NR_kill = 37, NR_setsid = 66, NR_ptrace = 26, NR_unshare = 282, NR_mount = 21, NR_openat = 286,
       NR_clock_gettime = 246, NR_ioctl = 54, NR_ftruncate = 93, NR_bpf = 361, NR_io_uring_setup = 425, NR_keyctl = 271 };
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long r0 __asm__("r0") = n, r3 __asm__("r3") = a, r4 __asm__("r4") = b, r5 __asm__("r5") = c,
                r6 __asm__("r6") = d, r7 __asm__("r7") = e, r8 __asm__("r8") = f;
  __asm__ volatile("sc\n bns+ 1f\n neg 3,3\n1:" : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7), "+r"(r8)
                   : : "r9", "r10", "r11", "r12", "cr0", "ctr", "xer", "memory");
  return r3;
}
#if defined(__powerpc64__)
__asm__(".globl _start\n_start: addis 2,12,.TOC.-_start@ha\n addi 2,2,.TOC.-_start@l\n li 0,0\n stdu 1,-64(1)\n bl start\n nop\n");
#else
__asm__(".globl _start\n_start: li 0,0\n stwu 1,-32(1)\n bl start\n");
#endif
#else
#error "this architecture is not known"
#endif

#define AT_FDCWD (-100)
#if defined(__mips__)
enum { O_CREAT = 0x100, SOCK_DGRAM = 1, SOCK_STREAM = 2, SOCK_NONBLOCK = 0x80, SOL_SOCKET = 0xffff, SO_RCVTIMEO = 0x1006 };
#elif defined(__powerpc__)
enum { O_CREAT = 0x40, SOCK_DGRAM = 2, SOCK_STREAM = 1, SOCK_NONBLOCK = 0x800, SOL_SOCKET = 1, SO_RCVTIMEO = 18 };
#else
enum { O_CREAT = 0x40, SOCK_DGRAM = 2, SOCK_STREAM = 1, SOCK_NONBLOCK = 0x800, SOL_SOCKET = 1, SO_RCVTIMEO = 20 };
#endif
enum { O_WRONLY = 1, O_RDWR = 2, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16, AF_PACKET = 17, AF_VSOCK = 40,
       SOCK_RAW = 3, IPPROTO_RAW = 255, MSG_DONTWAIT = 0x40 };

struct timespec_k { long sec, nsec; };
struct timeval_k { long sec, usec; };
struct inet_k { u16 family, port; u32 addr; u8 zero[8]; };

static long call(long n, long a, long b, long c) { return call6(n, a, b, c, 0, 0, 0); }

void *memset(void *to, int value, unsigned long n) {
  volatile u8 *p = to;
  while (n--) *p++ = (u8)value;
  return to;
}
void *memcpy(void *to, const void *from, unsigned long n) {
  volatile u8 *p = to;
  const u8 *q = from;
  while (n--) *p++ = *q++;
  return to;
}

static unsigned long length(const char *text) {
  unsigned long n = 0;
  while (text[n]) n++;
  return n;
}
static void say(const char *text) { call(NR_write, 1, (long)text, (long)length(text)); }
static void leave(int code) { for (;;) call(NR_exit, code, 0, 0); }
static void pause_us(u64 us) {
  struct timespec_k t = {(long)((u32)us / 1000000), (long)((u32)us % 1000000) * 1000};
  call(NR_nanosleep, (long)&t, 0, 0);
}
static u64 now_us(void) {
  struct timespec_k t = {0, 0};
  call(NR_clock_gettime, 1, (long)&t, 0);
  return (u64)(u32)t.sec * 1000000u + (u32)t.nsec / 1000u;
}
static u32 state = 2463534242u;
static u32 draw(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}
/* Network order, on either kind of machine. */
static u16 net16(u32 v) { u8 b[2] = {(u8)(v >> 8), (u8)v}; u16 r; memcpy(&r, b, 2); return r; }
static u32 net32(u32 v) { u8 b[4] = {(u8)(v >> 24), (u8)(v >> 16), (u8)(v >> 8), (u8)v}; u32 r; memcpy(&r, b, 4); return r; }
static struct inet_k inet(u32 addr, u32 port) {
  struct inet_k to = {AF_INET, net16(port), net32(addr), {0}};
  return to;
}
#endif
