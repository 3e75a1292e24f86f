/* hf_blast: opens N connections at once, sends and receives seeded streams through them, checks every byte, and says
 * how long it took. The far end is an hf_sinksource. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hf_net.h"
#include "hf_pump.h"

static const char usage[] =
    "usage: hf_blast [options] HOST:PORT\n"
    "  --mode up|down|both|echo  which streams run (default both; echo: the far end is hf_sinksource --echo)\n"
    "  --bytes SIZE              per direction and connection, such as 64M (default 1M)\n"
    "  --channels N              connections at once (default 1)\n"
    "  --chunk SIZE              bytes per write (default 64K)\n"
    "  --seed N                  first seed; each stream has its own (default 1)\n"
    "  --check sha256|bytes|count\n"
    "  --end first|last          whether we end our side at once or after the far end has (default first)\n"
    "  --ramp N                  at most N connections without a first byte received at any time (default: no limit);\n"
    "                            keeps a burst of connects from overflowing the listen queue of an sshd\n"
    "  --together                no connection ends before all have received everything: all are open at once\n"
    "  --flowing SIZE            say {\"flowing\": BYTES} once so much has moved, for who waits for that\n"
    "  --timeout SECONDS         give up (default 600)\n"
    "At SIGTERM it gives up at once, and still says how much it moved.\n"
    "Prints one JSON line per connection and a last one with the sum; exits 0 when all are right, else 1.\n";

struct settings {
    const char *address;
    bool up, down, echo, ends_last, together;
    uint64_t bytes, channels, seed, ramp, timeout_s, flowing_bytes; /* flowing_bytes: 0, not asked for */
    size_t chunk_bytes;
    enum hf_check check;
};

static enum hf_check parse_check(const char *text)
{
    if (strcmp(text, "sha256") == 0)
        return HF_CHECK_SHA256;
    if (strcmp(text, "bytes") == 0)
        return HF_CHECK_BYTES;
    if (strcmp(text, "count") == 0)
        return HF_CHECK_COUNT;
    hf_die("--check %s: not sha256, bytes or count", text);
}

static void parse_mode(struct settings *settings, const char *text)
{
    settings->echo = strcmp(text, "echo") == 0;
    settings->up = strcmp(text, "up") == 0 || strcmp(text, "both") == 0 || settings->echo;
    settings->down = strcmp(text, "down") == 0 || strcmp(text, "both") == 0;
    if (!settings->up && !settings->down)
        hf_die("--mode %s: not up, down, both or echo", text);
}

static struct settings parse_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"mode", 1, NULL, 'm'}, {"bytes", 1, NULL, 'b'}, {"channels", 1, NULL, 'n'}, {"chunk", 1, NULL, 'c'},
        {"seed", 1, NULL, 's'}, {"check", 1, NULL, 'k'}, {"end", 1, NULL, 'e'},      {"timeout", 1, NULL, 't'},
        {"help", 0, NULL, 'h'}, {"ramp", 1, NULL, 'r'},  {"together", 0, NULL, 'g'}, {"flowing", 1, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    struct settings settings = {.up = true,
                                .down = true,
                                .bytes = 1 << 20,
                                .channels = 1,
                                .seed = 1,
                                .timeout_s = 600,
                                .ramp = UINT64_MAX,
                                .chunk_bytes = 64 * 1024,
                                .check = HF_CHECK_SHA256};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'm': parse_mode(&settings, optarg); break;
        case 'b': settings.bytes = hf_size(optarg); break;
        case 'n': settings.channels = hf_number(optarg); break;
        case 'c': settings.chunk_bytes = (size_t)hf_size(optarg); break;
        case 's': settings.seed = hf_number(optarg); break;
        case 'k': settings.check = parse_check(optarg); break;
        case 'e': settings.ends_last = strcmp(optarg, "last") == 0; break;
        case 'r': settings.ramp = hf_number(optarg); break;
        case 'g': settings.together = true; break;
        case 'f': settings.flowing_bytes = hf_size(optarg); break;
        case 't': settings.timeout_s = hf_number(optarg); break;
        default: fputs(usage, option == 'h' ? stdout : stderr); exit(option == 'h' ? 0 : 2);
        }
    }
    if (optind + 1 != argc)
        hf_die("%s", usage);
    settings.address = argv[optind];
    if (settings.channels < 1 || settings.channels > 10000 || settings.chunk_bytes < 1)
        hf_die("--channels and --chunk: out of range");
    return settings;
}

/* The request goes ahead of the first chunk, in the same write: no extra packet disturbs what is measured. */
static void put_request(struct hf_pump *pump, const struct settings *settings)
{
    struct hf_request request = {.up_seed = pump->out_seed,
                                 .up_bytes = pump->out_bytes,
                                 .down_seed = pump->in_seed,
                                 .down_bytes = pump->in_bytes,
                                 .check = settings->check,
                                 .server_ends_last = !settings->ends_last};

    if (pump->chunk_bytes < sizeof request)
        hf_die("--chunk: at least %zu bytes", sizeof request);
    memcpy(request.magic, HF_REQUEST_MAGIC, sizeof request.magic);
    memcpy(pump->out_chunk, &request, sizeof request);
    pump->chunk_len = sizeof request;
}

