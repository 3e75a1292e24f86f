/* hf_relay_tun: a wire between two network namespaces, made of two TUN devices and this process: with a delay, a rate,
 * a queue and losses where the kernel has no netem. Needs root.
 *
 * Each direction is a queue of its own, `ab` and `ba`. Commands come on standard input, one a line, and are answered
 * with one line on standard output: `ok`, the statistics, or `error ...`. The end of standard input ends it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "hf_net.h"

static const char usage[] = "usage: hf_relay_tun [--device NAME] NAMESPACE_A NAMESPACE_B\n"
                            "Makes the TUN device NAME (default wire) in both, to be given addresses and set up by the "
                            "caller, prints `ready`, and\n"
                            "carries packets. Commands on standard input, for ab, ba or both:\n"
                            "  delay WAY MS      each packet arrives that much later (default 0)\n"
                            "  rate WAY BYTES    bytes a second, with K, M or G; 0: no limit (default)\n"
                            "  queue WAY BYTES   what waits for the rate; beyond it packets are dropped (default 1M)\n"
                            "  loss WAY PERCENT  of packets, at random from a fixed seed\n"
                            "  cut WAY           every packet is dropped without a word\n"
                            "  heal WAY\n"
                            "  stats             packets and bytes carried and dropped, as JSON\n";

/* PACKETS are on their way at most, in each direction: at 1 Gbit/s with an MTU of 1500, a tenth of a second. */
enum { PACKET_BYTES = 9216, PACKETS = 8192, BURST = 64, TICKS = 128 };

struct buffer {
    struct buffer *next; /* free ones */
    unsigned char data[PACKET_BYTES];
};

struct packet {
    uint64_t due_ns;
    size_t len;
    struct buffer *buffer;
};

struct way {
    const char *name;
    int from, to;
    uint64_t delay_ns, rate, queue_bytes, free_ns; /* free_ns: when the wire has sent what it was given */
    unsigned loss_millionths;
    bool cut;
    struct packet *ring;
    size_t head, count;
    uint64_t carried_packets, carried_bytes, dropped_packets;
};

/* The buffer that was given back last is taken first: what is in use stays small, and in the processor's cache. */
static struct buffer *free_buffers;

static void make_buffers(size_t count)
{
    struct buffer *buffers = calloc(count, sizeof *buffers); /* costs no memory before it is used */

    if (buffers == NULL)
        hf_die("out of memory");
    for (size_t i = count; i-- > 0;) {
        buffers[i].next = free_buffers;
        free_buffers = &buffers[i];
    }
}

static void give_back(struct buffer *buffer)
{
    buffer->next = free_buffers;
    free_buffers = buffer;
}

static struct way ways[2] = {{.name = "ab", .queue_bytes = 1 << 20}, {.name = "ba", .queue_bytes = 1 << 20}};

static unsigned random_millionth(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % 1000000);
}

