/* A token endpoint that is never the limit: one thread, epoll, keep-alive, a fixed latency, rotating refresh tokens.
 *
 *   provider LATENCY_US ACCESS_LENGTH REFRESH_LENGTH EXPIRES_IN
 *
 * Listens on a free port of loopback and prints it. It judges nothing: any POST is answered with new tokens.
 *   refresh token   NAME.SERIAL.padding   NAME is kept from the one presented, SERIAL goes up
 *   access token    MICROSECONDS.padding  when it was answered, so that a reader of Redis can tell how long it took
 *   GET /stats      requests answered, connections that posted, CPU seconds
 *   GET /order      the first letter of each NAME, in the order of arrival
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 4096, INPUT = 16384, WAITING = 8192, NAME = 64, ORDER = 1 << 22, OUTPUT = 16384 };

struct connection {
  unsigned generation; /* a late answer must not go to the next user of the descriptor */
  int used;
  int counted; /* among the connections, once it has posted: those that only ask for figures are not */
  char input[INPUT + 1];
};

struct waiting {
  int64_t due_ns;
  int fd;
  unsigned generation;
  unsigned long serial;
  char name[NAME];
};

static struct connection connections[CONNECTIONS];
static struct waiting queue[WAITING]; /* the latency is fixed, so first in is first out */
static unsigned head, tail;
static char order[ORDER];
static size_t arrived;
static unsigned long requests, dialled;
static char padding[OUTPUT];
static int access_length, refresh_length, expires_in;

