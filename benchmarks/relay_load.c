/* The load for benchmarks/relay.py: an echo server and a closed-loop client, both cheap enough to leave the relay
   the bottleneck.

     relay_load echo                                  prints its port, serves until its standard input ends
     relay_load load PORT CONNECTIONS SECONDS SIZE    prints round trips a second and the median round trip in µs */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 1024, MAX_SIZE = 65536, MAX_FDS = 65536, MAX_SAMPLES = 4000000 };

static char buffer[MAX_SIZE];
static int got[MAX_FDS];
static double sent_at[MAX_FDS];
static float samples[MAX_SAMPLES];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(int ep, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int serve_echo(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
    if (bind(listener, (void *)&address, length) < 0 || listen(listener, 4096) < 0) die("listen");
    getsockname(listener, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    watch(ep, listener);
    watch(ep, 0);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(ep, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client < 0) continue;
                no_delay(client);
                watch(ep, client);
                continue;
            }
            ssize_t size = read(fd, buffer, sizeof buffer);
            if (fd == 0 && size <= 0) return 0;
            if (size <= 0 || send(fd, buffer, size, MSG_NOSIGNAL) != size) close(fd);
        }
    }
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int load(int port, int connections, double seconds, int size) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int ep = epoll_create1(0);
    int *fds = calloc(connections, sizeof *fds);
    if (size < 1 || size > MAX_SIZE) return 2;
    for (int i = 0; i < connections; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || fd >= MAX_FDS || connect(fd, (void *)&address, sizeof address) < 0) die("connect");
        no_delay(fd);
        watch(ep, fd);
        fds[i] = fd;
    }
    double start = now_s(), end = start + seconds, now = start;
    long trips = 0;
    for (int i = 0; i < connections; i++) {
        sent_at[fds[i]] = now_s();
        if (write(fds[i], buffer, size) != size) die("write");
    }
    while (now < end) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(ep, events, MAX_EVENTS, 1000);
        if (n == 0) die("no answer within 1 s");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            ssize_t r = read(fd, buffer, sizeof buffer);
            if (r <= 0) die("read");
            got[fd] += r;
            if (got[fd] < size) continue;
            got[fd] = 0;
            now = now_s();
            if (trips < MAX_SAMPLES) samples[trips] = (now - sent_at[fd]) * 1e6;
            trips++;
            sent_at[fd] = now;
            if (write(fd, buffer, size) != size) die("write");
        }
    }
    long kept = trips < MAX_SAMPLES ? trips : MAX_SAMPLES;
    qsort(samples, kept, sizeof *samples, by_value);
    printf("%.1f %.2f\n", trips / (now_s() - start), kept ? samples[kept / 2] : 0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "echo")) return serve_echo();
    if (argc == 6 && !strcmp(argv[1], "load"))
        return load(atoi(argv[2]), atoi(argv[3]), atof(argv[4]), atoi(argv[5]));
    fprintf(stderr, "usage: relay_load echo | relay_load load PORT CONNECTIONS SECONDS SIZE\n");
    return 2;
}
