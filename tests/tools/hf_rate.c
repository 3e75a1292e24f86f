/* hf_rate: how many connections a second: connect, send a message, get it back, close; so many at a time. With --hold
 * they stay open after that, to be counted by whoever measures what an idle one costs. The far end is an hf_echo. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hf_net.h"

static const char usage[] =
    "usage: hf_rate [options] HOST:PORT\n"
    "  --total N       connections in all, at most (default 1000)\n"
    "  --for MS        begin none after so many milliseconds (default: no limit)\n"
    "  --at-once N     in flight at any time (default 1)\n"
    "  --ramp N        at most so many without an answer at any time (default: no limit); keeps a burst of connects\n"
    "                  from overflowing a listen queue\n"
    "  --bytes SIZE    of the message (default 64)\n"
    "  --hold          leave them open (--at-once is then the total), report, and wait for the end of standard input\n"
    "  --timeout SECONDS  give up (default 120)\n"
    "Prints one JSON line; exits 0 when all were answered, else 1.\n";

enum { EVENTS = 256, MAX_BYTES = 16 * 1024 };

struct settings {
    const char *address;
    uint64_t total, at_once, ramp, timeout_s, for_ms;
    size_t bytes;
    bool hold;
};

struct connection {
    int fd;
    bool sent;
    size_t got;
};

struct run {
    struct settings settings;
    int epoll;
    struct connection *connections; /* one for each of the total */
    uint64_t started, running, answered, failed;
    const char *failure; /* of the first that failed */
    unsigned char message[MAX_BYTES];
};

static struct settings parse_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"total", 1, NULL, 'n'},   {"at-once", 1, NULL, 'a'}, {"ramp", 1, NULL, 'r'},
        {"bytes", 1, NULL, 'b'},   {"hold", 0, NULL, 'o'},    {"for", 1, NULL, 'f'},
        {"timeout", 1, NULL, 't'}, {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0},
    };
    struct settings settings = {
        .total = 1000, .at_once = 1, .ramp = UINT64_MAX, .timeout_s = 120, .for_ms = 3600000, .bytes = 64};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'n': settings.total = hf_number(optarg); break;
        case 'a': settings.at_once = hf_number(optarg); break;
        case 'r': settings.ramp = hf_number(optarg); break;
        case 'b': settings.bytes = (size_t)hf_size(optarg); break;
        case 'f': settings.for_ms = hf_number(optarg); break;
        case 'o': settings.hold = true; break;
        case 't': settings.timeout_s = hf_number(optarg); break;
        default: fputs(usage, option == 'h' ? stdout : stderr); exit(option == 'h' ? 0 : 2);
        }
    }
    if (optind + 1 != argc)
        hf_die("%s", usage);
    settings.address = argv[optind];
    if (settings.hold)
        settings.at_once = settings.total;
    if (settings.total < 1 || settings.total > 10000000 || settings.at_once < 1 || settings.ramp < 1)
        hf_die("--total, --at-once and --ramp: out of range");
    if (settings.bytes < 1 || settings.bytes > MAX_BYTES)
        hf_die("--bytes: 1 to %d", MAX_BYTES);
    return settings;
}

static void finish(struct run *run, struct connection *connection, const char *failure)
{
    if (failure == NULL)
        run->answered++;
    else
        run->failed++;
    if (run->failure == NULL)
        run->failure = failure;
    run->running--;
    if (failure == NULL && run->settings.hold)
        return;
    close(connection->fd); /* and epoll forgets it */
    connection->fd = -1;
}

static void set_events(struct run *run, struct connection *connection, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (epoll_ctl(run->epoll, how, connection->fd, &event) < 0)
        hf_die("epoll_ctl: %s", strerror(errno));
}

/* Sends the message: whole, since nothing else is in the socket. False: not yet connected, or it failed. */
static bool say(struct run *run, struct connection *connection)
{
    ssize_t sent = send(connection->fd, run->message, run->settings.bytes, MSG_NOSIGNAL);

    connection->sent = sent == (ssize_t)run->settings.bytes;
    if (!connection->sent && errno != EAGAIN && errno != EINTR && errno != ENOTCONN)
        finish(run, connection, strerror(errno));
    return connection->sent;
}

static void start(struct run *run)
{
    struct connection *fresh = &run->connections[run->started++];

    run->running++;
    fresh->fd = hf_connect(run->settings.address);
    set_events(run, fresh, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void hear(struct run *run, struct connection *connection)
{
    unsigned char answer[MAX_BYTES];
    ssize_t got = recv(connection->fd, answer, run->settings.bytes - connection->got, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        finish(run, connection, got == 0 ? "ended without an answer" : strerror(errno));
    else if (memcmp(answer, run->message + connection->got, (size_t)got) != 0)
        finish(run, connection, "another answer than was asked for");
    else if ((connection->got += (size_t)got) == run->settings.bytes)
        finish(run, connection, NULL);
}

static void turn(struct run *run, struct connection *connection, uint32_t events)
{
    if (connection->got == run->settings.bytes) {
        hf_die("a held connection ended");
    } else if (connection->sent) {
        hear(run, connection);
    } else if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && say(run, connection)) {
        set_events(run, connection, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void go(struct run *run)
{
    uint64_t begun = hf_now_ns(), now = begun;
    uint64_t most = run->settings.at_once < run->settings.ramp ? run->settings.at_once : run->settings.ramp;
    struct epoll_event events[EVENTS];
    int count;

    do {
        if (now - begun >= run->settings.for_ms * 1000000u)
            run->settings.total = run->started;
        while (run->running < most && run->started < run->settings.total)
            start(run);
        count = epoll_wait(run->epoll, events, EVENTS, 200);
        if (count < 0 && errno != EINTR)
            hf_die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++)
            turn(run, events[i].data.ptr, events[i].events);
        now = hf_now_ns();
    } while (run->answered + run->failed < run->settings.total && now - begun < run->settings.timeout_s * 1000000000u);
    if (run->answered + run->failed == run->settings.total)
        return;
    run->failed = run->settings.total - run->answered;
    if (run->failure == NULL)
        run->failure = "no answer within the time limit";
}

static void wait_for_end_of_input(void)
{
    char buffer[64];

    while (read(STDIN_FILENO, buffer, sizeof buffer) > 0)
        ;
}

int main(int argc, char **argv)
{
    struct run run = {.settings = parse_arguments(argc, argv), .epoll = epoll_create1(EPOLL_CLOEXEC)};
    uint64_t begun;
    double seconds;

    run.connections = calloc(run.settings.total, sizeof *run.connections);
    if (run.connections == NULL || run.epoll < 0)
        hf_die("out of memory");
    for (size_t i = 0; i < run.settings.bytes; i++)
        run.message[i] = (unsigned char)(i * 7 + 1);
    begun = hf_now_ns();
    go(&run);
    seconds = (double)(hf_now_ns() - begun) / 1e9;
    printf("{\"total\": %llu, \"ok\": %llu, \"failed\": %llu, \"failure\": \"%s\", \"seconds\": %.6f, "
           "\"per_second\": %.1f}\n",
           (unsigned long long)run.settings.total, (unsigned long long)run.answered, (unsigned long long)run.failed,
           run.failure == NULL ? "" : run.failure, seconds, (double)run.answered / seconds);
    fflush(stdout);
    if (run.settings.hold)
        wait_for_end_of_input();
    free(run.connections);
    return run.failed == 0 ? 0 : 1;
}
