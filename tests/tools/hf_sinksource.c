/* hf_sinksource: the far end of hf_blast. Says on which port it listens, then serves each connection what it asks for
 * (or its own bytes back with --echo), checking every byte, and prints one JSON line when one has ended. Ends at
 * SIGTERM. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hf_net.h"
#include "hf_pump.h"

static const char usage[] = "usage: hf_sinksource [--listen HOST:PORT] [--echo] [--chunk SIZE]\n"
                            "  --listen  default 127.0.0.1:0; the port is printed as `listening PORT`\n"
                            "  --echo    give everything back, and end when the client has ended\n";

enum { MAX_CONNECTIONS = 4096 };

struct connection {
    struct hf_pump pump;
    uint64_t number;
    size_t request_len; /* bytes of the request that have come */
    struct hf_request request;
};

static struct connection connections[MAX_CONNECTIONS];
static struct pollfd fds[MAX_CONNECTIONS + 1];
static size_t count;

static void accept_all(int listener, bool echo, size_t chunk_bytes)
{
    static uint64_t number;

    while (count < MAX_CONNECTIONS) {
        int fd = accept(listener, NULL, NULL);
        struct connection *fresh = &connections[count];

        if (fd < 0)
            return; /* none left; a connection that died in the queue is nobody's loss */
        hf_nonblocking(fd);
        memset(fresh, 0, sizeof *fresh);
        hf_pump_init(&fresh->pump, fd, chunk_bytes);
        fresh->number = number++;
        if (echo) {
            fresh->request_len = sizeof fresh->request; /* nothing to ask */
            fresh->pump.echo = true;
            hf_pump_begin(&fresh->pump);
        }
        count++;
    }
}

static void obey(struct connection *connection)
{
    struct hf_pump *pump = &connection->pump;
    const struct hf_request *request = &connection->request;

    pump->check = (enum hf_check)request->check;
    pump->ends_last = request->server_ends_last != 0;
    pump->in_seed = request->up_seed;
    pump->in_bytes = request->up_bytes;
    pump->out_seed = request->down_seed;
    pump->out_bytes = request->down_bytes;
    hf_pump_begin(pump);
    if (memcmp(request->magic, HF_REQUEST_MAGIC, sizeof request->magic) != 0)
        pump->failure = "not a request of hf_blast";
}

/* Reads on in the request; true when the connection is over before it was complete. */
static bool read_request(struct connection *connection)
{
    unsigned char *at = (unsigned char *)&connection->request + connection->request_len;
    ssize_t got = recv(connection->pump.fd, at, sizeof connection->request - connection->request_len, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        connection->pump.failure = got == 0 ? "no request" : "reset";
        return true;
    }
    connection->request_len += (size_t)got;
    if (connection->request_len == sizeof connection->request)
        obey(connection);
    return connection->pump.failure != NULL;
}

static bool turn(struct connection *connection, short revents)
{
    if (connection->request_len < sizeof connection->request)
        return read_request(connection);
    return hf_pump_turn(&connection->pump, revents);
}

static short events_of(const struct connection *connection)
{
    return connection->request_len < sizeof connection->request ? POLLIN : hf_pump_events(&connection->pump);
}

static void serve(int listener, bool echo, size_t chunk_bytes)
{
    for (;;) {
        for (size_t i = 0; i < count; i++)
            fds[i] = (struct pollfd){.fd = connections[i].pump.fd, .events = events_of(&connections[i])};
        fds[count] = (struct pollfd){.fd = listener, .events = POLLIN};
        if (poll(fds, count + 1, -1) < 0 && errno != EINTR)
            hf_die("poll: %s", strerror(errno));
        bool incoming = fds[count].revents != 0;
        for (size_t i = count; i-- > 0;) {
            if (fds[i].revents == 0 || !turn(&connections[i], fds[i].revents))
                continue;
            hf_pump_finish(&connections[i].pump, "connection", connections[i].number);
            connections[i] = connections[--count]; /* the last one has had its turn already */
        }
        if (incoming)
            accept_all(listener, echo, chunk_bytes);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", 1, NULL, 'l'},
                                            {"echo", 0, NULL, 'e'},
                                            {"chunk", 1, NULL, 'c'},
                                            {"help", 0, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *address = "127.0.0.1:0";
    size_t chunk_bytes = 64 * 1024;
    bool echo = false;
    uint16_t port = 0;
    int option, listener;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l': address = optarg; break;
        case 'e': echo = true; break;
        case 'c': chunk_bytes = (size_t)hf_size(optarg); break;
        default: fputs(usage, option == 'h' ? stdout : stderr); return option == 'h' ? 0 : 2;
        }
    }
    if (optind != argc || chunk_bytes < 1)
        hf_die("%s", usage);
    listener = hf_listen(address, &port);
    printf("listening %u\n", port);
    fflush(stdout);
    serve(listener, echo, chunk_bytes);
    return 0;
}
