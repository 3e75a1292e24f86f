/* hf_ping: how long one short message takes there and back on an open connection, one after another. The far end is an
 * hf_echo. */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hf_net.h"
#include "hf_samples.h"

static const char usage[] = "usage: hf_ping [options] HOST:PORT\n"
                            "  --count N      messages that count (default 500)\n"
                            "  --warm N       messages before them, which do not (default 20)\n"
                            "  --interval US  from one to the next, at least (default 5000)\n"
                            "  --bytes SIZE   of a message (default 64)\n"
                            "  --timeout SECONDS  for one answer (default 30)\n"
                            "Prints one JSON line with microseconds; exits 0 when all were answered.\n";

enum { MAX_BYTES = 16 * 1024 };

struct settings {
    const char *address;
    uint64_t count, warm, interval_us, timeout_s;
    size_t bytes;
};

static struct settings parse_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", 1, NULL, 'n'},   {"warm", 1, NULL, 'w'}, {"interval", 1, NULL, 'i'}, {"bytes", 1, NULL, 'b'},
        {"timeout", 1, NULL, 't'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
    };
    struct settings settings = {.count = 500, .warm = 20, .interval_us = 5000, .timeout_s = 30, .bytes = 64};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'n': settings.count = hf_number(optarg); break;
        case 'w': settings.warm = hf_number(optarg); break;
        case 'i': settings.interval_us = hf_number(optarg); break;
        case 'b': settings.bytes = (size_t)hf_size(optarg); break;
        case 't': settings.timeout_s = hf_number(optarg); break;
        default: fputs(usage, option == 'h' ? stdout : stderr); exit(option == 'h' ? 0 : 2);
        }
    }
    if (optind + 1 != argc)
        hf_die("%s", usage);
    settings.address = argv[optind];
    if (settings.bytes < 1 || settings.bytes > MAX_BYTES || settings.count < 1 || settings.timeout_s > 3600)
        hf_die("--bytes, --count and --timeout: out of range");
    return settings;
}

static void wait_for(int fd, short events, uint64_t timeout_s)
{
    struct pollfd one = {.fd = fd, .events = events};
    int ready;

    do
        ready = poll(&one, 1, (int)timeout_s * 1000);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        hf_die("no answer within %llu s", (unsigned long long)timeout_s);
}

/* One message there and back; returns how many nanoseconds it took. */
static uint64_t exchange(int fd, const struct settings *settings)
{
    static unsigned char message[MAX_BYTES], answer[MAX_BYTES];
    uint64_t begun = hf_now_ns();
    size_t have = 0;

    message[0]++;
    if (send(fd, message, settings->bytes, MSG_NOSIGNAL) != (ssize_t)settings->bytes)
        hf_die("send: %s", strerror(errno));
    while (have < settings->bytes) {
        ssize_t got = recv(fd, answer + have, settings->bytes - have, 0);

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            wait_for(fd, POLLIN, settings->timeout_s);
        else if (got <= 0)
            hf_die("the connection ended: %s", got == 0 ? "end of stream" : strerror(errno));
        else
            have += (size_t)got;
    }
    if (memcmp(message, answer, settings->bytes) != 0)
        hf_die("another answer than was asked for");
    return hf_now_ns() - begun;
}

static void sleep_until(uint64_t when_ns)
{
    struct timespec when = {.tv_sec = (time_t)(when_ns / 1000000000u), .tv_nsec = (long)(when_ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

int main(int argc, char **argv)
{
    struct settings settings = parse_arguments(argc, argv);
    struct hf_samples samples = {0};
    int fd = hf_connect(settings.address), on = 1;
    uint64_t next_ns;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    wait_for(fd, POLLOUT, settings.timeout_s);
    next_ns = hf_now_ns();
    for (uint64_t i = 0; i < settings.warm + settings.count; i++) {
        uint64_t taken_ns;

        sleep_until(next_ns);
        taken_ns = exchange(fd, &settings);
        if (i >= settings.warm)
            hf_samples_add(&samples, taken_ns);
        next_ns += settings.interval_us * 1000;
        if (next_ns < hf_now_ns()) /* late: no burst to make up for it */
            next_ns = hf_now_ns();
    }
    printf("{\"samples\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n", samples.count,
           (double)hf_samples_percentile(&samples, 50) / 1e3, (double)hf_samples_percentile(&samples, 99) / 1e3,
           (double)hf_samples_percentile(&samples, 100) / 1e3);
    hf_samples_deinit(&samples);
    close(fd);
    return 0;
}
