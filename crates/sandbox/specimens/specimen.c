/* A benign specimen: it looks like a bot on the wire, inside the sandbox, and does nothing else.
 *
 * What it does stands in /etc/specimen.conf, which only the sandbox makes. It has no exploit, no login, no way to copy
 * itself, and refuses to start unless the only network is the sandbox's fake Internet: there must be no interface but
 * the loopback and the sandbox's, and a name that exists nowhere else must resolve to what the parameter file says. */
#include "start.h"

static char conf[4096];

/* The value of a key, or 0. */
static const char *value(const char *key) {
  unsigned long n = length(key);
  for (const char *p = conf; *p;) {
    unsigned long k = 0;
    while (k < n && p[k] == key[k]) k++;
    if (k == n && p[n] == '=') return p + n + 1;
    while (*p && *p != '\n') p++;
    if (*p) p++;
  }
  return 0;
}
static u32 number_at(const char **text) {
  u32 n = 0;
  while (**text >= '0' && **text <= '9') n = n * 10 + (u32)(*(*text)++ - '0');
  return n;
}
static u32 number(const char *key, u32 otherwise) {
  const char *text = value(key);
  return text ? number_at(&text) : otherwise;
}

static long read_file(const char *path, char *into, unsigned long size) {
  long fd = call(NR_openat, AT_FDCWD, (long)path, 0), n, all = 0;
  if (fd < 0) return fd;
  while (all < (long)size - 1 && (n = call(NR_read, fd, (long)(into + all), (long)size - 1 - all)) > 0) all += n;
  call(NR_close, fd, 0, 0);
  into[all] = 0;
  return all;
}

/* Asks the name server for an address; 0 when there is none. */
static u32 resolve(const char *name, unsigned long n) {
  u8 q[300], a[512];
  unsigned long at = 12, label = 12;
  struct inet_k to = inet(0xc0000235u, 53); /* 192.0.2.53 */
  struct timeval_k wait = {1, 0};
  long fd = call(NR_socket, AF_INET, SOCK_DGRAM, 0), got;
  if (fd < 0 || n > 200) return 0;
  memset(q, 0, 12);
  q[0] = (u8)draw(); q[1] = (u8)draw(); q[2] = 1; q[5] = 1;
  at = 13;
  for (unsigned long k = 0; k <= n; k++) {
    if (k == n || name[k] == '.') { q[label] = (u8)(at - label - 1); label = at++; }
    else q[at++] = (u8)name[k];
  }
  q[label] = 0;
  q[at++] = 0; q[at++] = 1; q[at++] = 0; q[at++] = 1;
  call6(NR_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&wait, sizeof wait, 0);
  call6(NR_sendto, fd, (long)q, (long)at, 0, (long)&to, sizeof to);
  got = call6(NR_recvfrom, fd, (long)a, sizeof a, 0, 0, 0);
  call(NR_close, fd, 0, 0);
  if (got < (long)at + 16 || a[0] != q[0] || a[1] != q[1] || a[7] == 0) return 0;
  return (u32)a[got - 4] << 24 | (u32)a[got - 3] << 16 | (u32)a[got - 2] << 8 | a[got - 1];
}

static void only_the_fake_internet(void) {
  static char devices[4096];
  const char *token = value("token");
  char name[64];
  u32 n = 0, lines = 0, expect = 2166136261u;
  if (read_file("/proc/net/dev", devices, sizeof devices) <= 0) { say("refused: no list of interfaces\n"); leave(3); }
  for (char *p = devices; *p; p++)
    if (*p == ':') lines++;
  if (lines != 2) { say("refused: there are other interfaces than the sandbox's\n"); leave(3); }
  if (!token) { say("refused: no token\n"); leave(3); }
  while (n < 32 && token[n] && token[n] != '\n') { name[n] = token[n]; expect = (expect ^ (u8)token[n]) * 16777619u; n++; }
  memcpy(name + n, ".sandbox.invalid", 16);
  if (resolve(name, n + 16) != (0x0a000000u | (expect & 0xffffffu))) {
    say("refused: this is not the fake Internet\n");
    leave(3);
  }
}

static u32 window, source_port, own = 0x0a420002u; /* 10.66.0.2 */

