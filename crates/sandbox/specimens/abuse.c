/* Benign abuse: it tries what a hostile sample would try against its sandbox, and harms nothing if it succeeds.
 *
 * /etc/specimen.conf names one attempt: `try=fork`. It prints what came of it; the test checks that nothing did.
 * Outside a sandbox it refuses to start: it wants a parameter file that only the sandbox makes, and process number
 * below 100, as only a new process namespace has. */
#include "start.h"

static char conf[512];

static int try_is(const char *name) {
  unsigned long n = length(name);
  for (unsigned long k = 0; k < n; k++)
    if (conf[4 + k] != name[k]) return 0;
  return conf[4 + n] == '\n' || conf[4 + n] == 0;
}
static long fork_one(void) { return call6(NR_clone, 17, 0, 0, 0, 0, 0); }
static void result(const char *what, long r) {
  say(what);
  say(r < 0 ? ": refused\n" : ": went through\n");
}
static void forever(void) { for (;;) pause_us(900000); }
static void send_to(u32 addr, u32 port) {
  struct inet_k to = inet(addr, port);
  long fd = call(NR_socket, AF_INET, SOCK_DGRAM, 0);
  call6(NR_sendto, fd, (long)"noroshi abuse", 13, 0, (long)&to, sizeof to);
  call(NR_close, fd, 0, 0);
}

void start(void) {
  long fd = call(NR_openat, AT_FDCWD, (long)"/etc/specimen.conf", 0), r;
  static char block[65536];
  if (fd < 0 || call(NR_read, fd, (long)conf, sizeof conf - 1) < 5) { say("refused: no parameter file\n"); leave(3); }
  if (call(NR_getpid, 0, 0, 0) >= 100) { say("refused: this is no sandbox\n"); leave(3); }
  if (try_is("fork")) {
    for (;;) { r = fork_one(); if (r < 0) pause_us(1000); if (r == 0) for (;;) fork_one(); }
  } else if (try_is("disk")) {
    fd = call6(NR_openat, AT_FDCWD, (long)"/tmp/fill", O_CREAT | O_WRONLY, 0600, 0, 0);
    for (r = 0; r < 20000; r++) if (call(NR_write, fd, (long)block, sizeof block) <= 0) break;
    result("disk", r >= 20000 ? 0 : -1);
    result("shm", call6(NR_openat, AT_FDCWD, (long)"/dev/shm/fill", O_CREAT | O_WRONLY, 0600, 0, 0));
  } else if (try_is("sparse")) {
    fd = call6(NR_openat, AT_FDCWD, (long)"/tmp/sparse", O_CREAT | O_WRONLY, 0600, 0, 0);
    result("sparse", call(NR_ftruncate, fd, 0x7fffffff, 0));
  } else if (try_is("memory")) {
#if defined(__i386__) || defined(__mips__) || (defined(__powerpc__) && !defined(__powerpc64__)) || defined(__arm__)
    forever();
#else
    for (;;) {
      volatile u8 *p = (u8 *)call6(NR_mmap, 0, 1 << 24, 3, 0x22, -1, 0);
      if ((long)p < 0 && (long)p > -4096) forever();
      for (u32 k = 0; k < 1 << 24; k += 4096) p[k] = 1;
    }
#endif
  } else if (try_is("log")) {
    for (;;) call(NR_write, 1, (long)block, sizeof block);
  } else if (try_is("sleep")) {
    forever();
  } else if (try_is("daemon")) {
    for (u32 k = 0; k < 8; k++)
      if (fork_one() == 0) { call(NR_setsid, 0, 0, 0); if (fork_one() == 0) forever(); leave(0); }
    say("daemons left\n");
  } else if (try_is("network")) {
    u32 hosts[] = {0x7f000001u, 0x08080808u, 0xc0a80001u, 0x0a000001u, 0xa9fea9feu, 0xe0000001u, 0xffffffffu};
    for (u32 k = 0; k < 7; k++) { send_to(hosts[k], 53); send_to(hosts[k], 9); }
    result("packet socket", call(NR_socket, AF_PACKET, SOCK_RAW, 0x300));
    result("netlink", call(NR_socket, AF_NETLINK, SOCK_RAW, 0));
    result("vsock", call(NR_socket, AF_VSOCK, SOCK_STREAM, 0));
    say("sent\n");
  } else if (try_is("escape")) {
    result("unshare", call(NR_unshare, 0x10000000, 0, 0));
    result("mount", call6(NR_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0, 0));
    result("ptrace", call6(NR_ptrace, 16, 1, 0, 0, 0, 0));
    result("bpf", call(NR_bpf, 0, 0, 0));
    result("io_uring", call(NR_io_uring_setup, 4, (long)block, 0));
    result("keyctl", call6(NR_keyctl, 0, -3, 1, 0, 0, 0));
    result("terminal", call(NR_ioctl, 0, 0x5412, (long)"x"));
    result("host file", call6(NR_openat, AT_FDCWD, (long)"/proc/1/root/etc/shadow", 0, 0, 0, 0));
    result("kernel", call6(NR_openat, AT_FDCWD, (long)"/proc/sys/kernel/core_pattern", O_WRONLY, 0, 0, 0));
  } else if (try_is("kill")) {
    call(NR_kill, -1, 9, 0);
    call(NR_kill, 1, 9, 0);
    say("killed\n");
  } else if (try_is("stop")) {
    if (fork_one() == 0) { call(NR_kill, 1, 19, 0); forever(); }
    call(NR_kill, call(NR_getpid, 0, 0, 0), 19, 0);
  }
  leave(0);
}