/* Makes the device inside the namespace; this process comes back to its own. */
static int open_tun(const char *namespace, const char *device)
{
    char path[128];
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there, fd;

    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    there = open(path, O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
        hf_die("namespace %s: %s", namespace, strerror(errno));
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        hf_die("TUN device %s in %s: %s", device, namespace, strerror(errno));
    if (setns(home, CLONE_NEWNET) < 0)
        hf_die("setns: %s", strerror(errno));
    close(home);
    close(there);
    return fd;
}

/* When a packet that arrives now leaves the far end of the wire; 0: it does not, the queue is full. */
static uint64_t departure(struct way *way, size_t len, uint64_t now)
{
    uint64_t start = way->free_ns > now ? way->free_ns : now;

    if (way->rate == 0)
        return now + way->delay_ns;
    if ((start - now) / 1000 * way->rate / 1000000 + len > way->queue_bytes)
        return 0;
    way->free_ns = start + len * 1000000000u / way->rate;
    return way->free_ns + way->delay_ns;
}

static void take_in(struct way *way, uint64_t now)
{
    for (int i = 0; i < BURST; i++) {
        struct buffer *buffer = free_buffers; /* there is one: each way holds PACKETS, and one is in hand */
        bool full = way->count == PACKETS;
        ssize_t len = read(way->from, buffer->data, PACKET_BYTES);
        uint64_t due_ns;

        if (len <= 0)
            return;
        due_ns = full || way->cut || random_millionth() < way->loss_millionths ? 0 : departure(way, (size_t)len, now);
        if (due_ns == 0) {
            way->dropped_packets++;
            continue;
        }
        free_buffers = buffer->next;
        way->ring[(way->head + way->count++) % PACKETS] = (struct packet){due_ns, (size_t)len, buffer};
    }
}

static void give_out(struct way *way, uint64_t now)
{
    while (way->count > 0 && way->ring[way->head].due_ns <= now) {
        struct packet *packet = &way->ring[way->head];

        /* A device that is down takes nothing; a wire does not care. */
        if (!way->cut && write(way->to, packet->buffer->data, packet->len) == (ssize_t)packet->len) {
            way->carried_packets++;
            way->carried_bytes += packet->len;
        } else {
            way->dropped_packets++;
        }
        give_back(packet->buffer);
        way->head = (way->head + 1) % PACKETS;
        way->count--;
    }
}

static void print_stats(void)
{
    putchar('{');
    for (int i = 0; i < 2; i++)
        printf("%s\"%s\": {\"packets\": %llu, \"bytes\": %llu, \"dropped\": %llu}", i == 0 ? "" : ", ", ways[i].name,
               (unsigned long long)ways[i].carried_packets, (unsigned long long)ways[i].carried_bytes,
               (unsigned long long)ways[i].dropped_packets);
    puts("}");
}

static bool set(struct way *way, const char *word, const char *value)
{
    if (strcmp(word, "cut") == 0)
        way->cut = true;
    else if (strcmp(word, "heal") == 0)
        way->cut = false;
    else if (value == NULL)
        return false;
    else if (strcmp(word, "delay") == 0)
        way->delay_ns = hf_number(value) * 1000000;
    else if (strcmp(word, "rate") == 0)
        way->rate = hf_size(value);
    else if (strcmp(word, "queue") == 0)
        way->queue_bytes = hf_size(value);
    else if (strcmp(word, "loss") == 0)
        way->loss_millionths = (unsigned)(strtod(value, NULL) * 10000);
    else
        return false;
    return true;
}

static void obey(char *line)
{
    char *rest = NULL;
    const char *word = strtok_r(line, " ", &rest);
    const char *which = strtok_r(NULL, " ", &rest);
    const char *value = strtok_r(NULL, " ", &rest);
    bool done = false;

    if (word != NULL && strcmp(word, "stats") == 0) {
        print_stats();
        return;
    }
    for (int i = 0; word != NULL && which != NULL && i < 2; i++)
        if (strcmp(which, "both") == 0 || strcmp(which, ways[i].name) == 0)
            done = set(&ways[i], word, value);
    puts(done ? "ok" : "error: not a command of hf_relay_tun");
}

/* Reads what has come of the commands; false at the end of standard input. */
static bool read_commands(void)
{
    static char buffer[1024];
    static size_t len;
    ssize_t got = read(STDIN_FILENO, buffer + len, sizeof buffer - 1 - len);
    char *end;

    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    len += (size_t)got;
    buffer[len] = '\0';
    while ((end = strchr(buffer, '\n')) != NULL) {
        *end = '\0';
        obey(buffer);
        len -= (size_t)(end + 1 - buffer);
        memmove(buffer, end + 1, len + 1);
    }
    if (len == sizeof buffer - 1)
        hf_die("a command of %zu bytes", len);
    fflush(stdout);
    return true;
}

/* A long wire is looked at in ticks, short ones against its delay, instead of for every packet: the same bytes cost a
 * fraction of the wake-ups. 0: no ticks, there is no delay or nothing on the way. */
static uint64_t tick_ns(void)
{
    uint64_t tick = UINT64_MAX;

    if (ways[0].count + ways[1].count == 0)
        return 0;
    for (int i = 0; i < 2; i++)
        if (ways[i].delay_ns / TICKS < tick)
            tick = ways[i].delay_ns / TICKS;
    return tick;
}

/* How long nothing is due. */
static struct timespec idle_time(uint64_t now)
{
    uint64_t wait = 1000000000;

    for (int i = 0; i < 2; i++) {
        if (ways[i].count == 0)
            continue;
        uint64_t due = ways[i].ring[ways[i].head].due_ns;
        uint64_t left = due > now ? due - now : 0;

        wait = left < wait ? left : wait;
    }
    return (struct timespec){.tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
}

static void carry(void)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = ways[0].from, .events = POLLIN},
                           {.fd = ways[1].from, .events = POLLIN}};

    for (;;) {
        uint64_t now, tick = tick_ns();
        struct timespec idle = tick != 0 ? (struct timespec){.tv_nsec = (long)tick} : idle_time(hf_now_ns());

        if (ppoll(fds, tick != 0 ? 1 : 3, &idle, NULL) < 0 && errno != EINTR)
            hf_die("poll: %s", strerror(errno));
        if (fds[0].revents != 0 && !read_commands())
            return;
        now = hf_now_ns();
        for (int i = 0; i < 2; i++) {
            take_in(&ways[i], now);
            give_out(&ways[i], now);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"device", 1, NULL, 'd'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *device = "wire";
    int option, a, b;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd': device = optarg; break;
        default: fputs(usage, option == 'h' ? stdout : stderr); return option == 'h' ? 0 : 2;
        }
    }
    if (optind + 2 != argc)
        hf_die("%s", usage);
    a = open_tun(argv[optind], device);
    b = open_tun(argv[optind + 1], device);
    ways[0].from = ways[1].to = a;
    ways[0].to = ways[1].from = b;
    make_buffers(2 * PACKETS + 1);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* else every wait is 50 us longer */
    for (int i = 0; i < 2; i++) {
        ways[i].ring = calloc(PACKETS, sizeof *ways[i].ring);
        if (ways[i].ring == NULL)
            hf_die("out of memory");
    }
    puts("ready");
    fflush(stdout);
    carry();
    return 0;
}
