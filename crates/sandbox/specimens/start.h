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

/* The system calls that specimens use, in one order for all architectures. BASE is where a table begins (MIPS). */
#define NUMBERS(read, write, close, mmap, nanosleep, getpid, socket, connect, sendto, recvfrom, setsockopt, \
                clone, exit, kill, setsid, ptrace, unshare, mount, openat, clock_gettime, ioctl, ftruncate, \
                bpf, io_uring_setup, keyctl) \
  enum { NR_read = BASE + read, NR_write = BASE + write, NR_close = BASE + close, NR_mmap = BASE + mmap, \
         NR_nanosleep = BASE + nanosleep, NR_getpid = BASE + getpid, NR_socket = BASE + socket, \
         NR_connect = BASE + connect, NR_sendto = BASE + sendto, NR_recvfrom = BASE + recvfrom, \
         NR_setsockopt = BASE + setsockopt, NR_clone = BASE + clone, NR_exit = BASE + exit, \
         NR_kill = BASE + kill, NR_setsid = BASE + setsid, NR_ptrace = BASE + ptrace, \
         NR_unshare = BASE + unshare, NR_mount = BASE + mount, NR_openat = BASE + openat, \
         NR_clock_gettime = BASE + clock_gettime, NR_ioctl = BASE + ioctl, NR_ftruncate = BASE + ftruncate, \
         NR_bpf = BASE + bpf, NR_io_uring_setup = BASE + io_uring_setup, NR_keyctl = BASE + keyctl };

#if !defined(__mips__)
#define BASE 0
#endif

#if defined(__x86_64__)
NUMBERS(0, 1, 3, 9, 35, 39, 41, 42, 44, 45, 54, 56, 231, 62, 112, 101, 272, 165, 257, 228, 16, 77, 321, 425, 250)
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return r;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\n and $-16,%rsp\n call start\n");
#elif defined(__i386__)
NUMBERS(3, 4, 6, 192, 162, 20, 359, 362, 369, 371, 366, 120, 252, 37, 66, 26, 310, 21, 295, 265, 54, 93, 357,
        425, 288)
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
NUMBERS(63, 64, 57, 222, 101, 172, 198, 203, 206, 207, 208, 220, 94, 129, 157, 117, 97, 40, 56, 113, 29, 46,
        280, 425, 219)
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
__asm__(".globl _start\n_start: mov x29,#0\n bl start\n");
#elif defined(__arm__)
NUMBERS(3, 4, 6, 192, 162, 20, 281, 283, 290, 292, 294, 120, 248, 37, 66, 26, 337, 21, 322, 263, 54, 93, 386,
        425, 311)
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
NUMBERS(0, 1, 3, 9, 34, 38, 40, 41, 43, 44, 53, 55, 205, 60, 110, 99, 262, 160, 247, 222, 15, 75, 315, 425, 241)
#else
#define BASE 4000
NUMBERS(3, 4, 6, 90, 166, 20, 183, 170, 180, 176, 181, 120, 246, 37, 66, 26, 303, 21, 288, 263, 54, 93, 355, 425, 282)
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
NUMBERS(3, 4, 6, 90, 162, 20, 326, 328, 335, 337, 339, 120, 234, 37, 66, 26, 282, 21, 286, 246, 54, 93, 361, 425, 271)
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
