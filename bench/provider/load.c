/* What the provider can bear: CONNECTIONS keep-alive connections, each posting again as soon as it is answered.
 *
 *   load PORT CONNECTIONS SECONDS
 *
 * Prints requests per second. It does less for each request than any client that is measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024 };

static const char BODY[] = "grant_type=refresh_token&refresh_token=load.1.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx&client_id=load";
static char request[1024];
static int request_length;
static long left[MOST]; /* bytes of the answer still to come; 0 before its head */

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
    perror("load");
    exit(1);
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

/* 1 when the answer is whole. */
static int took(int fd) {
  char input[65536];
  ssize_t got = recv(fd, input, sizeof input - 1, 0);
  if (got <= 0) {
    fprintf(stderr, "load: the provider closed a connection\n");
    exit(1);
  }
  if (left[fd] == 0) {
    input[got] = 0;
    char *field = strstr(input, "Content-Length: "), *end = strstr(input, "\r\n\r\n");
    if (!field || !end) {
      fprintf(stderr, "load: an answer without a head\n");
      exit(1);
    }
    left[fd] = end + 4 - input + atol(field + 16);
  }
  left[fd] -= got;
  return left[fd] == 0;
}

int main(int count, char **arguments) {
  int connections = count == 4 ? atoi(arguments[2]) : 0;
  if (connections < 1 || connections > MOST - 16) {
    fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS\n");
    return 2;
  }
  request_length = snprintf(request, sizeof request,
                            "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
                            sizeof BODY - 1, BODY);
  int epoll = epoll_create1(0);
  for (int i = 0; i < connections; i++) {
    int fd = dial(atoi(arguments[1]));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    if (send(fd, request, request_length, 0) != request_length)
      return 1;
  }
  struct epoll_event events[256];
  double start = now(), end = start + atof(arguments[3]);
  long answered = 0;
  while (now() < end) {
    int ready = epoll_wait(epoll, events, 256, 1000);
    for (int i = 0; i < ready; i++)
      if (took(events[i].data.fd)) {
        answered++;
        if (send(events[i].data.fd, request, request_length, 0) != request_length)
          return 1;
      }
  }
  printf("%.0f\n", answered / (now() - start));
  return 0;
}