static int64_t now_ns(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void drop(int epoll, int fd) {
  epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
  connections[fd].generation++;
  connections[fd].used = 0;
  close(fd);
}

/* Answers are far smaller than a socket's buffer; one that does not fit at once is a reader that went away. */
static void answer(int epoll, int fd, const char *type, const char *body, size_t length) {
  static char frame[ORDER + 256];
  int start = snprintf(frame, 256, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %zu\r\n\r\n", type, length);
  memcpy(frame + start, body, length);
  size_t total = start + length, sent = 0;
  while (sent < total) {
    ssize_t now = send(fd, frame + sent, total - sent, MSG_NOSIGNAL);
    if (now > 0)
      sent += now;
    else if (now < 0 && errno == EAGAIN && strcmp(type, "text/plain") == 0)
      usleep(1000);
    else {
      drop(epoll, fd);
      return;
    }
  }
}

static void give_tokens(int epoll, const struct waiting *one) {
  char body[OUTPUT], access[64], refresh[NAME + 32];
  int a = snprintf(access, sizeof access, "%lld.", (long long)(now_ns(CLOCK_REALTIME) / 1000));
  int r = snprintf(refresh, sizeof refresh, "%s.%lu.", one->name, one->serial + 1);
  int length = snprintf(body, sizeof body,
                        "{\"access_token\":\"%s%.*s\",\"expires_in\":%d,\"refresh_token\":\"%s%.*s\",\"scope\":\"offline read\",\"token_type\":\"bearer\"}",
                        access, access_length > a ? access_length - a : 0, padding, expires_in,
                        refresh, refresh_length > r ? refresh_length - r : 0, padding);
  requests++;
  answer(epoll, one->fd, "application/json", body, length);
}

static void statistics(int epoll, int fd) {
  struct rusage used;
  char body[256];
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  int length = snprintf(body, sizeof body, "{\"requests\":%lu,\"connections\":%lu,\"cpu\":%.6f}", requests, dialled, cpu);
  answer(epoll, fd, "application/json", body, length);
}

static void post(int epoll, int fd, const char *body, int64_t latency_ns) {
  struct waiting one = {.fd = fd, .generation = connections[fd].generation, .due_ns = now_ns(CLOCK_MONOTONIC) + latency_ns};
  if (!connections[fd].counted) {
    connections[fd].counted = 1;
    dialled++;
  }
  const char *token = strstr(body, "refresh_token=");
  while (token && (token = strchr(token, '=') + 1) && strncmp(token, "refresh_token", 6) == 0) /* grant_type=refresh_token */
    token = strstr(token, "refresh_token=");
  if (token)
    sscanf(token, "%63[^.&].%lu", one.name, &one.serial);
  if (arrived < ORDER)
    order[arrived++] = one.name[0] ? one.name[0] : '?';
  if (latency_ns == 0)
    give_tokens(epoll, &one);
  else if (head - tail < WAITING)
    queue[head++ % WAITING] = one;
  else
    drop(epoll, fd);
}

/* Every whole request that has arrived; the rest stays for the next read. */
static void requests_in(int epoll, int fd, int64_t latency_ns) {
  struct connection *one = &connections[fd];
  unsigned generation = one->generation;
  for (;;) {
    one->input[one->used] = 0;
    char *end = strstr(one->input, "\r\n\r\n");
    if (!end)
      return;
    char *field = strcasestr(one->input, "\r\ncontent-length:");
    long length = field && field < end ? strtol(field + 17, NULL, 10) : 0;
    char *body = end + 4;
    if (length < 0 || length > INPUT - (body - one->input)) {
      drop(epoll, fd);
      return;
    }
    if (body + length > one->input + one->used)
      return;
    char after = body[length];
    body[length] = 0;
    if (strncmp(one->input, "GET /stats", 10) == 0)
      statistics(epoll, fd);
    else if (strncmp(one->input, "GET /order", 10) == 0)
      answer(epoll, fd, "text/plain", order, arrived);
    else
      post(epoll, fd, body, latency_ns);
    if (one->generation != generation)
      return;
    body[length] = after;
    one->used -= body + length - one->input;
    memmove(one->input, body + length, one->used);
  }
}

static void received(int epoll, int fd, int64_t latency_ns) {
  struct connection *one = &connections[fd];
  ssize_t got = recv(fd, one->input + one->used, INPUT - one->used, 0);
  if (got > 0) {
    one->used += got;
    requests_in(epoll, fd, latency_ns);
  } else if (got == 0 || errno != EAGAIN)
    drop(epoll, fd);
}

static void welcome(int epoll, int listener) {
  int fd, yes = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    if (fd >= CONNECTIONS) {
      close(fd);
      continue;
    }
    connections[fd].used = connections[fd].counted = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

static void answer_due(int epoll) {
  while (tail != head && queue[tail % WAITING].due_ns <= now_ns(CLOCK_MONOTONIC)) {
    struct waiting *one = &queue[tail++ % WAITING];
    if (connections[one->fd].generation == one->generation)
      give_tokens(epoll, one);
  }
}

int main(int count, char **arguments) {
  if (count != 5) {
    fprintf(stderr, "usage: provider LATENCY_US ACCESS_LENGTH REFRESH_LENGTH EXPIRES_IN\n");
    return 2;
  }
  int64_t latency_ns = atoll(arguments[1]) * 1000;
  access_length = atoi(arguments[2]), refresh_length = atoi(arguments[3]), expires_in = atoi(arguments[4]);
  if (access_length < 0 || refresh_length < 0 || access_length + refresh_length > OUTPUT - 512) {
    fprintf(stderr, "provider: tokens of at most %d bytes together\n", OUTPUT - 512);
    return 2;
  }
  memset(padding, 'x', sizeof padding - 1);
  signal(SIGPIPE, SIG_IGN);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) {
    perror("provider");
    return 1;
  }
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int64_t left = tail == head ? 1000000000 : queue[tail % WAITING].due_ns - now_ns(CLOCK_MONOTONIC);
    if (left < 0)
      left = 0;
    struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    int ready = epoll_pwait2(epoll, events, 256, &wait, NULL);
    for (int i = 0; i < ready; i++)
      if (events[i].data.fd == listener)
        welcome(epoll, listener);
      else
        received(epoll, events[i].data.fd, latency_ns);
    answer_due(epoll);
  }
}