static u32 checksum(const u8 *p, u32 n, u32 sum) {
  for (u32 k = 0; k + 1 < n; k += 2) sum += (u32)p[k] << 8 | p[k + 1];
  if (n & 1) sum += (u32)p[n - 1] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
static void put16(u8 *p, u32 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; }
static void put32(u8 *p, u32 v) { put16(p, v >> 16); put16(p + 2, v); }

/* One SYN with the habits of the parameter file. */
static void raw_probe(long fd, u32 dst, u32 port) {
  u8 p[44];
  u32 mss = number("mss", 0), tcp = mss ? 24 : 20, id = number("id", 65536);
  const char *sequence = value("sequence");
  u32 seq = sequence && *sequence == 't' ? dst : draw();
  struct inet_k to = inet(dst, 0);
  memset(p, 0, sizeof p);
  p[0] = 0x45; put16(p + 2, 20 + tcp); put16(p + 4, id < 65536 ? id : draw() & 0xffff);
  if (sequence && *sequence == 'm') put16(p + 4, (dst ^ port ^ seq) & 0xffff);
  p[8] = (u8)number("ttl", 64); p[9] = 6; put32(p + 12, own); put32(p + 16, dst);
  put16(p + 10, ~checksum(p, 20, 0));
  put16(p + 20, source_port); put16(p + 22, port); put32(p + 24, seq);
  p[32] = (u8)(tcp << 2); p[33] = 2; put16(p + 34, window);
  if (mss) { p[40] = 2; p[41] = 4; put16(p + 42, mss); }
  put16(p + 36, ~checksum(p + 20, tcp, checksum(p + 12, 8, 6 + tcp)));
  call6(NR_sendto, fd, (long)p, 20 + (long)tcp, 0, (long)&to, sizeof to);
}

static u32 target(void) {
  for (;;) {
    u32 a = draw(), first = a >> 24;
    if (first != 0 && first != 10 && first != 127 && first < 224) return a;
  }
}

/* A port by weight: "23:9,2323:1". */
static u32 port(void) {
  const char *list = value("ports"), *p = list;
  u32 total = 0, at;
  if (!list) return 23;
  for (;;) { number_at(&p); p++; total += number_at(&p); if (*p != ',') break; p++; }
  at = total ? draw() % total : 0;
  for (p = list;;) {
    u32 number = number_at(&p), part;
    p++;
    part = number_at(&p);
    if (at < part || *p != ',') return number;
    at -= part;
    p++;
  }
}

static void beacon(void) {
  const char *name = value("beacon"), *p = name;
  struct inet_k to;
  u8 answer[128];
  long fd;
  struct timeval_k wait = {0, 100000};
  u32 addr;
  if (!name) return;
  while (*p && *p != ':' && *p != '\n') p++;
  addr = resolve(name, (unsigned long)(p - name));
  if (!addr || *p != ':') return;
  p++;
  to = inet(addr, number_at(&p));
  fd = call(NR_socket, AF_INET, SOCK_STREAM, 0);
  call6(NR_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&wait, sizeof wait, 0);
  if (call(NR_connect, fd, (long)&to, sizeof to) == 0) {
    call6(NR_sendto, fd, (long)"hello\n", 6, 0, 0, 0);
    call6(NR_recvfrom, fd, (long)answer, sizeof answer, 0, 0, 0);
  }
  call(NR_close, fd, 0, 0);
}

static void scan(void) {
  const char *mode = value("mode");
  u32 rate = number("rate", 100), seconds = number("seconds", 5), beacons = number("beacon_seconds", 0);
  u64 start = now_us(), end = start + (u64)seconds * 1000000u, next_beacon = start;
  long fd = mode && *mode == 'r' ? call(NR_socket, AF_INET, SOCK_RAW, IPPROTO_RAW) : -1;
  u32 sent = 0;
  if (mode && *mode == 'r' && fd < 0) { say("refused: no raw socket\n"); leave(4); }
  while (now_us() < end) {
    if (beacons && now_us() >= next_beacon) { beacon(); next_beacon += (u64)beacons * 1000000u; }
    if (mode && *mode == 'r') raw_probe(fd, target(), port());
    else if (mode && *mode == 'u') {
      struct inet_k to = inet(target(), port());
      long udp = call(NR_socket, AF_INET, SOCK_DGRAM, 0);
      call6(NR_sendto, udp, (long)"noroshi specimen", 16, 0, (long)&to, sizeof to);
      call(NR_close, udp, 0, 0);
    } else {
      struct inet_k to = inet(target(), port());
      long tcp = call(NR_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      call(NR_connect, tcp, (long)&to, sizeof to);
      pause_us(2000);
      call(NR_close, tcp, 0, 0);
    }
    sent++;
    {
      u64 due = start + (u64)sent * (1000000u / (rate ? rate : 1));
      u64 now = now_us();
      if (due > now) pause_us(due - now);
    }
  }
}

void start(void) {
  long fd;
  const char *marker;
  state ^= (u32)now_us() ^ (u32)call(NR_getpid, 0, 0, 0) << 16;
  if (read_file("/etc/specimen.conf", conf, sizeof conf) <= 0) { say("refused: no parameter file\n"); leave(3); }
  only_the_fake_internet();
  window = number("window", 0);
  if (!window) window = 1024 + draw() % 60000;
  source_port = number("source_port", 0);
  if (!source_port) source_port = 1024 + draw() % 60000;
  marker = value("marker");
  if (marker) {
    /* Something to see among the changed files. */
    fd = call6(NR_openat, AT_FDCWD, (long)"/tmp/.specimen", O_CREAT | O_WRONLY, 0600, 0, 0);
    call(NR_write, fd, (long)"specimen\n", 9);
    call(NR_close, fd, 0, 0);
  }
  beacon();
  scan();
  say("done\n");
  leave(0);
}