static void start(struct hf_pump *pump, const struct settings *settings, uint64_t number)
{
    hf_pump_init(pump, hf_connect(settings->address), settings->chunk_bytes);
    pump->check = settings->check;
    pump->ends_last = settings->ends_last;
    pump->out_seed = settings->seed + 2 * number;
    pump->in_seed = settings->echo ? pump->out_seed : pump->out_seed + 1;
    pump->out_bytes = settings->up ? settings->bytes : 0;
    pump->in_bytes = settings->down || settings->echo ? settings->bytes : 0;
    hf_pump_begin(pump);
    if (!settings->echo)
        put_request(pump, settings);
}

struct sum {
    uint64_t ok, failed, sent, received;
};

static void account(struct sum *sum, const struct hf_pump *pump)
{
    sum->ok += pump->failure == NULL;
    sum->failed += pump->failure != NULL;
    sum->sent += pump->out_done;
    sum->received += pump->in_done;
}

struct crowd {
    struct hf_pump *pumps;
    struct pollfd *fds;
    uint64_t started, running;
    struct sum sum;
};

static void settle(struct crowd *crowd, uint64_t number)
{
    account(&crowd->sum, &crowd->pumps[number]);
    hf_pump_finish(&crowd->pumps[number], "connection", number);
    crowd->running--;
}

/* Starts connections as far as the ramp allows, and lets them end once all have all they want. */
static void manage(struct crowd *crowd, const struct settings *settings)
{
    uint64_t silent = 0, hungry = settings->channels - crowd->started;

    for (uint64_t i = 0; i < crowd->started; i++) {
        const struct hf_pump *pump = &crowd->pumps[i];

        silent += pump->fd >= 0 && pump->in_done == 0 && !pump->in_ended;
        hungry += pump->fd >= 0 && pump->in_done < pump->in_bytes;
    }
    while (crowd->started < settings->channels && silent < settings->ramp) {
        struct hf_pump *fresh = &crowd->pumps[crowd->started];

        start(fresh, settings, crowd->started++);
        fresh->held = settings->together;
        crowd->running++;
        silent++;
    }
    for (uint64_t i = 0; i < crowd->started && hungry == 0; i++)
        crowd->pumps[i].held = false;
}

static void turn_all(struct crowd *crowd)
{
    for (uint64_t i = 0; i < crowd->started; i++) {
        crowd->fds[i].fd = crowd->pumps[i].fd; /* -1 once it has ended: poll passes over it */
        crowd->fds[i].events = crowd->pumps[i].fd < 0 ? 0 : hf_pump_events(&crowd->pumps[i]);
        crowd->fds[i].revents = 0;
    }
    if (poll(crowd->fds, crowd->started, 200) < 0 && errno != EINTR)
        hf_die("poll: %s", strerror(errno));
    for (uint64_t i = 0; i < crowd->started; i++)
        if (crowd->pumps[i].fd >= 0 && crowd->fds[i].revents != 0 &&
            hf_pump_turn(&crowd->pumps[i], crowd->fds[i].revents))
            settle(crowd, i);
}

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

/* Says so once enough has moved. */
static void tell_flow(const struct crowd *crowd, struct settings *settings)
{
    uint64_t moved = crowd->sum.sent + crowd->sum.received;

    for (uint64_t i = 0; i < crowd->started && settings->flowing_bytes != 0; i++)
        if (crowd->pumps[i].fd >= 0)
            moved += crowd->pumps[i].out_done + crowd->pumps[i].in_done;
    if (settings->flowing_bytes == 0 || moved < settings->flowing_bytes)
        return;
    printf("{\"flowing\": %llu}\n", (unsigned long long)moved);
    fflush(stdout);
    settings->flowing_bytes = 0;
}

int main(int argc, char **argv)
{
    struct settings settings = parse_arguments(argc, argv);
    struct crowd crowd = {.pumps = calloc(settings.channels, sizeof *crowd.pumps),
                          .fds = calloc(settings.channels, sizeof *crowd.fds)};
    uint64_t begun = hf_now_ns(), deadline_ns = begun + settings.timeout_s * 1000000000u, stuck;

    if (crowd.pumps == NULL || crowd.fds == NULL)
        hf_die("out of memory");
    signal(SIGTERM, stop);
    do {
        manage(&crowd, &settings);
        turn_all(&crowd);
        tell_flow(&crowd, &settings);
    } while ((crowd.running > 0 || crowd.started < settings.channels) && hf_now_ns() < deadline_ns && !stopped);
    stuck = crowd.running;
    for (uint64_t i = 0; i < crowd.started; i++) {
        if (crowd.pumps[i].fd < 0)
            continue;
        crowd.pumps[i].failure = "no end within the time limit";
        settle(&crowd, i);
    }
    crowd.sum.failed += settings.channels - crowd.started;
    printf("{\"total\": %llu, \"ok\": %llu, \"failed\": %llu, \"stuck\": %llu, \"sent\": %llu, \"received\": %llu, "
           "\"seconds\": %.6f}\n",
           (unsigned long long)settings.channels, (unsigned long long)crowd.sum.ok,
           (unsigned long long)crowd.sum.failed, (unsigned long long)stuck, (unsigned long long)crowd.sum.sent,
           (unsigned long long)crowd.sum.received, (double)(hf_now_ns() - begun) / 1e9);
    free(crowd.pumps);
    free(crowd.fds);
    return crowd.sum.failed == 0 ? 0 : 1;
}
